"""Anonymous and private memory: scenarios, and histories written by hand."""

import pytest

from conformance.interface import (
    DeviceComplete,
    Errno,
    Fork,
    GetUserPages,
    GetUserPagesFast,
    KernelError,
    Mmap,
    Mprotect,
    Operation,
    Store,
)
from conformance.rules.anonymous import RULES
from conformance.rules.anonymous_limits import (
    longterm_readers_stay_up_to_date,
    private_writes_are_not_the_files,
    secret_memory_is_not_handed_out,
    write_pins_need_a_writable_entry,
)
from conformance.rules.anonymous_pins import (
    force_writes_private_pages_only,
)
from conformance.rules.rule import Rule
from conformance.scenarios.anonymous import SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise
from reference_impl.mutants.anonymous import MUTANTS
from reference_impl.mutants.mutant import Mutant
from reference_impl.stack import boot
from tests import second_stack
from tests.conformance.rules.chapter import accused, idle_rules, named
from tests.conformance.rules.private_stories import (
    ANONYMOUS,
    PIN,
    PRIVATE,
    READER,
    STORE,
    does,
    found,
    told,
)
from tests.conformance.rules.story import Story

IDS = (
    "MKW-PRIVATE-MAP",
    "GWB-WRITEBIT",
    "LT-RO",
    "LT-SECRETMEM",
    "REF-ZERO",
    "ANON-FORK-COPY",
    "ANON-FORK-SEQ",
    "ANON-FORK-FILE",
    "ANON-FORK-SNAPSHOT",
    "ANON-ISOLATION",
    "ANON-EXCL",
    "ANON-UNSHARE",
    "ANON-WRITEREUSE",
    "ANON-NOWP",
    "ANON-NOSWAP",
    "ANON-FORCE",
    "ANON-DONTNEED",
)


# --- scenarios ------------------------------------------------------------------------


def test_the_chapter_is_complete() -> None:
    """Each rule of the chapter is there, and a scenario is written for it."""
    exercised = {rule for scenario in SCENARIOS for rule in scenario.rules}

    assert sorted(rule.id for rule in RULES) == sorted(IDS)
    assert set(IDS) <= exercised


@pytest.mark.parametrize("scenario", SCENARIOS, ids=named)
def test_a_scenario_exercises_its_rules(scenario: Scenario) -> None:
    """Each rule that it is written for has something to judge."""
    assert idle_rules(boot, scenario, RULES) == []


@pytest.mark.parametrize("promise", list(Promise))
def test_correct_stacks_hold_the_chapter(promise: Promise) -> None:
    """Neither the reference nor, as far as the document goes, the second stack errs."""
    assert accused(boot, SCENARIOS, RULES, promise) == set()
    found = accused(second_stack.boot, SCENARIOS, RULES, promise)
    assert found <= ({"REF-ZERO"} if promise is Promise.MAINLINE else set())


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_a_mutant_violates_its_rules(mutant: Mutant) -> None:
    """The first that it names, and of this chapter no other than those it names."""
    found = accused(mutant.boot, SCENARIOS, RULES)

    assert mutant.violates[0] in found
    assert found == set(mutant.violates) & set(IDS)


# --- what is refused, and what is granted ---------------------------------------------


def refused(operation: Operation, *before: Operation) -> Story:
    """Tell a history in which the last call is refused."""
    story = told(*before)
    story.do(operation, error=KernelError(Errno.EFAULT))
    return story


@pytest.mark.parametrize(
    ("mapped", "get", "rule"),
    [
        (
            Mmap(mapping=1, writable=False),
            GetUserPages(mapping=1, force=True),
            force_writes_private_pages_only,
        ),
        (
            Mmap(mapping=1, file=None, writable=False),
            GetUserPagesFast(mapping=1, force=True),
            force_writes_private_pages_only,
        ),
        (Mmap(mapping=1, writable=False), PIN, write_pins_need_a_writable_entry),
        (
            Mmap(mapping=1, shared=False, writable=False),
            GetUserPagesFast(mapping=1),
            write_pins_need_a_writable_entry,
        ),
        (
            Mmap(mapping=1, file=None, secret=True),
            PIN,
            secret_memory_is_not_handed_out,
        ),
        (
            Mmap(mapping=1, file=None, secret=True),
            GetUserPagesFast(mapping=1, write=False, longterm=True),
            secret_memory_is_not_handed_out,
        ),
    ],
)
def test_what_must_be_refused(mapped: Mmap, get: GetUserPages, rule: Rule) -> None:
    """Granted it is a violation, refused it is not; both count."""
    granted, kept = told(mapped, get), refused(get, mapped)

    assert len(found(granted, rule)) == 1
    assert found(kept, rule) == []
    assert granted.premises(rule) == kept.premises(rule) == 1


