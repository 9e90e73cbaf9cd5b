"""Counters of pins, on a machine that others use as well; no root needed."""

from types import SimpleNamespace

import pytest

from pytest_gup.adapters.linux import observing
from pytest_gup.adapters.linux.observing import PIN_COUNTERS, Counters, Observing

ACQUIRED, RELEASED = PIN_COUNTERS
BEFORE = {ACQUIRED: 10, RELEASED: 8}


def count(monkeypatch: pytest.MonkeyPatch, **grown: int) -> None:
    """Have the kernel count further."""
    now = {name: number + grown.get(name, 0) for name, number in BEFORE.items()}
    monkeypatch.setattr(observing, "read_vmstat", lambda: now)


def test_what_was_there_before_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what has grown since the boot is told."""
    count(monkeypatch)
    counters = Counters.begin(BEFORE)

    count(monkeypatch, nr_foll_pin_acquired=3, nr_foll_pin_released=1)

    assert counters.since_start() == {ACQUIRED: 3, RELEASED: 1}


@pytest.mark.parametrize("name", PIN_COUNTERS)
def test_what_others_pin_is_not_the_stacks(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A counter that moves while nothing of ours can pin tells nothing of us."""
    count(monkeypatch, **{name: 1})

    counters = Counters.begin(BEFORE)

    assert not counters.since_start()


def test_a_kernel_without_the_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells nothing, and is not taken for one on which others pin."""
    monkeypatch.setattr(observing, "read_vmstat", dict[str, int])

    counters = Counters.begin({})

    assert counters.are_ours
    assert not counters.since_start()


class Looking:
    """A task that has not answered yet, or has."""

    def __init__(self) -> None:
        self.done: tuple[object, int] | None = None

    def answer(self, _: int) -> tuple[object, int] | None:
        """Tell the answer."""
        return self.done


class Shell:
    """A process that begins looks."""

    def __init__(self) -> None:
        self.begun: list[Looking] = []

    def start(self, *_: object) -> Looking:
        """Begin one."""
        self.begun.append(Looking())
        return self.begun[-1]


def test_a_look_that_waits_is_not_begun_again() -> None:
    """Each would take a thread for as long as the page is locked."""
    shell, stack = Shell(), Observing()
    stack.bench = SimpleNamespace(shell=shell)  # type: ignore[assignment]
    stack._waiting = {}

    assert [stack._look("frames", 3, 4) for _ in range(5)] == [None] * 5
    assert len(shell.begun) == 1

    shell.begun[0].done = [1], 0
    assert stack._look("frames", 3, 4) is None  # what it had seen is old by now
    assert len(shell.begun) == 2
