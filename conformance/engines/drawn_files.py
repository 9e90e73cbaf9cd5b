"""How operations on files, the filesystem and the disk are drawn."""

from conformance.engines.drawing import (
    EITHER,
    FILES_MAX,
    PAGE,
    PAGES,
    VALUE,
    WHICH,
    WORD,
    draws,
    numbers,
    one_of,
)
from conformance.engines.machine import StackMachine, pick
from conformance.interface import (
    Clone,
    Create,
    Dedupe,
    Evict,
    FailNext,
    FillDisk,
    FlushDisk,
    FreeDisk,
    Freeze,
    Fsync,
    Hold,
    HoldPoint,
    Mount,
    PowerCut,
    PunchHole,
    Read,
    Reclaim,
    Release,
    Sync,
    Thaw,
    Truncate,
    Umount,
    Unlink,
    Write,
    Writeback,
)


class FileMachine(StackMachine):
    """Draws operations on files."""

    @draws("create", lambda m: m.can_create(FILES_MAX), which=WHICH)
    def create(self, which: int) -> None:
        self.perform(Create(file=pick(self.unused_files(FILES_MAX), which)))

    @draws("read", lambda m: m.files(), which=WHICH, page=PAGE)
    def read(self, which: int, page: int) -> None:
        self.perform(Read(file=pick(self.files(), which), page=page))

    @draws("write", lambda m: m.files(), which=WHICH, page=PAGE, word=WORD, value=VALUE)
    def write(self, which: int, page: int, word: int, value: int) -> None:
        file = pick(self.files(), which)
        self.perform(Write(file=file, page=page, word=word, value=value))

    @draws("truncate", lambda m: m.files(), which=WHICH, words=numbers(0, 8))
    def truncate(self, which: int, words: int) -> None:
        self.perform(Truncate(file=pick(self.files(), which), words=words))

    @draws("punch_hole", lambda m: m.files(), which=WHICH, page=PAGE, pages=PAGES)
    def punch_hole(self, which: int, page: int, pages: int) -> None:
        file = pick(self.files(), which)
        self.perform(PunchHole(file=file, page=page, pages=pages))

    @draws("fsync", lambda m: m.files(), which=WHICH)
    def fsync(self, which: int) -> None:
        self.perform(Fsync(file=pick(self.files(), which)))

    @draws("sync", lambda m: m.running.handles.is_mounted)
    def sync(self) -> None:
        self.perform(Sync())

    @draws("writeback", lambda m: m.files(), which=WHICH)
    def writeback(self, which: int) -> None:
        self.perform(Writeback(file=pick(self.files(), which)))

    @draws("evict", lambda m: m.files(), which=WHICH)
    def evict(self, which: int) -> None:
        self.perform(Evict(file=pick(self.files(), which)))

    @draws("reclaim", lambda m: m.files(), which=WHICH)
    def reclaim(self, which: int) -> None:
        self.perform(Reclaim(file=pick(self.files(), which)))

    @draws(
        "clone",
        lambda m: m.files() and m.can_create(FILES_MAX),
        which=WHICH,
        clone=WHICH,
    )
    def clone(self, which: int, clone: int) -> None:
        new = pick(self.unused_files(FILES_MAX), clone)
        self.perform(Clone(file=pick(self.files(), which), clone=new))

    @draws(
        "dedupe",
        lambda m: m.files(),
        which=WHICH,
        page=PAGE,
        other=WHICH,
        other_page=PAGE,
        pages=PAGES,
    )
    def dedupe(
        self, which: int, page: int, other: int, other_page: int, pages: int
    ) -> None:
        file, second = pick(self.files(), which), pick(self.files(), other)
        self.perform(Dedupe(file, page, second, other_page, pages))

    @draws("unlink", lambda m: len(m.files()) > 1, which=WHICH)
    def unlink(self, which: int) -> None:
        self.perform(Unlink(file=pick(self.files(), which)))


class FilesystemMachine(StackMachine):
    """Draws operations on the filesystem as a whole, and on the disk."""

    @draws("umount", lambda m: m.can_umount())
    def umount(self) -> None:
        self.perform(Umount())

    @draws("mount", lambda m: not m.running.handles.is_mounted)
    def mount(self) -> None:
        self.perform(Mount())

    @draws("freeze", lambda m: m.can_freeze())
    def freeze(self) -> None:
        self.perform(Freeze())

    @draws("thaw", lambda m: m.running.handles.is_frozen)
    def thaw(self) -> None:
        self.perform(Thaw())

    @draws("fill_disk", lambda m: m.can_fill())
    def fill_disk(self) -> None:
        self.perform(FillDisk())

    @draws("free_disk", lambda m: m.can_free())
    def free_disk(self) -> None:
        self.perform(FreeDisk())

    @draws("hold", lambda m: not m.running.handles.is_held, at=one_of(*HoldPoint))
    def hold(self, at: HoldPoint) -> None:
        self.perform(Hold(at=at))

    @draws("release", lambda m: m.running.handles.is_held)
    def release(self) -> None:
        self.perform(Release())

    @draws("fail_next", write=EITHER)
    def fail_next(self, write: bool) -> None:
        self.perform(FailNext(write=write))

    @draws("power_cut")
    def power_cut(self) -> None:
        self.perform(PowerCut())

    @draws("flush_disk")
    def flush_disk(self) -> None:
        self.perform(FlushDisk())
