"""Operations on the memory of a process."""

import mmap as constants

from pytest_gup.adapters.linux import wire
from pytest_gup.adapters.linux.bench import (
    Answered,
    Bench,
    Call,
    Mapping,
    raise_signal,
    stamp,
)
from pytest_gup.adapters.linux.calls import Process
from pytest_gup.adapters.linux.files import wait_for_tick
from pytest_gup.adapters.linux.lab import THREADS

MAP_FIXED_NOREPLACE = 0x100000
MREMAP_MAYMOVE = 1
MREMAP_FIXED = 2
READ_WRITE = constants.PROT_READ | constants.PROT_WRITE


class Memory:
    """What every process can do with its memory."""

    bench: Bench

    def mmap(
        self,
        process: int,
        mapping: int,
        file: int | None,
        page: int,
        pages: int,
        shared: bool,
        writable: bool,
    ) -> Call:
        """Map pages; the first mapping of a process starts it."""
        bench = self.bench
        if process not in bench.processes:
            bench.processes[process] = bench.lab.spawn()
        size = bench.geometry.page_size_bytes
        address = bench.fresh_address()
        flags = constants.MAP_SHARED if shared else constants.MAP_PRIVATE
        protection = READ_WRITE if writable else constants.PROT_READ

        def keep(_: object) -> None:
            bench.mappings[process, mapping] = Mapping(address, pages, file)

        return bench.begin(
            bench.processes[process],
            "map",
            None if file is None else bench.file_path(file),
            address,
            pages * size,
            protection,
            flags | MAP_FIXED_NOREPLACE,
            page * size,
            then=keep,
        )

    def munmap(self, process: int, mapping: int) -> Call:
        """Remove a mapping, by munmap."""
        gone = self.bench.mappings.pop((process, mapping))
        return self._in(process, "munmap", gone.address, self._size(gone))

    def mprotect(self, process: int, mapping: int, writable: bool) -> Call:
        """Change what may be done with a mapping, by mprotect."""
        there = self.bench.mappings[process, mapping]
        protection = READ_WRITE if writable else constants.PROT_READ
        size = self._size(there)
        return self._in(process, "mprotect", there.address, size, protection)

    def mremap(self, process: int, mapping: int) -> Call:
        """Move a mapping to an address that was never used, by mremap."""
        bench = self.bench
        old = bench.mappings[process, mapping]
        size, address = self._size(old), bench.fresh_address()
        flags = MREMAP_MAYMOVE | MREMAP_FIXED

        def keep(_: object) -> None:
            bench.mappings[process, mapping] = Mapping(address, old.pages, old.file)

        return self._in(
            process, "mremap", old.address, size, size, flags, address, then=keep
        )

    def load(self, process: int, mapping: int, page: int, word: int) -> Call:
        """Read a word by CPU loads."""
        address = self.bench.address(process, mapping, page, word)

        def value(found: object) -> int:
            if isinstance(found, int):
                raise_signal(found)
            assert isinstance(found, bytes), f"a load answered {found!r}"
            return stamp(found)

        size = self.bench.geometry.word_size_bytes
        return self._in(process, "peek", address, size, then=value)

    def store(
        self, process: int, mapping: int, page: int, word: int, value: int
    ) -> Call:
        """Write a word by CPU stores."""
        wait_for_tick(self.bench.last_mtime)
        address = self.bench.address(process, mapping, page, word)

        def check(number: object) -> None:
            assert isinstance(number, int), f"a store answered {number!r}"
            if number:
                raise_signal(number)

        size = self.bench.geometry.word_size_bytes
        return self._in(process, "fill", address, size, value, then=check)

    def fork(self, process: int, child: int) -> Call:
        """Fork a process; the child's threads answer through sockets given to it."""
        bench = self.bench
        pairs = [wire.pair() for _ in range(THREADS)]
        given = tuple(there.fileno() for _, there in pairs)

        def keep(pid: object) -> None:
            assert isinstance(pid, int), f"fork answered {pid!r}"
            bench.lab.adopt(pid)
            ours = [here.detach() for here, _ in pairs]
            bench.processes[child] = Process.join(ours)
            for (owner, number), there in list(bench.mappings.items()):
                if owner == process:
                    bench.mappings[child, number] = there

        call = self._in(process, "fork", then=keep, give=given)
        for _, there in pairs:
            there.close()
        return call

    def _size(self, mapping: Mapping) -> int:
        return mapping.pages * self.bench.geometry.page_size_bytes

    def _in(
        self,
        process: int,
        name: str,
        *arguments: object,
        then: Answered = lambda _: None,
        give: tuple[int, ...] = (),
    ) -> Call:
        worker = self.bench.processes[process]
        return self.bench.begin(worker, name, *arguments, then=then, give=give)
