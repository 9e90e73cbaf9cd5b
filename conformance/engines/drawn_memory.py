"""How operations on address spaces are drawn, and what happens to their pages."""

import attrs

from conformance.engines.drawing import (
    MAPPINGS_MAX,
    PAGE,
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

PART = one_of((0, 4), (0, 4), (0, 4), (0, 2), (1, 1), (1, 2))
"""What is mapped: the first page of the file, and how many."""


class MemoryMachine(StackMachine):
    """Draws operations on address spaces."""

    @draws(
        "mmap",
        lambda m: m.files() and m.unused_mappings(PROCESSES_MAX, MAPPINGS_MAX),
        which=WHICH,
        where=WHICH,
        writable=numbers(0, 4),
        kind=one_of("file", "file", "private", "anonymous", "anonymous"),
        part=PART,
        secret=one_of(*(False,) * 7, True),
    )
    def mmap(
        self,
        which: int,
        where: int,
        writable: int,
        kind: str,
        part: tuple[int, int],
        secret: bool,
    ) -> None:
        unused = self.unused_mappings(PROCESSES_MAX, MAPPINGS_MAX)
        is_shared = kind == "file" or not self.capabilities.offers("mmap(shared)")
        is_anonymous = kind == "anonymous" and not is_shared
        page, pages = part
        operation = Mmap(
            *pick(unused, where),
            file=None if is_anonymous else pick(self.files(), which),
            page=0 if is_anonymous else page,
            pages=pages,
            writable=writable > 0,
            shared=is_shared,
        )
        if secret and is_anonymous and self.capabilities.offers("mmap(secret)"):
            operation = attrs.evolve(operation, secret=True)
        self.perform(operation)

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

    @draws("mremap", lambda m: m.mappings(), which=WHICH)
    def mremap(self, which: int) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Mremap(process=process, mapping=mapping))

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
    )
    def store(self, which: int, page: int, word: int, value: int) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Store(process, mapping, page, word, value))

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

    @draws("clear_refs", lambda m: m.running.handles.processes, which=WHICH)
    def clear_refs(self, which: int) -> None:
        process = pick(sorted(self.running.handles.processes), which)
        self.perform(ClearRefs(process=process))


class PressureMachine(StackMachine):
    """Draws what the kernel does to pages behind everybody's back."""

    @draws("pageout", lambda m: m.mappings(), which=WHICH, page=PAGE)
    def pageout(self, which: int, page: int) -> None:
        process, mapping = self.private_or_any(which)
        self.perform(Pageout(process=process, mapping=mapping, page=page))

    @draws("migrate", lambda m: m.mappings(), which=WHICH, page=PAGE)
    def migrate(self, which: int, page: int) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Migrate(process=process, mapping=mapping, page=page))

    @draws("merge", lambda m: m.running.handles.private, which=WHICH)
    def merge(self, which: int) -> None:
        process, mapping = pick(sorted(self.running.handles.private), which)
        self.perform(Merge(process=process, mapping=mapping))

    @draws("steal", lambda m: m.files(), which=WHICH, page=PAGE)
    def steal(self, which: int, page: int) -> None:
        self.perform(Steal(file=pick(self.files(), which), page=page))

    @draws("split", lambda m: m.files(), which=WHICH, page=PAGE)
    def split(self, which: int, page: int) -> None:
        self.perform(Split(file=pick(self.files(), which), page=page))
