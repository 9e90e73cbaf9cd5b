"""A small stepped stack whose calls race: what schedules are tried on.

Words are added to in two steps, so that updates get lost; fsync takes a lock and waits
for an actor that copies dirty words one by one.
"""

from collections.abc import Generator, Hashable, Sequence

import attrs

from conformance.interface import Event, PowerCutImage, Setup, Step, Wait
from conformance.interface.calls import Key
from conformance.interface.events import PageFreed
from conformance.interface.values import FileImage

Stepped = Generator[Step | Wait, None, int]


@attrs.define(eq=False)
class Racy:
    """Two words in each page, a lock, and a flusher."""

    setup: Setup
    words: dict[tuple[int, int], int] = attrs.field(factory=dict[tuple[int, int], int])
    safe: dict[tuple[int, int], int] = attrs.field(factory=dict[tuple[int, int], int])
    dirty: list[tuple[int, int]] = attrs.field(factory=list[tuple[int, int]])
    holder: str | None = None

    def store(self, page: int, word: int, value: int) -> Generator[Step | Wait]:
        """Add to a word: the old value is read first."""
        at, keys = (page, word), (("word", page, word),)
        old = self.words.get(at, 0)
        yield Step("store.written", keys, keys)
        self.words[at] = old + value
        yield Step("store.written", writes=(("dirty",),))
        self.dirty.append(at)
        if page:
            self.tell(PageFreed(value))

    def load(self, page: int, word: int) -> Stepped:
        """Read a word; a loop looks at it twice."""
        seen = []
        keys: tuple[Key, ...] = (("word", page, word),)
        for _ in range(2):
            yield Step("fault.entered", keys)
            seen.append(self.words.get((page, word), 0))
        return max(seen)

    def fsync(self, file: int) -> Generator[Step | Wait]:
        """Wait for the flusher, under the lock."""
        while self.holder is not None:
            yield Wait("lock", lambda: self.holder is None)
        self.holder = "fsync"
        yield Step("fsync.started")
        while self.dirty:
            yield Wait("flusher", lambda: not self.dirty)
        yield Step("fsync.flushed")
        self.holder = None

    def reclaim(self, file: int) -> None:
        """Forget, at once, what is not safe; somebody may hold the lock meanwhile."""
        if self.holder is None:
            self.words = {at: self.safe.get(at, 0) for at in self.words}

    def power_cut(self) -> PowerCutImage:
        """Show what is safe."""
        words = tuple(self.safe.get((0, word), 0) for word in range(2))
        return PowerCutImage({0: FileImage(words)})

    def background(self) -> Sequence[Generator[Step | Wait]]:
        """Return the flusher."""
        return (self.flush(),)

    def flush(self) -> Generator[Step | Wait]:
        """Copy one dirty word after another."""
        while True:
            yield Wait("work", lambda: bool(self.dirty))
            at = self.dirty[0]
            yield Step("disk.request_taken", (("word", *at),), (("dirty",),))
            self.safe[at] = self.words[at]
            self.dirty.pop(0)

    def fingerprint(self) -> Hashable:
        """Return everything."""
        kept = sorted(self.words.items()), sorted(self.safe.items())
        return (*map(tuple, kept), tuple(self.dirty), self.holder)

    def name_of(self, thing: object) -> Hashable | None:
        """Name itself and what it keeps."""
        return "stack" if thing is self else None

    def tell(self, event: Event) -> None:
        """Tell an event, if somebody listens."""
        if self.setup.tell is not None:
            self.setup.tell(event)


def boot(setup: Setup) -> Racy:
    """Start a stack."""
    return Racy(setup)
