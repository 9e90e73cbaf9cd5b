"""One run of pytest with an implementation to check.

Adds the packaged suite to what is collected, gives each of its nodes a verdict, and
gathers the verdicts of all workers into summary and report.
"""

import contextlib
import os
from pathlib import Path
from typing import Any

import attrs
import pytest

from pytest_gup import options
from pytest_gup.suite import TEST_FILE, import_suite

import_suite()

from conformance.engines.session import (  # noqa: E402 - ours must come first
    EngineResult,
    ImplementationError,
    Plan,
    look_at,
    run_scenarios,
    run_search,
)
from conformance.engines.stateful import Budget  # noqa: E402
from conformance.interface import Boot  # noqa: E402
from conformance.rules.catalogue import BY_ID, matching  # noqa: E402
from conformance.rules.rule import Rule  # noqa: E402
from conformance.verdicts import Level, Promise, Verdict  # noqa: E402
from pytest_gup import failure, report  # noqa: E402
from pytest_gup.connect import Implementation, connect  # noqa: E402
from pytest_gup.summary import Summary  # noqa: E402

PROPERTY = "gup_record"
"""Name under which a node's record travels in the report of its test."""

BUDGETS = {"quick": Budget(60, 40), "ci": Budget(400, 50), "nightly": Budget(2000, 60)}


@attrs.frozen
class Settings:
    """What the options say."""

    promise: Promise
    profile: str
    seed: int
    rules: tuple[Rule, ...]
    seconds: float | None
    report: Path | None

    @classmethod
    def from_config(cls, config: pytest.Config) -> "Settings":
        """Read the options.

        Raises:
            pytest.UsageError: one of them is wrong.
        """
        glob = options.text(config, "rules", "*")
        rules = matching(glob)
        if not rules:
            raise pytest.UsageError(
                f"--gup-rules={glob} matches no rule; ids look like MKW-EVERY, "
                "and docs/rules.md lists them"
            )
        path = options.text(config, "report", "")
        return cls(
            promise=Promise(options.choice(config, "promise", options.PROMISES)),
            profile=options.choice(config, "profile", options.PROFILES),
            seed=options.number(config, "seed", int, 0) or 0,
            rules=rules,
            seconds=options.number(config, "time", float, 0),
            report=Path(path) if path else None,
        )

    def plan(self, implementation: Implementation) -> Plan:
        """Return what is judged on one implementation."""
        return Plan(
            rules=self.rules,
            promise=self.promise,
            budget=BUDGETS[self.profile],
            seed=self.seed,
            seconds=self.seconds,
            stall_seconds=implementation.stall_seconds,
        )

    def as_record(self) -> dict[str, object]:
        """Return the settings for the report's manifest."""
        return {
            "promise": self.promise.value,
            "profile": self.profile,
            "seed": self.seed,
            "rules": len(self.rules),
        }


@attrs.define(eq=False)
class Node:
    """One test: one rule on one implementation, judged by one engine."""

    rule: Rule
    implementation: Implementation
    engine: str
    session: "GupSession"
    request: pytest.FixtureRequest

    def tell(self) -> None:
        """Pass, fail or skip, as the verdict says."""
        boot = self.implementation.boot or self._boot_of_fixture()
        try:
            outcome = self.session.result(self.implementation, boot, self.engine)
        except ImplementationError as error:
            pytest.fail(f"{self.implementation.id}: {error}", pytrace=False)
        result = outcome.results[self.rule.id]
        promise = self.session.settings.promise
        record = report.rule_record(
            self.implementation.id, self.engine, self.rule, promise, result
        )
        self.request.node.user_properties.append((PROPERTY, record))
        self._tell(result, self.rule.level(promise))

    def _boot_of_fixture(self) -> Boot:
        boot: Boot = self.request.getfixturevalue("gup_boot")
        return boot

    def _tell(self, result: Any, level: Level) -> None:  # noqa: ANN401 - RuleResult
        name = self.implementation.id
        match result.verdict:
            case Verdict.HELD:
                return
            case Verdict.VIOLATED:
                text = failure.violated(name, self.rule, result.violation)
                if level is not Level.MUST:
                    pytest.xfail(f"violated, but {level.value} only: {text}")
                pytest.fail(text, pytrace=False)
            case Verdict.CRASHED:
                pytest.fail(failure.crashed(name, self.rule, result), pytrace=False)
            case Verdict.ERRORED:
                self.session.is_errored = True
                pytest.fail(f"the suite failed: {result.reason}", pytrace=False)
            case _:
                pytest.skip(f"{result.verdict.value}: {result.reason}")


