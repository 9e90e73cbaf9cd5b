"""Which operations are drawn together, and how often each.

One at a time, what needs a pin or a held disk would hardly ever come up twice; so a
few operations of one group are drawn in a row. The numbers are what it takes for no
operation to starve: see the table of operations.

Interface:
  * `GROUPS` is what a program is made of.
"""

from conformance.interface import OPERATIONS

DEVICE_WORK = (
    *("get_user_pages", "get_user_pages_fast") * 4,
    *("device_write", "device_read", "device_abort") * 2,
    *("put_user_page", "put_user_pages", "device_write"),
    *("device_complete", "put_page", "put_user_pages_dirty_lock") * 5,
    *("put_user_pages_dirty", "set_page_dirty_lock") * 6,
)
DRIVER_WORK = (
    *("device_transfer", "direct_read", "direct_write") * 2,
    *("store", "fsync", "sync", "writeback"),
)
MIRROR_WORK = (
    *("attach", "detach", "mirror_write", "mirror_read") * 3,
    *("store", "load", "fsync", "writeback"),
)
MEMORY_WORK = (
    *("mmap", "munmap", "mprotect") * 2,
    *("munmap", "mprotect", "mprotect", "mremap", "exit", "exit"),
    *("load", "store", "fork", "writeback", "fsync"),
)
PRIVATE_WORK = (
    *("mmap", "fork", "store", "load", "get_user_pages"),
    *("dontneed", "clear_refs", "pageout", "migrate", "merge", "merge") * 2,
)
FILE_WORK = (
    *("create", "create", "write", "read", "truncate", "punch_hole", "evict"),
    *("reclaim", "umount", "umount", "clone", "dedupe", "dedupe", "steal", "split"),
    *("unlink",) * 7,
    *("mount",) * 4,
)
DISK_WORK = (
    *("hold", "fill_disk", "freeze") * 2,
    *("release",) * 3,
    *("thaw",) * 8,
    *("free_disk", "flush_disk") * 4,
    *("fail_next", "power_cut", "store", "fsync", "sync"),
)

EVERYTHING = tuple(OPERATIONS)
"""So that what no group has often comes up as well."""

GROUPS = (
    *(DEVICE_WORK,) * 7,
    *(DRIVER_WORK, MIRROR_WORK, PRIVATE_WORK, EVERYTHING) * 2,
    *(MEMORY_WORK, FILE_WORK, DISK_WORK) * 3,
)
"""What a program is made of; devices have the most of it."""
