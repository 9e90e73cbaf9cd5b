"""Writes and reads that fail: told, or made good."""

import attrs
import pytest

from conformance.engines.execution import run
from conformance.engines.judge import judge
from conformance.interface import (
    DeviceTransfer,
    Errno,
    Evict,
    FailNext,
    FillDisk,
    Freeze,
    Fsync,
    GetUserPages,
    GetUserPagesFast,
    KernelError,
    Load,
    Mprotect,
    Operation,
    PowerCut,
    Store,
)
from conformance.program import Program
from conformance.rules.writeback import RULES
from reference_impl.mutants.catalogue import BY_NAME
from tests.conformance.rules.told import CLEAN, DIRTY, Told, cut

BY_ID = {rule.id: rule for rule in RULES}


@pytest.mark.parametrize(
    ("error", "findings"), [(None, 1), (KernelError(Errno.EIO), 0)]
)
def test_a_failed_write_is_told_or_made_good(
    error: KernelError | None, findings: int
) -> None:
    """The data is missing after fsync; it is well if fsync has said so."""
    told = Told()
    told.does(Store(value=1), DIRTY)
    told.does(FailNext(), DIRTY)
    told.does(Fsync(), CLEAN, error=error)
    told.does(PowerCut(), CLEAN, result=cut(0))

    outcome = told.judged(BY_ID["WB-ERROR"])
    assert outcome.premises == 1
    assert len(outcome.findings) == findings


def test_a_stack_may_try_again() -> None:
    """It had one failure, wrote the page once more, and has nothing to report."""
    told = Told()
    told.does(Store(value=1), DIRTY)
    told.does(FailNext(), DIRTY)
    told.does(Fsync(), CLEAN)
    told.does(PowerCut(), CLEAN, result=cut(1))

    assert not told.judged(BY_ID["WB-ERROR"]).findings


def test_a_page_that_was_not_read_in_claims_to_be_dirty() -> None:
    """Nobody has written to it since."""
    told = Told()
    told.does(FailNext(write=False), CLEAN)
    refusal = KernelError(Errno.EIO)
    view = attrs.evolve(DIRTY, is_uptodate=False)
    call = told.does(Load(), view, error=refusal)

    (finding,) = told.judged(BY_ID["WB-UPTODATE"]).findings
    assert finding.call == call.index
    assert finding.sentence == (
        "page 0 of file 0 is not uptodate, and dirty or under writeback (should be "
        "neither)"
    )


@pytest.mark.parametrize(
    "operations",
    [
        (DeviceTransfer(value=9), Fsync(), FailNext(), PowerCut()),
        (DeviceTransfer(value=9), FailNext(), Fsync(), PowerCut()),
        (
            FillDisk(),
            DeviceTransfer(value=9),
            FailNext(write=False),
            GetUserPagesFast(nowait=True),
            Fsync(),
            PowerCut(),
        ),
        (
            DeviceTransfer(value=9),
            Evict(),
            Mprotect(),
            FailNext(write=False),
            Store(value=1),
            Fsync(),
            PowerCut(),
        ),
        (Store(value=1), DeviceTransfer(value=9), FailNext(), Freeze(), PowerCut()),
        (
            DeviceTransfer(value=9),
            FailNext(write=False),
            GetUserPages(longterm=True),
            Fsync(),
            PowerCut(),
        ),
    ],
)
def test_a_failure_explains_no_loss_that_it_did_not_make(
    operations: tuple[Operation, ...],
) -> None:
    """The data was never dirty, or the error was told; no failure lost it."""
    never_dirties = BY_NAME["dirty.never_dirties"].boot
    history = run(never_dirties, Program(operations))

    assert history.crash is None
    assert not judge(history, RULES).violated & {"WB-ERROR", "WB-UPTODATE"}
