"""How operations on address spaces are drawn, and what happens to their pages."""

from conformance.engines.drawing import (
    MAPPINGS_MAX,
    PAGE,
    PARK,
    PROCESSES_MAX,
    VALUE,
    WHICH,
    WORD,
    draws,
    numbers,
    one_of,
)
from conformance.engines.machine import StackMachine, pick
from conformance.interface import (
    ClearRefs,
    Dontneed,
    Exit,
    Fork,
    Load,
    Merge,
    Migrate,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Pageout,
    Split,
    Steal,
    Store,
)


class MemoryMachine(StackMachine):
    """Draws operations on address spaces."""

    @draws(
        "mmap",
        lambda m: m.files() and m.unused_mappings(PROCESSES_MAX, MAPPINGS_MAX),
        which=WHICH,
        where=WHICH,
        writable=numbers(0, 4),
        kind=one_of("file", "file", "private", "anonymous", "anonymous"),
    )
    def mmap(self, which: int, where: int, writable: int, kind: str) -> None:
        unused = self.unused_mappings(PROCESSES_MAX, MAPPINGS_MAX)
        is_shared = kind == "file" or not self.capabilities.offers("mmap(shared)")
        file = pick(self.files(), which)
        self.perform(
            Mmap(
                *pick(unused, where),
                file=None if kind == "anonymous" and not is_shared else file,
                writable=writable > 0,
                shared=is_shared,
            )
        )

    @draws("munmap", lambda m: len(m.mappings()) > 1, which=WHICH)
    def munmap(self, which: int) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Munmap(process=process, mapping=mapping))

    @draws(
        "mprotect",
        lambda m: len(m.mappings()) > 1,
        which=WHICH,
        writable=numbers(0, 3),
    )
    def mprotect(self, which: int, writable: int) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Mprotect(process=process, mapping=mapping, writable=writable > 0))

    @draws("mremap", lambda m: m.mappings(), which=WHICH, park=PARK)
    def mremap(self, which: int, park: str | None) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Mremap(process=process, mapping=mapping), park)

    @draws("dontneed", lambda m: m.mappings(), which=WHICH, page=PAGE)
    def dontneed(self, which: int, page: int) -> None:
        process, mapping = self.private_or_any(which)
        self.perform(Dontneed(process=process, mapping=mapping, page=page))

    @draws("load", lambda m: m.mappings(), which=WHICH, page=PAGE, word=WORD)
    def load(self, which: int, page: int, word: int) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Load(process=process, mapping=mapping, page=page, word=word))

    @draws(
        "store",
        lambda m: m.mappings(),
        which=WHICH,
        page=PAGE,
        word=WORD,
        value=VALUE,
        park=PARK,
    )
    def store(
        self, which: int, page: int, word: int, value: int, park: str | None
    ) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Store(process, mapping, page, word, value), park)

    @draws(
        "fork",
        lambda m: m.running.handles.processes and m.unused_processes(PROCESSES_MAX),
        which=WHICH,
        child=WHICH,
    )
    def fork(self, which: int, child: int) -> None:
        process = pick(sorted(self.running.handles.processes), which)
        new = pick(self.unused_processes(PROCESSES_MAX), child)
        self.perform(Fork(process=process, child=new))

    @draws("exit", lambda m: len(m.running.handles.processes) > 1, which=WHICH)
    def exit(self, which: int) -> None:
        process = pick(sorted(self.running.handles.processes), which)
        self.perform(Exit(process=process))

    @draws("clear_refs", lambda m: m.running.handles.processes, which=WHICH, park=PARK)
    def clear_refs(self, which: int, park: str | None) -> None:
        process = pick(sorted(self.running.handles.processes), which)
        self.perform(ClearRefs(process=process), park)


class PressureMachine(StackMachine):
    """Draws what the kernel does to pages behind everybody's back."""

    @draws("pageout", lambda m: m.mappings(), which=WHICH, page=PAGE, park=PARK)
    def pageout(self, which: int, page: int, park: str | None) -> None:
        process, mapping = self.private_or_any(which)
        self.perform(Pageout(process=process, mapping=mapping, page=page), park)

    @draws("migrate", lambda m: m.mappings(), which=WHICH, page=PAGE, park=PARK)
    def migrate(self, which: int, page: int, park: str | None) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Migrate(process=process, mapping=mapping, page=page), park)

    @draws("merge", lambda m: m.running.handles.private, which=WHICH, park=PARK)
    def merge(self, which: int, park: str | None) -> None:
        process, mapping = pick(sorted(self.running.handles.private), which)
        self.perform(Merge(process=process, mapping=mapping), park)

    @draws("steal", lambda m: m.files(), which=WHICH, page=PAGE)
    def steal(self, which: int, page: int) -> None:
        self.perform(Steal(file=pick(self.files(), which), page=page))

    @draws("split", lambda m: m.files(), which=WHICH, page=PAGE, park=PARK)
    def split(self, which: int, page: int, park: str | None) -> None:
        self.perform(Split(file=pick(self.files(), which), page=page), park)
