"""Steps that are remembered are those that would be run, whatever a stack does.

Each stack here touches its fields in a way of its own: what a step depends on, or what
it does, is easily overlooked. All schedules are told, and compared with plain
enumeration, which remembers nothing.
"""

import tempfile
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence

import attrs
import pytest

from conformance.engines.racing import story
from conformance.engines.remembering import Graph
from conformance.engines.retelling import Teller, Way
from conformance.interface import Load, Setup, Step, Store, Wait
from conformance.scenarios.races import Race
from tests.conformance.engines.plain import enumerate_schedules

Stepped = Generator[Step | Wait, None, int]
RACES = {
    "stores": Race([Store(value=1), Store(value=2)], (), [Load()]),
    "first again": Race([Store(value=1), Store(value=2)], [Store(value=1)], [Load()]),
    "last again": Race([Store(value=2), Store(value=1)], [Store(value=1)], [Load()]),
    "load first": Race([Load(page=1), Store(value=2)], [Store(value=1)], [Load()]),
    "loads": Race([Store(value=2), Load(page=1)], [Store(value=1)], [Load()]),
}


def stories(graph: Graph) -> set[Hashable]:
    """Return the stories of all ways through a graph."""
    teller = Teller(graph)
    ways: list[tuple[int, Way]] = [(0, [])]
    told = set[Hashable]()
    while ways:
        node, way = ways.pop()
        assert len(way) < 50, "steps go in a circle"
        if not graph.edges[node]:
            told.add(story(teller.history(way)))
        ways += [(edge.target, [*way, edge]) for edge in graph.edges[node]]
    return told


@attrs.define(eq=False)
class Small:
    """A stack whose calls take two steps; what they do is filled in."""

    setup: Setup
    last: int = 1
    kept: object = None
    other: object = None

    def store(self, page: int, word: int, value: int) -> Generator[Step | Wait]:
        """Do something with a value."""
        yield Step("store.written")
        self.put(value)
        yield Step("store.written")

    def load(self, page: int, word: int) -> Stepped:
        """Read something."""
        yield Step("fault.entered")
        seen = self.get(page)
        yield Step("fault.entered")
        return seen

    def put(self, value: int) -> None:
        """Keep a value, without looking at the one before."""
        self.last = value

    def get(self, page: int) -> int:
        """Return what was kept."""
        return self.last

    def fingerprint(self) -> Hashable:
        """Return nothing that could help: what is asked is asked of the fields."""
        return ()

    def name_of(self, thing: object) -> Hashable | None:
        """Name nothing."""


class BySlot(Small):
    """Assigns past its own `__setattr__`."""

    def put(self, value: int) -> None:
        """Delete, then assign."""
        del self.last
        self.last = value


class ByDict(Small):
    """Asks for all of its fields at once."""

    def get(self, page: int) -> int:
        """Return what was kept; the fields of subclasses are in a dict."""
        return sum(vars(self).values())

    def put(self, value: int) -> None:
        """Keep it in a field of its own, which may be new."""
        setattr(self, f"value{value}", value)


class ByOldField(ByDict):
    """Has one field more than there are slots."""

    def put(self, value: int) -> None:
        """Keep it there."""
        setattr(self, "more", value)  # noqa: B010 - no slot


@attrs.define(eq=False)
class Box:
    """A thing."""

    value: int = 1


class ByThing(Small):
    """Puts a new thing in the place of one of the same name."""

    def put(self, value: int) -> None:
        """Keep a value in a new thing."""
        self.kept = Box(value)

    def get(self, page: int) -> int:
        """Change the thing that is there."""
        if not isinstance(self.kept, Box):
            return 0
        if page:
            self.kept.value = 3
        return self.kept.value


class ByName(Small):
    """Names a thing by what stands in it."""

    def put(self, value: int) -> None:
        """Change the thing, and with it its name, or make one of that name."""
        if value > 1 or not isinstance(self.kept, Box):
            self.kept = Box(value)
        else:
            self.kept.value = value

    def get(self, page: int) -> int:
        """Change it further."""
        if isinstance(self.kept, Box):
            self.kept.value += 1
            return self.kept.value
        return 0

    def name_of(self, thing: object) -> Hashable | None:
        """Name the thing."""
        return ("box", thing.value) if isinstance(thing, Box) else None


class ByKind(Small):
    """Keeps values that are equal and not alike."""

    def put(self, value: int) -> None:
        """Keep a truth value, or the number that equals it."""
        self.last = 1 if value > 1 else True

    def get(self, page: int) -> int:
        """Tell which it was."""
        return 7 if isinstance(self.last, bool) else 8


