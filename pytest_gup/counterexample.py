"""A counterexample: one violation, crash, or program without end, to be run again.

Interface:
  * `id_of(implementation, rule, program)` is its short name: what has the same
    content has the same name, on every machine.
  * `from_record(record, promise)` makes one of what a node tells, `from_lost` one of a
    program that an engine says had no end.
  * `to_json` and `from_json` store it; the format is versioned.
"""

import functools
import hashlib
import json
import shlex
from collections.abc import Mapping
from typing import Any

import attrs

from conformance import program as programs
from conformance.engines.plan import Known
from conformance.engines.repetition import NO_REPETITION
from conformance.program import Program
from conformance.rules.catalogue import BY_ID
from conformance.verdicts import Promise

FORMAT = 1
"""Version of the stored form; raised when an old reader would misread a new file."""
ID_DIGITS = 8
CRASH = "crash"
"""What stands for the rule in the id of a crash: it has nothing to do with one."""
ENDLESS = "endless"
"""Likewise of a program that hit a bound while something still ran."""


@attrs.frozen
class Counterexample:
    """One violation, as it was found."""

    implementation: str
    """The SPEC that names it."""
    rule: str
    """Of a crash: one that it took the verdict from. Of what had no end: any."""
    program: Program
    promise: Promise
    sentence: str
    """What was seen."""
    is_minimal: bool = False
    """Nothing of the program can go; False: the next run goes on shrinking it."""
    tried: tuple[str, ...] = ()
    """Digests of smaller programs that were tried, if it is not minimal."""
    earlier: tuple[str, ...] = ()
    """Ids that it had when it was longer: it is found by them, too."""
    is_crash: bool = False
    crashed: tuple[str, ...] = ()
    """Of a crash: the rules that it took the verdict from; none: all."""
    is_endless: bool = False
    """It hit a bound while something still ran: that is no verdict on anything, so it
    is run again only if it is asked for."""
    more: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    """For people: the clause, the suite's version, the scenario, the timeline."""

    @functools.cached_property
    def id(self) -> str:
        """Its short name."""
        return id_of(self.implementation, self.what, self.program)

    @property
    def what(self) -> str:
        """What it is: the rule that is violated, or a crash, or without end."""
        if self.is_endless:
            return ENDLESS
        return CRASH if self.is_crash else self.rule

    @property
    def is_unsteady(self) -> bool:
        """Whether it did not repeat even when it was found."""
        return NO_REPETITION in self.sentence

    @property
    def label(self) -> str:
        """Its short name, its rule, and whether it was seen only once."""
        once = f", which {NO_REPETITION}" if self.is_unsteady else ""
        return f"{self.id} ({self.what}){once}"

    def known(self) -> Known:
        """Return it as something for an engine to run."""
        return Known(
            self.id,
            self.rule,
            self.program,
            self.is_minimal,
            self.tried,
            self.is_crash or self.is_endless,
            self.crashed,
        )

    def follows(self, old: "Counterexample | None") -> "Counterexample":
        """Return it with the ids of the one that it was shrunk from."""
        before = () if old is None else old.earlier
        return attrs.evolve(self, earlier=(*before, *self.earlier))

    def adds_to(self, old: "Counterexample") -> bool:
        """Whether more is known of the same program than before."""
        if old.is_minimal:
            return False
        return self.is_minimal or len(self.tried) > len(old.tried)


def id_of(implementation: str, rule: str, program: Program) -> str:
    """Return the short name of a program that violates a rule."""
    content = [implementation, rule, programs.to_json(program)]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


def command(implementation: str, id: str, corpus: str | None = None) -> str:
    """Return what to type to run it again."""
    words = ["pytest", f"--gup-impl={implementation}", f"--gup-replay={id}"]
    if corpus is not None:
        words.insert(2, f"--gup-corpus={corpus}")
    return shlex.join(words)


def names(
    implementation: str, what: str, program: Program, corpus: str | None
) -> dict[str, str]:
    """Return what a record tells of one: its id, and what to type."""
    short = id_of(implementation, what, program)
    return {"id": short, "replay": command(implementation, short, corpus)}


def is_in(record: Mapping[str, Any]) -> bool:
    """Tell whether a node found a violation, or a crash in a known program."""
    return "violation" in record or "program" in record.get("crash", ())


def from_record(
    record: Mapping[str, Any], promise: Promise, suite: str
) -> Counterexample:
    """Return what a node found; `record` is of a rule that was violated, or crashed."""
    is_crash = "crash" in record
    violation = record["crash" if is_crash else "violation"]
    rule = violation["rule"] if is_crash else record["rule"]
    clause = BY_ID[rule].clause
    words = {"clause": f"{clause.source}, {clause.place}: {clause.norm}"}
    return Counterexample(
        record["implementation"],
        rule,
        programs.from_json(violation["program"]),
        promise,
        violation["sentence"],
        violation["minimal"],
        tuple(violation["tried"]),
        () if violation["made_from"] is None else (violation["made_from"],),
        is_crash,
        tuple(violation["rules"]) if is_crash else (),
        more={
            "suite": suite,
            **({} if is_crash else words),
            "scenario": violation["scenario"],
            "call": violation["call"],
            "timeline": violation["timeline"],
        },
    )


def from_lost(
    implementation: str,
    lost: Mapping[str, Any],
    rule: str,
    promise: Promise,
    suite: str,
) -> Counterexample:
    """Return the program that an engine says had no end."""
    return Counterexample(
        implementation,
        rule,
        programs.from_json(lost["program"]),
        promise,
        lost["sentence"],
        lost["minimal"],
        is_endless=True,
        more={"suite": suite, "timeline": lost["timeline"]},
    )


def to_json(found: Counterexample) -> dict[str, Any]:
    """Return it as plain dicts and lists."""
    return {
        "counterexample": FORMAT,
        "id": found.id,
        "implementation": found.implementation,
        "rule": found.rule,
        "promise": found.promise.value,
        "sentence": found.sentence,
        "minimal": found.is_minimal,
        "earlier": list(found.earlier),
        **({"crashed": list(found.crashed)} if found.is_crash else {}),
        **({"endless": True} if found.is_endless else {}),
        **found.more,
        **({"tried": list(found.tried)} if found.tried else {}),
        "program": programs.to_json(found.program),
    }


def from_json(record: object) -> Counterexample:
    """Return what was stored.

    Raises:
        ValueError: it is no counterexample of ours, and why.
    """
    if not isinstance(record, dict) or "counterexample" not in record:
        raise ValueError("not a counterexample of pytest-gup")
    if record["counterexample"] != FORMAT:
        known = record["counterexample"]
        raise ValueError(f"it has format {known!r} (should be {FORMAT})")
    texts = [record.get(name) for name in ("implementation", "rule", "sentence")]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("implementation, rule or sentence is missing")
    implementation, rule, sentence = map(str, texts)
    if rule not in BY_ID:
        raise ValueError(f"this suite has no rule {rule!r}")
    program = record.get("program")
    if not isinstance(program, dict):
        raise ValueError("it has no program")  # noqa: TRY004 - of a file, not a caller
    return Counterexample(
        implementation,
        rule,
        programs.from_json(program),
        Promise(record.get("promise")),
        sentence,
        record.get("minimal") is True,
        _texts(record.get("tried")),
        _texts(record.get("earlier")),
        "crashed" in record,
        _texts(record.get("crashed")),
        record.get("endless") is True,
    )


def _texts(given: object) -> tuple[str, ...]:
    """Return a list of texts as it was stored; older files have none."""
    return tuple(map(str, given)) if isinstance(given, list) else ()
