"""What a scenario is: a program with a name, and the rules that it exercises.

A scenario is documentation, smoke test, and all that a slow implementation needs
for a first verdict. Every rule is judged on every scenario; `rules` names those
whose premise it is written to bring up.

It is run on an implementation that offers all its operations and features. Write it
with the least demanding operations: `DeviceComplete` rather than its parts, and
without a schedule where holding the disk will do, so that more implementations can
run it.
"""

from collections.abc import Iterable

import attrs

from conformance.interface import Create, Feature, Fsync, Operation, Setup, Write
from conformance.program import Preempt, Program


@attrs.frozen
class Scenario:
    """A named program."""

    name: str
    """Words joined by hyphens; unique in the catalogue."""
    rules: tuple[str, ...]
    """Ids of the rules whose premise it brings up; the first is the main one."""
    program: Program
    story: str = ""
    """What happens, in a sentence or two."""


def program(
    *operations: Operation,
    features: Iterable[Feature] = (),
    setup: Setup | None = None,
    schedule: tuple[Preempt, ...] = (),
) -> Program:
    """Return a program; `features` in the tiny geometry, or a whole `setup`."""
    return Program(operations, setup or Setup(features=features), schedule)


def stamped_file(*stamps: int, file: int = 1) -> tuple[Operation, ...]:
    """Make a file with a stamp in the first word of each page, durable."""
    writes = [Write(file=file, page=i, value=v) for i, v in enumerate(stamps)]
    return (Create(file=file), *writes, Fsync(file=file))
