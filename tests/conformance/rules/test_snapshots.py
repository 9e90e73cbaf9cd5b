"""Clones and dedupe: what is admitted of them, and what every mutant breaks."""

import pytest

from conformance.interface import (
    Clone,
    Dedupe,
    DeviceWrite,
    Errno,
    Feature,
    FileImage,
    FillDisk,
    Fsync,
    Geometry,
    GetUserPages,
    KernelError,
    Load,
    Mmap,
    Operation,
    PowerCut,
    PowerCutImage,
    Read,
    Signal,
    SignalName,
    Store,
    Sync,
    VmStat,
    Write,
)
from conformance.rules.rule import Rule
from conformance.rules.snapshot_costs import (
    looking_pinned_only_inhibits,
    only_pinned_files_are_refused,
    shared_pages_are_promised_blocks,
)
from conformance.rules.snapshots import (
    RULES,
    clones_are_isolated,
    deduplicated_pages_stay_apart,
)
from conformance.scenarios.scenario import Scenario
from conformance.scenarios.snapshots import SCENARIOS
from conformance.verdicts import Promise
from reference_impl.mutants.mutant import Mutant
from reference_impl.mutants.snapshots import MUTANTS
from reference_impl.stack import boot
from tests.conformance.rules.chapter import accused, idle_rules, named
from tests.conformance.rules.story import Story

CHAPTER = {rule.id for rule in RULES}
BUSY = KernelError(Errno.EBUSY, "may be pinned")
FULL = KernelError(Errno.ENOSPC, "no block")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=named)
def test_a_scenario_exercises_its_rules(scenario: Scenario) -> None:
    """Each rule of the chapter that it is written for has something to judge."""
    assert idle_rules(boot, scenario, RULES) == []


@pytest.mark.parametrize("promise", list(Promise))
def test_the_reference_holds_the_chapter(promise: Promise) -> None:
    """No scenario accuses it."""
    assert accused(boot, SCENARIOS, RULES, promise) == set()


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_a_mutant_violates_its_rules(mutant: Mutant) -> None:
    """Those of the chapter that it names, and no other of the chapter."""
    expected = set(mutant.violates) & CHAPTER

    assert mutant.violates[0] in CHAPTER
    assert accused(mutant.boot, SCENARIOS, RULES) == expected


# --- SNAP-ISOLATE -----------------------------------------------------------------


def cloned(*before: Operation) -> Story:
    """Begin a story with some operations and a clone."""
    story = Story()
    for operation in before:
        story.do(operation, 1 if isinstance(operation, GetUserPages) else None)
    story.do(Clone())
    return story


def cut(story: Story, **files: int) -> None:
    """Have a power cut show the first words of files; the others are zero."""
    images = {
        int(name[1:]): FileImage((word, *(0,) * 7)) for name, word in files.items()
    }
    story.do(PowerCut(), PowerCutImage(images))


def isolate(story: Story) -> list[str]:
    """Judge by the rule on isolation."""
    return story.found(clones_are_isolated)


@pytest.mark.parametrize("caught", [1, 2])
def test_a_clone_may_catch_what_a_device_wrote_or_not(caught: int) -> None:
    """The device may write until the put; but what is caught stays."""
    story = cloned(Store(value=1), GetUserPages(), DeviceWrite(value=2))
    for _ in range(2):
        story.do(Read(file=1), (caught, 0))
    story.do(Fsync(file=1))
    cut(story, f0=1, f1=caught)

    assert isolate(story) == []


def test_a_clone_that_changes_is_found() -> None:
    """Each value might be right, but not both."""
    story = cloned(Store(value=1), GetUserPages(), DeviceWrite(value=2))
    story.do(Read(file=1), (1, 0))
    story.do(Fsync(file=1))
    cut(story, f0=1, f1=2)

    assert isolate(story) == [
        (
            "word 0 of page 0 of file 1 is 2, and was 1 before (should be constant: "
            "the file is a clone that nobody wrote to)"
        )
    ]


def test_a_clone_that_is_written_to_changes() -> None:
    """By write, or by a store through a mapping of it."""
    story = cloned(Store(value=1))
    story.do(Read(file=1), (1, 0))
    story.do(Write(file=1, value=2))
    story.do(Read(file=1), (2, 0))
    story.do(Mmap(mapping=1, file=1))
    story.do(Store(mapping=1, value=3))
    story.do(Load(mapping=1), 3)

    assert isolate(story) == []


