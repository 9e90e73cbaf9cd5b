"""References and pins: held by correct stacks, broken by each mutant."""

import pytest

from conformance.interface import (
    DeviceAbort,
    DeviceTransfer,
    Errno,
    Feature,
    Fsync,
    Geometry,
    GetUserPages,
    KernelError,
    PageView,
    PowerCut,
    PutUserPage,
    PutUserPages,
    Store,
    Truncate,
    VmStat,
)
from conformance.interface.values import FileImage, PowerCutImage
from conformance.rules import references, requests
from conformance.rules.rule import Rule
from conformance.scenarios.references import SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise
from reference_impl.mutants.mutant import Mutant
from reference_impl.mutants.references import MUTANTS
from reference_impl.stack import boot
from tests import second_stack
from tests.conformance.rules.chapter import accused, idle_rules, named
from tests.conformance.rules.story import Story

RULES = references.RULES
IDS = {rule.id for rule in RULES}
SMALL = Geometry(refcount_max=63, pin_bias=16)
FAULT = KernelError(Errno.EFAULT)


def counted(slow: int, returned: int) -> VmStat:
    """Return the document's counters, with nothing on the fast path."""
    return VmStat(
        nr_gup_slow_pages_requested=slow,
        nr_gup_fast_pages_requested=0,
        nr_gup_pages_returned=returned,
    )


# --- whole stacks -----------------------------------------------------------------


@pytest.mark.parametrize("scenario", SCENARIOS, ids=named)
def test_a_scenario_exercises_its_rules(scenario: Scenario) -> None:
    """Each rule that it is written for has something to judge."""
    assert idle_rules(boot, scenario, RULES) == []


@pytest.mark.parametrize("promise", list(Promise))
def test_correct_stacks_hold_the_chapter(promise: Promise) -> None:
    """Neither the reference nor the second stack violates a rule."""
    assert accused(boot, SCENARIOS, RULES, promise) == set()
    assert accused(second_stack.boot, SCENARIOS, RULES, promise) == set()


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_a_mutant_violates_its_rules(mutant: Mutant) -> None:
    """The rule it was made for is violated, and none that it does not name."""
    found = accused(mutant.boot, SCENARIOS, RULES)

    assert mutant.violates[0] in found
    assert found <= set(mutant.violates)


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_a_rule_has_a_mutant(rule: Rule) -> None:
    """There is one that was made for it."""
    assert rule.id in {mutant.violates[0] for mutant in MUTANTS}


# --- balance ------------------------------------------------------------------------


def test_a_driver_that_leaks_is_found_by_the_counters() -> None:
    """What it requested was not returned."""
    story = Story(start=counted(10, 10))
    story.do(DeviceTransfer(pages=2), 2)
    story.look(counted(12, 11))

    assert story.found(references.drivers_put_what_they_get) == [
        (
            "DeviceTransfer(process=0, mapping=0, page=0, pages=2, value=1) left the "
            "pins counted changed by 1 (should be 0)"
        )
    ]


def test_a_driver_beside_a_request_of_the_program_is_not_judged() -> None:
    """Whose pins the counters count then, nobody knows."""
    story = Story(start=counted(0, 0))
    get = story.ask(GetUserPages())
    story.do(DeviceTransfer(), 1)
    story.look(counted(2, 1), pending=[get.index])
    story.answer(get, 1)
    story.look(counted(2, 1))

    assert story.premises(references.drivers_put_what_they_get) == 0


def test_many_references_in_use_are_no_stray_ones() -> None:
    """A page that somebody holds may have any count."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.look(pages={(0, 0): PageView(is_cached=True, refcount=1026)})

    assert story.found(references.nothing_stays_behind) == []


def test_a_count_that_a_mixed_put_left_behind_is_found() -> None:
    """1024 were taken and one was given back."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(DeviceAbort())
    story.look(pages={(0, 0): PageView(is_cached=True, refcount=1025)})

    assert story.found(references.nothing_stays_behind) == [
        "page 0 of file 0 is held by nobody, but its count is 1025 (should be small)"
    ]


# --- the query ----------------------------------------------------------------------


