"""The calls on memory that no other process sees: anonymous, and private mappings.

Nothing is ever shared here. A page of private memory comes into being when it is
first written to, or pinned, and belongs to one mapping of one process; a fork copies
every one of them at once. So there is nothing to be unshared, nothing to be reused,
and a pin cannot lose its page to a copy.

A device writes to such a page directly: nothing writes it back, so it needs no shadow.
"""

import attrs

from conformance.interface import Errno, KernelError, PageView, Signal, SignalName

from .file_calls import sleeping
from .pin_calls import PinCalls
from .things import File, Grant, Mapping, Page, view


@attrs.define(eq=False)
class PrivatePage(Page):
    """A page of private memory."""

    is_mapped: bool = True

    @property
    def references(self) -> int:
        """How many keep its frame: its mapping, and each pin."""
        return self.is_mapped + len(self.grants)


@attrs.define(eq=False)
class PrivateMapping:
    """A mapping whose writes its process keeps to itself."""

    file: File | None
    """What is seen of a page until it is written to; None: zeros."""
    first: int
    pages: int
    is_writable: bool
    is_gone: bool = False
    table: dict[int, PrivatePage] = attrs.field(factory=dict[int, PrivatePage])
    """Pages that are the process's own, by their number in the mapping."""


@attrs.define(eq=False)
class PrivateCalls(PinCalls):
    """Private mappings by their handles, and processes."""

    private: dict[tuple[int, int], PrivateMapping] = attrs.field(
        factory=dict[tuple[int, int], PrivateMapping]
    )

    # --- mappings and processes -----------------------------------------------

    def mmap(
        self,
        process: int,
        mapping: int,
        file: int | None,
        page: int,
        pages: int,
        writable: bool = True,
        shared: bool = True,
    ) -> None:
        """Map pages of a file, shared or private, or private anonymous memory."""
        if shared:
            super().mmap(process, mapping, file, page, pages, writable)
            return
        if pages <= 0:
            raise KernelError(Errno.EINVAL, f"{pages} pages")
        shown = None if file is None else self.files[file]
        if shown is not None:
            shown.users += 1
        made = PrivateMapping(shown, page, pages, writable)
        self.private[process, mapping] = made

    def munmap(self, process: int, mapping: int) -> None:
        """Remove a mapping."""
        mapped = self.private.pop((process, mapping), None)
        if mapped is None:
            super().munmap(process, mapping)
            return
        mapped.is_gone = True
        self._give_up(mapped, range(mapped.pages))
        if mapped.file is not None:
            mapped.file.users -= 1
            self.volume.drop_if_unused(mapped.file)

    def dontneed(self, process: int, mapping: int, page: int, pages: int) -> None:
        """Give up pages of private memory; a shared mapping has nothing to give up."""
        mapped = self.private.get((process, mapping))
        if mapped is not None:
            self._give_up(mapped, range(page, page + pages))

    def fork(self, process: int, child: int) -> None:
        """Make a process with the same mappings, and copies of all that is private."""
        own = [m for (owner, _), m in self.private.items() if owner == process]
        self.volume.make_room(sum(len(mapped.table) for mapped in own))
        for (owner, name), shared in list(self.mappings.items()):
            if owner == process:
                copy = Mapping(
                    shared.file, shared.first, shared.pages, shared.is_writable
                )
                self.mappings[child, name] = copy
                copy.file.mappings.add(copy)
        for (owner, name), mapped in list(self.private.items()):
            if owner == process:
                self.private[child, name] = self._copied(mapped)

    def exit(self, process: int) -> None:
        """End a process; its pins stay with their devices."""
        for owner, mapping in [*self.mappings, *self.private]:
            if owner == process:
                self.munmap(process, mapping)

    def _copied(self, mapped: PrivateMapping) -> PrivateMapping:
        table = {
            number: PrivatePage(
                self.volume.memory.take(), number, list(page.words), None
            )
            for number, page in mapped.table.items()
        }
        if mapped.file is not None:
            mapped.file.users += 1
        return attrs.evolve(mapped, table=table)

    def _give_up(self, mapped: PrivateMapping, pages: range) -> None:
        for number in pages:
            page = mapped.table.pop(number, None)
            if page is not None:
                page.is_mapped = False
                self.volume.free_if_unused(page)

    # --- access -----------------------------------------------------------------

    def load(self, process: int, mapping: int, page: int, word: int) -> int:
        """Read one word through a mapping."""
        mapped = self.private.get((process, mapping))
        if mapped is None:
            return super().load(process, mapping, page, word)
        _check(mapped, page, write=False)
        return self._words(mapped, page)[word]

    def store(
        self, process: int, mapping: int, page: int, word: int, value: int
    ) -> None:
        """Write one word through a mapping."""
        mapped = self.private.get((process, mapping))
        if mapped is None:
            super().store(process, mapping, page, word, value)
            return
        _check(mapped, page, write=True)
        try:
            self._own_page(mapped, page).words[word] = value
        except KernelError as error:
            raise Signal(SignalName.SIGBUS, error.reason) from error

    def _words(self, mapped: PrivateMapping, number: int) -> list[int]:
        """Give what a page shows: its own words, or what there is before."""
        own = mapped.table.get(number)
        if own is not None:
            return own.words
        size = self.volume.words_per_page
        if mapped.file is None:
            return [0] * size
        index = mapped.first + number
        if index * size >= mapped.file.size:
            raise Signal(SignalName.SIGBUS, f"page {index} is beyond end of file")
        try:
            return self.volume.page(mapped.file, index).words
        except KernelError as error:
            raise Signal(SignalName.SIGBUS, error.reason) from error

    def _own_page(self, mapped: PrivateMapping, number: int) -> PrivatePage:
        """Give a page that is the process's own, made now if need be."""
        if number not in mapped.table:
            words = list(self._words(mapped, number))
            self.volume.make_room(1)
            frame = self.volume.memory.take()
            mapped.table[number] = PrivatePage(frame, number, words, None)
        return mapped.table[number]

    # --- pins -------------------------------------------------------------------

    def get_user_pages(
        self,
        process: int,
        mapping: int,
        page: int,
        pages: int,
        pin: int,
        write: bool,
        longterm: bool = False,
        nowait: bool = False,
    ) -> int:
        """Pin pages of a mapping; answer how many."""
        mapped = self.private.get((process, mapping))
        if mapped is None:
            plain = (process, mapping, page, pages, pin, write, longterm, nowait)
            return super().get_user_pages(*plain)
        return self._pin_own(mapped, range(page, page + pages), pin, write=write)

    def get_user_pages_fast(
        self,
        process: int,
        mapping: int,
        page: int,
        pages: int,
        pin: int,
        write: bool,
        longterm: bool = False,
        nowait: bool = False,
    ) -> int:
        """Do the same."""
        mapped = self.private.get((process, mapping))
        if mapped is None:
            plain = (process, mapping, page, pages, pin, write, longterm, nowait)
            return super().get_user_pages_fast(*plain)
        return self._pin_own(mapped, range(page, page + pages), pin, write=write)

    def _pin_own(
        self, mapped: PrivateMapping, pages: range, pin: int, *, write: bool
    ) -> int:
        """Pin pages of private memory, up to the first that cannot be had."""
        grants: list[Grant] = []
        for number in pages:
            try:
                _check(mapped, number, write=write)
                page = self._own_page(mapped, number)
            except (KernelError, Signal) as error:
                if not grants:
                    raise KernelError(Errno.EFAULT, error.reason) from error
                break
            grant = Grant(page, None, is_direct=write)
            page.grants.append(grant)
            grants.append(grant)
        self.pages_requested_slow += len(grants)
        self.pins[pin] = grants
        return len(grants)

    def mapped_page_view(self, process: int, mapping: int, page: int) -> PageView:
        """Show a page of private memory."""
        mapped = self.private.get((process, mapping))
        own = None if mapped is None else mapped.table.get(page)
        return PageView() if own is None else view(own)

    # --- sharing ----------------------------------------------------------------

    def clone(self, file: int, clone: int) -> None:
        """Make a file that shares the blocks of another, when all is on the disk."""
        source = self.files[file]
        source.users += 1

        def call() -> None:
            try:
                self.volume.wait_for_thaw()
                self.files[clone] = self.volume.clone(source)
            except KernelError:
                self._leave(source)
                raise
            self._leave(source)

        sleeping(call)

    def _leave(self, source: File) -> None:
        source.users -= 1
        self.volume.drop_if_unused(source)


def _check(mapped: PrivateMapping, page: int, *, write: bool) -> None:
    """End in a signal where a mapping does not allow an access."""
    if mapped.is_gone or page not in range(mapped.pages):
        raise Signal(SignalName.SIGSEGV, f"page {page} is not mapped")
    if write and not mapped.is_writable:
        raise Signal(SignalName.SIGSEGV, f"page {page} is mapped read-only")
