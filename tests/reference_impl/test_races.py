"""Actors that race, randomly scheduled: what had been written is durable.

A processor writes rising values to word 0 of a page and a device to word 1, while
others clean, move, copy, unmap and reclaim. After each fsync the disk must hold at
least what had been written when it was asked. Not verified: anything but word by
word; whole programs are the oracle's business.
"""

import random
from collections.abc import Generator
from typing import Any

import attrs
import pytest

from conformance.interface import Feature, Geometry, Setup
from tests.reference_impl.stepper import Call, Driver
from tests.reference_impl.wander import FEATURE_SETS

Script = Generator[tuple[str, dict[str, Any]], Call | None, None]
"""Yields operations; is sent each call when it has answered."""
ROUNDS = 6
UNTRACKED = frozenset({Feature.NO_DIRTY_TRACKING})
LOSSY = [features for features in FEATURE_SETS if features != UNTRACKED]


@attrs.define(eq=False)
class Written:
    """The last value of each word whose write has ended."""

    words: list[int] = attrs.field(factory=lambda: [0, 0])


def processor(written: Written) -> Script:
    """Store rising values; a mapping that is being moved may refuse."""
    for value in range(1, ROUNDS * 2):
        call = yield "store", {"page": 1, "word": 0, "value": value}
        if call is not None and call.error is None:
            written.words[0] = value


def device(written: Written) -> Script:
    """Pin, write rising values, dirty and put."""
    for value in range(1, ROUNDS):
        call = yield "get_user_pages_fast", {"page": 1, "pin": 0}
        if call is None or call.error is not None:
            continue
        yield "device_write", {"word": 1, "value": value}
        written.words[1] = value
        yield "put_user_pages_dirty_lock", {"pin": 0}


def disturber(draw: random.Random) -> Script:
    """Do all that moves pages and entries about."""
    names = ["writeback", "reclaim", "mremap", "evict", "read", "write", "freeze"]
    for _ in range(ROUNDS * 2):
        name = draw.choice(names)
        if name == "freeze":
            yield "freeze", {}
            yield "thaw", {}
        elif name == "write":
            yield "write", {"page": 0, "value": 1}
        else:
            yield name, {}


class Race(Driver):
    """Runs scripts side by side."""

    def __init__(self, seed: int, features: frozenset[Feature]) -> None:
        super().__init__(Setup(Geometry(disk_blocks=8), features))
        self.draw = random.Random(seed)  # noqa: S311 - a seed, no secret
        self.written = Written()
        self.scripts = [
            processor(self.written),
            device(self.written),
            disturber(self.draw),
            self.syncer(),
        ]
        self.running: dict[int, Call] = {}

    def syncer(self) -> Script:
        """Call fsync and compare the disk with what had been written before."""
        for _ in range(ROUNDS):
            before = list(self.written.words)
            yield "fsync", {}
            words = self.stack.power_cut().files[0].words[2:4]
            assert all(w >= b for w, b in zip(words, before, strict=True)), (
                f"the disk has {words}, written were {before}"
            )

    def race(self) -> None:
        """Give one script or actor, drawn at random, one step at a time."""
        lanes = dict(enumerate(self.scripts))
        while lanes or any(actor.can_go_on for actor in self.actors):
            lane = self.draw.choice([*lanes, None])
            if lane is None:
                self.step_once(self.draw.choice(self.actors))
            elif not self.advance(lane, lanes[lane]):
                del lanes[lane]

    def advance(self, lane: int, script: Script) -> bool:
        """Take one step of a script; false: it has ended."""
        call = self.running.get(lane)
        if call is None or call.is_done:
            try:
                name, fields = next(script) if call is None else script.send(call)
            except StopIteration:
                return False
            self.running[lane] = self.begin(name, **fields)
        else:
            self.step_once(call)
        return True


def name_of(features: frozenset[Feature]) -> str:
    """Name a set of features in the id of a test."""
    return "+".join(sorted(feature.value for feature in features)) or "default"


@pytest.mark.parametrize("features", LOSSY, ids=name_of)
def test_fsync_keeps_its_promise_in_races(features: frozenset[Feature]) -> None:
    """Ten schedules for each kind of stack."""
    for seed in range(10):
        Race(seed, features).race()


@pytest.mark.slow
@pytest.mark.parametrize("features", LOSSY, ids=name_of)
def test_fsync_keeps_its_promise_in_many_races(features: frozenset[Feature]) -> None:
    """Two hundred."""
    for seed in range(1000, 1200):
        Race(seed, features).race()