def test_what_is_forced_and_private_may_be_granted_or_refused() -> None:
    """A stack that cannot do it may say so."""
    mapped = Mmap(mapping=1, shared=False, writable=False)
    get = GetUserPages(mapping=1, force=True)

    for rule in (force_writes_private_pages_only, write_pins_need_a_writable_entry):
        assert found(told(mapped, get), rule) == []
        assert found(refused(get, mapped), rule) == []


def test_a_mapping_that_may_have_been_writable_is_not_judged() -> None:
    """An mprotect that goes on meanwhile may come before or after."""
    story = told(ANONYMOUS)
    protect = story.ask(Mprotect(mapping=1))
    does(story, PIN)
    story.answer(protect)

    assert found(story, write_pins_need_a_writable_entry) == []


def test_a_secret_is_a_secret_of_children_too() -> None:
    """A child inherits the mapping, and its secrecy."""
    get = GetUserPages(process=1, mapping=1)
    story = told(Mmap(mapping=1, file=None, secret=True), Fork(), get)

    assert found(story, secret_memory_is_not_handed_out) == [
        f"{get} of secret memory was granted 1 page(s) (should be refused)"
    ]


def test_long_term_readers_of_shared_files_are_promised_by_mainline_only() -> None:
    """The document does not say so; want of memory, or waiting, excuses."""
    get = GetUserPages(write=False, longterm=True)
    rule = longterm_readers_stay_up_to_date

    assert found(refused(get), rule) == [
        (
            f"{get} of a shared mapping of a file was refused with EFAULT "
            "(should be granted)"
        )
    ]
    assert found(refused(get), rule, Promise.DOCUMENT) == []
    story = Story()
    story.do(get, error=KernelError(Errno.ENOMEM))
    assert found(story, rule) == []
    assert found(told(get), rule) == []


def test_long_term_readers_of_private_mappings_may_be_refused() -> None:
    """Granting is promised for shared mappings of files."""
    get = GetUserPages(mapping=1, write=False, longterm=True)

    assert found(refused(get, PRIVATE), longterm_readers_stay_up_to_date) == []
    assert found(refused(get, ANONYMOUS), longterm_readers_stay_up_to_date) == []


# --- page_mkwrite ---------------------------------------------------------------------


def counted(count: int, *operations: Operation) -> Story:
    """Tell a history with which page_mkwrite was called some times more."""
    story = Story(mkwrites={0: 4})
    does(story, PRIVATE)
    story.look()
    for operation in operations:
        does(story, operation)
    story.mkwrites = {0: 4 + count}
    story.look()
    return story


@pytest.mark.parametrize(
    "operations",
    [(STORE,), (PIN,), (PIN, DeviceComplete(value=3))],
    ids=["store", "pin", "device"],
)
def test_page_mkwrite_is_not_for_private_mappings(
    operations: tuple[Operation, ...],
) -> None:
    """The file is not told of writes to a copy."""
    rule = private_writes_are_not_the_files

    assert found(counted(0, *operations), rule) == []
    assert found(counted(1, *operations), rule) == [
        (
            f"page_mkwrite of file 0 was called 1 time(s) with {operations[-1]} of a "
            "private mapping (should not be)"
        )
    ]


def test_page_mkwrite_may_be_for_something_else() -> None:
    """Then nothing is said."""
    both = counted(1, STORE, Store(value=2))

    assert found(both, private_writes_are_not_the_files) == []
    assert found(counted(1, READER), private_writes_are_not_the_files) == []
