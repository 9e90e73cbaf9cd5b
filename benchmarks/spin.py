"""Whole-process time to all outcomes of a race: ours against Spin.

python benchmarks/spin.py [PAIRS]

GUP-fast against page_mkclean, with a device that writes: once as the small stack in
this file, once as its twin in Promela (gup_fast_mkclean.pml). Both are started as
processes of their own; Spin's time is that of spin, gcc and the verifier. The sets of
outcomes have to be the same. Needs the Debian packages spin and gcc.
"""

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Hashable
from pathlib import Path

import attrs

from conformance.engines.racing import started
from conformance.engines.remembering import Graph
from conformance.interface import Fsync, GetUserPagesFast, Setup, Step, Wait
from conformance.scenarios.races import Race

PAIRS = 5
TWIN = Path(__file__).with_name("gup_fast_mkclean.pml")
Stepped = Generator[Step | Wait, None, int]
Outcome = tuple[int, ...]


@attrs.define(eq=False)
class Model:
    """One page and one entry; the steps are those of the twin."""

    writable: bool = True
    dirty: bool = True
    locked: bool = False
    under_writeback: bool = False
    pins: int = 0
    word: int = 3
    disk: int = 0
    saw: bool = False
    slow: bool = False

    def get_user_pages_fast(self) -> Stepped:
        """Count the pin, read the entry again; else the slow way. Then write."""
        seen = self.writable
        yield Step("gup_fast.pte_read")
        if seen:
            self.pins += 1
            yield Step("gup_fast.reference_taken")
            if not self.writable:
                self.pins -= 1
                seen = False
            yield Step("gup_fast.pte_checked")
        if not seen:
            yield from self.slowly()
        self.word = 7
        return 1

    def slowly(self) -> Generator[Step | Wait]:
        """Take the write fault, which waits for the page."""
        self.slow = True
        yield Step("gup_slow.faulting")
        yield Wait("page", lambda: not self.locked and not self.under_writeback)
        self.locked = True
        yield Step("mkwrite.page_locked")
        self.dirty = self.writable = True
        yield Step("fault.pte_set")
        self.pins += 1
        yield Step("gup_slow.reference_taken")
        self.locked = False
        yield Step("fault.page_unlocked")

    def fsync(self) -> Generator[Step | Wait]:
        """Write-protect, ask for pins, and only then clear the dirty flag."""
        yield Wait("page lock", lambda: not self.locked)
        self.locked = True
        yield Step("writeback.page_locked")
        self.writable = False
        yield Step("mkclean.pte")
        self.saw = self.pins > 0
        yield Step("writeback.pin_asked")
        if not self.saw:
            self.dirty = False
        yield Step("writeback.dirty_cleared")
        self.under_writeback = True
        yield Step("writeback.started")
        copy = self.word
        yield Step("writeback.bounce_captured")
        self.locked = False
        yield Step("writeback.page_unlocked")
        self.disk = copy if self.saw else self.word
        yield Step("disk.written")
        self.under_writeback = False

    def fingerprint(self) -> Hashable:
        """Return everything."""
        return attrs.astuple(self)

    @property
    def outcome(self) -> Outcome:
        """What the twin prints at its end."""
        return tuple(map(int, (self.slow, self.saw, self.dirty, self.disk)))


def boot(_: Setup) -> Model:
    """Start a model."""
    return Model()


def ours() -> tuple[set[Outcome], str]:
    """Go through all schedules; return the outcomes, and how many states there are."""
    race = Race([GetUserPagesFast(), Fsync()])
    graph = Graph(boot, race)
    graph.explore(lambda: True)
    graph.close()
    outcomes = set()
    for node in graph.finals():
        running = started(boot, race)
        for thread in graph.way(node):
            running.step(thread)
        stack = running.execution.stack
        assert isinstance(stack, Model)
        outcomes.add(stack.outcome)
        running.execution.close()
    return outcomes, f"{len(graph.nodes)} states"


def spins(folder: Path) -> tuple[set[Outcome], str]:
    """Let Spin go through the twin."""
    for command in (
        ["spin", "-a", str(TWIN)],
        ["gcc", "-O1", "-w", "-DPRINTF", "-DNOREDUCE", "-o", "pan", "pan.c"],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603 - fixed words
    done = subprocess.run(  # noqa: S603 - what was just compiled
        [str(folder / "pan")], cwd=folder, check=True, capture_output=True, text=True
    )
    found = re.findall(r"outcome (\d+) (\d+) (\d+) (\d+)", done.stdout)
    states = re.search(r"(\d+) states, stored", done.stdout)
    assert states is not None, done.stdout
    return {tuple(map(int, each)) for each in found}, f"{states[1]} states"


def timed_ours() -> float:
    """Return how long a process of ours takes."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, __file__, "--ours"], check=True)  # noqa: S603 - this file
    return time.perf_counter() - begin


def timed_spin() -> float:
    """Return how long Spin takes, the compiler included."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        spins(Path(folder))
    return time.perf_counter() - begin


def main(pairs: int) -> None:
    """Compare outcomes and times."""
    if not (shutil.which("spin") and shutil.which("gcc")):
        sys.exit("install the Debian packages spin and gcc (apt-get install spin gcc)")
    with tempfile.TemporaryDirectory() as folder:
        theirs, states = spins(Path(folder))
    mine, my_states = ours()
    sys.stdout.write(f"ours {my_states}, {len(mine)} outcomes; ")
    sys.stdout.write(f"spin {states}, {len(theirs)} outcomes\n")
    if mine != theirs:
        sys.exit(f"only ours: {mine - theirs}; only Spin's: {theirs - mine}")
    times = [(timed_ours(), timed_spin()) for _ in range(pairs)]
    ratio = statistics.median(our / spin for our, spin in times)
    begin = time.process_time()
    ours()
    inside = time.process_time() - begin
    our, spin = (statistics.median(column) for column in zip(*times, strict=True))
    sys.stdout.write(
        f"the same outcomes; whole process: ours {our:.2f} s, spin {spin:.2f} s, "
        f"ratio {ratio:.2f}; of ours, {inside:.3f} s for the search\n"
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["--ours"]:
        ours()
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS)
