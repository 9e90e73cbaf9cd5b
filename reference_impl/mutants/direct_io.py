"""Stacks whose direct I/O is careless with buffers, cache or blocks."""

from collections.abc import Sequence
from functools import partial

import attrs

from conformance.interface import KernelError
from reference_impl.direct_io import Buffer, DirectIo
from reference_impl.direct_write import NOWHERE, BlockWrite, DirectWrites
from reference_impl.dma import Pin
from reference_impl.files import Files
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants.direct_cache import CACHE, of_buffers, of_writes
from reference_impl.mutants.mutant import Mutant
from reference_impl.stack import boot
from reference_impl.stepping import Stepped, wait_until

# --- the buffer ---------------------------------------------------------------------


class _ReadsIntoReadPins(DirectIo):
    """A direct read pins its buffer for reading, and puts it as it is."""

    def fills_buffer(self, who: str) -> bool:
        return who == "device_transfer"


@attrs.define(eq=False)
class _DirtiesTheFirstPageRead(DirectIo):
    """A direct read pins for reading, and tells only of the first page it filled."""

    def fills_buffer(self, who: str) -> bool:
        return who == "device_transfer"

    def end(self, who: str, pin: Pin) -> Stepped[None]:
        if who == "direct_read":
            dirty = self.devices.dirty.make_dirty_lock
            yield from self.devices.put_slots(pin, range(min(1, len(pin.pages))), dirty)
        yield from super().end(who, pin)


class _PutsADirectReadAtSubmit(DirectIo):
    """A direct read puts its buffer as soon as the disk has been asked."""

    def begin(self, who: str, pin: Pin) -> Stepped[None]:
        if who == "direct_read":
            yield from self.put(pin)


class _WritesTheLiveBuffer(DirectWrites):
    """The disk gets the buffer itself, with a checksum of what it held at first."""

    def make_copy(self) -> Page | None:
        if self.filesystem.traits.has_encryption:
            return super().make_copy()
        return None


class _CopiesForChecksumsOnly(DirectWrites):
    """A disk with parity gets the buffer itself: its own demand is forgotten."""

    def make_copy(self) -> Page | None:
        traits = self.filesystem.traits
        if traits.has_checksums or traits.has_encryption:
            return super().make_copy()
        return None


class _PutsAtSubmit(DirectIo):
    """The buffer of a direct write is put when the write has been submitted."""

    def begin(self, who: str, pin: Pin) -> Stepped[None]:
        if who == "direct_write":
            yield from self.put_clean(pin)


class _KeepsTheFirstPageOnly(DirectIo):
    """All pages of a buffer but the first are put when the write is submitted."""

    def begin(self, who: str, pin: Pin) -> Stepped[None]:
        if who == "direct_write":
            yield from self.devices.put_slots(pin, range(1, len(pin.pages)), None)


# --- the call -----------------------------------------------------------------------


@attrs.define(eq=False)
class _LocksItsTargetFirst(DirectIo):
    """A direct write holds the pages of its target while it faults in its buffer."""

    locked: list[Page] = attrs.field(factory=list[Page])

    def prepare_target(self, inode: Inode, pages: range) -> Stepped[None]:
        for index in pages:
            page = inode.space.pages.get(index)
            if page is not None:
                self.devices.grab.memory.get(page)
                yield from self.files.lock_quiet(page, "direct_write")
                self.locked.append(page)

    def pin_buffer(self, who: str, buffer: Buffer) -> Stepped[Pin]:
        try:
            return (yield from super().pin_buffer(who, buffer))
        finally:
            if who == "direct_write":
                self.let_go()

    def let_go(self) -> None:
        """Unlock the target."""
        while self.locked:
            self.files.release(self.locked.pop())


class _BarsFaultsWhileItPins(DirectIo):
    """A direct read keeps faults of the file out while it faults in its buffer."""

    def flush(self, inode: Inode, pages: range) -> Stepped[None]:
        yield from super().flush(inode, pages)
        if inode.size_words > pages.start * self.words_per_page:
            yield from inode.space.invalidate_lock.acquire_write("direct_read")

    def pin_buffer(self, who: str, buffer: Buffer) -> Stepped[Pin]:
        try:
            return (yield from super().pin_buffer(who, buffer))
        finally:
            if who == "direct_read":
                self.let_faults_in()

    def let_faults_in(self) -> None:
        """End what `flush` began."""
        for inode in self.files.filesystem.inodes:
            if inode.space.invalidate_lock.writer == "direct_read":
                inode.space.invalidate_lock.release_write()


class _ClaimsAllOfAWrite(DirectIo):
    """A direct write answers what was asked for, however short its buffer was."""

    def direct_write(
        self,
        process: int,
        mapping: int,
        page: int,
        file: int,
        file_page: int,
        pages: int,
    ) -> Stepped[int]:
        yield from super().direct_write(process, mapping, page, file, file_page, pages)
        return pages


class _ClaimsAllOfARead(DirectIo):
    """A direct read answers what the file has, however short its buffer was."""

    def count_read(self, buffer: Buffer, filled: list[Page | None]) -> int:
        return buffer.pages


class _LeavesStaleBlocks(DirectWrites):
    """After a short write the rest of the range keeps the blocks allocated for it."""

    def answer(self, inode: Inode, writes: Sequence[BlockWrite], asked: range) -> int:
        words_per_page = self.filesystem.geometry.words_per_page
        for index in asked[len(writes) :]:
            is_inside = index * words_per_page < inode.size_words
            if is_inside and index not in inode.extents:
                self.keep_block(inode, index)
        return len(writes)

    def keep_block(self, inode: Inode, index: int) -> None:
        """Give a page of a file a block that nobody has written."""
        stand_in = Page(NOWHERE, [], index=index)
        try:
            self.filesystem.space.reserve(stand_in, 1)
        except KernelError:
            return
        block = self.filesystem.map_block(inode, stand_in)
        found = self.filesystem.disk.look(block)
        self.filesystem.data_landed(inode, stand_in, block, found)


