"""The words of a report: verdicts, kinds of rules, levels, promises."""

from enum import Enum


class Verdict(Enum):
    """What was found out about one rule on one implementation. Never mixed."""

    HELD = "held"
    """The premise came up and nothing was violated."""
    VIOLATED = "violated"
    CRASHED = "crashed"
    """The implementation raised what the contract does not allow."""
    ERRORED = "errored"
    """The suite itself failed; a defect of ours."""
    NOT_OBSERVABLE = "not-observable"
    """The implementation lacks what the rule needs to look at; the reason is given."""
    NOT_EXERCISED = "not-exercised"
    """The premise never came up."""
    INCONCLUSIVE = "inconclusive"
    """A bound was hit while something still ran."""
    UNTESTED = "untested"
    """The rule is listed and cannot be judged; the reason is given."""


class Kind(Enum):
    """What a violation costs."""

    DAMAGE = "damage"
    """Something was lost or corrupted: users pay for it."""
    DISCIPLINE = "discipline"
    """The protocol was not followed: reviewers argue about it."""


class Level(Enum):
    """How binding a rule is, within a promise."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    """Reported, does not fail."""
    MAY = "MAY"
    """Describes how one implementation does it; reported, does not fail."""


class Promise(Enum):
    """What the implementation is held to."""

    DOCUMENT = "document"
    """What get_user_pages.rst asks for."""
    MAINLINE = "mainline"
    """What current Linux says it does."""


class Binds(Enum):
    """Whose duty a rule is."""

    STACK = "stack"
    CALLER = "caller"
    """Judged on the stack's own drivers; the suite's callers keep it."""
