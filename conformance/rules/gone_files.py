"""Files that go though pages of theirs are pinned.

Verified: that a pinned page of a file without name and user belongs to nobody. Not
verified: when its blocks are free again, which `invalidation.py` looks at.
"""

from collections.abc import Iterator

from conformance.interface import (
    Umount,
    Unlink,
)
from conformance.oracle.history import Call, Moment
from conformance.oracle.layout import PageName
from conformance.rules.evidence import call_at
from conformance.rules.pinned import Pinned
from conformance.rules.rule import (
    KERNEL,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.verdicts import Kind, Level

_GUP = "get_user_pages|get_user_pages_fast"


@rule(
    "INV-EVICT",
    clause=Clause(
        KERNEL,
        "fs/inode.c, evict",
        "a file that has lost its name and its last user goes, though a page of it "
        "is pinned; the page is nobody's then",
    ),
    kind=Kind.DAMAGE,
    document=Level.SHOULD,
    mainline=Level.MUST,
    needs=Needs(
        operations=(_GUP, "unlink", "munmap|exit"),
        observations=("pinned_page_view",),
        views=("is_cached|is_dirty",),
    ),
)
def a_file_goes_though_pinned(case: Case) -> Iterator[Finding]:
    """The pinned page of a file that is gone belongs to no file, and stays clean."""
    for record, page, gone in _of_gone_files(case):
        key = record.handle, record.pages.index(page)
        for sample in case.history.samples_between(gone, page.put_asked):
            view = sample.pins.get(key)
            if view is None or sample.parked or sample.pending:
                continue
            case.premise()
            if view.is_cached or view.is_dirty:
                state = "dirty" if view.is_dirty else "cached"
                yield case.found(
                    call_at(case, sample),
                    f"page {key[1]} of pin {key[0]} is {state} (should be nobody's: "
                    f"its file is gone)",
                )
                break


def _of_gone_files(case: Case) -> Iterator[tuple[*Pinned, Moment]]:
    """Yield pins of pages of files that are surely gone, and since when."""
    if case.history.program.misuse:
        return
    for call, operation in case.history.asked(Unlink):
        gone = _gone_since(case, call, operation.file)
        if gone is None:
            continue
        for record in case.oracle.pins:
            for page in record.pages if record.tracked and record.is_certain else ():
                name: PageName | None = page.file_page
                is_of = name is not None and name[0] == operation.file
                if is_of and record.maker.ended < gone:
                    yield record, page, gone


def _gone_since(case: Case, unlink: Call, file: int) -> Moment | None:
    """Return since when an unlinked file has no mapping any more; None: it has."""
    spans = [
        span
        for spans in case.oracle.layout.spans.values()
        for span in spans
        if span.memory.file == file
    ]
    umounts = any(True for _ in case.history.asked(Umount))
    ends = [unlink.ended, *(span.remove_answered for span in spans)]
    last = max(ends)
    return None if umounts or not unlink.succeeded or last > case.history.now else last


RULES: tuple[Rule, ...] = (a_file_goes_though_pinned,)
