"""An io_uring with one registered buffer: a long-term pin.

Registering a range has the kernel pin its pages with FOLL_WRITE and FOLL_LONGTERM;
a read into the registered buffer then goes to the pinned pages themselves, past all
page tables. Nothing is marked dirty by it.

Interface:
  * `Ring.register` pins, `Ring.fill` writes, `Ring.unregister` puts.

Struct layouts: include/uapi/linux/io_uring.h (Linux 5.4 and later).
"""

import ctypes
import mmap
import os
import struct

import attrs

from pytest_gup.adapters.linux import kernel

SYS_SETUP, SYS_ENTER, SYS_REGISTER = 425, 426, 427
REGISTER_BUFFERS, UNREGISTER_BUFFERS = 0, 1
OP_READ_FIXED = 4
ENTER_GETEVENTS = 1
OFF_SQ_RING, OFF_SQES = 0, 0x10000000
PARAMS_BYTES = 120
SQ_OFFSETS_AT = 40
CQ_OFFSETS_AT = 80
ENTRIES = 1
SQE_BYTES = 64

_SQE = struct.Struct("=BBHiQQIIQHHiQQ")
_U32 = struct.Struct("=I")
_I32 = struct.Struct("=i")


@attrs.define(eq=False)
class Ring:
    """One io_uring."""

    descriptor: int
    params: bytes
    address: int
    size: int

    @classmethod
    def register(cls, address: int, size: int) -> "Ring":
        """Make a ring and register a range as its buffer.

        Raises:
            OSError: EFAULT where the pin is refused.
        """
        params = ctypes.create_string_buffer(PARAMS_BYTES)
        setup = kernel.LIBC.syscall
        setup.restype = ctypes.c_long
        descriptor = setup(SYS_SETUP, ENTRIES, params)
        if descriptor < 0:
            error = ctypes.get_errno()
            raise OSError(error, "io_uring_setup")
        ring = cls(descriptor, params.raw, address, size)
        try:
            vector = struct.pack("=QQ", address, size)
            kernel.call(
                "syscall", SYS_REGISTER, descriptor, REGISTER_BUFFERS, vector, 1
            )
        except OSError:
            os.close(descriptor)
            raise
        return ring

    def fill(self, stamp: int) -> None:
        """Have the kernel write one byte, repeated, to the whole buffer."""
        source = os.memfd_create("pytest-gup-stamp", os.MFD_CLOEXEC)
        try:
            os.pwrite(source, bytes([stamp]) * self.size, 0)
            self._submit(
                _SQE.pack(
                    *(OP_READ_FIXED, 0, 0, source, 0, self.address, self.size),
                    *(0, 0, 0, 0, 0, 0, 0),
                )
            )
        finally:
            os.close(source)

    def unregister(self) -> None:
        """Put the pages, and close the ring."""
        try:
            kernel.call(
                "syscall", SYS_REGISTER, self.descriptor, UNREGISTER_BUFFERS, None, 0
            )
        finally:
            os.close(self.descriptor)

    def _submit(self, entry: bytes) -> None:
        """Hand in the only entry and wait for its result."""
        _, tail_at, _, _, _, _, array_at = self._offsets(SQ_OFFSETS_AT, 7)
        results_at = self._offsets(CQ_OFFSETS_AT, 6)[5]
        size = max(array_at + 4 * ENTRIES, results_at + 16 * 2 * ENTRIES)
        with (
            mmap.mmap(self.descriptor, size, offset=OFF_SQ_RING) as ring,
            mmap.mmap(self.descriptor, SQE_BYTES, offset=OFF_SQES) as entries,
        ):
            entries[:SQE_BYTES] = entry
            ring[array_at : array_at + 4] = _U32.pack(0)
            (tail,) = _U32.unpack(ring[tail_at : tail_at + 4])
            ring[tail_at : tail_at + 4] = _U32.pack(tail + 1)
            kernel.call(
                "syscall", SYS_ENTER, self.descriptor, 1, 1, ENTER_GETEVENTS, None, 0
            )
            (moved,) = _I32.unpack(ring[results_at + 8 : results_at + 12])
        if moved != self.size:
            raise OSError(-moved if moved < 0 else 0, "reading into a fixed buffer")

    def _offsets(self, at: int, count: int) -> tuple[int, ...]:
        return struct.unpack_from(f"={count}I", self.params, at)
