"""One node: it reads the verdict on its rule, and passes, fails or skips.

| verdict | outcome |
|---|---|
| held | passed |
| violated | failed; where the rule is no MUST: xfailed, which never fails a run |
| crashed, errored | failed |
| not-observable, not-exercised, inconclusive, untested | skipped, with the reason |
"""

from typing import Any, Protocol

import attrs
import pytest

from conformance.engines.session import EngineResult
from conformance.engines.tally import RuleResult
from conformance.interface import Boot
from conformance.oracle.history import Crash
from conformance.verdicts import Level, Promise, Verdict
from pytest_gup import failure, report
from pytest_gup.collection import Case
from pytest_gup.connect import FIXTURE
from pytest_gup.report import Record
from pytest_gup.suite import ours

RECORD = pytest.StashKey[Record]()
"""Where a node leaves its record."""


class Judging(Protocol):
    """What a node needs of the session."""

    @property
    def named_corpus(self) -> str | None:
        """Return what was said of where counterexamples are kept."""
        ...

    def result(self, case: Case, boot: Boot) -> EngineResult:
        """Return what an engine found out."""
        ...


@attrs.define(eq=False)
class Node:
    """One test: one rule on one implementation, judged by one engine."""

    case: Case
    promise: Promise
    judging: Judging
    request: pytest.FixtureRequest

    def __call__(self) -> None:
        """Pass, fail or skip, as the verdict says."""
        with ours():
            boot = self.case.implementation.boot or self._boot_of_fixture()
            result = self.judging.result(self.case, boot).results[self.case.rule.id]
        self._note(result)
        self._end(result)

    def _boot_of_fixture(self) -> Boot:
        try:
            boot: Any = self.request.getfixturevalue(FIXTURE)
        except pytest.skip.Exception as skip:
            self._note_without_run(Verdict.NOT_EXERCISED, f"{FIXTURE}: {skip}")
            raise
        except Exception as error:
            reason = f"{FIXTURE} raised {type(error).__name__}: {error}"
            self._note_without_run(Verdict.CRASHED, reason)
            raise
        if not callable(boot):
            reason = f"{FIXTURE} is {boot!r} (should be a factory that takes a Setup)"
            self._note_without_run(Verdict.CRASHED, reason)
            pytest.fail(reason, pytrace=False)
        found: Boot = boot
        return found

    def _note_without_run(self, verdict: Verdict, reason: str) -> None:
        crash = Crash(None, reason) if verdict is Verdict.CRASHED else None
        result = RuleResult(self.case.rule.id, verdict, crash=crash, reason=reason)
        self._note(result)

    def _note(self, result: RuleResult) -> None:
        node = self.request.node
        record = report.rule_record(
            self.case.implementation.id,
            self.case.engine,
            self.case.rule,
            self.promise,
            result,
            self.judging.named_corpus,
        )
        node.stash[RECORD] = record
        node.user_properties += report.properties(record)

    def _end(self, result: RuleResult) -> None:
        name, rule = self.case.implementation.id, self.case.rule
        match result.verdict:
            case Verdict.HELD:
                return
            case Verdict.VIOLATED:
                assert result.violation is not None
                self._end_violated(result)
            case Verdict.CRASHED:
                crash = self.request.node.stash[RECORD]["crash"]
                known = crash.get("id", ""), crash.get("replay", "")
                text = failure.crashed(name, rule, result, *known)
                pytest.fail(text, pytrace=False)
            case Verdict.ERRORED:
                pytest.fail(failure.errored(rule, result), pytrace=False)
            case _:
                pytest.skip(f"{result.verdict.value}: {result.reason}")

    def _end_violated(self, result: RuleResult) -> None:
        assert result.violation is not None
        level = self.case.rule.level(self.promise)
        known = self.request.node.stash[RECORD]["violation"]
        short, again = known["id"], known["replay"]
        text = failure.violated(self.case.rule, result.violation, short, again)
        if level is not Level.MUST:
            self.request.node.add_report_section("call", "gup", text)
            said = f"{short}: {result.violation.sentence}"
            pytest.xfail(f"violated, but only a {level.value}: {said}")
        pytest.fail(text, pytrace=False)