def test_a_pin_that_is_being_put_may_be_denied() -> None:
    """The put has been asked for, so either answer is true."""
    story = Story()
    story.do(GetUserPages(), 1)
    put = story.ask(PutUserPage())
    story.look(pins={(0, 0): PageView(maybe_pinned=False)}, pending=[put.index])

    assert story.found(references.no_false_negatives) == []


def test_a_page_that_left_the_file_does_not_speak_for_the_new_one() -> None:
    """After a truncate the file has another page, which nobody has pinned."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(Truncate(words=0))
    story.do(Truncate(words=8))
    story.look(
        pages={(0, 0): PageView(is_cached=True, maybe_pinned=False)},
        pins={(0, 0): PageView(is_cached=False, maybe_pinned=True)},
    )

    assert story.found(references.no_false_negatives) == []
    assert story.premises(references.no_false_negatives) == 1


def test_a_pinned_page_of_the_file_that_is_denied_is_found() -> None:
    """The view of the file's page counts as well as that behind the pin."""
    story = Story()
    story.do(GetUserPages(page=1), 1)
    story.look(pages={(0, 1): PageView(is_cached=True, maybe_pinned=False)})

    assert story.found(references.no_false_negatives) == [
        "page (0, 1) has pin 0, but maybe_pinned is False"
    ]


def crowded(*, fsync: bool = True) -> Story:
    """Return a story in which a page has as many references as a pin is worth."""
    story = Story(geometry=Geometry(pin_bias=2))
    story.do(GetUserPages(pin=0, tracked=False), 1)
    story.do(GetUserPages(pin=1, tracked=False), 1)
    story.do(Store(value=7))
    if fsync:
        story.do(Fsync())
    return story


def test_data_of_a_page_that_looks_pinned_must_be_durable() -> None:
    """An fsync that skips it has lied."""
    story = crowded()
    story.do(PowerCut(), PowerCutImage({0: FileImage((0,) * 8)}))

    assert story.found(references.false_positives_are_harmless) == [
        (
            "word 0 of page 0 of file 0 is 0 after a power cut (should be 7); the page "
            "looked pinned"
        )
    ]


def test_an_fsync_that_waits_for_references_is_found() -> None:
    """They may never be put."""
    story = crowded(fsync=False)
    story.ask(Fsync())

    assert story.found(references.false_positives_are_harmless) == [
        "Fsync(file=0) never answers: page 0 of file 0 looks pinned"
    ]


# --- limits -------------------------------------------------------------------------


def test_a_stack_may_refuse_earlier_than_the_limit() -> None:
    """There are references that the program does not know of."""
    story = Story(Feature.SMALL_LIMITS, geometry=SMALL)
    story.do(GetUserPages(pin=0), 1)
    for pin in range(1, 4):
        story.do(GetUserPages(pin=pin), None, KernelError(Errno.ENOMEM))

    assert story.found(requests.full_counts_are_refused) == []
    assert story.premises(requests.full_counts_are_refused) == 1


def test_a_put_makes_room() -> None:
    """What was put does not count."""
    story = Story(Feature.SMALL_LIMITS, geometry=SMALL)
    for pin in range(6):
        story.do(GetUserPages(pin=pin), 1)
        story.do(DeviceAbort(pin=pin))

    assert story.found(requests.full_counts_are_refused) == []


def test_a_pin_too_many_is_found() -> None:
    """Four times sixteen is more than 63."""
    story = Story(Feature.SMALL_LIMITS, geometry=SMALL)
    for pin in range(4):
        call = story.do(GetUserPages(pin=pin), 1)

    assert story.found(requests.full_counts_are_refused) == [
        (
            f"{call.operation} was granted a page whose count is then at least 64 "
            "(should be refused beyond 63)"
        )
    ]


# --- freeing ------------------------------------------------------------------------


