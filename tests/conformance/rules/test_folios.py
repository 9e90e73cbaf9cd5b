"""Large folios: held by correct stacks, broken by each mutant."""

from collections.abc import Mapping

import pytest

from conformance.interface import (
    DeviceWrite,
    Errno,
    Evict,
    Geometry,
    GetUserPages,
    KernelError,
    PageView,
    PunchHole,
    PutUserPage,
    Read,
    Reclaim,
    Split,
    Truncate,
    VmStat,
    Write,
)
from conformance.rules.folios import (
    RULES,
    every_page_holds_its_folio,
    every_part_is_dirty_by_itself,
    what_was_cut_off_stays_zero,
)
from conformance.scenarios.folios import SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise
from reference_impl.mutants.folios import MUTANTS
from reference_impl.mutants.mutant import Mutant
from reference_impl.stack import boot
from tests import second_stack
from tests.conformance.rules.chapter import accused, idle_rules, named
from tests.conformance.rules.story import Story

OWN = {rule.id for rule in RULES}
TWO = Geometry(folio_pages=2)

Pages = dict[tuple[int, int], PageView]


def shown(
    *heads: int | None,
    file: int = 0,
    pins: int | None = None,
    dirty: bool = False,
) -> Pages:
    """Show the first pages of a file; their frames, and those of their heads, given.

    None: the page is not cached. A page with another head than itself is one behind.
    """
    seen: dict[int, int] = {}
    pages: Pages = {}
    for page, head in enumerate(heads):
        if head is None:
            pages[file, page] = PageView(is_cached=False)
            continue
        frame = head + seen.setdefault(head, 0)
        seen[head] += 1
        pages[file, page] = PageView(
            is_cached=True,
            is_dirty=dirty,
            frame=frame,
            head_frame=head,
            pin_count=pins,
        )
    return pages


def behind(handle: int, *views: PageView) -> Mapping[tuple[int, int], PageView]:
    """Show the pages behind a pin."""
    return {(handle, number): view for number, view in enumerate(views)}


# --- whole stacks -------------------------------------------------------------------


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
    """Those of the chapter that it names, and no other of it."""
    assert accused(mutant.boot, SCENARIOS, RULES) == set(mutant.violates) & OWN


# --- REF-COMPOUND -------------------------------------------------------------------


def pinned(pins: int) -> Story:
    """Pin both pages of a folio, of which so many pins are then said to be counted."""
    story = Story(geometry=TWO, pages=shown(None, None))
    story.do(GetUserPages(pages=2, pin=0), 2)
    pages = shown(0, 0, pins=pins)
    story.look(pages=pages, pins=behind(0, *pages.values()))
    return story


def test_the_exact_count_is_that_of_the_pages() -> None:
    """Two pages were handed out."""
    assert pinned(2).found(every_page_holds_its_folio) == []
    assert pinned(1).found(every_page_holds_its_folio) == [
        "a large folio of which 2 page(s) are pinned has a count of 1 pin(s)"
    ]


def test_a_put_takes_one_pin_away() -> None:
    """Whichever page it is of."""
    story = pinned(2)
    story.do(PutUserPage(pin=0, page=1))
    pages = shown(0, 0, pins=0)
    story.look(pages=pages, pins={(0, 0): pages[0, 0]})

    assert story.found(every_page_holds_its_folio) == [
        "a large folio of which 1 page(s) are pinned has a count of 0 pin(s)"
    ]


def test_a_stack_that_does_not_count_pins_is_judged_by_damage() -> None:
    """A page that is held must not be another file's."""
    story = Story(geometry=TWO, pages=shown(None, None))
    story.do(GetUserPages(pages=2, pin=0), 2)
    pages = shown(0, 0)
    story.look(pages=pages, pins=behind(0, *pages.values()))
    story.do(PutUserPage(pin=0, page=1))
    story.look(
        pages={**shown(None, None), **shown(0, 0, file=1)},
        pins={(0, 0): pages[0, 0]},
    )

    assert story.found(every_page_holds_its_folio) == [
        "the memory of page 0 of pin 0, which is not put, is that of page 0 of file 1"
    ]


@pytest.mark.parametrize(("free", "is_right"), [(32, True), (31, False), (33, False)])
def test_in_the_end_all_is_free(free: int, is_right: bool) -> None:
    """As it was before."""
    story = Story(geometry=TWO, pages=shown(None, None), start=VmStat(nr_free_pages=32))
    story.do(GetUserPages(pages=1, pin=0), 1)
    pages = shown(0, 0, pins=1)
    story.look(VmStat(nr_free_pages=30), pages, {(0, 0): pages[0, 0]})
    story.do(Truncate(words=0))
    story.do(PutUserPage(pin=0))
    story.look(VmStat(nr_free_pages=free), shown(None, None))

    sentence = f"{free} page(s) are free when nobody has any (should be 32)"
    found = story.found(every_page_holds_its_folio)
    assert found == ([] if is_right else [sentence])


