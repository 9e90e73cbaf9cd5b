"""How an operation of the stack is written down: steps, waits and locks.

An operation that can be preempted is a generator. It yields a `Step` wherever
another actor may run, and a `Wait` where it cannot go on. What lies between two
yields happens at once, so a decision and the change that rests on it stand
between the same two yields, or under a lock.

Interface:
  * To wait for a condition, `yield from wait_until(...)`.
  * A lock is acquired by `yield from lock.acquire(...)` and released by a call.
  * The functions at the end name what a step touches, for `Step.reads/writes`.
"""

from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

import attrs

from conformance.interface import Errno, KernelError, Step, Wait
from conformance.interface.calls import Key

T = TypeVar("T")
Stepped: TypeAlias = Generator[Step | Wait, None, T]
"""An operation in progress; its result is of type T."""


def wait_until(
    on: str, ready: Callable[[], bool], *, nowait: bool = False
) -> Stepped[None]:
    """Wait for a condition, or refuse with EAGAIN if the caller may not wait."""
    while not ready():
        if nowait:
            raise KernelError(Errno.EAGAIN, f"would wait for {on}")
        yield Wait(on, ready)


@attrs.define(eq=False)
class Lock:
    """A lock with one holder at a time."""

    name: str
    held_by: str | None = None
    """Who holds it, in a word for messages; None: nobody."""

    def is_free(self) -> bool:
        """Whether nobody holds it."""
        return self.held_by is None

    def acquire(self, who: str) -> Stepped[None]:
        """Take the lock, waiting for it if need be."""
        yield from wait_until(self.name, self.is_free)
        self.held_by = who

    def release(self) -> None:
        """Let go of the lock."""
        assert self.held_by is not None, f"{self.name} is not held"
        self.held_by = None


@attrs.define(eq=False)
class SharedLock:
    """A lock held by one writer or by any number of readers."""

    name: str
    readers: int = 0
    writer: str | None = None

    def is_free(self) -> bool:
        """Whether neither a reader nor a writer holds it."""
        return self.writer is None and self.readers == 0

    def is_readable(self) -> bool:
        """Whether no writer holds it."""
        return self.writer is None

    def acquire_read(self, *, nowait: bool = False) -> Stepped[None]:
        """Take the lock together with other readers."""
        yield from wait_until(self.name, self.is_readable, nowait=nowait)
        self.readers += 1

    def release_read(self) -> None:
        """Let go of the lock as a reader."""
        assert self.readers > 0, f"{self.name} has no reader"
        self.readers -= 1

    def acquire_write(self, who: str) -> Stepped[None]:
        """Take the lock alone."""
        yield from wait_until(self.name, self.is_free)
        self.writer = who

    def release_write(self) -> None:
        """Let go of the lock as its writer."""
        assert self.writer is not None, f"{self.name} has no writer"
        self.writer = None


def flags_of(pfn: int) -> Key:
    """Name the flags, the lock and the owner of a page."""
    return ("flags", pfn)


def count_of(pfn: int) -> Key:
    """Name the reference count of a page."""
    return ("count", pfn)


def words_of(pfn: int) -> Key:
    """Name the content of a page."""
    return ("words", pfn)


def pte_at(process: int, address: int) -> Key:
    """Name a page table entry."""
    return ("pte", process, address)


SPACE: Key = ("space",)
"""Names the free space, reservations and the freeze state of the filesystem."""
