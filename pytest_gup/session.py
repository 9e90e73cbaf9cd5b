"""One run of pytest with an implementation to check.

Adds the packaged suite to what is collected, runs the engines, and gathers the
verdicts of all workers into summary and report.
"""

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest

from conformance.engines.capabilities import Capabilities
from conformance.engines.plan import Plan
from conformance.engines.reach import ByFile, merge
from conformance.engines.session import (
    SEARCHES,
    EngineResult,
    ImplementationError,
    look_at,
    run_replay,
    run_scenarios,
    run_schedules,
    run_search,
    without_stack,
)
from conformance.interface import Boot
from pytest_gup import options, replay, report as gup_report, selection, suite
from pytest_gup.collection import (
    Case,
    RulesModule,
    cases_of,
    collect,
)
from pytest_gup.connect import Implementation, connect
from pytest_gup.counterexample import from_lost, from_record, is_in
from pytest_gup.node import RECORD, Node
from pytest_gup.progress import Progress
from pytest_gup.reached import Reached
from pytest_gup.report import Record
from pytest_gup.selection import Selection
from pytest_gup.settings import Settings
from pytest_gup.summary import Summary, engine_record

ENGINES: dict[str, Callable[[Boot, Plan, Capabilities | None], EngineResult]] = {
    "scenarios": run_scenarios,
    **{name: partial(run_search, name) for name in SEARCHES},
    "schedules": run_schedules,
    "replay": run_replay,
}


