"""Which operations are drawn together.

One at a time, what needs a pin or a held disk would hardly ever come up twice; so a
few operations of one group are drawn in a row. That none starves is not the groups'
affair: others in between are chosen for being rare.

Interface:
  * `GROUPS` is what a program is made of.
"""

from conformance.interface import OPERATIONS

DEVICE_WORK = (
    *("device_write", "device_read", "device_complete", "device_abort"),
    *("set_page_dirty_lock", "put_user_page", "put_user_pages") * 2,
    *("put_user_pages_dirty", "put_user_pages_dirty_lock") * 2,
    *("put_page", "put_page", "get_user_pages", "get_user_pages_fast"),
)
DRIVER_WORK = (
    *("device_transfer", "direct_read", "direct_write") * 2,
    *("fsync", "sync", "writeback", "writeback", "flush_disk"),
)
MIRROR_WORK = (
    *("attach", "detach", "mirror_read", "mirror_write"),
    *("store", "fsync", "munmap", "truncate"),
)
MEMORY_WORK = (
    *("mmap", "munmap", "mprotect", "mremap"),
    *("load", "store", "fork", "exit"),
)
PRIVATE_WORK = (
    *("merge", "pageout", "migrate", "dontneed", "clear_refs"),
    *("mmap", "fork", "load", "store", "get_user_pages"),
)
FILE_WORK = (
    *("create", "unlink", "unlink", "write", "read", "truncate", "punch_hole"),
    *("clone", "clone", "dedupe", "steal", "reclaim", "evict", "split"),
)
DISK_WORK = (
    *("hold", "release", "fail_next", "power_cut", "fsync", "flush_disk"),
    *("fill_disk", "free_disk", "free_disk", "freeze", "thaw", "umount", "mount"),
)
EVERYTHING = tuple(OPERATIONS)

GROUPS = (
    *(DEVICE_WORK,) * 5,
    *(FILE_WORK,) * 3,
    *(DISK_WORK, MIRROR_WORK, MEMORY_WORK, PRIVATE_WORK) * 2,
    *(DRIVER_WORK, EVERYTHING),
)
"""What a program is made of, each as often as it is to be drawn."""
