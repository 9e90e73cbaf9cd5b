"""Correct stacks are not accused: the reference, and a second one unlike it."""

from collections import Counter
from collections.abc import Callable

import attrs
import pytest

from conformance.engines.budget import Budget
from conformance.engines.execution import run
from conformance.engines.judge import Judgement, judge
from conformance.engines.packed import run_packed
from conformance.engines.scenario_run import probe
from conformance.engines.stateful import run_stateful
from conformance.interface import (
    DeviceWrite,
    DirectWrite,
    Dontneed,
    Freeze,
    Fsync,
    GetUserPages,
    Hold,
    Load,
    Mmap,
    PowerCut,
    PowerCutImage,
    PunchHole,
    PutUserPagesDirtyLock,
    Release,
    Setup,
    Store,
    Thaw,
    Truncate,
    Write,
)
from conformance.oracle.history import History
from conformance.program import Program
from conformance.rules.catalogue import RULES
from conformance.scenarios.catalogue import SCENARIOS
from reference_impl import boot as reference
from tests.second_stack import boot as second
from tests.test_mutants import on_scenarios, on_search, violated
from tests.whole_folios import boot as whole

SECOND_STACK_RULES_MIN = 30
JUDGED = [rule for rule in RULES if rule.untested is None]


def premises(judgements: list[Judgement]) -> Counter[str]:
    """Count how often the premise of each rule came up."""
    counts: Counter[str] = Counter()
    for judgement in judgements:
        for rule, outcome in judgement.outcomes.items():
            counts[rule] += outcome.premises
    return counts


@pytest.mark.slow
def test_the_reference_holds_every_rule_on_every_scenario() -> None:
    """Each premise comes up, and nothing is violated."""
    judgements = on_scenarios(reference, probe(reference))

    assert violated(judgements) == set()
    assert all(judgement.inconclusive is None for judgement in judgements)
    assert {rule.id for rule in JUDGED if not premises(judgements)[rule.id]} == set()


def test_every_scenario_brings_up_its_premises() -> None:
    """A scenario is written for rules, and exercises each of them."""
    idle = [
        (scenario.name, rule)
        for scenario, judgement in zip(
            SCENARIOS, on_scenarios(reference, probe(reference)), strict=True
        )
        for rule in scenario.rules
        if not judgement.outcomes[rule].premises
    ]

    assert idle == []


GIVEN_UP_BUFFER = Program(
    (
        Freeze(),
        Mmap(shared=False),
        GetUserPages(mapping=1, pages=2),
        DirectWrite(mapping=1, page=1, file=0, file_page=1),
        Dontneed(mapping=1, page=1),
        DeviceWrite(page=1),
        Thaw(),
        Fsync(),
        PowerCut(),
    )
)
"""The direct write waits for the thaw, holding a page that the process gives up."""


@pytest.mark.parametrize("program", [GIVEN_UP_BUFFER])
def test_what_was_once_accused_is_not(program: Program) -> None:
    """Long searches found that a rule, or the oracle, was wrong."""
    assert judge(run(reference, program), RULES).violated == frozenset()


@pytest.mark.slow
@pytest.mark.parametrize("boot", [reference, second], ids=["reference", "second"])
@pytest.mark.parametrize("seed", range(10))
def test_random_programs_accuse_no_correct_stack(
    seed: int, boot: Callable[[Setup], object]
) -> None:
    """Ten seeds, every operation that is offered, no violation and no crash."""
    judgements = on_search(boot, probe(boot), seed, Budget(60, 40))

    assert violated(judgements) == set()
    assert [j.inconclusive for j in judgements if j.inconclusive] == []


@pytest.mark.slow
def test_the_second_stack_holds_what_it_offers() -> None:
    """It is written differently on purpose, and exercises at least thirty rules."""
    capabilities = probe(second)
    judgements = on_scenarios(second, capabilities)
    judgements += on_search(second, capabilities, 0, Budget(60, 40))

    exercised = {rule for rule, count in premises(judgements).items() if count}
    assert violated(judgements) == set()
    assert len(exercised) >= SECOND_STACK_RULES_MIN


@pytest.mark.slow
@pytest.mark.parametrize("boot", [reference, second], ids=["reference", "second"])
@pytest.mark.parametrize("draw", [run_packed, run_stateful])
def test_what_hypothesis_draws_accuses_no_correct_stack(
    draw: Callable[..., None], boot: Callable[[Setup], object]
) -> None:
    """Other engines make other programs."""
    judgements: list[Judgement] = []

    def on_history(history: History) -> None:
        judgements.append(judge(history, RULES))

    draw(boot, probe(boot), on_history, Budget(150, 40), 0)

    assert violated(judgements) == set()
    assert [j.inconclusive for j in judgements if j.inconclusive] == []


def with_folios(program: Program, pages: int) -> Program:
    """Return a program for a stack with large folios."""
    geometry = attrs.evolve(program.setup.geometry, folio_pages=pages)
    return attrs.evolve(program, setup=attrs.evolve(program.setup, geometry=geometry))


@pytest.mark.slow
@pytest.mark.parametrize("boot", [reference, whole], ids=["reference", "whole"])
@pytest.mark.parametrize("pages", [2, 4])
def test_large_folios_break_no_rule_on_any_scenario(
    pages: int, boot: Callable[[Setup], object]
) -> None:
    """Scenarios that were written for single pages; not every premise comes up."""
    judgements = [
        judge(run(boot, with_folios(scenario.program, pages)), RULES)
        for scenario in SCENARIOS
    ]

    assert violated(judgements) == set()
    assert [j.inconclusive for j in judgements if j.inconclusive] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_whoever_keeps_pinned_folios_whole_is_not_accused(seed: int) -> None:
    """Random programs; a part of them has large folios."""
    judgements = on_search(whole, probe(whole), seed, Budget(60, 40))

    assert violated(judgements) == set()
    assert [j.inconclusive for j in judgements if j.inconclusive] == []


CUT_INSIDE = (
    Program((GetUserPages(page=0), PunchHole(), DeviceWrite(), Fsync(), PowerCut())),
    Program(
        (
            Store(page=1, value=2),
            GetUserPages(page=1),
            Truncate(words=2),
            DeviceWrite(value=1),
            PutUserPagesDirtyLock(),
            Fsync(),
            Truncate(words=4),
            Load(page=1),
            PowerCut(),
        )
    ),
    Program(
        (
            Freeze(),
            Truncate(words=1),
            GetUserPages(pin=1, write=False),
            GetUserPages(pages=2),
            Thaw(),
        )
    ),
    Program(
        (
            Truncate(words=0),
            Hold(),
            Write(value=1),
            Write(word=1, value=1),
            Fsync(),
            GetUserPages(page=1, write=False),
            Release(),
        )
    ),
)


@pytest.mark.parametrize("program", CUT_INSIDE)
@pytest.mark.parametrize("boot", [reference, whole], ids=["reference", "whole"])
def test_a_folio_may_be_kept_whole_or_not(
    boot: Callable[[Setup], object], program: Program
) -> None:
    """The first part of a pinned folio, or the last, is cut off; a device goes on."""
    judgement = judge(run(boot, with_folios(program, 2)), RULES)

    assert judgement.violated == frozenset()


def test_the_two_differ() -> None:
    """What a device writes to a hole is in the file where the folio was kept."""
    program = with_folios(CUT_INSIDE[0], 2)

    for boot, value in ((reference, 0), (whole, 1)):
        image = run(boot, program).calls[4].result
        assert isinstance(image, PowerCutImage)
        assert image.files[0].words[0] == value
