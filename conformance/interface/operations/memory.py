"""Operations on address spaces, loads and stores."""

from typing import ClassVar

import attrs

from conformance.interface.operations.base import BaseOperation


@attrs.frozen
class Mmap(BaseOperation):
    """Map pages of a file (or anonymous memory) into a process."""

    name: ClassVar[str] = "mmap"
    process: int = 0
    mapping: int = 1
    file: int | None = 0
    """None: anonymous memory."""
    page: int = 0
    """First page of the file."""
    pages: int = 4
    shared: bool = True
    """False: a private mapping, copied when it is written to (MAP_PRIVATE)."""
    writable: bool = True
    secret: bool = False
    """Anonymous memory that nobody but the process can get at (memfd_secret)."""


@attrs.frozen
class Munmap(BaseOperation):
    """Remove a mapping."""

    name: ClassVar[str] = "munmap"
    process: int = 0
    mapping: int = 0


@attrs.frozen
class Mprotect(BaseOperation):
    """Make a mapping writable, or read-only."""

    name: ClassVar[str] = "mprotect"
    process: int = 0
    mapping: int = 0
    writable: bool = False


@attrs.frozen
class Mremap(BaseOperation):
    """Move a mapping to other addresses; it keeps its number."""

    name: ClassVar[str] = "mremap"
    process: int = 0
    mapping: int = 0


@attrs.frozen
class Dontneed(BaseOperation):
    """Give up what pages of a mapping hold (MADV_DONTNEED).

    Anonymous pages read as zero afterwards, private ones as the file; shared pages of
    a file stay what they are.
    """

    name: ClassVar[str] = "dontneed"
    process: int = 0
    mapping: int = 0
    page: int = 0
    pages: int = 1


@attrs.frozen
class Load(BaseOperation):
    """Read one word by a CPU load. Answers its stamp."""

    name: ClassVar[str] = "load"
    process: int = 0
    mapping: int = 0
    page: int = 0
    word: int = 0


@attrs.frozen
class Store(BaseOperation):
    """Write one word by a CPU store."""

    name: ClassVar[str] = "store"
    process: int = 0
    mapping: int = 0
    page: int = 0
    word: int = 0
    value: int = 1


@attrs.frozen
class Fork(BaseOperation):
    """Make a child process; it has the parent's mappings, under their numbers."""

    name: ClassVar[str] = "fork"
    process: int = 0
    child: int = 1


@attrs.frozen
class ClearRefs(BaseOperation):
    """Have the next write to each page of a process noticed (soft-dirty bookkeeping).

    What the process holds does not change.
    """

    name: ClassVar[str] = "clear_refs"
    process: int = 0


@attrs.frozen
class Exit(BaseOperation):
    """End a process; its mappings go, its pins stay with their devices."""

    name: ClassVar[str] = "exit"
    process: int = 0
