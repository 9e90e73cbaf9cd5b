"""Having the next write to each page noticed: what soft-dirty bits were for.

A kernel may be built without soft-dirty bits; write-protection through userfaultfd
that the kernel resolves by itself, with the PAGEMAP_SCAN ioctl (Linux 6.7), does the
same for the same users (checkpointing, live migration): it makes entries of the page
table read-only, and a write takes a fault that makes them writable again.

Interface:
  * `Notice.open` raises OSError where the kernel cannot do it.
  * `Notice.clear` protects ranges of this process.

Struct layouts: include/uapi/linux/userfaultfd.h, include/uapi/linux/fs.h.
"""

import errno
import fcntl
import os
import struct

import attrs

from pytest_gup.adapters.linux import kernel

SYS_USERFAULTFD = 323
UFFD_API = 0xAA
FEATURE_WP_UNPOPULATED = 1 << 13
FEATURE_WP_ASYNC = 1 << 15
REGISTER_MODE_WP = 2
UFFDIO_API = 0xC018AA3F
UFFDIO_REGISTER = 0xC020AA00
PAGEMAP_SCAN = 0xC0606610
SCAN_WP_MATCHING, SCAN_CHECK_WPASYNC = 1, 2
PAGE_IS_WRITTEN = 2

_API = struct.Struct("=QQQ")
_REGISTER = struct.Struct("=QQQQ")
_SCAN = struct.Struct("=12Q")


@attrs.define(eq=False)
class Notice:
    """Takes notice of writes in this process."""

    descriptor: int

    @classmethod
    def open(cls) -> "Notice":
        """Begin.

        Raises:
            OSError: this kernel cannot do it.
        """
        descriptor = kernel.call("syscall", SYS_USERFAULTFD, os.O_CLOEXEC)
        features = FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC
        try:
            fcntl.ioctl(
                descriptor, UFFDIO_API, bytearray(_API.pack(UFFD_API, features, 0))
            )
        except OSError:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def clear(self, ranges: list[tuple[int, int]]) -> None:
        """Have the next write to each page of these ranges (address, size) noticed.

        Memory that cannot be watched (secret memory) is left alone.
        """
        pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for address, size in ranges:
                if self._register(address, size):
                    _protect(pagemap, address, size)
        finally:
            os.close(pagemap)

    def _register(self, address: int, size: int) -> bool:
        register = bytearray(_REGISTER.pack(address, size, REGISTER_MODE_WP, 0))
        try:
            fcntl.ioctl(self.descriptor, UFFDIO_REGISTER, register)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        return True


def _protect(pagemap: int, address: int, size: int) -> None:
    flags = SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC
    scan = _SCAN.pack(
        *(_SCAN.size, flags, address, address + size, 0, 0, 0, 0),
        *(0, PAGE_IS_WRITTEN, 0, 0),
    )
    fcntl.ioctl(pagemap, PAGEMAP_SCAN, bytearray(scan))
