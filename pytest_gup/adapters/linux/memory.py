"""Operations on the memory of a process."""

import mmap as constants
from collections.abc import Generator

import attrs

from conformance.interface import Done, Errno, KernelError
from pytest_gup.adapters.linux.bench import (
    Answered,
    Bench,
    Call,
    Chain,
    Mapping,
    checked,
    in_turn,
    raise_signal,
    stamp,
)
from pytest_gup.adapters.linux.calls import Process
from pytest_gup.adapters.linux.files import wait_for_tick

MAP_FIXED_NOREPLACE = 0x100000
MREMAP_MAYMOVE = 1
MREMAP_FIXED = 2
READ_WRITE = constants.PROT_READ | constants.PROT_WRITE


class Memory:
    """What every process can do with its memory."""

    bench: Bench

    def mmap(
        self,
        process: int,
        mapping: int,
        file: int | None,
        page: int,
        pages: int,
        shared: bool,
        writable: bool,
    ) -> Call:
        """Map pages; the first mapping of a process starts it."""
        bench = self.bench
        worker = self._process(process)
        wanted = Mapping(
            bench.fresh_address(),
            pages,
            file,
            first_page=page,
            protection=READ_WRITE if writable else constants.PROT_READ,
            flags=constants.MAP_SHARED if shared else constants.MAP_PRIVATE,
        )

        def keep(_: object) -> None:
            bench.mappings[process, mapping] = wanted

        arguments = map_arguments(bench, wanted)
        return bench.begin(worker, "map", *arguments, then=keep)

    def munmap(self, process: int, mapping: int) -> Call | Chain:
        """Remove a mapping, by munmap."""
        key = process, mapping

        def begin() -> Call:
            gone = self.bench.mappings.pop(key)
            return self._in(process, "munmap", gone.address, self._size(gone))

        return in_turn(self.bench.moves.pop(key, None), begin)

    def mprotect(self, process: int, mapping: int, writable: bool) -> Call | Chain:
        """Change what may be done with a mapping, by mprotect."""
        key = process, mapping
        protection = READ_WRITE if writable else constants.PROT_READ

        def keep(_: object) -> None:
            now = self.bench.mappings.get(key)
            if now is not None:  # it may have moved meanwhile
                changed = attrs.evolve(now, protection=protection)
                self.bench.mappings[key] = changed

        def begin() -> Call:
            there = self.bench.mappings[key]
            arguments = there.address, self._size(there), protection
            return self._in(process, "mprotect", *arguments, then=keep)

        return in_turn(self.bench.moves.get(key), begin)

    def mremap(self, process: int, mapping: int) -> Chain:
        """Move a mapping to an address that was never used, by mremap."""
        key, moves = (process, mapping), self.bench.moves
        moves[key] = Chain(self._mremap(key, moves.get(key)))
        return moves[key]

    def _mremap(
        self, key: tuple[int, int], before: Chain | None
    ) -> Generator[Call | Chain, Done, None]:
        """Move it when it is where it was moved to before.

        Who comes meanwhile looks for it where it will be.
        """
        if before is not None:
            yield before
        bench = self.bench
        old = bench.mappings[key]
        moved = attrs.evolve(old, address=bench.fresh_address())
        bench.mappings[key] = moved
        size, flags = self._size(old), MREMAP_MAYMOVE | MREMAP_FIXED
        arguments = old.address, size, size, flags, moved.address
        ended = yield self._in(key[0], "mremap", *arguments)
        if ended.error is not None and bench.mappings.get(key) is moved:
            bench.mappings[key] = old
        checked(ended)

    def load(self, process: int, mapping: int, page: int, word: int) -> Call | Chain:
        """Read a word by CPU loads."""

        def value(found: object) -> int:
            if isinstance(found, int):
                raise_signal(found)
            assert isinstance(found, bytes), f"a load answered {found!r}"
            return stamp(found)

        def begin() -> Call:
            address = self.bench.address(process, mapping, page, word)
            size = self.bench.geometry.word_size_bytes
            return self._in(process, "peek", address, size, then=value)

        return in_turn(self.bench.moves.get((process, mapping)), begin)

    def store(
        self, process: int, mapping: int, page: int, word: int, value: int
    ) -> Call | Chain:
        """Write a word by CPU stores."""

        def check(number: object) -> None:
            assert isinstance(number, int), f"a store answered {number!r}"
            if number:
                raise_signal(number)

        def begin() -> Call:
            wait_for_tick(self.bench.last_mtime)
            address = self.bench.address(process, mapping, page, word)
            size = self.bench.geometry.word_size_bytes
            return self._in(process, "fill", address, size, value, then=check)

        return in_turn(self.bench.moves.get((process, mapping)), begin)

    def _process(self, process: int) -> Process:
        """Return a process; its first mapping starts it."""
        bench = self.bench
        if process not in bench.processes:
            bench.processes[process] = Process.join(bench.lab.spawn())
        return bench.processes[process]

    def _size(self, mapping: Mapping) -> int:
        return mapping.pages * self.bench.geometry.page_size_bytes

    def _in(
        self,
        process: int,
        name: str,
        *arguments: object,
        then: Answered = lambda _: None,
    ) -> Call:
        worker = self.bench.processes[process]
        return self.bench.begin(worker, name, *arguments, then=then)


class SecretMemory(Memory):
    """What every process can do on a kernel that keeps secrets."""

    def mmap(
        self,
        process: int,
        mapping: int,
        file: int | None,
        page: int,
        pages: int,
        shared: bool,
        writable: bool,
        secret: bool = False,
    ) -> Call:
        """Map pages, or memory that nobody else can get at (memfd_secret)."""
        if not secret:
            return super().mmap(process, mapping, file, page, pages, shared, writable)
        if file is not None:
            raise KernelError(Errno.EINVAL, "the pages of a file are no secret")
        bench = self.bench
        worker = self._process(process)
        wanted = Mapping(
            bench.fresh_address(),
            pages,
            None,
            protection=READ_WRITE if writable else constants.PROT_READ,
            flags=constants.MAP_SHARED if shared else constants.MAP_PRIVATE,
        )

        def keep(_: object) -> None:
            bench.mappings[process, mapping] = wanted

        flags = wanted.flags | MAP_FIXED_NOREPLACE
        arguments = wanted.address, self._size(wanted), wanted.protection, flags
        return bench.begin(worker, "map_secret", *arguments, then=keep)


def map_arguments(bench: Bench, mapping: Mapping) -> tuple[object, ...]:
    """Tell what the task that maps a file, or anonymous memory, is called with."""
    size = bench.geometry.page_size_bytes
    return (
        None if mapping.file is None else bench.file_path(mapping.file),
        mapping.address,
        mapping.pages * size,
        mapping.protection,
        mapping.flags | MAP_FIXED_NOREPLACE,
        mapping.first_page * size,
        bench.geometry.folio_pages > 1,
    )
