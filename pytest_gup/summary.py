"""The end of a run: verdicts by chapter, damage first, and how to read them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import attrs
import pytest

from conformance.engines.session import EngineResult
from conformance.engines.tally import Lost, Violation, violation_record
from conformance.interface import OPERATIONS
from conformance.program import from_json
from conformance.rules.catalogue import BY_ID, CHAPTERS
from conformance.verdicts import Verdict
from pytest_gup import counterexample, failure, report
from pytest_gup.report import Record

MARKUP: dict[str, dict[str, bool]] = {
    "held": {"green": True},
    "violated": {"red": True, "bold": True},
    "crashed": {"red": True},
    "errored": {"red": True},
    "inconclusive": {"yellow": True},
}


def engine_record(
    result: EngineResult, implementation: str, corpus: str | None = None
) -> Record:
    """Return what is told of one engine beside the verdicts, as plain values."""
    record: Record = {
        "programs": result.programs,
        "seconds": result.seconds,
        "states": result.states,
        "table": result.table.lines(),
        "counters": list(result.counters),
        "offers": [],
        "reach": result.reach,
        "races": list(result.races),
        "known": {name: verdict.value for name, verdict in result.known.items()},
        "lost": result.lost and _lost_record(result.lost, implementation, corpus),
    }
    if result.capabilities is not None:
        record["offers"] = list(_offers(result))
    return record


def _lost_record(lost: Lost, implementation: str, corpus: str | None) -> Record:
    what, program = counterexample.ENDLESS, lost.shown.program
    return {
        **counterexample.names(implementation, what, program, corpus),
        "programs": lost.programs,
        "drawn": lost.drawn,
        "words": str(lost),
        **violation_record(lost.shown),
    }


def _offers(result: EngineResult) -> Iterator[str]:
    capabilities = result.capabilities
    assert capabilities is not None
    style = "stepped" if capabilities.is_stepped else "not stepped"
    offered = [name for name in OPERATIONS if capabilities.offers(name)]
    shows = ", ".join(sorted(capabilities.observations)) or "nothing"
    yield f"offers {len(offered)} of {len(OPERATIONS)} operations, {style}"
    lacking = [name for name in OPERATIONS if not capabilities.offers(name)]
    if lacking:
        yield f"lacks {', '.join(lacking)}"
    yield f"shows {shows}"
    features = {feature.value for feature in capabilities.features_offered}
    fixed = {feature.value for feature in capabilities.features_fixed}
    yield f"features {', '.join(sorted(features | fixed)) or 'none'}"


@attrs.define(eq=False)
class Summary:
    """Gathers records and prints them."""

    settings: str
    implementations: Sequence[str]
    rules: Sequence[str]
    """Ids, in the order of the catalogue."""
    expected: int = 0
    """How many nodes were to run."""
    records: dict[tuple[str, str, str], Record] = attrs.field(
        factory=dict[tuple[str, str, str], Record]
    )
    """By implementation, engine and rule."""
    engines: dict[str, Record] = attrs.field(factory=dict[str, Record])
    """What is known of each implementation and engine, beside the verdicts."""

    def add(self, record: Record) -> None:
        """Take the record of one node; of a node that ran again, the last one."""
        key = record["implementation"], record["engine"], record["rule"]
        self.records[key] = record

    def has_errored(self) -> bool:
        """Whether the suite itself failed somewhere."""
        return any(r["verdict"] == "errored" for r in self.records.values())

    def merged(self) -> list[Record]:
        """Return one record for each implementation and rule, in a fixed order."""
        place = {name: i for i, name in enumerate((*self.implementations, *self.rules))}
        return report.merged(
            sorted(
                self.records.values(),
                key=lambda r: (
                    place[r["implementation"]],
                    place[r["rule"]],
                    r["engine"],
                ),
            )
        )

    def records_to_report(
        self, more: Iterable[Record] = (), *, is_over: bool
    ) -> list[Record]:
        """Return the verdicts, `more`, and the end if there is nothing more to come."""
        rules = self.merged()
        is_whole = is_over and len(self.records) >= self.expected
        return [
            *self._of_engines(),
            *rules,
            *more,
            *([report.end_record(rules)] if is_whole else []),
        ]

    def _of_engines(self) -> Iterator[Record]:
        """Yield a record for each race gone through, and one for programs lost."""
        for name in self.implementations:
            for engine, record in self._engines_of(name):
                for race in record["races"]:
                    yield {"record": "race", "implementation": name, **race}
                if record["lost"]:
                    who = {"implementation": name, "engine": engine}
                    yield {"record": "lost", **who, **record["lost"]}

    # --- printing ---------------------------------------------------------------

    def print(self, terminal: pytest.TerminalReporter) -> None:
        """Print everything."""
        merged = self.merged()
        for name in dict.fromkeys(record["implementation"] for record in merged):
            mine = [record for record in merged if record["implementation"] == name]
            terminal.section(f"gup: {name}")
            if terminal.config.get_verbosity() >= 0:
                self._print_engines(terminal, name)
                self._print_chapters(terminal, {r["rule"]: r for r in mine})
            self._print_violations(terminal, mine)
            _print_crashes(terminal, mine)
            self._print_endless(terminal, name)
            terminal.line("")
            terminal.line(f"{self.settings}: {_counts(mine)}")
            if terminal.config.get_verbosity() >= 0:
                self._print_counters(terminal, name)

    def _print_endless(self, terminal: pytest.TerminalReporter, name: str) -> None:
        """Print a program of each engine that did not come to its end."""
        engines = dict(self._engines_of(name))
        lost = [record["lost"] for record in engines.values() if record["lost"]]
        if lost:
            terminal.line("")
            terminal.line("without end", bold=True)
        for each in {each["id"]: each for each in lost}.values():
            terminal.line(f"  {each['id']}  {each['sentence']}")
            terminal.line(f"            {each['replay']}")
            if terminal.config.get_verbosity() > 0 or "replay" in engines:
                again = each["id"], each["replay"]
                text = failure.endless(_violation_of(each), *again)
                _print_block(terminal, "", text.splitlines())

    def _engines_of(self, name: str) -> Iterable[tuple[str, Record]]:
        found = {
            engine: record
            for key, record in sorted(self.engines.items())
            for implementation, _, engine in (key.rpartition("/"),)
            if implementation == name
        }
        # What was written by hand comes first, then what was drawn.
        yield from sorted(found.items(), key=lambda item: item[0] != "scenarios")

    def _print_engines(self, terminal: pytest.TerminalReporter, name: str) -> None:
        for engine, record in self._engines_of(name):
            seconds = f"{record['seconds']:.1f} s"
            if record["races"]:
                is_long = terminal.config.get_verbosity() > 0
                _print_races(terminal, record["races"], seconds, is_long=is_long)
                continue
            _print_engine(terminal, engine, record, seconds)
        for _, record in list(self._engines_of(name))[:1]:
            for line in record["offers"]:
                terminal.line(line)
        if terminal.config.get_verbosity() > 0:
            for engine, record in self._engines_of(name):
                _print_block(terminal, f"operations of {engine}:", record["table"])

    def _print_chapters(
        self, terminal: pytest.TerminalReporter, by_rule: dict[str, Record]
    ) -> None:
        width = max(map(len, by_rule)) + 2
        for chapter in CHAPTERS:
            mine = [by_rule[rule.id] for rule in chapter.rules if rule.id in by_rule]
            if not mine:
                continue
            terminal.line("")
            terminal.line(chapter.title, bold=True)
            for record in sorted(mine, key=_damage_first):
                _print_rule(terminal, record, width)

    def _print_violations(
        self, terminal: pytest.TerminalReporter, mine: list[Record]
    ) -> None:
        violated = [record for record in mine if "violation" in record]
        if violated:
            terminal.line("")
            terminal.line("violated, damage first", bold=True)
        for record in sorted(violated, key=_damage_first):
            violation = record["violation"]
            terminal.line(
                f"  {violation['id']}  {record['rule']} ({record['level']}): "
                f"{violation['sentence']}"
            )
            terminal.line(f"            {violation['replay']}")
            if terminal.config.get_verbosity() > 0 and record["level"] != "MUST":
                _print_block(terminal, "", _details(record))

    def _print_counters(self, terminal: pytest.TerminalReporter, name: str) -> None:
        for engine, record in self._engines_of(name):
            if record["counters"]:
                _print_block(
                    terminal, f"counters of {engine}, interpreted:", record["counters"]
                )


def _print_engine(
    terminal: pytest.TerminalReporter, engine: str, record: Record, seconds: str
) -> None:
    """Print what an engine has run, and what of that says nothing."""
    states = f", {record['states']} states" if record["states"] else ""
    terminal.line(f"{engine}: {record['programs']} programs in {seconds}{states}")
    if record["lost"]:
        terminal.line(f"{engine}: {record['lost']['words']}", yellow=True)


def _print_crashes(terminal: pytest.TerminalReporter, mine: list[Record]) -> None:
    """Print each program in which the implementation crashed, once."""
    crashes = [record["crash"] for record in mine if "crash" in record]
    found = {crash["id"]: crash for crash in crashes if "id" in crash}
    if found:
        terminal.line("")
        terminal.line("crashed", bold=True)
    for short, crash in found.items():
        (sentence, *_) = crash["sentence"].splitlines() or [""]
        terminal.line(f"  {short}  {sentence}")
        terminal.line(f"            {crash['replay']}")


def _print_races(
    terminal: pytest.TerminalReporter,
    races: Sequence[Record],
    seconds: str,
    *,
    is_long: bool,
) -> None:
    """Print how far the schedules of races were gone through."""
    states = sum(race["states"] for race in races)
    short = [race["race"] for race in races if race["bound_hit"]]
    bound = f"bound hit in {', '.join(short)}" if short else "no bound hit"
    terminal.line(
        f"schedules: {len(races)} races, {states} states in {seconds}, {bound}"
    )
    for race in races if is_long else ():
        terminal.line(f"  {race['race']}: {race['text']}")


def _print_rule(terminal: pytest.TerminalReporter, record: Record, width: int) -> None:
    verdict = record["verdict"]
    terminal.write(f"  {record['rule']:<{width}}{record['kind']:<12}")
    terminal.write(f"{record['level']:<8}")
    terminal.write(f"{verdict:<16}", **MARKUP.get(verdict, {}))
    terminal.line(_remark(record))


def _print_block(
    terminal: pytest.TerminalReporter, head: str, lines: Iterable[str]
) -> None:
    terminal.line("")
    if head:
        terminal.line(head)
    for line in lines:
        terminal.line(f"  {line}")


def _counts(mine: list[Record]) -> str:
    counts = Counter(record["verdict"] for record in mine)
    words = [verdict.value for verdict in Verdict if counts[verdict.value]]
    return ", ".join(f"{counts[word]} {word}" for word in words)


def _details(record: Record) -> list[str]:
    """Return what a node that does not fail would print if it did."""
    known, rule = record["violation"], BY_ID[record["rule"]]
    violation = _violation_of(known)
    return failure.violated(rule, violation, known["id"], known["replay"]).splitlines()


def _violation_of(known: Record) -> Violation:
    return Violation(
        known["sentence"],
        from_json(known["program"]),
        known["call"],
        tuple(known["timeline"]),
        known["scenario"],
        known["minimal"],
    )


def _damage_first(record: Record) -> bool:
    return bool(record["kind"] != "damage")


def _remark(record: Record) -> str:
    if record["verdict"] == "held":
        return f"{record['premises']} times"
    lines = str(record.get("reason", "")).splitlines()
    return lines[-1] if lines else ""
