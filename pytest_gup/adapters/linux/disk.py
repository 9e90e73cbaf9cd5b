"""The disk: a FUSE server whose files are disk images, for loop devices.

Fault model. A write is *captured* when its request is taken: until then its
content can still change. It is on the medium, all of it, at the moment when it is
answered. There is no volatile cache and no torn block. A flush ends after the
writes taken before it. Reads are answered from the medium.

Held before capture, nothing is taken: reads of blocks that the kernel has not
cached wait as well, for requests come in one queue. Held after capture, reads are
answered.

Orders:
  * `insert, name, size` with a memory file: this is the image of that name.
  * `hold, point`, `release`: stop and go on.
  * `fail, write, word_size`: the next write (or read) of file data ends in EIO.
  * `copy`: answers with a new memory file, the medium as it stands.
  * `held`: how many requests are taken and not answered.
"""

import errno
import os

import attrs

from pytest_gup.adapters.linux import extents, wire
from pytest_gup.adapters.linux.fuse import Opcode, Request
from pytest_gup.adapters.linux.server import Actor

BLOCK_SIZE_BYTES = 4096


@attrs.define(eq=False)
class Disk(Actor):
    """A disk that can be stopped."""

    medium: int = -1
    """Descriptor of the memory file that holds the image."""
    is_capturing_only: bool = False
    """Writes are taken, and not answered."""
    held: list[Request] = attrs.field(factory=list[Request])
    """Writes and flushes taken and not answered, in order."""
    failing: dict[str, int] = attrs.field(factory=dict[str, int])
    """For "write" and "read" that are to fail once: bytes in a word."""

    # --- requests ----------------------------------------------------------------

    def read(self, request: Request) -> None:
        """Read from the medium."""
        offset, size = request.transfer()
        content = os.pread(self.medium, size, offset)
        content += bytes(size - len(content))
        if self._fails("read", content):
            self.connection.refuse(request, errno.EIO)
        else:
            self.connection.answer(request, content)

    def write(self, request: Request) -> None:
        """Capture a write; put it on the medium unless that is held."""
        self._hold_or_end(request)

    def flush(self, request: Request) -> None:
        """End a flush after the writes before it."""
        self._hold_or_end(request)

    def fallocate(self, request: Request) -> None:
        """Make a range zero, or refuse: then the kernel writes zeroes itself."""
        mode, offset, length = request.fallocation()
        if not mode & extents.FALLOC_FL_PUNCH_HOLE or self.is_capturing_only:
            self.connection.refuse(request, errno.EOPNOTSUPP)
            return
        extents.punch(self.medium, offset, length)
        self.connection.answer(request)

    # --- orders ------------------------------------------------------------------

    def order(
        self, message: wire.Message, descriptors: list[int]
    ) -> tuple[wire.Message, tuple[int, ...]]:
        """Carry out one order."""
        match message:
            case ("insert", str(name), int(size)):
                self._insert(name, size, descriptors[0])
            case ("hold", str(point)):
                self.is_taking = point != "before_capture"
                self.is_capturing_only = point == "after_capture"
            case ("release",):
                self.release_all()
            case ("fail", bool(write), int(word_size)):
                self.failing["write" if write else "read"] = word_size
            case ("copy",):
                return (), (extents.copy(self.medium, self.size_bytes),)
            case ("held",):
                return (len(self.held),), ()
            case _:
                raise AssertionError(f"the disk has no order {message!r}")
        return (), ()

    def release_all(self) -> None:
        """Go on: end what is held, in the order in which it was taken."""
        held, self.held = self.held, []
        self.is_taking, self.is_capturing_only = True, False
        for request in held:
            self._end(request)

    def _insert(self, name: str, size: int, medium: int) -> None:
        assert not self.held, f"{len(self.held)} request(s) held while changing disks"
        if self.medium >= 0:
            os.close(self.medium)
        self.medium, self.size_bytes = medium, size
        self.failing.clear()

    # --- the medium --------------------------------------------------------------

    def _hold_or_end(self, request: Request) -> None:
        if self.is_capturing_only:
            self.held.append(request)
        else:
            self._end(request)

    def _end(self, request: Request) -> None:
        if request.opcode == Opcode.FSYNC:
            self.connection.answer(request)
            return
        offset, size = request.transfer()
        payload = request.payload()
        if self._fails("write", payload):
            self.connection.refuse(request, errno.EIO)
            return
        os.pwrite(self.medium, payload, offset)
        self.connection.answer(request, size.to_bytes(8, "little"))

    def _fails(self, kind: str, content: bytes) -> bool:
        word_size = self.failing.get(kind)
        if word_size is None or not has_stamps(content, word_size):
            return False
        del self.failing[kind]
        return True


def has_stamps(content: bytes, word_size: int) -> bool:
    """Whether this looks like file data: a block of stamped words, not all zero.

    Metadata has no block in which every word is one byte repeated, but for blocks
    of zeroes, so those are not taken for data.
    """
    for start in range(0, len(content), BLOCK_SIZE_BYTES):
        block = content[start : start + BLOCK_SIZE_BYTES]
        words = [block[at : at + word_size] for at in range(0, len(block), word_size)]
        if any(block) and all(word.count(word[:1]) == len(word) for word in words):
            return True
    return False