@attrs.define(eq=False)
class GupSession:
    """The plugin, when it is switched on."""

    config: pytest.Config
    settings: Settings
    implementations: list[Implementation]
    summary: Summary
    is_errored: bool = False
    _results: dict[tuple[str, str], EngineResult | ImplementationError] = attrs.field(
        factory=dict[tuple[str, str], EngineResult | ImplementationError]
    )

    @classmethod
    def from_config(cls, config: pytest.Config) -> "GupSession":
        """Connect all implementations, and see that each can be booted.

        Raises:
            pytest.UsageError: one of them cannot.
        """
        settings = Settings.from_config(config)
        found = [connect(spec, config) for spec in options.specs(config)]
        session = cls(config, settings, found, Summary(settings.promise))
        if not session.is_worker:
            for implementation in found:
                session._see_that_it_boots(implementation)
            if settings.report is not None:
                report.write(settings.report, [])
        if str(TEST_FILE) not in config.args:
            config.args.append(str(TEST_FILE))
        return session

    @property
    def is_worker(self) -> bool:
        """Whether this process is a worker of xdist."""
        return hasattr(self.config, "workerinput")

    def _see_that_it_boots(self, implementation: Implementation) -> None:
        if implementation.boot is None:
            return
        try:
            look_at(implementation.boot, self.settings.plan(implementation))
        except ImplementationError as error:
            raise pytest.UsageError(
                f"--gup-impl={implementation.id}: boot fails ({error}); it is called "
                "with a Setup and must return a stack"
            ) from error

    def result(
        self, implementation: Implementation, boot: Boot, engine: str
    ) -> EngineResult:
        """Return what an engine found; it runs once, for the first node that asks.

        Raises:
            ImplementationError: there is no stack.
        """
        key = implementation.id, engine
        if key not in self._results:
            self._results[key] = self._run(implementation, boot, engine)
        found = self._results[key]
        if isinstance(found, ImplementationError):
            raise found
        return found

    def _run(
        self, implementation: Implementation, boot: Boot, engine: str
    ) -> EngineResult | ImplementationError:
        run = {"scenarios": run_scenarios, "stateful": run_search}[engine]
        plan = attrs.evolve(
            self.settings.plan(implementation),
            on_progress=Progress(self.config, f"{implementation.id} {engine}"),
        )
        try:
            return run(boot, plan)
        except ImplementationError as error:
            return error

    # --- hooks ------------------------------------------------------------------

    def pytest_report_header(self) -> list[str]:
        """Say what is checked, and how to do it again."""
        settings = self.settings
        names = ", ".join(each.id for each in self.implementations)
        budget = f"profile {settings.profile}, seed {settings.seed}"
        judged = f"promise {settings.promise.value}, {len(settings.rules)} rules"
        return [f"gup: {names}; {judged}, {budget}"]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a node of each implementation, engine and rule."""
        if "gup_node" not in metafunc.fixturenames:
            return
        cases = [
            pytest.param((rule.id, each, engine), id=f"{each.id}-{engine}-{rule.id}")
            for each in self.implementations
            for engine in each.engines
            for rule in self.settings.rules
        ]
        metafunc.parametrize("gup_node", cases, indirect=True)

    @pytest.fixture
    def gup_node(self, request: pytest.FixtureRequest) -> Node:
        """Give a node its rule."""
        rule, implementation, engine = request.param
        return Node(BY_ID[rule], implementation, engine, self, request)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather the records of all nodes, in whichever worker they ran."""
        if report.when == "call" and not self.is_worker:
            for name, value in report.user_properties:
                if name == PROPERTY and isinstance(value, dict):
                    self.summary.add(value)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send what a worker knows to the controller; write the report."""
        shown = {
            "/".join(key): self.summary.engine_record(result)
            for key, result in self._results.items()
            if isinstance(result, EngineResult)
        }
        if self.is_worker:
            output: dict[str, Any] = self.config.workeroutput  # type: ignore[attr-defined]
            output["gup"] = {"engines": shown, "errored": self.is_errored}
            return
        self.summary.engines.update(shown)
        if self.is_errored or self.summary.has_errored():
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        if self.settings.report is not None:
            report.write(self.settings.report, self._records())

    def _records(self) -> list[report.Record]:
        rules = self.summary.merged()
        names = [each.id for each in self.implementations]
        first = report.run_record(names, self.settings.as_record())
        return [first, *rules, report.end_record(rules)]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - xdist's
        """Take what a worker of xdist knows."""
        output = getattr(node, "workeroutput", {}).get("gup")
        if output:
            self.summary.engines.update(output["engines"])

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Print the verdicts by chapter, damage first."""
        self.summary.print(terminalreporter)


@attrs.define(eq=False)
class Progress:
    """Shows on a terminal that a long rule is alive."""

    config: pytest.Config
    name: str
    _last: float = 0.0

    def __call__(self, words: str) -> None:
        """Show a few words, at most five times in a second."""
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        if reporter is None or not reporter.isatty:
            return
        now = os.times().elapsed
        if now - self._last < 0.2:  # noqa: PLR2004
            return
        self._last = now
        capture: Any = self.config.pluginmanager.getplugin("capturemanager")
        shown = (
            capture.global_and_fixture_disabled()
            if capture
            else contextlib.nullcontext()
        )
        with shown:
            reporter.rewrite(f"{self.name}: {words}", erase=True)
