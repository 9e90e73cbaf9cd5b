"""Programs of random searches, made small, in which a correct stack was accused.

A stack was wrong, or a rule, or the caller; it has been mended, and stays so.
"""

import pytest

from conformance.engines.execution import run
from conformance.engines.judge import judge
from conformance.interface import (
    Boot,
    Clone,
    Create,
    FailNext,
    Fsync,
    Geometry,
    GetUserPages,
    GetUserPagesFast,
    Load,
    Mmap,
    PowerCut,
    PunchHole,
    PutUserPage,
    PutUserPagesDirtyLock,
    Setup,
    Sync,
    Truncate,
    Unlink,
    Write,
    Writeback,
)
from conformance.program import Preempt, Program
from conformance.rules.catalogue import RULES
from reference_impl import boot as reference
from tests.second_stack import boot as second
from tests.test_mutants import violated
from tests.whole_folios import boot as whole

STACKS: dict[str, Boot] = {"reference": reference, "second": second, "whole": whole}

ONCE_ACCUSED = {
    "two-fsyncs-and-a-size": Program(
        [Truncate(words=0), Fsync(), Truncate(words=1), Fsync(), PowerCut()],
        schedule=[Preempt(call=1, at="fsync.started", until=3)],
    ),
    "private-mapping-of-an-unlinked-file": Program(
        [Clone(), Mmap(file=1, shared=False), Unlink(file=1), Load(mapping=1)],
    ),
    "hole-in-a-folio-pinned-for-reading": Program(
        [GetUserPagesFast(write=False), PunchHole(), PutUserPage(), Writeback()],
        Setup(Geometry(folio_pages=2)),
    ),
    "file-of-which-a-clone-was-refused": Program(
        [FailNext(), Write(), Clone(), Sync(), PowerCut(), Create(file=1)],
    ),
    "two-puts-at-once": Program(
        [
            GetUserPages(pages=2),
            PutUserPagesDirtyLock(pages=1),
            PutUserPagesDirtyLock(),
            GetUserPages(pin=1),
        ],
        schedule=[Preempt(call=1, at="put.entered", until=2)],
    ),
}


@pytest.mark.parametrize("boot", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("name", ONCE_ACCUSED)
def test_what_was_once_accused_is_not(boot: Boot, name: str) -> None:
    """No stack among these is at fault."""
    assert violated([judge(run(boot, ONCE_ACCUSED[name]), RULES)]) == set()