@pytest.mark.parametrize("image", [{}, {"f1": 0}, {"f1": 1}])
def test_a_clone_that_was_never_synced_may_be_missing_or_empty(
    image: dict[str, int],
) -> None:
    """No promise was made."""
    story = cloned(Store(value=1))
    story.do(Fsync())
    cut(story, f0=1, **image)
    story.do(Read(file=1), (1, 0))

    assert isolate(story) == []


def test_after_a_sync_that_failed_the_clone_may_have_changed() -> None:
    """That data was lost has been told."""
    story = cloned(Store(value=1), GetUserPages(), DeviceWrite(value=2))
    story.do(Read(file=1), (2, 0))
    story.do(Fsync(file=1), error=FULL)
    story.do(Read(file=1), (1, 0))

    assert isolate(story) == []


def test_a_store_to_one_file_is_not_seen_in_the_other() -> None:
    """Neither way round, in memory or on the disk."""
    story = cloned(Store(value=1))
    story.do(Store(value=2))
    story.do(Read(file=1), (2, 0))
    story.do(Write(file=1, value=3))
    story.do(Sync())
    cut(story, f0=3, f1=3)

    assert isolate(story) == [
        "word 0 of page 0 of file 1 is 2 (should be 1)",
        "word 0 of page 0 of file 0 is 3 after a power cut (should be 2)",
    ]


def test_what_a_source_loses_of_its_own_is_not_the_clones_fault() -> None:
    """An older value of the same word is for other chapters."""
    story = cloned(Store(value=1))
    story.do(Store(value=2))
    story.do(Fsync())
    cut(story, f0=1)

    assert isolate(story) == []


# --- SNAP-RESERVE -----------------------------------------------------------------


def on_full_disk(*accesses: Operation, error: KernelError | None) -> Story:
    """Write to the source of a clone, fill the disk, and sync."""
    story = cloned(Store(value=1))
    for access in accesses:
        story.do(access)
    story.do(FillDisk())
    story.do(Fsync(), error=error)
    return story


def test_a_sync_without_space_for_what_was_granted_is_found() -> None:
    """The store should have been refused."""
    story = on_full_disk(Store(value=2), error=FULL)

    assert story.found(shared_pages_are_promised_blocks) == [
        (
            "fsync is refused with ENOSPC: no block after store to a file that shares "
            "blocks with a clone was granted (should have been refused then, or find "
            "space now)"
        )
    ]


@pytest.mark.parametrize(
    ("accesses", "error"),
    [
        ((Store(value=2),), None),
        ((Store(value=2), Write(page=1, value=3)), FULL),
        ((), FULL),
    ],
    ids=["synced", "data of write(2)", "nothing written"],
)
def test_other_syncs_are_admitted(
    accesses: tuple[Operation, ...], error: KernelError | None
) -> None:
    """What no page_mkwrite announced may find no space."""
    story = on_full_disk(*accesses, error=error)

    assert story.found(shared_pages_are_promised_blocks) == []


def test_a_store_may_be_refused_on_a_full_disk() -> None:
    """That is what page_mkwrite is for."""
    story = cloned(Store(value=1))
    story.do(FillDisk())
    story.do(Store(value=2), error=Signal(SignalName.SIGBUS, "no block"))
    story.do(Fsync())

    assert story.premises(shared_pages_are_promised_blocks) == 0


# --- SNAP-INHIBIT-SCOPE -----------------------------------------------------------


def scope(story: Story) -> list[str]:
    """Judge by the rule on whom pins concern."""
    return story.found(only_pinned_files_are_refused)


