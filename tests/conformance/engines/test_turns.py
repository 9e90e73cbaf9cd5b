"""Turns: a schedule that is part of a program, small, stored, and run again."""

from functools import partial

import attrs
import pytest

from conformance.engines.covering import Coverage
from conformance.engines.judge import judge
from conformance.engines.running import in_order, run
from conformance.engines.schedules import explore
from conformance.engines.shrink import shrink
from conformance.engines.shrink_turns import smaller_turns
from conformance.engines.turns import as_program, exact_program
from conformance.interface import (
    Boot,
    Fsync,
    GetUserPagesFast,
    PowerCut,
    Setup,
    Store,
)
from conformance.program import (
    FORMAT,
    FORMAT_WITH_TURNS,
    WAITING,
    Program,
    Turn,
    as_python,
    from_json,
    to_json,
)
from conformance.rules.catalogue import RULES
from conformance.scenarios.races import RACES
from reference_impl import boot
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants.catalogue import BY_NAME
from reference_impl.stepping import Stepped
from reference_impl.writeback import Writeback

SWITCHES_MAX = 3
BY_RACE = {race.name: race for race in RACES}
PARKED = Program(
    (Store(value=3), GetUserPagesFast(), Fsync(), PowerCut()),
    turns=(Turn(1, "gup_fast.pte_read"), Turn(2)),
)


def test_a_program_with_turns_is_stored_and_read() -> None:
    """The format says that there are turns; other programs are stored as before."""
    assert from_json(to_json(PARKED)) == PARKED
    assert to_json(PARKED)["format"] == FORMAT_WITH_TURNS
    assert to_json(Program())["format"] == FORMAT
    assert "turns" not in to_json(Program())


def test_a_program_with_turns_is_printed_as_python() -> None:
    """What is printed makes the same program again."""
    names = {"Program": Program, "Turn": Turn, "Setup": Setup}
    operations = (Store, GetUserPagesFast, Fsync, PowerCut)
    names |= {kind.__name__: kind for kind in operations}

    assert eval(as_python(PARKED), names) == PARKED  # noqa: S307 - our own text


def test_turns_go_along_when_an_operation_is_removed() -> None:
    """A sub-list of a program with turns is a program."""
    assert PARKED.without(0).turns == (Turn(0, "gup_fast.pte_read"), Turn(1))
    assert PARKED.without(1).turns == (Turn(1),)
    assert run(boot, PARKED.without(2)).crash is None


def test_calls_are_numbered_as_they_are_asked() -> None:
    """What comes later in the list, and has the first turn, is asked first."""
    program = Program(PARKED.operations, turns=(Turn(2, "fsync.started"), Turn(1)))
    ordered = in_order(program)

    assert ordered.operations[1:3] == (Fsync(), GetUserPagesFast())
    assert ordered.turns == (Turn(1, "fsync.started"), Turn(2))
    assert in_order(ordered) == ordered
    assert run(boot, program).program == ordered


def test_a_turn_lasts_to_its_point_and_the_actors_help() -> None:
    """GUP stands where it was told to; fsync answers, the disk working for it."""
    history = run(boot, PARKED)
    gup, fsync = history.calls[1], history.calls[2]

    assert [stop[1:] for stop in history.stops] == [(1, "gup_fast.pte_read")]
    assert gup.asked < fsync.asked < fsync.ended < gup.ended


def test_a_turn_that_is_to_wait_gets_no_help() -> None:
    """Fsync runs until it waits for the disk, and the disk has not moved."""
    turns = (Turn(2, WAITING), Turn(1, "gup_fast.pte_read"))
    history = run(boot, Program(PARKED.operations, turns=turns))
    fsync, gup = history.calls[1], history.calls[2]

    assert fsync.asked < gup.asked < fsync.ended


def test_smaller_schedules_are_smaller() -> None:
    """Fewer turns, or the same number with one that lasts longer or stops earlier."""
    turns = (Turn(1, "gup_fast.pte_read", 2), Turn(2))
    found = list(smaller_turns(Program(PARKED.operations, turns=turns)))

    assert {len(each.turns) for each in found} == {0, 1, 2}
    assert all(each.turns != turns for each in found)