class ByWord(Small):
    """Keeps what looks like the absence of something."""

    def put(self, value: int) -> None:
        """Keep a list, or its name."""
        self.kept = [] if value > 1 else "list"

    def get(self, page: int) -> int:
        """Tell which it was."""
        return 7 if self.kept == [] else 8


class ByAlias(Small):
    """Keeps one list in two fields, or two that are equal."""

    def put(self, value: int) -> None:
        """Keep a list twice, or two of them."""
        self.kept = [0]
        self.other = self.kept if value > 1 else [0]

    def get(self, page: int) -> int:
        """Change it by one of the fields, or read it by the other."""
        if page and isinstance(self.kept, list):
            self.kept.append(1)
        return len(self.other) if isinstance(self.other, list) else 0


class ByHand(Small):
    """Calls hold on to a list that may be the stack's no more."""

    def store(self, page: int, word: int, value: int) -> Generator[Step | Wait]:
        """Add to the list that was there when the call began."""
        if not isinstance(self.kept, list):
            self.kept = []
        mine = self.kept
        yield Step("store.written")
        mine.append(value)

    def get(self, page: int) -> int:
        """Put another list in its place, and tell how long it is."""
        self.kept = list(self.kept) if isinstance(self.kept, list) else []
        return len(self.kept)


class BySwap(ByHand):
    """What was one list is another one later, and both are the stack's."""

    def get(self, page: int) -> int:
        """Let two lists change places, and tell how long one of them is."""
        if self.other is None:
            self.other = list(self.kept) if isinstance(self.kept, list) else []
        self.kept, self.other = self.other, self.kept
        return len(self.kept) if isinstance(self.kept, list) else 0


class ByClosure(Small):
    """Keeps a number where only a function gets at it."""

    def put(self, value: int) -> None:
        """Keep a function, or call it."""
        if callable(self.kept):
            self.kept()
        else:
            self.kept = _counter()

    def get(self, page: int) -> int:
        """Call it."""
        return int(self.kept()) if callable(self.kept) else 0


def _counter() -> Callable[[], int]:
    count = 0

    def bump() -> int:
        nonlocal count
        count += 1
        return count

    return bump


class ByIterator(Small):
    """Keeps what changes when it is asked."""

    def put(self, value: int) -> None:
        """Begin anew, or go on by one."""
        if self.kept is None:
            self.kept = iter([1, 2, 4, 7])
        elif isinstance(self.kept, Iterator):
            next(self.kept, 0)

    def get(self, page: int) -> int:
        """Go on by one."""
        return next(self.kept, 0) if isinstance(self.kept, Iterator) else 0


class ByFile(Small):
    """Calls hold something that cannot be printed."""

    def load(self, page: int, word: int) -> Stepped:
        """Read while a file is open."""
        yield Step("fault.entered")
        with tempfile.TemporaryFile() as held:
            yield Step("fault.entered")
            return self.last + held.tell()


class Shadowed(Small):
    """Has a field that hides a method."""

    def put(self, value: int) -> None:
        """Replace how it is read."""
        setattr(self, "get", _seven if value > 1 else _eight)  # noqa: B010 - hidden


def _seven(page: int) -> int:
    return 7


def _eight(page: int) -> int:
    return 8


class WithActor(Small):
    """Has an actor that waits for a value, without a method's help."""

    def background(self) -> Sequence[Generator[Step | Wait]]:
        """Return one that doubles what was stored."""
        return (self.double(),)

    def double(self) -> Generator[Step | Wait]:
        """Wait for a two, and make it a four, whatever is there by then."""
        yield Wait("work", lambda: self.last > 1)
        yield Step("disk.request_taken")
        self.last = 4
        yield Wait("nothing", bool)


KINDS: tuple[Callable[[Setup], Small], ...] = (
    *(Small, BySlot, ByDict, ByThing, ByName, ByKind, ByWord, ByAlias, ByHand),
    *(BySwap, ByOldField, ByClosure, ByIterator, ByFile, Shadowed, WithActor),
)


@pytest.mark.parametrize("race", RACES)
@pytest.mark.parametrize("boot", KINDS)
def test_what_is_remembered_is_what_would_be_run(
    boot: Callable[[Setup], Small], race: str
) -> None:
    """All histories that are told are real, and all real ones are told."""
    graph = Graph(boot, RACES[race])
    graph.explore(lambda: len(graph.nodes) < 1_000)
    plain = list(enumerate_schedules(boot, RACES[race]))

    assert stories(graph) == {story(history) for _, history in plain}
    graph.close()
