"""Where drawn calls are parked: at points that calls like them pass."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from conformance.engines import invocation
from conformance.engines.execution import run
from conformance.engines.explorer import Explorer
from conformance.engines.parks import PARKS, PASSED
from conformance.engines.scenario_run import probe
from conformance.interface import OPERATIONS, Step
from conformance.interface.points import POINTS
from conformance.scenarios.catalogue import SCENARIOS
from reference_impl import boot

PROGRAMS_MAX = 2_000

Passed = set[tuple[str, str]]


@contextmanager
def watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[Passed]:
    """Note which points calls pass, by the operation."""
    passed: Passed = set()
    stops_at = invocation.Invocation._stops_at

    def noting(self: invocation.Invocation, stop: object) -> bool:
        if isinstance(stop, Step):
            name = getattr(self.method, "__name__", "")
            passed.add((name if name in OPERATIONS else "device_complete", stop.point))
        return stops_at(self, stop)

    monkeypatch.setattr(invocation.Invocation, "_stops_at", noting)
    yield passed


def test_operations_and_points_exist() -> None:
    """Nothing is parked where nobody gets."""
    assert set(PASSED) <= set(OPERATIONS)
    assert {point for points in PASSED.values() for point in points} <= set(POINTS)


def test_half_of_the_time_nothing_is_parked() -> None:
    """Most programs need few calls at once, or none."""
    for choice in PARKS.values():
        nowhere = sum(park is None for park in choice.among)
        assert 2 * nowhere == len(choice.among)


@pytest.mark.slow
def test_calls_of_the_reference_pass_each_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A park at a point that no call passes would be a park that never happens."""
    meant = {(name, point) for name, points in PASSED.items() for point in points}
    with watching(monkeypatch) as passed:
        for scenario in SCENARIOS:
            run(boot, scenario.program)
        explorer = Explorer(boot, probe(boot), lambda _: None)
        for _ in range(PROGRAMS_MAX):
            if meant <= passed:
                break
            explorer.explore()

    assert sorted(meant - passed) == []
