"""What the kernel does to pages behind everybody's back, on demand.

Each class is what a machine may be able to do; `offers.py` finds out. Whether a page
has moved, been shared or left memory is for the one who asked to look: no call of
Linux promises it.
"""

from collections.abc import Generator

from conformance.interface import Done
from pytest_gup.adapters.linux.bench import Bench, Call, Chain, Mapping, checked

MADV_DONTNEED = 4
MADV_MERGEABLE = 12
MADV_PAGEOUT = 21


class Advice:
    """What any process may advise the kernel to do with its memory."""

    bench: Bench

    def dontneed(self, process: int, mapping: int, page: int, pages: int) -> Call:
        """Give up what pages hold, by MADV_DONTNEED."""
        return self._advise(process, mapping, page, pages, MADV_DONTNEED)

    def pageout(self, process: int, mapping: int, page: int, pages: int) -> Call:
        """Move pages out of memory by MADV_PAGEOUT; without swap, those of files."""
        return self._advise(process, mapping, page, pages, MADV_PAGEOUT)

    def _advise(
        self, process: int, mapping: int, page: int, pages: int, advice: int
    ) -> Call:
        bench = self.bench
        address = bench.address(process, mapping, page)
        size = pages * bench.geometry.page_size_bytes
        worker = bench.processes[process]
        return bench.begin(worker, "madvise", address, size, advice)


class Noticing:
    """A kernel that can be asked to notice writes."""

    bench: Bench

    def clear_refs(self, process: int) -> Call:
        """Have the next write to each page noticed, by userfaultfd write-protection."""
        bench = self.bench
        size = bench.geometry.page_size_bytes
        ranges = [
            number
            for (owner, _), mapping in bench.mappings.items()
            if owner == process
            for number in (mapping.address, mapping.pages * size)
        ]
        return bench.begin(bench.processes[process], "clear_refs", *ranges)


class Moving:
    """A kernel that compacts memory."""

    bench: Bench

    def migrate(self, process: int, mapping: int, page: int, pages: int) -> Chain:
        """Have private anonymous memory collapsed, or else all memory compacted."""
        return Chain(self._migrate(process, mapping, page, pages))

    def _migrate(
        self, process: int, mapping: int, page: int, pages: int
    ) -> Generator[Call, Done, None]:
        bench = self.bench
        worker, there = bench.processes[process], bench.mappings[process, mapping]
        size = there.pages * bench.geometry.page_size_bytes
        if there.file is None and not there.is_shared:
            arguments = there.address, size, there.protection
            ended = yield bench.begin(worker, "collapse", *arguments)
            if ended.error is None:
                return
        address = bench.address(process, mapping, page)
        checked(
            (yield bench.begin(bench.shell, "compact", worker.number, address, pages))
        )


class Merging:
    """A kernel that merges equal pages of anonymous memory (KSM)."""

    bench: Bench

    def merge(self, process: int, mapping: int) -> Chain:
        """Offer a mapping for merging, and have the kernel scan what is offered."""
        return Chain(self._merge(process, self.bench.mappings[process, mapping]))

    def _merge(self, process: int, mapping: Mapping) -> Generator[Call, Done, None]:
        bench = self.bench
        size = mapping.pages * bench.geometry.page_size_bytes
        worker = bench.processes[process]
        advice = (mapping.address, size, MADV_MERGEABLE)
        checked((yield bench.begin(worker, "madvise", *advice)))
        bench.lab.note_settings()
        ended = yield bench.begin(bench.shell, "merge")
        bench.lab.restore_settings()
        checked(ended)


class Splitting:
    """A filesystem that caches in large folios."""

    bench: Bench

    def split(self, file: int, page: int) -> Call:
        """Split a folio: through the mapping that it is in, or one of our own."""
        bench = self.bench
        size = bench.geometry.page_size_bytes
        for (process, _), mapping in bench.in_use().items():
            offset = page - mapping.first_page
            if mapping.file == file and 0 <= offset < mapping.pages:
                worker = bench.processes[process]
                address = mapping.address + offset * size
                return bench.begin(worker, "split_mapped", address)
        return bench.begin(bench.shell, "split", bench.files[file], page * size)