def test_a_file_that_is_pinned_may_be_refused() -> None:
    """By an error."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(Clone(), error=BUSY)
    story.do(Dedupe(other=0, other_page=1), error=BUSY)

    assert scope(story) == []


def test_another_file_may_not() -> None:
    """It has no pins."""
    story = cloned(Store(value=1))
    story.do(GetUserPages(), 1)
    story.do(Clone(file=1, clone=2), error=BUSY)

    assert scope(story) == [
        (
            "Clone(file=1, clone=2) is refused with EBUSY: may be pinned, and only "
            "page 0 of file 0 may be pinned (should be granted)"
        )
    ]


def test_it_may_if_another_call_is_under_way() -> None:
    """Then it may be busy for other reasons."""
    story = cloned(Store(value=1))
    story.do(GetUserPages(), 1)
    other = story.ask(Fsync(file=1))
    story.do(Clone(file=1, clone=2), error=BUSY)
    story.answer(other)

    assert scope(story) == []


@pytest.mark.parametrize(("folio_pages", "found"), [(1, 1), (4, 0)])
def test_a_page_of_the_same_folio_counts_as_pinned(
    folio_pages: int, found: int
) -> None:
    """Pins are counted by folio; pages on their own are not concerned."""
    story = Story(geometry=Geometry(folio_pages=folio_pages))
    story.do(GetUserPages(), 1)
    story.do(Dedupe(page=2, other=0, other_page=3), error=BUSY)

    assert len(scope(story)) == found


@pytest.mark.parametrize(
    ("more", "found"), [((), 1), ((DeviceWrite(value=2),), 0), ((Store(value=3),), 0)]
)
def test_equal_pages_are_not_called_different(
    more: tuple[Operation, ...], found: int
) -> None:
    """Unless they may have become different."""
    story = Story()
    story.do(GetUserPages(), 1)
    for operation in more:
        story.do(operation)
    story.do(Dedupe(other=0, other_page=1), 0)

    assert len(scope(story)) == found
    assert story.premises(only_pinned_files_are_refused) == 1


# --- SNAP-FALSEPOS ----------------------------------------------------------------


def looking_pinned(*, tracked: bool = False) -> Story:
    """Take as many references of a page as a pin is worth."""
    story = Story(Feature.SMALL_LIMITS, geometry=Geometry(pin_bias=3, refcount_max=63))
    story.do(Store(value=1))
    for pin in range(3):
        story.do(GetUserPages(pin=pin, write=False, tracked=tracked), 1)
    return story


def test_a_page_that_looks_pinned_may_be_refused() -> None:
    """Nothing else happens."""
    story = looking_pinned()
    story.do(Clone(), error=BUSY)
    story.do(Read(), (1, 0))

    assert story.found(looking_pinned_only_inhibits) == []
    assert story.premises(looking_pinned_only_inhibits) == 1


def test_a_clone_that_waits_or_lacks_the_page_is_found() -> None:
    """Nobody knows how long the references are held."""
    story = looking_pinned()
    clone = story.ask(Clone())
    story.look(VmStat(), pending=[clone.index])
    story.answer(clone)
    story.do(Read(file=1), (0, 0))

    waits, lost = story.found(looking_pinned_only_inhibits)
    assert waits.endswith("page 0 of file 0 only looks pinned (should answer)")
    assert lost.startswith("word 0 of page 0 of file 1 is 0 (should be 1)")


def test_a_page_that_is_pinned_does_not_only_look_so() -> None:
    """A clone may wait for a real pin, says this rule."""
    story = looking_pinned(tracked=True)
    clone = story.ask(Clone())
    story.look(VmStat(), pending=[clone.index])

    assert story.premises(looking_pinned_only_inhibits) == 0


# --- SNAP-DEDUPE ------------------------------------------------------------------


def deduped(result: int = 1, error: KernelError | None = None) -> Story:
    """Share two equal pages, with a device at the first of them."""
    story = Story()
    story.do(Store(value=1))
    story.do(Store(page=1, value=1))
    story.do(GetUserPages(), 1)
    story.do(Dedupe(other=0, other_page=1), result, error=error)
    story.do(DeviceWrite(value=2))
    return story


@pytest.mark.parametrize(("seen", "found"), [(1, 0), (2, 1)])
def test_what_a_device_writes_is_not_seen_in_the_other_page(
    seen: int, found: int
) -> None:
    """The page that it has pinned may show it already."""
    story = deduped()
    story.do(Load(), 2)
    story.do(Load(page=1), seen)

    assert len(story.found(deduplicated_pages_stay_apart)) == found


def test_pages_that_do_not_share_are_not_judged() -> None:
    """It was refused, or found unequal; what is wrong then has another cause."""
    for story in (deduped(error=BUSY), deduped(result=0)):
        story.do(Load(page=1), 2)

        assert story.found(deduplicated_pages_stay_apart) == []
        assert story.premises(deduplicated_pages_stay_apart) == 0


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_a_stack_without_blocks_is_not_judged(rule: Rule) -> None:
    """Files that are never written back have nothing to share."""
    story = Story(Feature.NO_DIRTY_TRACKING)
    story.do(Clone())

    assert rule.id in story.judged(RULES).unseen