@attrs.define(eq=False)
class _AsksBeforeProtecting(Writeback):
    """Writeback asks for pins first, and takes the right to write away after that."""

    answers: dict[Page, bool] = attrs.field(factory=dict[Page, bool])

    def protect(self, inode: Inode, page: Page) -> Stepped[None]:
        self.answers[page] = super().maybe_pinned(page)
        yield from super().protect(inode, page)

    def maybe_pinned(self, page: Page) -> bool:
        return self.answers.get(page, False)


def _boot_of(name: str) -> Boot:
    if name in BY_NAME:
        return BY_NAME[name].boot
    return partial(boot, parts=Parts(make_writeback=_AsksBeforeProtecting))


EXACTLY = (
    ("gup_fast.does_not_look_again", "gup-fast-mkclean", "GWB-FAST-RECHECK"),
    ("gup_fast.looks_only_at_the_page", "gup-fast-mkclean", "GWB-FAST-RECHECK"),
    ("gup_fast.overlooks_the_write_bit", "gup-fast-mkclean", "GWB-FAST-RECHECK"),
    ("gup_fast.looks_again_before_it_counts", "gup-fast-mkclean", "MKW-DEVICE"),
    ("gup_fast.backoff_keeps_the_reference", "gup-fast-mkclean", "GWB-BACKOFF-CLEAN"),
    ("gup_fast.backoff_stays_in_the_result", "gup-fast-mkclean", "REF-QUERY"),
    ("cleaning.does_not_bar_mremap", "mremap-walk", "WB-PTEDIRTY"),
    ("cleaning.walks_unbarred", "mremap-walk", "WB-WALK"),
    (
        "gup_fast.looks_again_for_the_first_page",
        "gup-fast-mkclean-two-pages",
        "MKW-DEVICE",
    ),
    ("gup_fast.goes_on_after_a_backoff", "gup-fast-mkclean-two-pages", "MKW-DEVICE"),
    ("asks before protecting", "gup-fast-mkclean", "MKW-DEVICE"),
)
"""Mutant, race and rule: no order of the calls one after the other shows it."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "race_name", "wanted"), EXACTLY)
def test_a_mutant_of_one_interleaving_is_caught(
    name: str, race_name: str, wanted: str
) -> None:
    """No point is named in the race; three context switches at most show it."""
    faulty, race = _boot_of(name), BY_RACE[race_name]
    guilty = next(each for each in RULES if each.id == wanted)
    for calls in (race.calls, race.calls[::-1]):
        in_turn = Program((*race.before, *calls, *race.after), race.setup)
        assert not judge(run(faulty, in_turn), [guilty]).violated

    result = explore(faulty, race, [guilty], coverage=Coverage.OUTCOMES)
    choices = result.accusations[wanted].choices
    exact = exact_program(faulty, race, choices)
    small = as_program(
        faulty, race, choices, lambda h: bool(judge(h, [guilty]).violated)
    )

    assert judge(run(faulty, exact), [guilty]).violated
    assert small is not None
    assert 0 < len(small.turns) <= SWITCHES_MAX
    stored = from_json(to_json(small))
    assert judge(run(faulty, stored), [guilty]).violated
    assert not judge(run(boot, stored), [guilty]).violated
    for smaller in smaller_turns(small):
        fails = judge(run(faulty, smaller), [guilty]).violated
        assert not fails or smaller.turns == small.turns


def test_the_shrinker_takes_turns_away() -> None:
    """Those that it can do without go, and what is left lasts as long as it may."""
    needed = Turn(1, "gup_fast.pte_read")
    turns = (Turn(0, "fault.begin", 3), needed, Turn(2, "writeback.begin"), Turn(0))
    program = Program(PARKED.operations, turns=turns)

    found = shrink(program, lambda smaller: needed in smaller.turns)

    assert found.program.turns == (needed,)
    assert found.is_minimal