def test_single_pages_are_not_judged() -> None:
    """Whoever has no large folios, or does not tell, has no premise."""
    story = Story(geometry=TWO)
    story.do(GetUserPages(pages=2, pin=0), 2)
    story.look(pages=shown(0, 4))

    assert story.premises(every_page_holds_its_folio) == 0


# --- DRT-COMPOUND -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "is_lost"),
    [((5, 0), (6, 0), False), ((5, 0), (0, 0), True), ((0, 0), (0, 0), False)],
    ids=["kept", "the second lost", "both lost, which is no matter of folios"],
)
def test_a_later_page_is_kept_as_the_first_is(
    first: tuple[int, ...], second: tuple[int, ...], is_lost: bool
) -> None:
    """The first page of the folio shows that the dirty ones were kept at all."""
    story = Story(geometry=TWO)
    story.do(Write(page=0, value=5))
    story.do(Write(page=1, value=6))
    story.look(pages=shown(0, 0, dirty=True))
    story.do(Evict())
    story.do(Read(page=0), first)
    story.do(Read(page=1), second)

    assert bool(story.found(every_part_is_dirty_by_itself)) is is_lost


@pytest.mark.parametrize("drop", [Evict(file=1), Reclaim(file=1)])
def test_what_was_not_dropped_is_not_judged(drop: Evict | Reclaim) -> None:
    """Memory of another file was."""
    story = Story(geometry=TWO)
    story.do(Write(page=0, value=5))
    story.do(Write(page=1, value=6))
    story.look(pages=shown(0, 0, dirty=True))
    story.do(drop)
    story.do(Read(page=0), (5, 0))
    story.do(Read(page=1), (0, 0))

    assert story.premises(every_part_is_dirty_by_itself) == 0


# --- INV-SPLIT ----------------------------------------------------------------------


def cut(*, write_late: bool) -> Story:
    """Cut a pinned folio in two, let its device write, and have the file grow."""
    story = Story(geometry=TWO, pages=shown(None, None))
    story.do(GetUserPages(pages=2, pin=0), 2)
    story.look(pages=shown(0, 0))
    story.do(Truncate(words=2))
    write = DeviceWrite(pin=0, page=1, value=9)
    if not write_late:
        story.do(write)
    story.do(Truncate(words=8))
    if write_late:
        story.do(write)
    return story


def test_what_was_written_to_the_cut_part_must_not_show() -> None:
    """The file has a hole there."""
    story = cut(write_late=False)
    story.do(Read(page=1), (0, 0))
    assert story.found(what_was_cut_off_stays_zero) == []
    assert story.premises(what_was_cut_off_stays_zero) == 1

    story.do(Read(page=1), (9, 0))

    sentence = (
        "word 0 of page 1 of file 0 is 9 (should be 0); it was cut off by "
        "Truncate(file=0, words=2)"
    )
    assert story.found(what_was_cut_off_stays_zero) == [sentence]


def test_a_stack_may_keep_the_folio() -> None:
    """What its device writes when the file has grown over it is the file's again."""
    story = cut(write_late=True)
    story.do(Read(page=1), (9, 0))

    assert story.found(what_was_cut_off_stays_zero) == []


def test_a_page_that_is_written_to_is_in_the_file_again() -> None:
    """Only the word that was written is there."""
    story = Story(geometry=TWO, pages=shown(None, None))
    story.do(GetUserPages(pages=2, pin=0), 2)
    story.look(pages=shown(0, 0))
    story.do(Truncate(words=2))
    story.do(DeviceWrite(pin=0, page=1, value=9))
    story.do(Write(page=1, word=1, value=7))
    story.do(Read(page=1), (9, 7))

    assert len(story.found(what_was_cut_off_stays_zero)) == 1


@pytest.mark.parametrize(
    "operation",
    [Truncate(words=0), Truncate(words=4), PunchHole(page=0, pages=2)],
    ids=["all of it", "none of it", "all of it punched"],
)
def test_a_folio_that_is_not_parted_is_no_premise(
    operation: Truncate | PunchHole,
) -> None:
    """Nothing had to be split."""
    story = Story(geometry=TWO, pages=shown(None, None))
    story.do(GetUserPages(pages=2, pin=0), 2)
    story.look(pages=shown(0, 0))
    story.do(operation)
    story.do(Truncate(words=8))

    assert story.premises(what_was_cut_off_stays_zero) == 0


def test_a_refused_split_is_an_answer() -> None:
    """Nothing has changed."""
    story = pinned(2)
    story.do(Split(), error=KernelError(Errno.EBUSY, "it is pinned"))
    pages = shown(0, 0, pins=2)
    story.look(pages=pages, pins=behind(0, *pages.values()))

    assert story.found(every_page_holds_its_folio) == []