@attrs.define(eq=False)
class GupSession:
    """The plugin, when it is switched on."""

    config: pytest.Config
    settings: Settings
    implementations: list[Implementation]
    cases: list[Case]
    selection: Selection
    summary: Summary
    _capabilities: dict[str, Capabilities] = attrs.field(
        factory=dict[str, Capabilities]
    )
    """What was seen of each implementation before anything was collected."""
    _results: dict[tuple[str, str], EngineResult] = attrs.field(
        factory=dict[tuple[str, str], EngineResult]
    )
    _reach: dict[str, ByFile] = attrs.field(factory=dict[str, ByFile])
    """By implementation: the lines that its rules exercised, in all workers."""
    _directories: dict[Path, pytest.Directory] = attrs.field(
        factory=dict[Path, pytest.Directory]
    )

    @classmethod
    def from_config(cls, config: pytest.Config) -> "GupSession":
        """Connect all implementations, and see that each can be booted.

        Raises:
            pytest.UsageError: one of them cannot.
        """
        settings = Settings.from_config(config)
        again = settings.replay
        specs = options.specs(config)
        if again is not None:
            # What the ini file names is for runs like any other.
            specs = config.getoption("gup_impl") or [again.implementation]
        found = [connect(spec, config) for spec in specs]
        cases = cases_of(found, settings.engines_of, settings.rules)
        selected = selection.take(config, {case.name for case in cases})
        names = [implementation.id for implementation in found]
        summary = Summary(settings.as_text(), names, [r.id for r in settings.rules])
        session = cls(config, settings, found, cases, selected, summary)
        if not session.is_worker and not config.option.collectonly:
            session._begin()
        return session

    @property
    def is_worker(self) -> bool:
        """Whether this process is a worker of xdist."""
        return hasattr(self.config, "workerinput")

    @property
    def named_corpus(self) -> str | None:
        """What was said on the command line of where counterexamples are kept."""
        return replay.named_corpus(self.config)

    def _begin(self) -> None:
        for implementation in self.implementations:
            self._see_that_it_boots(implementation)
        if self.settings.report is not None:
            names = [implementation.id for implementation in self.implementations]
            run = gup_report.run_record(names, self.settings.as_record())
            gup_report.start(self.settings.report, run)

    def _see_that_it_boots(self, implementation: Implementation) -> None:
        if implementation.boot is None:
            return
        plan = self.settings.plan(implementation)
        try:
            self._capabilities[implementation.id] = look_at(implementation.boot, plan)
        except ImplementationError as error:
            raise pytest.UsageError(
                f"--gup-impl={implementation.id}: boot fails ({error}); it is called "
                "with a Setup and must return a stack"
            ) from error

    # --- running ----------------------------------------------------------------

    def result(self, case: Case, boot: Boot) -> EngineResult:
        """Return what an engine found; it runs once, for the first node that asks."""
        key = case.implementation.id, case.engine
        if key not in self._results:
            self._results[key] = self._run(case, boot)
        return self._results[key]

    def _run(self, case: Case, boot: Boot) -> EngineResult:
        name = case.implementation.id
        progress = Progress(self.config, f"{name} {case.engine}")
        plan = attrs.evolve(
            self.settings.plan(case.implementation), on_progress=progress
        )
        try:
            return ENGINES[case.engine](boot, plan, self._capabilities.get(name))
        except ImplementationError as error:
            return without_stack(case.engine, plan, str(error))
        finally:
            progress.end()

    # --- hooks of collection ------------------------------------------------------

    def pytest_report_header(self) -> list[str]:
        """Say what is checked, and how to do it again."""
        names = ", ".join(each.id for each in self.implementations)
        said = [self.settings.guidance(each).text for each in self.implementations]
        guided = [f"gup: {text}" for text in said if text]
        return [f"gup: {names}; {self.settings.as_text()}", *guided]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path) -> None:
        """Look out for a package of the user's that has the name of one of ours."""
        suite.give_way(path)

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave our file alone where a folder is collected that holds it.

        Where a counterexample is run again, leave the user's tests alone, too.
        """
        is_left = self.settings.replay or collection_path == suite.TEST_FILE
        return True if is_left else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> None:
        """Remember the nodes of folders: a conftest's fixtures are seen below its."""
        if isinstance(collector, pytest.Directory):
            self._directories[collector.path] = collector

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Add our nodes to the user's own."""
        if self.settings.replay is not None and items:
            self.config.hook.pytest_deselected(items=items[:])
            items.clear()
        cases = [case for case in self.cases if case.name in self.selection]
        items += collect(session, cases, self._directories)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a node of each case."""
        module = metafunc.definition.getparent(RulesModule)
        if module is None:
            return
        cases = [
            pytest.param(
                partial(Node, case, self.settings.promise, self),
                id=case.id,
                marks=self._marks(case),
            )
            for case in module.cases
        ]
        metafunc.parametrize("gup_node", cases, indirect=True)

    def _marks(self, case: Case) -> list[pytest.MarkDecorator]:
        """With `--dist loadgroup`, xdist runs an engine in one worker only."""
        if not self.config.pluginmanager.hasplugin("xdist"):
            return []
        group = f"{case.implementation.id}-{case.engine}"
        return [pytest.mark.xdist_group(name=group)]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count the nodes that are to run."""
        ours = [item for item in session.items if item.getparent(RulesModule)]
        self.summary.expected = max(self.summary.expected, len(ours))

    # --- hooks of running ---------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Let the record travel with the report of its test."""
        made = yield
        if call.when == "call" and RECORD in item.stash:
            vars(made)["gup_record"] = item.stash[RECORD]
        return made

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather the records of all nodes, in whichever worker they ran."""
        record = getattr(report, "gup_record", None)
        if record is None:
            return
        self.summary.add(record)
        if is_in(record) and not self.is_worker:
            version, promise = gup_report.suite_version(), self.settings.promise
            self.settings.corpus.keep(from_record(record, promise, version))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Send what a worker knows to the controller; write the report."""
        engines = {
            "/".join(key): engine_record(result, key[0], self.named_corpus)
            for key, result in self._results.items()
        }
        if self.is_worker:
            output: dict[str, Any] = self.config.workeroutput  # type: ignore[attr-defined]
            output["gup"] = {"engines": engines, "expected": self.summary.expected}
            return
        self._take_engines(engines)
        self._settle()
        if self.summary.has_errored():
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        if self.settings.report is not None and not self.config.option.collectonly:
            is_over = exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
            lines = self._lines()
            more = (record for name in lines for record in lines[name].records(name))
            records = self.summary.records_to_report(more, is_over=is_over)
            gup_report.finish(self.settings.report, records)

    def _take_engines(self, engines: dict[str, Record]) -> None:
        self.summary.engines.update(engines)
        for key, engine in engines.items():
            name = key.rpartition("/")[0]
            self.settings.corpus.note(engine["known"])
            self._keep_lost(name, engine["lost"])
            self._reach[name] = merge(self._reach.get(name, {}), engine["reach"])

    def _keep_lost(self, implementation: str, lost: Record | None) -> None:
        if lost is not None and self.settings.replay is None:
            rule, promise = self.settings.rules[0].id, self.settings.promise
            suite = gup_report.suite_version()
            found = from_lost(implementation, lost, rule, promise, suite)
            self.settings.corpus.keep(found)

    def _lines(self) -> dict[str, Reached]:
        """Return the lines of each implementation that were exercised, if asked for."""
        packages = self.settings.packages
        return (
            {name: Reached(packages, by_file) for name, by_file in self._reach.items()}
            if packages
            else {}
        )

    def _settle(self) -> None:
        if self.settings.replay is None:
            self.settings.corpus.settle()
        else:
            self.settings.corpus.settle_replay(self.settings.replay)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - xdist's
        """Take what a worker of xdist knows."""
        output = getattr(node, "workeroutput", {}).get("gup")
        if output:
            self._take_engines(output["engines"])
            self.summary.expected = max(self.summary.expected, output["expected"])

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Print the verdicts by chapter, damage first."""
        self.summary.print(terminalreporter)
        for name, lines in self._lines().items():
            lines.print(terminalreporter, name)
        if self.settings.report is not None and self.summary.records:
            terminalreporter.line(f"report: {self.settings.report}")
        for remark in self.settings.corpus.remarks:
            terminalreporter.line(remark)