def freed(after: int, *, held: bool = False, writing: int = 0) -> list[str]:
    """Judge a page that was cut off its file, and perhaps put."""
    story = Story(
        start=VmStat(nr_free_pages=9), pages={(0, 0): PageView(is_cached=False)}
    )
    story.do(GetUserPages(), 1)
    story.do(Truncate(words=0))
    if not held:
        story.do(DeviceAbort())
    story.look(
        VmStat(nr_free_pages=after, nr_writeback=writing),
        {(0, 0): PageView(is_cached=False)},
        {(0, 0): PageView(is_cached=False, frame=3)} if held else {},
    )
    return story.found(requests.the_last_put_frees)


def test_a_page_is_free_after_its_last_put_and_not_before() -> None:
    """Nine were free in the beginning."""
    assert freed(9) == []
    assert freed(8, held=True) == []
    assert freed(7, held=True) == []  # a shadow page of the device, perhaps
    assert freed(8) == [
        "8 page(s) are free or cached, 0 more are held by pins (should be 9 together)"
    ]
    assert freed(9, held=True) == [
        "9 page(s) are free or cached, 1 more are held by pins (should be 9 together)"
    ]


def test_pages_on_their_way_to_the_disk_are_not_counted() -> None:
    """A copy of a page, or a page that was cut off, may be on its way."""
    assert freed(7, writing=1) == []


# --- requests -----------------------------------------------------------------------


def test_a_request_may_be_refused_whole() -> None:
    """What it held of the first pages has been given back, and counted so."""
    story = Story(start=counted(5, 5))
    story.do(GetUserPages(pages=3), None, FAULT)
    story.look(counted(7, 7))

    assert story.found(requests.the_answer_is_what_is_held) == []
    assert story.premises(requests.the_answer_is_what_is_held) == 1


def test_a_refused_request_that_keeps_a_page_is_found() -> None:
    """Nobody will put it."""
    story = Story(start=counted(5, 5))
    call = story.do(GetUserPages(pages=3), None, FAULT)
    story.look(counted(7, 6))

    assert story.found(requests.the_answer_is_what_is_held) == [
        (
            f"{call.operation} answered EFAULT, but the pins counted changed by 1 "
            "(should be 0)"
        )
    ]


def test_a_page_beyond_the_end_of_the_file_cannot_be_granted() -> None:
    """The file has one page left."""
    story = Story()
    story.do(Truncate(words=2))
    call = story.do(GetUserPages(pages=2), 2)

    assert story.found(requests.the_answer_is_what_is_held) == [
        (
            f"{call.operation} was granted page 1, which lies beyond the 2 words "
            "of the file"
        )
    ]


def test_a_negative_number_may_be_refused() -> None:
    """EINVAL is as good as nothing."""
    story = Story(misuse=True, start=counted(0, 0))
    story.do(GetUserPages(), 1)
    story.look(counted(1, 0), pins={(0, 0): PageView(maybe_pinned=True, refcount=1026)})
    story.do(PutUserPages(pages=-1), None, KernelError(Errno.EINVAL))
    story.look(counted(1, 0), pins={(0, 0): PageView(maybe_pinned=True, refcount=1026)})

    assert story.found(requests.negative_counts_put_nothing) == []
    assert story.premises(requests.negative_counts_put_nothing) == 1


def test_a_negative_number_that_puts_is_found() -> None:
    """The count of pins and the page both tell."""
    story = Story(misuse=True, start=counted(0, 0))
    story.do(GetUserPages(), 1)
    story.look(counted(1, 0), pins={(0, 0): PageView(maybe_pinned=True)})
    call = story.do(PutUserPages(pages=-1))
    story.look(counted(1, 1), pins={(0, 0): PageView(maybe_pinned=False)})

    assert story.found(requests.negative_counts_put_nothing) == [
        f"{call.operation} changed the pins counted by -1 (should be 0)",
        (
            f"{call.operation} changed maybe_pinned of page 0 of pin 0 from True "
            "to False (should stay)"
        ),
    ]


def test_a_long_term_reference_may_be_refused_for_any_reason() -> None:
    """Which check comes first is nobody's business."""
    story = Story()
    story.do(GetUserPages(longterm=True, tracked=False), None, FAULT)

    assert story.found(requests.longterm_is_tracked) == []
    assert story.premises(requests.longterm_is_tracked) == 1
