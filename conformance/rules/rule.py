"""What a rule is.

A rule is one short generator beside its clause. It reads a `Case` - one history,
its oracle, the promise - counts each time that its premise came up, and yields one
`Finding` per violation.

    @rule(
        "GWB-NEVER",
        clause=Clause(DOCUMENT, "S25", "get_user_pages never hands out ..."),
        kind=Kind.DAMAGE,
        document=Level.MUST,
        mainline=Level.MUST,
        needs=Needs(operations=("get_user_pages",), views=("is_under_writeback",)),
    )
    def never_granted_under_writeback(case: Case) -> Iterator[Finding]:
        '''A page under writeback is not handed out for writing.'''

Interface:
  * `case.premise()` each time that the rule had something to judge.
  * `case.found(call, "sentence")` makes a finding; lower case, no full stop, with
    the values seen and what should have been.
  * Never look at the stack; never use the order of overlapping calls.
"""

from collections.abc import Callable, Iterator

import attrs

from conformance.oracle.admissible import Oracle
from conformance.oracle.history import Call, History
from conformance.verdicts import Binds, Kind, Level, Promise

DOCUMENT = "get_user_pages.rst"
"""The document of February 2019; its sections are cited as S1 to S30."""
SERIES = "mm: gup/dma tracking, 2019"
"""The patches that the document came with."""
KERNEL = "Linux"
"""Source or documentation of a later kernel."""
THREAD = "mailing list"
"""A discussion or commit message that settled the point."""


@attrs.frozen
class Clause:
    """Where a rule comes from, and what is said there in our own words."""

    source: str
    place: str
    """Sentence number of the document, patch number, or file and function."""
    norm: str


@attrs.frozen(cache_hash=True)
class Needs:
    """What an implementation must offer for a rule to have something to look at.

    In `observations` and `operations`, "a|b" is satisfied by either.
    """

    operations: tuple[str, ...] = ()
    """Operations, with options: "get_user_pages|get_user_pages_fast", "hold",
    "get_user_pages(longterm)"."""
    observations: tuple[str, ...] = ()
    """Methods of `Observations`: "page_mkwrite_count|mtime"."""
    views: tuple[str, ...] = ()
    """Fields of `PageView`."""
    counters: tuple[str, ...] = ()
    """Fields of `VmStat`."""
    features: tuple[str, ...] = ()
    """Features, one of which must be in force: "checksums"; empty: any stack."""
    absent_features: tuple[str, ...] = ()
    """Features none of which may be in force."""
    stepping: bool = False
    """Can only be judged by stepping: needs calls that can be parked."""
    events: bool = False
    """Needs events (only together with `stepping`)."""


@attrs.frozen
class Finding:
    """One violation."""

    sentence: str
    call: int | None
    """Index of the call at which it shows; None: at the end."""


@attrs.define(eq=False)
class Case:
    """One history to be judged."""

    history: History
    oracle: Oracle
    promise: Promise = Promise.DOCUMENT
    premises: int = 0
    """How often the rule's premise came up."""

    def premise(self) -> None:
        """Count that the rule has something to judge here."""
        self.premises += 1

    def found(self, call: Call | None, sentence: str) -> Finding:
        """Return a finding at a call."""
        return Finding(sentence, None if call is None else call.index)


Check = Callable[[Case], Iterator[Finding]]


@attrs.frozen
class Rule:
    """A rule of the catalogue."""

    id: str
    """Mnemonic; never changes once released."""
    clause: Clause
    kind: Kind
    document: Level
    """How binding it is in the document's promise."""
    mainline: Level
    """How binding it is in the mainline promise."""
    check: Check = attrs.field(eq=False, repr=False)
    binds: Binds = Binds.STACK
    needs: Needs = Needs()
    untested: str | None = None
    """Why the rule cannot be judged; None: it is judged."""

    @property
    def norm(self) -> str:
        """What the rule demands, in one sentence: the docstring of its check."""
        return (self.check.__doc__ or "").strip().splitlines()[0]

    def level(self, promise: Promise) -> Level:
        """Return how binding the rule is in a promise."""
        return self.document if promise is Promise.DOCUMENT else self.mainline


def rule(
    id: str,
    *,
    clause: Clause,
    kind: Kind,
    document: Level,
    mainline: Level,
    binds: Binds = Binds.STACK,
    needs: Needs = Needs(),
    untested: str | None = None,
) -> Callable[[Check], Rule]:
    """Make a `Rule` of a check; it is registered by being listed in its chapter."""

    def make(check: Check) -> Rule:
        return Rule(id, clause, kind, document, mainline, check, binds, needs, untested)

    return make
