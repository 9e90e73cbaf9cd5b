"""What get_user_pages granted, and what became of it.

A handle can be used again when all its pages have been put, so a pin is known by the
call that made it.

Interface:
  * `Pins(history, layout).records`: a `PinRecord` for each get_user_pages call that
    succeeded or is pending.
  * `Pins.of(call)`: the record that a put, a device access or a set_page_dirty_lock
    is about; `Pins.on(name)`: the pins of a page.

A call that was refused is no part of a record.
"""

import attrs

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
    DeviceWrite,
    GetUserPages,
    PutPage,
    PutUserPage,
    PutUserPages,
    PutUserPagesDirty,
    PutUserPagesDirtyLock,
    SetPageDirtyLock,
)
from conformance.oracle.history import INFINITY, Call, History, Moment
from conformance.oracle.layout import Layout, PageName

PinUser = (
    PutUserPage
    | PutUserPages
    | PutUserPagesDirty
    | PutUserPagesDirtyLock
    | PutPage
    | SetPageDirtyLock
    | DeviceWrite
    | DeviceRead
    | DeviceComplete
    | DeviceAbort
)
"""The operations that name a pin."""

_USERS = (
    PutUserPage,
    PutUserPages,
    PutPage,
    SetPageDirtyLock,
    DeviceWrite,
    DeviceRead,
    DeviceComplete,
    DeviceAbort,
)
_DIRTYING = (
    PutUserPagesDirty,
    PutUserPagesDirtyLock,
    SetPageDirtyLock,
    DeviceComplete,
)


@attrs.define(eq=False)
class PinnedPage:
    """One page of a pin."""

    name: PageName | None
    """The memory and page; None: there is no such page (misuse)."""
    puts: list[Call] = attrs.field(factory=list[Call])
    """The calls that put it, refused ones excepted; more than one is misuse."""
    dirties: list[Call] = attrs.field(factory=list[Call])
    """The calls that mark it dirty, among them puts."""
    device_writes: list[Call] = attrs.field(factory=list[Call])
    """DeviceWrite and DeviceComplete."""

    @property
    def file_page(self) -> PageName | None:
        """File and page; None: no page of a file."""
        return self.name if self.name is not None and self.name[0] >= 0 else None

    @property
    def put_asked(self) -> Moment:
        """When its put was asked; INFINITY: it was not."""
        return self.puts[0].asked if self.puts else INFINITY

    @property
    def put_ended(self) -> Moment:
        """When its put had been answered; INFINITY: it has not been."""
        return self.puts[0].ended if self.puts else INFINITY

    def is_dirtied_after(self, write: Call) -> bool:
        """Whether it was marked dirty after a device write, and not put before."""
        return any(
            mark.asked > write.ended
            and (mark in self.puts[:1] or mark.ended < self.put_asked)
            for mark in self.dirties
        )


@attrs.define(eq=False)
class PinRecord:
    """What one get_user_pages call was granted."""

    handle: int
    maker: Call
    process: int
    mapping: int
    write: bool
    longterm: bool
    tracked: bool
    granted: int | None
    """How many pages; None: the call is pending."""
    pages: tuple[PinnedPage, ...]
    """The pages that were granted; those asked for, while the call is pending."""

    @property
    def is_certain(self) -> bool:
        """Whether the call has answered."""
        return self.granted is not None

    @property
    def put_ended(self) -> Moment:
        """When the last page had been put; INFINITY: not all have been."""
        return max((page.put_ended for page in self.pages), default=self.maker.ended)


class Pins:
    """All pins of a history."""

    def __init__(self, history: History, layout: Layout) -> None:
        self.records: list[PinRecord] = []
        self._latest: dict[int, PinRecord] = {}
        self._by_call: dict[int, PinRecord] = {}
        self._by_page: dict[PageName, list[tuple[PinRecord, PinnedPage]]] = {}
        self._layout = layout
        for call, operation in history.asked(GetUserPages, *_USERS):
            if isinstance(operation, PinUser):
                self._use(call, operation)
            elif isinstance(operation, GetUserPages) and not call.refused:
                self._get(call, operation)

    def of(self, call: Call) -> PinRecord | None:
        """Return the pin that a call is about."""
        return self._by_call.get(call.index)

    def on(self, name: PageName) -> list[tuple[PinRecord, PinnedPage]]:
        """Return the pins that there ever were on a page."""
        return self._by_page.get(name, [])

    def _get(self, call: Call, operation: GetUserPages) -> None:
        granted = call.result if isinstance(call.result, int) else None
        count = operation.pages if granted is None else min(granted, operation.pages)
        pages = tuple(
            PinnedPage(
                self._layout.name(
                    operation.process,
                    operation.mapping,
                    operation.page + i,
                    call.asked,
                )
            )
            for i in range(count)
        )
        record = PinRecord(
            operation.pin,
            call,
            operation.process,
            operation.mapping,
            operation.write,
            operation.longterm,
            operation.tracked,
            granted,
            pages,
        )
        self.records.append(record)
        self._latest[operation.pin] = self._by_call[call.index] = record
        for page in pages:
            if page.name is not None:
                self._by_page.setdefault(page.name, []).append((record, page))

    def _use(self, call: Call, operation: PinUser) -> None:
        record = self._latest.get(operation.pin)
        if record is None:
            return
        self._by_call[call.index] = record
        if call.refused:
            return
        for page in _pages_of(record, operation):
            _note(page, call, operation)


def _note(page: PinnedPage, call: Call, operation: PinUser) -> None:
    """Enter a call into the books of one page."""
    is_end = isinstance(operation, DeviceComplete | DeviceAbort)
    is_rest = isinstance(operation, PutUserPages) and operation.pages is None
    if page.puts and (is_end or is_rest):
        return
    if isinstance(operation, DeviceWrite | DeviceComplete):
        page.device_writes.append(call)
    if isinstance(operation, _DIRTYING):
        page.dirties.append(call)
    if is_end or isinstance(operation, PutUserPage | PutUserPages | PutPage):
        page.puts.append(call)


def _pages_of(record: PinRecord, operation: PinUser) -> tuple[PinnedPage, ...]:
    """Return the pages of the pin that an operation is about."""
    match operation:
        case DeviceComplete() | DeviceAbort():
            return record.pages
        case PutUserPages(first=first, pages=None):
            return record.pages[max(first, 0) :]
        case PutUserPages(first=first, pages=count):
            assert count is not None
            return record.pages[max(first, 0) : max(first, 0) + max(count, 0)]
        case _:
            page = operation.page
            return record.pages[page : page + 1] if page >= 0 else ()
