"""What an implementation supplies: a `boot` function and the stack that it returns.

    def boot(setup: Setup) -> Stack: ...

`pytest --gup-impl=mymodule` calls `mymodule.boot`, once for each program. A stack
is any object; what it offers is found out by looking at it, and it need not offer
everything:

  * an *operation*: a method named after it (`store`, `get_user_pages`, ...), whose
    parameters are the operation's fields (see `operations.py`). A field that the
    method does not take is an option that the stack does not offer.
  * an *observation*: one of the methods of `Observations`.
  * a *feature*: `features_offered` (can be asked for in `Setup.features`) and
    `features_fixed` (is always there).
  * `geometry`, where the stack cannot have the sizes that it was asked for.
  * `background`, for a stepped stack with actors of its own (the disk, a flusher).
  * `close`, to let go of what boot acquired.

A factory that keeps something between boots (a device, a server) may have a method
`close` of its own; it is called once, after the last stack was closed.
"""

from collections.abc import Generator, Hashable, Sequence
from typing import Protocol

from conformance.interface.calls import Step, Wait
from conformance.interface.setup import Feature, Setup
from conformance.interface.values import Geometry, PageView, StatFs, VmStat

Stack = object
"""One instance under test. Any object: see the head of this file."""


class Boot(Protocol):
    """Starts a stack."""

    def __call__(self, setup: Setup, /) -> Stack:
        """Return a stack with process 0, file 0 and mapping 0.

        Every stack is independent of those booted before it.
        """
        ...


class Observations(Protocol):
    """What a stack can show of itself; each method is optional.

    They return at once and change nothing. They are called between operations.
    """

    def page_view(self, file: int, page: int) -> PageView:
        """Show the page of a file; not cached: `PageView(is_cached=False)`."""
        ...

    def pinned_page_view(self, pin: int, page: int) -> PageView:
        """Show the page behind a pin, whether or not it still belongs to a file."""
        ...

    def mapped_page_view(self, process: int, mapping: int, page: int) -> PageView:
        """Show the page that a page of a mapping is now; none: `PageView()`.

        Called for anonymous and for private mappings, which no file shows.
        """
        ...

    def page_mkwrite_count(self, file: int) -> int:
        """Count the calls of page_mkwrite for the file that succeeded so far."""
        ...

    def mtime(self, file: int) -> int:
        """Tell the modification time of a file; the unit does not matter."""
        ...

    def vmstat(self) -> VmStat:
        """Tell the counters, up to date."""
        ...

    def statfs(self) -> StatFs:
        """Tell the space of the filesystem."""
        ...


class Attributes(Protocol):
    """What a stack may say about itself; each attribute is optional."""

    features_offered: frozenset[Feature]
    """Features that can be asked for."""
    features_fixed: frozenset[Feature]
    """Features that are there whether asked for or not."""
    geometry: Geometry
    """The sizes in force."""


class Stepped(Protocol):
    """What a stepped stack with actors of its own has."""

    def background(self) -> Sequence[Generator[Step | Wait, None, None]]:
        """Return the actors that work beside the calls; called once, after boot."""
        ...

    def fingerprint(self) -> object:
        """Return a hashable value that is equal for states that act alike.

        Optional. It says that all state is in fields of what can be reached from the
        stack: then its steps are remembered when all schedules are gone through.
        """
        ...

    def name_of(self, thing: object) -> Hashable | None:
        """Name a thing of the stack that a suspended call may hold; None: no name.

        Optional. A thing keeps its name as long as a call may hold it, and two states
        with equal fingerprints give a name to the same thing.
        """
        ...
