"""Which operations are drawn together, and how often each.

One at a time, what needs a pin or a held disk would hardly ever come up twice; so a
few operations of one group are drawn in a row. The numbers are what it takes for no
operation to starve: see the table of operations.

Interface:
  * `GROUPS` is what a program is made of.
"""

from conformance.interface import OPERATIONS

DEVICE_WORK = (
    *("put_user_pages_dirty", "set_page_dirty_lock", "device_write") * 4,
    *("device_complete", "put_user_pages_dirty_lock", "put_page") * 4,
    *("device_complete", "set_page_dirty_lock"),
    *("device_read", "device_abort", "put_user_page") * 2,
    *("put_user_pages", "get_user_pages", "get_user_pages_fast"),
    *("get_user_pages",) * 2,
)
DRIVER_WORK = (
    *("device_transfer", "direct_read", "direct_write") * 2,
    *("store", "fsync", "sync", "writeback"),
)
MIRROR_WORK = (
    *("mirror_read", "mirror_write", "detach") * 2,
    *("attach", "mirror_write"),
)
MEMORY_WORK = (
    *("munmap", "mprotect") * 3,
    *("mremap", "exit", "exit", "mmap", "mmap", "load", "store", "fork"),
)
PRIVATE_WORK = (
    *("merge",) * 6,
    *("pageout", "migrate", "dontneed", "clear_refs"),
    *("mmap", "mmap", "fork", "store", "get_user_pages"),
)
FILE_WORK = (
    *("unlink",) * 8,
    *("mount", "umount") * 5,
    *("create", "write", "read", "truncate", "punch_hole") * 2,
    *("clone", "steal", "reclaim", "evict", "split", "dedupe") * 2,
)
DISK_WORK = (
    *("thaw", "free_disk", "flush_disk") * 5,
    *("release",) * 4,
    *("hold", "fill_disk", "freeze") * 2,
    *("fail_next", "power_cut", "fsync"),
)
EVERYTHING = tuple(OPERATIONS)
"""So that what no group has often comes up as well."""

GROUPS = (
    *(DEVICE_WORK,) * 7,
    *(MIRROR_WORK, FILE_WORK, DISK_WORK) * 4,
    *(MEMORY_WORK, PRIVATE_WORK, EVERYTHING) * 3,
    *(DRIVER_WORK,) * 2,
)
"""What a program is made of; devices have the most of it."""
