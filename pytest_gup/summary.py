"""The end of a run: verdicts by chapter, damage first, and how to read them."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import attrs
import pytest

from conformance.engines.session import EngineResult
from conformance.rules.catalogue import CHAPTERS
from conformance.verdicts import Promise
from pytest_gup import report
from pytest_gup.report import Record

MARKUP: dict[str, dict[str, bool]] = {
    "held": {"green": True},
    "violated": {"red": True, "bold": True},
    "crashed": {"red": True},
    "errored": {"red": True},
    "inconclusive": {"yellow": True},
}


@attrs.define(eq=False)
class Summary:
    """Gathers records and prints them."""

    promise: Promise
    records: list[Record] = attrs.field(factory=list[Record])
    engines: dict[str, Record] = attrs.field(factory=dict[str, Record])
    """What is known of each implementation and engine, beside the verdicts."""

    def add(self, record: Record) -> None:
        """Take the record of one node."""
        self.records.append(record)

    def merged(self) -> list[Record]:
        """Return one record for each implementation and rule."""
        return report.merged(self.records)

    def has_errored(self) -> bool:
        """Whether the suite itself failed somewhere."""
        return any(record["verdict"] == "errored" for record in self.records)

    @staticmethod
    def engine_record(result: EngineResult) -> Record:
        """Return what is told of one engine beside the verdicts, as plain values."""
        capabilities = result.capabilities
        features = capabilities.features_offered | capabilities.features_fixed
        return {
            "operations": sorted(capabilities.parameters),
            "observations": sorted(capabilities.observations),
            "features": sorted(feature.value for feature in features),
            "is_stepped": capabilities.is_stepped,
            "programs": result.programs,
            "seconds": result.seconds,
            "table": result.table.lines(),
            "counters": list(result.counters),
        }

    def print(self, terminal: pytest.TerminalReporter) -> None:
        """Print everything."""
        merged = self.merged()
        for name in dict.fromkeys(record["implementation"] for record in merged):
            terminal.section(f"gup: {name}")
            mine = [record for record in merged if record["implementation"] == name]
            self._print_engines(terminal, name)
            self._print_chapters(terminal, {record["rule"]: record for record in mine})
            self._print_violations(terminal, mine)
            self._print_counts(terminal, mine)
            self._print_counters(terminal, name)

    def _engines_of(self, name: str) -> Iterable[tuple[str, Record]]:
        for key, record in self.engines.items():
            implementation, _, engine = key.rpartition("/")
            if implementation == name:
                yield engine, record

    def _print_engines(self, terminal: pytest.TerminalReporter, name: str) -> None:
        for engine, record in self._engines_of(name):
            terminal.line(
                f"{engine}: {record['programs']} programs in {record['seconds']:.1f} s"
            )
        for _, record in list(self._engines_of(name))[:1]:
            style = "stepped" if record["is_stepped"] else "not stepped"
            features = ", ".join(record["features"]) or "none"
            terminal.line(
                f"offers {len(record['operations'])} operations, "
                f"{len(record['observations'])} observations, {style}; "
                f"features: {features}"
            )
        if terminal.config.get_verbosity() > 0:
            for engine, record in self._engines_of(name):
                terminal.line("")
                terminal.line(f"operations of {engine}:")
                for line in record["table"]:
                    terminal.line(f"  {line}")

    def _print_chapters(
        self, terminal: pytest.TerminalReporter, by_rule: dict[str, Record]
    ) -> None:
        for chapter in CHAPTERS:
            mine = [by_rule[rule.id] for rule in chapter.rules if rule.id in by_rule]
            if not mine:
                continue
            terminal.line("")
            terminal.line(chapter.title, bold=True)
            for record in sorted(mine, key=_damage_first):
                self._print_rule(terminal, record)

    def _print_rule(self, terminal: pytest.TerminalReporter, record: Record) -> None:
        verdict = record["verdict"]
        terminal.write(f"  {record['rule']:<22}{record['kind']:<12}")
        terminal.write(f"{record['level']:<8}")
        terminal.write(f"{verdict:<16}", **MARKUP.get(verdict, {}))
        terminal.line(_remark(record))

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

    def _print_counts(
        self, terminal: pytest.TerminalReporter, mine: list[Record]
    ) -> None:
        counts = Counter(record["verdict"] for record in mine)
        terminal.line("")
        terminal.line(
            f"{len(mine)} rules by promise {self.promise.value}: "
            + ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        )

    def _print_counters(self, terminal: pytest.TerminalReporter, name: str) -> None:
        for engine, record in self._engines_of(name):
            if record["counters"]:
                terminal.line("")
                terminal.line(f"counters of {engine}, interpreted:")
            for line in record["counters"]:
                terminal.line(f"  {line}")


def _damage_first(record: Record) -> bool:
    return bool(record["kind"] != "damage")


def _remark(record: dict[str, Any]) -> str:
    if record["verdict"] == "held":
        return f"{record['premises']} times"
    return str(record.get("reason", ""))
