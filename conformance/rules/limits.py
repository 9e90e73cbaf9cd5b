"""How full the reference count of a page surely is.

Only references that a program asked for, was granted and has not put are counted:
the page cache, page tables and others hold more, so a stack refuses earlier.

Interface:
  * `weight(case, name, begin, end)`: references that a page surely has all that time.
  * `full_pages(case, call)`: pages of a request that surely have no room.
"""

from collections.abc import Iterator

import attrs

from conformance.interface import Errno, GetUserPages, KernelError
from conformance.oracle.detaches import Fate
from conformance.oracle.history import Call, Moment
from conformance.oracle.layout import PageName
from conformance.rules.rule import Case


@attrs.frozen
class Wanted:
    """One page of a request."""

    number: int
    """Counts the pages of the request, from 0."""
    name: PageName
    worth: int
    """By how much its reference count would go up."""


def wanted(case: Case, call: Call) -> Iterator[Wanted]:
    """Yield the file pages that a get_user_pages call asks for."""
    operation = call.operation
    assert isinstance(operation, GetUserPages)
    where = operation.process, operation.mapping
    for number in range(operation.pages):
        name = case.oracle.target(*where, operation.page + number, call.asked)
        if name is not None:
            yield Wanted(number, name, worth(case, tracked=operation.tracked))


def worth(case: Case, *, tracked: bool) -> int:
    """Return how much one page of a pin, or of a plain reference, counts, at least.

    The pins of a large folio may be counted exactly.
    """
    is_biased = tracked and case.history.geometry.folio_pages == 1
    return case.history.geometry.pin_bias if is_biased else 1


def weight(case: Case, name: PageName, begin: Moment, end: Moment) -> int:
    """Return what pins and references surely count on a page from begin to end."""
    return sum(
        worth(case, tracked=record.tracked)
        for record in case.oracle.pins
        if record.is_certain and record.maker.ended < begin
        for page in record.pages
        if page.name == name
        and page.put_asked > end
        and case.oracle.detaches.fate(name, record.maker, begin, end) is Fate.ATTACHED
    )


def full_pages(case: Case, call: Call) -> Iterator[Wanted]:
    """Yield the pages of a request whose count surely has no room for it."""
    limit = case.history.geometry.refcount_max
    for page in wanted(case, call):
        if weight(case, page.name, call.asked, call.ended) + page.worth > limit:
            yield page


def certainly_full(case: Case, call: Call) -> bool:
    """Whether a request was refused, or cut short, because a count was full."""
    error = call.error
    if isinstance(error, KernelError):
        is_told = error.errno is Errno.EOVERFLOW
        return is_told or any(page.number == 0 for page in full_pages(case, call))
    return any(page.number == call.result for page in full_pages(case, call))
