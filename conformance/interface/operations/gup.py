"""get_user_pages, and what gives pages back."""

from typing import ClassVar

import attrs

from conformance.interface.operations.base import BaseOperation


@attrs.frozen
class GetUserPages(BaseOperation):
    """Pin pages of a mapping for a device. Answers how many (a prefix).

    Raises in the stack's method: `KernelError` if not even one page is granted.
    """

    name: ClassVar[str] = "get_user_pages"
    process: int = 0
    mapping: int = 0
    page: int = 0
    pages: int = 1
    pin: int = 0
    """Handle of the pin that is made."""
    write: bool = True
    """FOLL_WRITE: the device will write to the pages."""
    longterm: bool = False
    """FOLL_LONGTERM: the pages are kept for an unbounded time."""
    nowait: bool = False
    """Do not wait for writeback or I/O: grant fewer pages or refuse instead."""
    tracked: bool = True
    """False: a plain reference each, to be put with `PutPage`."""
    force: bool = False
    """FOLL_FORCE: write through a read-only private mapping, as a debugger does."""


@attrs.frozen
class GetUserPagesFast(GetUserPages):
    """The same, trying first without locks (get_user_pages_fast)."""

    name: ClassVar[str] = "get_user_pages_fast"


@attrs.frozen
class PutUserPage(BaseOperation):
    """Put one page of a pin (put_user_page)."""

    name: ClassVar[str] = "put_user_page"
    pin: int = 0
    page: int = 0
    """Counts the pages that were granted, from 0."""


@attrs.frozen
class PutUserPages(BaseOperation):
    """Put pages of a pin."""

    name: ClassVar[str] = "put_user_pages"
    pin: int = 0
    first: int = 0
    pages: int | None = None
    """None: all from `first` on. Negative (misuse): nothing may be put."""


@attrs.frozen
class PutUserPagesDirty(PutUserPages):
    """Mark pages of a pin dirty without taking their locks, and put them."""

    name: ClassVar[str] = "put_user_pages_dirty"


@attrs.frozen
class PutUserPagesDirtyLock(PutUserPages):
    """Mark pages of a pin dirty under their locks, and put them."""

    name: ClassVar[str] = "put_user_pages_dirty_lock"


@attrs.frozen
class PutPage(BaseOperation):
    """Put one plain reference, got with `tracked=False` (put_page)."""

    name: ClassVar[str] = "put_page"
    pin: int = 0
    page: int = 0


@attrs.frozen
class SetPageDirtyLock(BaseOperation):
    """Mark one page of a pin dirty under its lock, and keep the pin."""

    name: ClassVar[str] = "set_page_dirty_lock"
    pin: int = 0
    page: int = 0
