"""The calls on files, and on the filesystem as a whole.

A call looks up its handles once and goes on with the things themselves, so it does
not mind, when it has slept, what the handles stand for then.
"""

from collections.abc import Callable
from typing import TypeVar

import attrs

from conformance.interface import Errno, KernelError, WouldBlock

from .disk import Words
from .things import File
from .volume import Frost, Volume

T = TypeVar("T")


def sleeping(call: Callable[[], T]) -> T:
    """Make a call; where it sleeps, it is made again when it is resumed."""
    try:
        return call()
    except WouldBlock as sleep:
        raise WouldBlock(sleep.on, resume=lambda: sleeping(call)) from None


@attrs.define(eq=False)
class FileCalls:
    """Files by their handles."""

    volume: Volume
    files: dict[int, File] = attrs.field(factory=dict[int, File])
    """Those that have a name."""

    def create(self, file: int) -> None:
        """Make an empty file."""

        def call() -> None:
            self.volume.wait_for_thaw()
            self.files[file] = self.volume.create()

        sleeping(call)

    def unlink(self, file: int) -> None:
        """Remove the name of a file."""

        def call() -> None:
            self.volume.wait_for_thaw()
            target = self.files.pop(file)
            target.has_name = False
            self.volume.drop_if_unused(target)

        sleeping(call)

    def read(self, file: int, page: int) -> Words:
        """Read one page of a file."""
        return self.volume.read(self.files[file], page)

    def write(self, file: int, page: int, word: int, value: int) -> None:
        """Write one word of a file."""
        target = self.files[file]
        sleeping(lambda: self.volume.write(target, page, word, value))

    def truncate(self, file: int, words: int) -> None:
        """Set the size of a file."""
        target = self.files[file]
        sleeping(lambda: self.volume.truncate(target, words))

    def writeback(self, file: int) -> None:
        """Start writing dirty pages of a file."""
        self.volume.clean_memory(self.files[file])

    def evict(self, file: int) -> None:
        """Drop clean, unused pages of a file."""
        self.volume.evict(self.files[file])

    def fsync(self, file: int) -> None:
        """Make one file durable; every write that failed is told about once."""
        target = self.files[file]
        commits = [self.volume.begin_commit(target, target.write_errors_reported)]

        def call() -> None:
            try:
                self.volume.settle(commits)
            except KernelError:
                target.write_errors_reported = target.write_errors
                raise

        sleeping(call)

    def sync(self) -> None:
        """Make every file durable; only a write that fails now is told about."""
        commits = self.volume.begin_commits()
        sleeping(lambda: self.volume.settle(commits))

    def freeze(self) -> None:
        """Keep writers out, write what is dirty, then stand still."""
        if self.volume.frost is not Frost.THAWED:
            raise KernelError(Errno.EBUSY, "frozen already")
        self.volume.frost = Frost.FREEZING
        commits = self.volume.begin_commits()

        def call() -> None:
            try:
                self.volume.settle(commits)
            except KernelError:
                self.volume.frost = Frost.THAWED
                raise
            self.volume.frost = Frost.FROZEN

        sleeping(call)

    def thaw(self) -> None:
        """End a freeze; one that is under way comes to its end first."""

        def call() -> None:
            if self.volume.frost is Frost.FREEZING:
                raise WouldBlock("freeze")
            if self.volume.frost is Frost.THAWED:
                raise KernelError(Errno.EINVAL, "not frozen")
            self.volume.frost = Frost.THAWED

        sleeping(call)

    def fill_disk(self) -> None:
        """Take all free blocks."""
        self.volume.space.fill()

    def free_disk(self) -> None:
        """Give back what `fill_disk` took."""
        self.volume.space.filled = 0
