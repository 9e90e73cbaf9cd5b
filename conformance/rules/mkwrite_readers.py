"""page_mkwrite is not for readers: who only reads leaves no trace of a write.

Verified: what a pin for reading, and its put, change of counts, times and dirty pages.
Not verified: readers that run beside a writer.
"""

from collections.abc import Iterator

from conformance.interface import (
    DeviceAbort,
    GetUserPages,
    PutPage,
    PutUserPage,
    PutUserPages,
)
from conformance.oracle.history import Sample
from conformance.rules.evidence import at_rest
from conformance.rules.rule import (
    KERNEL,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.rules.sightings import place_of
from conformance.rules.transitions import (
    claims_clean,
    is_writer,
    samples_around,
)
from conformance.verdicts import Kind, Level

_TRACKED = ("no_dirty_tracking",)
_GUP = "get_user_pages|get_user_pages_fast"
_SHOWN = "page_mkwrite_count|mtime"


@rule(
    "MKW-RO-GUP",
    clause=Clause(
        KERNEL,
        "__get_user_pages",
        "who gets pages without FOLL_WRITE does not write: nothing is prepared for "
        "it and nothing becomes dirty",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.SHOULD,
    mainline=Level.MUST,
    needs=Needs(
        operations=(_GUP,),
        observations=(f"{_SHOWN}|page_view",),
        absent_features=_TRACKED,
    ),
)
def reading_dirties_nothing(case: Case) -> Iterator[Finding]:
    """A pin for reading neither calls page_mkwrite nor dirties a page."""
    kinds = (GetUserPages, DeviceAbort, PutPage, PutUserPage, PutUserPages)
    for call, operation in case.history.asked(*kinds):
        if is_writer(case, call):
            continue
        around = samples_around(case, call)
        if around is None:
            continue
        if isinstance(operation, GetUserPages):
            case.premise()
        for trouble in _changes(case, *around):
            yield case.found(
                call,
                f"{operation.name} for reading: {trouble} (should change nothing)",
            )


def _changes(case: Case, before: Sample, after: Sample) -> Iterator[str]:
    """Yield what tells of a write between two samples."""
    for file, count in before.mkwrites.items():
        if after.mkwrites.get(file, count) != count:
            yield f"page_mkwrite was called for file {file}"
    for file, time in before.mtimes.items():
        if after.mtimes.get(file, time) != time:
            yield f"the modification time of file {file} moved"
    for name, view in after.pages.items():
        was_clean = claims_clean(case, before.pages.get(name), before.moment)
        if view.is_dirty and was_clean and at_rest(before):
            yield f"{place_of(name)} became dirty"


READER_RULES: tuple[Rule, ...] = (reading_dirties_nothing,)
