"""docs/rules.md is what the code says, and leaves nothing out."""

import importlib.util
from pathlib import Path

import pytest

from conformance.rules.catalogue import BY_ID, RULES
from conformance.rules.mainline import MAINLINE
from conformance.rules.sentences import SENTENCES, rules_from
from conformance.scenarios.catalogue import SCENARIOS
from reference_impl.answers import ANSWERS

SCRIPT = Path(__file__).parent.parent / "docs" / "render_rules.py"


def test_the_document_is_current() -> None:
    """`python docs/render_rules.py` would change nothing."""
    spec = importlib.util.spec_from_file_location("render_rules", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    written = script.PATH.read_text(encoding="utf-8")

    assert written == script.document(), "run: python docs/render_rules.py"


@pytest.mark.parametrize("table", [MAINLINE, ANSWERS], ids=["mainline", "answers"])
def test_every_rule_is_in_the_tables(table: dict[str, object]) -> None:
    """No rule is missing, and none is made up."""
    assert set(table) == set(BY_ID)


def test_where_the_reference_meets_a_rule() -> None:
    """Every judged rule has a function; what is not judged may have none."""
    assert [
        rule.id for rule in RULES if not rule.untested and not ANSWERS[rule.id]
    ] == []


def test_every_judged_rule_has_a_scenario() -> None:
    """It is drawn in the document."""
    shown = {rule for scenario in SCENARIOS for rule in scenario.rules}

    assert {rule.id for rule in RULES if not rule.untested} <= shown


def test_the_sentences_are_those_of_the_document() -> None:
    """Thirty, and each has a rule or a reason why there is none, not both."""
    assert [sentence.number for sentence in SENTENCES] == list(range(1, 31))
    for sentence in SENTENCES:
        assert bool(rules_from(sentence.number)) != bool(sentence.why_no_rule), sentence