class _KeepsTheCopyOfAFailure(DirectWrites):
    """The copy of a buffer is let go of when it was written, not when that failed."""

    def free_copy(self, write: BlockWrite) -> None:
        if not write.has_failed:
            super().free_copy(write)


class _UnlocksBeforeItSubmits(DirectWrites):
    """The file is unlocked when its blocks were looked up, before they are written."""

    def write_blocks(
        self, inode: Inode, first: int, buffers: Sequence[Page], asked: int
    ) -> Stepped[int]:
        inode.lock.release()
        done, refusal = 0, None
        try:
            done = yield from super().write_blocks(inode, first, buffers, asked)
        except KernelError as error:
            refusal = error
        yield from inode.lock.acquire("direct_write")
        if refusal is not None:
            raise refusal
        return done


class _PunchesBesideDirectIo(Files):
    """A hole is punched without a look at what is being written past the cache."""

    def punch_hole(self, file: int, page: int, pages: int) -> Stepped[None]:
        inode = self.open(file)
        try:
            is_written = bool(inode.direct_writes)
        finally:
            self.close(inode)
        if not is_written:
            yield from super().punch_hole(file, page, pages)
            return
        holder = inode.lock.held_by
        inode.lock.held_by = None
        yield from super().punch_hole(file, page, pages)
        yield from wait_until("inode lock", inode.lock.is_free)
        inode.lock.held_by = holder


MUTANTS: tuple[Mutant, ...] = (
    of_buffers(
        "reads_into_read_pins",
        ("DIO-BUF-WRITE", "MKW-DEVICE"),
        _ReadsIntoReadPins,
        "a direct read pins its buffer for reading, and puts it as it is",
    ),
    of_buffers(
        "dirties_the_first_page_read",
        ("DIO-BUF-WRITE", "MKW-DEVICE"),
        _DirtiesTheFirstPageRead,
        "a direct read pins for reading, and tells only of the first page it filled",
    ),
    of_buffers(
        "puts_a_direct_read_at_submit",
        ("DIO-BUF-WRITE",),
        _PutsADirectReadAtSubmit,
        "a direct read puts its buffer as soon as the disk has been asked",
        "Z28 (CVE-2022-1011), with the direction turned round",
    ),
    of_writes(
        "writes_the_live_buffer",
        ("DIO-BUF-READ",),
        _WritesTheLiveBuffer,
        "the disk gets the buffer itself, with a checksum of what it held at first",
        "Z33 (968f19c5b1b7): direct writes from a buffer that changes",
    ),
    of_writes(
        "copies_for_checksums_only",
        ("DIO-BUF-READ",),
        _CopiesForChecksumsOnly,
        "a disk with parity gets the buffer itself: its own demand is forgotten",
    ),
    *CACHE,
    of_buffers(
        "locks_its_target_first",
        ("DIO-SELF", "LIVE-GUP"),
        _LocksItsTargetFirst,
        "a direct write holds the pages of its target while it faults in its buffer",
        "Z50 (4f06dd92b5d0); Z42 (d5b58fbb2fd7) is a fault that was to be avoided, too",
    ),
    of_buffers(
        "bars_faults_while_it_pins",
        ("DIO-SELF", "LIVE-GUP"),
        _BarsFaultsWhileItPins,
        "a direct read keeps faults of the file out while it faults in its buffer",
        "Z50: locks held over the fault of the buffer",
    ),
    of_buffers(
        "claims_all_of_a_write",
        ("DIO-PARTIAL",),
        _ClaimsAllOfAWrite,
        "a direct write answers what was asked for, however short its buffer was",
        "Z41 (b68d4979c88e): counted beyond what was copied",
    ),
    of_buffers(
        "claims_all_of_a_read",
        ("DIO-PARTIAL", "MKW-DEVICE"),
        _ClaimsAllOfARead,
        "a direct read answers what the file has, however short its buffer was",
    ),
    of_writes(
        "leaves_stale_blocks",
        ("DIO-PARTIAL",),
        _LeavesStaleBlocks,
        "after a short write the rest of the range keeps the blocks allocated for it",
    ),
    of_writes(
        "keeps_the_copy_of_a_failure",
        ("DIO-PARTIAL", "REF-FREE"),
        _KeepsTheCopyOfAFailure,
        "the copy of a buffer is let go of when it was written, not when that failed",
        "Z40 (5991bfa3f88e): a bounce page leaked on error",
    ),
    of_buffers(
        "puts_at_submit",
        ("DIO-ASYNC-LIFETIME",),
        _PutsAtSubmit,
        "the buffer of a direct write is put when the write has been submitted",
        "Z28 (CVE-2022-1011): a buffer let go of when the request was submitted",
    ),
    of_buffers(
        "keeps_the_first_page_only",
        ("DIO-ASYNC-LIFETIME",),
        _KeepsTheFirstPageOnly,
        "all pages of a buffer but the first are put when the write is submitted",
        "Z28 (CVE-2022-1011)",
    ),
    of_writes(
        "unlocks_before_it_submits",
        ("DIO-TRUNC",),
        _UnlocksBeforeItSubmits,
        "the file is unlocked when its blocks were looked up, before they are written",
    ),
    Mutant(
        "direct_io.punches_beside_direct_io",
        ("DIO-TRUNC",),
        partial(boot, parts=Parts(make_files=_PunchesBesideDirectIo)),
        "a hole is punched without a look at what is being written past the cache",
    ),
)
