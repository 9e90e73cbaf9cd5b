"""Histories about private memory in which nearly everything goes well."""

from conformance.interface import GetUserPages, Mmap, Operation, Store
from conformance.rules.rule import Case, Rule
from conformance.verdicts import Promise
from tests.conformance.rules.story import Story

ANONYMOUS = Mmap(mapping=1, file=None, shared=False, pages=2)
PRIVATE = Mmap(mapping=1, shared=False, pages=2)
STORE = Store(mapping=1, value=1)
PIN = GetUserPages(mapping=1)
READER = GetUserPages(mapping=1, write=False)


def told(*operations: Operation) -> Story:
    """Tell a history in which everything is answered, and pins are granted a page."""
    story = Story()
    for operation in operations:
        does(story, operation)
    return story


def does(story: Story, operation: Operation) -> None:
    """Go on with it."""
    story.do(operation, 1 if isinstance(operation, GetUserPages) else None)


def found(story: Story, rule: Rule, promise: Promise = Promise.MAINLINE) -> list[str]:
    """Judge by one rule, as mainline promises."""
    case = story.case()
    mainline = Case(case.history, case.oracle, promise)
    return [finding.sentence for finding in rule.check(mainline)]
