"""What attached devices see: each follows the page table of one mapping.

A device is bound to the mapping that its `Attach` named, not to the name: if another
mapping gets that name later, the device does not see it.

Interface:
  * `Mirrors(history, layout).of(call)`: the span that a `MirrorWrite`, `MirrorRead`
    or `Detach` is about; None: no such device.
  * `Mirrors.name(call)`: the page that a mirror access is about.
"""

import attrs

from conformance.interface import Attach, Detach, MirrorRead, MirrorWrite
from conformance.oracle.history import INFINITY, Call, History, Moment
from conformance.oracle.layout import Layout, PageName, Span


@attrs.define(eq=False)
class Mirror:
    """One attached device, from its attach to its detach."""

    device: int
    maker: Call
    span: Span
    detach_asked: Moment = INFINITY
    detach_answered: Moment = INFINITY
    accesses: list[Call] = attrs.field(factory=list[Call])
    """MirrorWrite and MirrorRead, refused ones included."""


class Mirrors:
    """All attached devices of a history."""

    def __init__(self, history: History, layout: Layout) -> None:
        self.all: list[Mirror] = []
        self._latest: dict[int, Mirror] = {}
        self._by_call: dict[int, Mirror] = {}
        kinds = (Attach, Detach, MirrorWrite, MirrorRead)
        for call, operation in history.asked(*kinds):
            if isinstance(operation, Attach):
                self._attach(call, operation, layout)
            elif operation.device in self._latest:
                self._use(call, self._latest[operation.device])

    def of(self, call: Call) -> Mirror | None:
        """Return the attached device that a call is about."""
        return self._by_call.get(call.index)

    def name(self, call: Call) -> PageName | None:
        """Name the page that a mirror access is about."""
        mirror = self.of(call)
        if mirror is None or not isinstance(call.operation, MirrorWrite | MirrorRead):
            return None
        return mirror.span.name(call.operation.page)

    def _attach(self, call: Call, operation: Attach, layout: Layout) -> None:
        span = layout.find(operation.process, operation.mapping, call.asked)
        if call.refused or span is None:
            return
        mirror = Mirror(operation.device, call, span)
        self.all.append(mirror)
        self._latest[operation.device] = self._by_call[call.index] = mirror

    def _use(self, call: Call, mirror: Mirror) -> None:
        self._by_call[call.index] = mirror
        if isinstance(call.operation, Detach):
            mirror.detach_asked = min(mirror.detach_asked, call.asked)
            mirror.detach_answered = min(mirror.detach_answered, call.ended)
        else:
            mirror.accesses.append(call)
