"""The suite says of the running kernel what was measured by hand before."""

import pytest

from conformance.engines.session import Plan, run_scenarios
from conformance.interface import Feature, Setup
from conformance.rules.catalogue import BY_ID
from conformance.verdicts import Promise
from pytest_gup.adapters.linux import boot_for, missing
from pytest_gup.adapters.linux.boot import boot
from pytest_gup.adapters.linux.filesystems import FILESYSTEMS as FILESYSTEM_BY_NAME
from tests.pytest_gup.adapters.linux.anchors import FILESYSTEMS, VERDICTS, verdict
from tests.pytest_gup.adapters.linux.kernel_programs import (
    PROGRAMS,
    ends_as,
    run_program,
)

pytestmark = [pytest.mark.linux, pytest.mark.slow]


def _skip_unless_possible(filesystem: str) -> None:
    reason = missing(filesystem)
    if reason:
        pytest.skip(reason)


@pytest.mark.parametrize("promise", list(Promise))
@pytest.mark.parametrize("filesystem", FILESYSTEMS)
def test_verdicts(filesystem: str, promise: Promise) -> None:
    """Each rule of the table gets the verdict of the table."""
    _skip_unless_possible(filesystem)
    rules = [BY_ID[rule] for rule in VERDICTS]

    plan = Plan(rules=rules, promise=promise, shrink_runs=0, stall_seconds=300.0)
    result = run_scenarios(boot_for(filesystem), plan)

    known = {rule: verdict(rule, filesystem, promise) for rule in VERDICTS}
    seen = {
        rule: result.results[rule].verdict.value
        for rule, wanted in known.items()
        if wanted is not None
    }
    assert seen == {rule: wanted for rule, wanted in known.items() if wanted}


@pytest.mark.parametrize("filesystem", ["ext4", "xfs", "btrfs"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(filesystem: str, name: str) -> None:
    """Each program of the table of measurements ends as it did by hand."""
    _skip_unless_possible(filesystem)
    program = PROGRAMS[name]

    history = run_program(filesystem, program)

    assert history.crash is None
    assert history.inconclusive is None
    assert ends_as(history, program.asks) == program.ends[filesystem]


@pytest.mark.parametrize("filesystem", FILESYSTEMS)
def test_twenty_boots(filesystem: str) -> None:
    """A stack boots, again and again, with what it says of itself."""
    _skip_unless_possible(filesystem)

    for _ in range(20):
        stack = boot(FILESYSTEM_BY_NAME[filesystem], Setup())
        fixed = stack.features_fixed
        stack.close()

    assert (Feature.CHECKSUMS in fixed) is (filesystem == "btrfs")
