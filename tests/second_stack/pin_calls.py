"""The calls on pins: get_user_pages, put_user_page, and what devices do between.

A write pin is granted by a write fault: page_mkwrite, as for a store. It comes with
a shadow, and with a block reserved for the time when it is put: then what the
device wrote is a write like any other, which goes through page_mkwrite once more,
waits if it has to, and cannot fail. Cleaning the page in between needs no care.
"""

import attrs

from conformance.interface import (
    UNREADABLE,
    Errno,
    KernelError,
    Signal,
    WouldBlock,
)

from .file_calls import sleeping
from .mapping_calls import MappingCalls, locate
from .things import Grant, Mapping, Page, Shadow


@attrs.frozen
class Request:
    """What a call of get_user_pages asks for."""

    mapping: Mapping
    first: int
    pages: int
    write: bool
    longterm: bool
    nowait: bool
    is_fast: bool = False


@attrs.define(eq=False)
class PinCalls(MappingCalls):
    """Pins by their handles."""

    pins: dict[int, list[Grant]] = attrs.field(factory=dict[int, list[Grant]])
    pages_requested_slow: int = 0
    pages_requested_fast: int = 0
    """Granted without a fault, by get_user_pages_fast."""
    pages_returned: int = 0

    # --- get_user_pages -------------------------------------------------------

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
        mapped = self.mappings[process, mapping]
        return self._get(Request(mapped, page, pages, write, longterm, nowait), pin)

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
        """Do the same; it is fast where no fault is needed."""
        mapped = self.mappings[process, mapping]
        request = Request(mapped, page, pages, write, longterm, nowait, is_fast=True)
        return self._get(request, pin)

    def _get(self, request: Request, pin: int) -> int:
        if request.pages <= 0:
            raise KernelError(Errno.EINVAL, f"{request.pages} pages")
        if request.longterm and request.write:
            raise KernelError(Errno.EFAULT, "a file page, for writing, for long")

        def call() -> int:
            indices = self._awake(request, self._reachable(request))
            self.pins[pin] = self._grants(request, indices)
            return len(self.pins[pin])

        return sleeping(call)

    def _reachable(self, request: Request) -> list[int]:
        """Give the file pages that are asked for, up to the first one amiss."""
        indices: list[int] = []
        size = self.volume.words_per_page
        for page in range(request.first, request.first + request.pages):
            try:
                index = locate(request.mapping, size, page, write=request.write)
            except Signal as signal:
                if not indices:
                    raise KernelError(Errno.EFAULT, signal.reason) from signal
                break
            indices.append(index)
        return indices

    def _awake(self, request: Request, indices: list[int]) -> list[int]:
        """Sleep until all these may be had; or give those that may be had now."""
        if not request.write:
            return indices
        for count, index in enumerate(indices):
            reason = self.volume.reason_to_wait(request.mapping.file, (index,))
            if reason is None:
                continue
            if not request.nowait:
                raise WouldBlock(reason)
            if not count:
                raise KernelError(Errno.EAGAIN, reason)
            return indices[:count]
        return indices

    def _grants(self, request: Request, indices: list[int]) -> list[Grant]:
        """Pin pages, up to the first that cannot be pinned."""
        grants: list[Grant] = []
        for index in indices:
            try:
                grants.append(self._grant(request, index))
            except KernelError as error:
                if not grants:
                    is_memory = error.errno is Errno.ENOMEM
                    errno = Errno.ENOMEM if is_memory else Errno.EFAULT
                    raise KernelError(errno, error.reason) from error
                break
        return grants

    def _grant(self, request: Request, index: int) -> Grant:
        """Pin one page."""
        mapping, volume = request.mapping, self.volume
        # REFUSE
        volume.make_room(1 + request.write)
        is_cached = index in mapping.file.pages
        page = volume.page(mapping.file, index)
        needs_fault = not is_cached or (request.write and mapping not in page.writers)
        if request.write:
            volume.space.require(1 + (not page.is_dirty))
        # CHANGE
        shadow = self._make_shadow(mapping, index) if request.write else None
        grant = Grant(page, shadow)
        page.grants.append(grant)
        if request.is_fast and not needs_fault:
            self.pages_requested_fast += 1
        else:
            self.pages_requested_slow += 1
        return grant

    def _make_shadow(self, mapping: Mapping, index: int) -> Shadow:
        """Write-fault a page, and have ready what merging a shadow will need."""
        self.writable_page(mapping, index)
        self.volume.space.reserve()
        return Shadow(self.volume.memory.take())

    # --- put_user_page --------------------------------------------------------

    def put_user_page(self, pin: int, page: int) -> None:
        """Put one page of a pin."""
        self._put(pin, page, 1, dirty=False)

    def put_user_pages(self, pin: int, first: int, pages: int | None) -> None:
        """Put pages of a pin."""
        self._put(pin, first, pages, dirty=False)

    def put_user_pages_dirty(self, pin: int, first: int, pages: int | None) -> None:
        """Mark pages of a pin dirty, and put them."""
        self._put(pin, first, pages, dirty=True)

    def put_user_pages_dirty_lock(
        self, pin: int, first: int, pages: int | None
    ) -> None:
        """Do the same: there is no page lock to take."""
        self._put(pin, first, pages, dirty=True)

    def _put(self, pin: int, first: int, pages: int | None, *, dirty: bool) -> None:
        """Put those pages of a range that nobody has put."""
        # REFUSE
        grants = self._held(pin, first, pages)
        if not grants and (pages is None or pages > 0):
            raise KernelError(Errno.EINVAL, f"pin {pin} has no such page to put")
        # CHANGE
        for grant in grants:
            grant.is_put = True

        def call() -> None:
            merged = [grant for grant in grants if _is_merged(grant, dirty=dirty)]
            for grant in merged:
                self.volume.wait_for(grant.page)
            for grant in grants:
                self._release(grant, is_merged=grant in merged)

        sleeping(call)

    def _held(self, pin: int, first: int, pages: int | None) -> list[Grant]:
        """Give those of a range of pages that nobody has put."""
        grants = self.pins[pin]
        end = len(grants) if pages is None else first + pages
        inside = range(max(first, 0), min(end, len(grants)))
        return [grants[page] for page in inside if not grants[page].is_put]

    def _release(self, grant: Grant, *, is_merged: bool) -> None:
        """End the pin of one page; what its device wrote goes to the page."""
        page, shadow = grant.page, grant.shadow
        if shadow is not None:
            self.volume.memory.give_back(shadow.frame)
            if page.file is not None:
                self.volume.space.unreserve()  # page_mkwrite reserves it again
        if shadow is not None and is_merged:
            self._merge(shadow, page)
        page.grants.remove(grant)
        self.pages_returned += 1
        self.volume.free_if_unused(page)

    def _merge(self, shadow: Shadow, page: Page) -> None:
        """Write to a page what a device wrote to its shadow."""
        if page.file is not None:
            self.volume.page_mkwrite(page)
        for word, value in shadow.words.items():
            page.words[word] = value

    # --- device ---------------------------------------------------------------

    def device_write(self, pin: int, page: int, word: int, value: int) -> None:
        """Write one word to the shadow; where there is none, nothing is written."""
        for grant in self.pins[pin][page : page + 1]:
            if grant.shadow is not None:
                grant.shadow.words[word] = value
            elif grant.is_direct:
                grant.page.words[word] = value

    def device_read(self, pin: int, page: int, word: int) -> int:
        """Read one word: what the device itself wrote, else what the page has."""
        for grant in self.pins[pin][page : page + 1]:
            own = {} if grant.shadow is None else grant.shadow.words
            return own.get(word, grant.page.words[word])
        return UNREADABLE


def _is_merged(grant: Grant, *, dirty: bool) -> bool:
    """Whether putting it is a write to the page, and may have to wait."""
    return grant.shadow is not None and (dirty or bool(grant.shadow.words))
