"""Write docs/rules.md: the catalogue, as a document.

    python docs/render_rules.py            # after a change of rules, scenarios, mutants

Everything in it comes from the code: norms and clauses from `conformance/rules`, the
scenarios as the reference runs them, the mutants from `reference_impl/mutants`. A
test compares the file with what would be written now.
"""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

from conformance.engines.execution import run
from conformance.engines.timeline import timeline
from conformance.rules.catalogue import CHAPTERS, RULES
from conformance.rules.mainline import MAINLINE
from conformance.rules.rule import Rule
from conformance.rules.sentences import SENTENCES, Sentence, rules_from
from conformance.scenarios.catalogue import SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Binds
from reference_impl import boot
from reference_impl.answers import ANSWERS
from reference_impl.mutants.catalogue import MUTANTS
from reference_impl.mutants.mutant import Mutant

PATH = Path(__file__).with_name("rules.md")
ROOT = PATH.parent.parent

HEAD = """# The rules

<!-- Written by docs/render_rules.py; do not edit. -->

The executable edition of `get_user_pages.rst` (John Hubbard, February 2019): what a
stack of page cache, filesystem, writeback, device and get_user_pages has to obey, rule
by rule. S1 to S30 are the document's sentences, in order; the [table at the
end](#the-document-sentence-by-sentence) says what came of each.

A rule is *damage* if its breach loses or corrupts data, or leaves somebody waiting for
ever, and *discipline* if it breaks a protocol. It is MUST, SHOULD or MAY in each of two
promises: `document`, what the document asks for, and `mainline`, what Linux says it
does today. Only a MUST can fail a run.

Each rule is shown with the first of its scenarios, run on the reference stack: a lane
for each actor, time going down, `...` for a call that waits. What happens there is what
should happen; the mutants below it are stacks in which it does not, and
`pytest --gup-impl=mutant:NAME` shows what the suite says of them.
"""


def document() -> str:
    """Return the whole document."""
    parts = [HEAD, *_contents()]
    for chapter in CHAPTERS:
        parts.append(f"\n## {_capital(chapter.title)}\n")
        for rule in chapter.rules:
            parts += _rule(rule)
    parts += _sentences()
    return "\n".join(parts).rstrip() + "\n"


def _contents() -> Iterator[str]:
    judged = sum(rule.untested is None for rule in RULES)
    yield f"{len(RULES)} rules, {judged} of them judged.\n"
    for chapter in CHAPTERS:
        ids = ", ".join(f"[{rule.id}](#{rule.id.lower()})" for rule in chapter.rules)
        yield f"- {_capital(chapter.title)}: {ids}"


# --- one rule -------------------------------------------------------------------------


def _rule(rule: Rule) -> Iterator[str]:
    yield f"### {rule.id}\n"
    yield f"**{rule.norm}**\n"
    if rule.untested is not None:
        yield f"Not judged: {rule.untested}.\n"
    else:
        yield f"- {_standing(rule)}"
    yield f"- Source: {rule.clause.source}, {rule.clause.place}: {rule.clause.norm}."
    if ANSWERS[rule.id]:
        links = ", ".join(map(_link, ANSWERS[rule.id]))
        yield f"- The reference: {links}"
    yield f"- Linux: {MAINLINE[rule.id]}"
    if rule.untested is None:
        yield from _scenarios(rule)
        yield from _mutants(rule)
    yield ""


def _standing(rule: Rule) -> str:
    words = [rule.kind.value.capitalize()]
    words.append(f"{rule.document.value} in `document`")
    words.append(f"{rule.mainline.value} in `mainline`")
    if rule.binds is Binds.CALLER:
        words.append("binds the callers, and is judged on the stack's own drivers")
    if rule.needs.stepping:
        words.append("can only be judged by stepping")
    return "; ".join(words) + "."


def _link(function: Callable[..., object]) -> str:
    path = Path(inspect.getfile(inspect.unwrap(function))).relative_to(ROOT)
    return f"[`{function.__qualname__}`](../{path})"


def _scenarios(rule: Rule) -> Iterator[str]:
    own = sorted(
        (scenario for scenario in SCENARIOS if rule.id in scenario.rules),
        key=lambda scenario: scenario.rules.index(rule.id),
    )
    first, others = own[0], own[1:]
    yield f"- Scenario `{first.name}`: {first.story}\n"
    yield "  ```text"
    for line in _drawn(first):
        yield f"  {line}".rstrip()
    yield "  ```"
    if others:
        yield "- Also: " + ", ".join(f"`{scenario.name}`" for scenario in others)


def _drawn(scenario: Scenario) -> list[str]:
    lines = timeline(run(boot, scenario.program))
    parked = [
        f"(call {preempt.call} is stopped at {preempt.at}"
        + ("" if preempt.until is None else f" until call {preempt.until}")
        + ")"
        for preempt in scenario.program.schedule
    ]
    return [*lines, *parked]


def _mutants(rule: Rule) -> Iterator[str]:
    yield "- Mutants:"
    for mutant in MUTANTS:
        if mutant.violates[0] == rule.id:
            yield f"  - `{mutant.name}`: {_lie(mutant)}"


def _lie(mutant: Mutant) -> str:
    origin = f" ({mutant.origin})" if mutant.origin else ""
    return f"{mutant.lie}{origin}."


# --- the document ---------------------------------------------------------------------


def _sentences() -> Iterator[str]:
    yield "\n## The document, sentence by sentence\n"
    yield "In our words; a rule is named where its clause cites the sentence.\n"
    yield "| | says | rules |"
    yield "|---|---|---|"
    for sentence in SENTENCES:
        yield f"| S{sentence.number} | {sentence.says} | {_came_of(sentence)} |"


def _came_of(sentence: Sentence) -> str:
    rules = rules_from(sentence.number)
    links = ", ".join(f"[{rule.id}](#{rule.id.lower()})" for rule in rules)
    return links or f"none: {sentence.why_no_rule}"


def _capital(text: str) -> str:
    """Begin a heading with a capital, unless it begins with a name."""
    return text if "_" in text.split(maxsplit=1)[0] else text[:1].upper() + text[1:]


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
