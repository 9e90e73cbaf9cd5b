"""What the rules on private memory look at: its pins, who looked at it, what was lost.

Interface:
  * `found(case, rule_id)`: findings for the losses that a rule owns; see
    `private_blame.py` for who owns what.
  * `private_pins(case)`: the tracked pins of private memory, page by page.
  * `looks(case, name, since)`: who looked at a page of memory; `device_looks` through
    a pin. `stores(case, name)`: what CPUs stored to it.
  * `calls_about(case, name, kind, ...)`: calls that name a page, or its process.
"""

from collections.abc import Iterator
from itertools import chain

import attrs

from conformance.interface import DeviceRead, Load, Operation, Store
from conformance.oracle.history import Call, Moment
from conformance.oracle.layout import PageName
from conformance.oracle.pins import PinnedPage, PinRecord
from conformance.rules.losses import all_losses_of
from conformance.rules.private_blame import private_owner
from conformance.rules.rule import Case, Finding


@attrs.frozen
class PrivatePin:
    """One page of a tracked pin of private memory."""

    record: PinRecord
    page: PinnedPage
    name: PageName

    @property
    def maker(self) -> Call:
        """The call that pinned it."""
        return self.record.maker

    def is_held(self, begin: Moment, end: Moment) -> bool:
        """Whether it surely was held from begin to end."""
        return self.maker.ended < begin and self.page.put_asked > end


# --- losses -----------------------------------------------------------------------


def found(case: Case, owner: str) -> Iterator[Finding]:
    """Yield a finding for each loss that a rule owns, and for each signal."""
    losses = all_losses_of(case.oracle)
    for loss in chain(losses.in_memory, losses.on_disk):
        if loss.owner == owner:
            yield case.found(loss.call, loss.sentence)
    for call, operation in case.history.asked(Load, Store):
        if call.refused and _signal_owner(case, call) == owner:
            yield case.found(
                call,
                f"{operation} of private memory ended in {call.error} (should succeed)",
            )


def _signal_owner(case: Case, call: Call) -> str | None:
    """Return the rule that reports a signal; None: it may be."""
    oracle, operation = case.oracle, call.operation
    assert isinstance(operation, Load | Store)
    where = operation.process, operation.mapping, operation.page
    name = oracle.layout.name(*where, call.asked)
    is_private = name is not None and oracle.private_pins.is_private(name)
    if name is None or not is_private or case.history.program.misuse:
        return None
    if oracle.may_signal(call):
        return None
    values = oracle.memory_values(name, operation.word, call.asked, call.ended)
    return private_owner(oracle, call, name, operation.word, None, values)


# --- pins and looks ---------------------------------------------------------------


def private_pins(case: Case) -> Iterator[PrivatePin]:
    """Yield the tracked pins of private memory that were granted."""
    if case.history.program.misuse:
        return
    for record in case.oracle.pins:
        if record.tracked and record.is_certain:
            for page in record.pages:
                name = page.name
                if name is not None and case.oracle.private_pins.is_private(name):
                    yield PrivatePin(record, page, name)


def stays(case: Case, pin: PrivatePin) -> bool:
    """Whether a pin has to remain one of what its process sees."""
    maker = pin.maker
    is_made_so = pin.record.write or pin.record.longterm
    private = case.oracle.private_pins
    return is_made_so or private.is_anonymous(pin.name, maker.asked, maker.ended)


def looks(case: Case, name: PageName, since: Moment) -> Iterator[Call]:
    """Yield the loads of a page of memory, and what devices read of it."""
    for call, operation in case.history.asked(Load, DeviceRead):
        if call.succeeded and call.asked > since:
            if isinstance(operation, Load):
                where = operation.process, operation.mapping, operation.page
                seen = case.oracle.layout.name(*where, call.asked)
            else:
                seen = _pinned_name(case, call, operation)
            if seen == name:
                yield call


def device_looks(case: Case, pin: PrivatePin, since: Moment) -> Iterator[Call]:
    """Yield what a device read through a pin."""
    for call, operation in case.history.asked(DeviceRead):
        is_later = call.succeeded and call.asked > since
        is_through = is_later and case.oracle.pin_of(call) is pin.record
        if is_through and pin.record.pages[operation.page] is pin.page:
            yield call


def stores(case: Case, name: PageName) -> Iterator[Call]:
    """Yield the stores to a page of memory that succeeded."""
    for call, operation in case.history.asked(Store):
        if call.succeeded and _name_of(case, call, operation) == name:
            yield call


def calls_about(
    case: Case, name: PageName, kind: type[Operation], process: int
) -> Iterator[Call]:
    """Yield the calls of a kind about a page of a process, if any page is named."""
    for call, operation in case.history.asked(kind):
        if getattr(operation, "process", None) != process or call.refused:
            continue
        mapping = getattr(operation, "mapping", None)
        if mapping is None or name in _names(case, call, operation, mapping):
            yield call


def _names(
    case: Case, call: Call, operation: Operation, mapping: int
) -> list[PageName | None]:
    process: int = getattr(operation, "process", 0)
    span = case.oracle.layout.find(process, mapping, call.asked)
    first: int = getattr(operation, "page", 0)
    pages: int = getattr(operation, "pages", 0 if span is None else span.pages)
    names = range(first, first + pages)
    return [case.oracle.layout.name(process, mapping, p, call.asked) for p in names]


def _name_of(case: Case, call: Call, operation: Load | Store) -> PageName | None:
    where = operation.process, operation.mapping, operation.page
    return case.oracle.layout.name(*where, call.asked)


def _pinned_name(case: Case, call: Call, operation: DeviceRead) -> PageName | None:
    record = case.oracle.pin_of(call)
    pages = () if record is None else record.pages[operation.page :]
    return pages[0].name if pages else None
