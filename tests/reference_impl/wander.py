"""Random programs, randomly scheduled, and what must hold of the stack itself."""

import random
from collections import Counter
from typing import Any

import attrs

from conformance.interface import (
    UNREADABLE,
    Feature,
    Geometry,
    HoldPoint,
    KernelError,
    Setup,
    Signal,
)
from conformance.interface.operations import OPERATIONS
from conformance.interface.refusals import is_allowed
from reference_impl.anon import AnonVma, is_zero
from reference_impl.memory import Page
from reference_impl.pagecache import AddressSpace
from reference_impl.stack import Stack
from tests.reference_impl.stepper import Call, Driver

PAGES = 4
WORDS = 2
LIMIT = 40_000
FEATURE_SETS = (
    frozenset[Feature](),
    frozenset({Feature.CHECKSUMS}),
    frozenset({Feature.COPY_ON_WRITE}),
    frozenset({Feature.PARITY}),
    frozenset({Feature.ENCRYPTION}),
    frozenset({Feature.STABLE_WRITES}),
    frozenset({Feature.VOLATILE_CACHE}),
    frozenset({Feature.NO_DIRTY_TRACKING}),
    frozenset({Feature.SMALL_LIMITS}),
    frozenset(
        {
            Feature.CHECKSUMS,
            Feature.PARITY,
            Feature.ENCRYPTION,
            Feature.VOLATILE_CACHE,
        }
    ),
    frozenset({Feature.COPY_ON_WRITE, Feature.PARITY, Feature.VOLATILE_CACHE}),
)
"""The kinds of stack that are wandered about in."""


class Wanderer(Driver):
    """Draws operations, mixes their steps, and looks at the stack in between."""

    def __init__(
        self, seed: int, features: frozenset[Feature], folio_pages: int = 1
    ) -> None:
        geometry = Geometry(disk_blocks=12, memory_pages=40)
        if Feature.SMALL_LIMITS in features:
            geometry = Geometry(
                disk_blocks=12, memory_pages=40, refcount_max=127, pin_bias=16
            )
        geometry = attrs.evolve(geometry, folio_pages=folio_pages)
        super().__init__(Setup(geometry, features))
        self.random = random.Random(seed)  # noqa: S311 - a seed, no secret
        self.log: list[str] = []
        self.busy_pins: set[int] = set()
        self.points: set[str] = set()

    def draw(self) -> tuple[str, dict[str, Any]]:
        """Draw one operation."""
        r = self.random
        at = {"process": r.choice((0, 0, 0, 1)), "mapping": r.choice((0, 0, 1, 2))}
        page = r.randrange(PAGES)
        span = {"page": page, "pages": r.choice((1, 1, 2, 3))}
        word = {"word": r.randrange(WORDS), "value": r.randrange(1, 256)}
        file = r.choice((0, 0, 0, 1))
        pin = r.randrange(3)
        some = {
            "create": {"file": 1},
            "read": {"file": file, "page": page},
            "write": {"file": file, "page": page, **word},
            "truncate": {"file": file, "words": r.randrange(PAGES * WORDS + 1)},
            "punch_hole": {"file": file, **span},
            "fsync": {"file": file},
            "writeback": {"file": file},
            "evict": {"file": file},
            "reclaim": {"file": file},
            "unlink": {"file": 1},
            "mmap": self.draw_mmap(at, file),
            "dontneed": {**at, **span},
            "pageout": {**at, **span},
            "merge": at,
            "clear_refs": {"process": at["process"]},
            "munmap": {**at, "mapping": r.choice((1, 2))},
            "mprotect": {**at, "writable": r.random() < 0.7},
            "mremap": at,
            "load": {**at, "page": page, "word": word["word"]},
            "store": {**at, "page": page, **word},
            "exit": {"process": 1},
            "get_user_pages": self.draw_get(at, span, pin),
            "get_user_pages_fast": self.draw_get(at, span, pin),
            "put_user_page": {"pin": pin, "page": r.randrange(2)},
            "put_user_pages": {"pin": pin},
            "put_user_pages_dirty_lock": {"pin": pin},
            "put_page": {"pin": pin},
            "set_page_dirty_lock": {"pin": pin},
            "device_write": {"pin": pin, "page": r.randrange(2), **word},
            "direct_read": {**at, **span, "file": file, "file_page": page},
            "direct_write": {**at, **span, "file": file, "file_page": page},
            "device_transfer": {**at, **span, "value": word["value"]},
            "hold": {"at": r.choice(tuple(HoldPoint))},
            "fail_next": {"write": r.random() < 0.5},
            "split": {"file": file, "page": page},
            "clone": {"file": file, "clone": r.choice((1, 2))},
            "dedupe": {"file": file, "other": r.choice((0, 1, 2)), **span},
        }
        weights: dict[str, float] = {
            "store": 6,
            "device_write": 4,
            "get_user_pages_fast": 3,
            "fsync": 3,
        }
        weights |= {"get_user_pages": 3, "load": 2, "release": 3, "thaw": 3}
        weights |= {"split": 2}
        weights |= {"device_complete": 0, "device_abort": 0, "put_user_pages_dirty": 0}
        weights |= {"put_user_pages_dirty_lock": 3, "free_disk": 3, "mount": 3}
        weights |= {"umount": 0.3, "freeze": 0.5, "fill_disk": 0.5, "fork": 0.5}
        names = list(OPERATIONS)
        name = r.choices(names, [weights.get(name, 1) for name in names])[0]
        return name, some.get(name, {})

    def draw_mmap(self, at: Any, file: int) -> dict[str, Any]:
        """Draw a mapping: of a file or of none, shared or private."""
        r = self.random
        backing = r.choice((file, file, None))
        return {
            **at,
            "mapping": r.choice((1, 2)),
            "file": backing,
            "pages": 4,
            "shared": r.random() < (0.5 if backing is not None else 0.2),
            "secret": backing is None and r.random() < 0.1,
        }

    def draw_get(self, at: Any, span: Any, pin: int) -> dict[str, Any]:
        """Draw the arguments of get_user_pages."""
        r = self.random
        flags = {name: r.random() < 0.15 for name in ("nowait", "longterm", "force")}
        tracked = r.random() < 0.85
        if not tracked:
            flags["longterm"] = False
        write = r.random() < 0.8
        return {**at, **span, "pin": pin, "write": write, "tracked": tracked, **flags}

    def is_legal(self, name: str, fields: dict[str, Any]) -> bool:
        """Keep handles of pins apart and device writes to what may be written."""
        handle = fields.get("pin")
        if handle in self.busy_pins:
            return False
        if name.startswith("get_user"):
            return not self.is_held(handle)
        return handle is None or self.may_use(name, handle)

    def may_use(self, name: str, handle: int) -> bool:
        """Tell whether an operation may be applied to a pin."""
        pin = self.stack.devices.pins.get(handle)
        if pin is None:
            return False
        writes = name in (
            "device_write",
            "put_user_pages_dirty_lock",
            "set_page_dirty_lock",
        )
        return not writes or (pin.flags.write and pin.flags.tracked)

    def is_held(self, handle: int | None) -> bool:
        """Tell whether a pin still has pages."""
        pin = self.stack.devices.pins.get(handle if handle is not None else -1)
        return pin is not None and any(pin.pages)

    def wander(self, length: int) -> None:
        """Run a random program and its epilogue."""
        for _ in range(length):
            name, fields = self.draw()
            if not self.is_legal(name, fields):
                continue
            self.log.append(f"{name} {fields}")
            call = self.begin(name, **fields)
            if "pin" in fields and not call.is_done:
                self.busy_pins.add(fields["pin"])
            self.check_outcome(call)
            for _ in range(self.random.choice((0, 3, 10, 60, 300))):
                if not self.one_step():
                    break
            self.check()
        self.epilogue()

    def one_step(self) -> bool:
        """Let one call or actor, drawn at random, take one step."""
        able = [call for call in (*self.calls, *self.actors) if call.can_go_on]
        if not able:
            return False
        call = self.random.choice(able)
        call.step()
        self.points.update(call.points)
        call.points.clear()
        if call.is_done:
            self.calls.remove(call)
            self.busy_pins.discard(call.fields.get("pin"))
            self.check_outcome(call)
        return True

    def check_outcome(self, call: Call) -> None:
        """A refusal must be one that the contract allows."""
        if call.error is not None:
            name = call.name
            operation = OPERATIONS[name](**call.fields)
            assert is_allowed(operation, call.error), f"{name}: {call.error!r}"

    def epilogue(self) -> None:
        """Let everything end, and compare memory, disk and counts at rest."""
        for name in ("release", "free_disk", "thaw"):
            self.begin(name)
            for _ in range(LIMIT):
                if not self.one_step():
                    break
        assert not self.calls, [(c.name, c.waits) for c in self.calls]
        self.begin("free_disk")
        self.begin("thaw")
        self.stack.disk.fails_next_write = self.stack.disk.fails_next_read = False
        self.check()
        self.check_references()
        if not self.stack.filesystem.is_mounted:
            self.do("mount")
        for file in list(self.stack.files.names):
            try:
                self.do("fsync", file=file)
            except KernelError:
                self.do("fsync", file=file)
        self.check_disk()

    def check(self) -> None:
        """Check what must hold between any two steps."""
        stack = self.stack
        pages = [p for i in stack.filesystem.inodes for p in i.space.pages.values()]
        assert stack.space.reserved == sum(p.blocks_reserved for p in pages)
        assert stack.space.free_count >= 0
        assert stack.counters.dirty == sum(p.is_dirty for p in pages)
        assert stack.counters.under_writeback == sum(
            p.is_under_writeback for p in pages
        )
        self.check_ptes(stack)
        for image in stack.power_cut().files.values():
            assert UNREADABLE not in image.words, "a block is unreadable"

    def check_ptes(self, stack: Stack) -> None:
        """A writable entry maps a dirty page of the file, or one that is locked."""
        for process in stack.mm.processes.values():
            for pte in process.ptes.values():
                page = pte.page
                space = page.mapping
                if is_zero(page) or page.anon is not None:
                    self.check_anon(page, is_writable=pte.is_writable)
                    continue
                assert isinstance(space, AddressSpace), "an orphan is mapped"
                is_safe = page.is_dirty or page.is_locked or not space.is_tracked
                assert is_safe or not pte.is_writable, "a clean page is writable"
        for pin in stack.devices.pins.values():
            if pin.flags.write and pin.flags.tracked:
                for held in pin.pages:
                    self.check_pinned(held)

    def check_anon(self, page: Page, *, is_writable: bool) -> None:
        """What one process alone may write to is its own."""
        is_shared = isinstance(page.anon, AnonVma) and page.anon.is_shared
        is_safe = is_shared or page.is_exclusive or not is_writable
        assert is_safe, "a shared page is writable"

    def check_pinned(self, page: Page | None) -> None:
        """A page that a device may write to is dirty, locked, or nobody's."""
        if page is not None:
            self.check_anon(page, is_writable=page.anon is not None)
        if page is not None and page.mapping is not None:
            is_safe = page.is_dirty or page.is_locked or not page.mapping.is_tracked
            assert is_safe, "a clean page is pinned"

    def check_references(self) -> None:
        """At rest every reference is accounted for."""
        stack = self.stack
        counts = dict.fromkeys((p.pfn for p in stack.memory.pages), 0)
        for inode in stack.filesystem.inodes:
            for page in inode.space.pages.values():
                counts[page.head.pfn] += 1
        for process in stack.mm.processes.values():
            for pte in process.ptes.values():
                if not is_zero(pte.page):
                    counts[pte.page.head.pfn] += 1
        for page in self.shared_pages():
            counts[page.pfn] += 1
        pins = self.count_pins(counts)
        assert counts == {p.pfn: p.own_count for p in stack.memory.pages}
        assert {p.pfn: p.pin_count for p in stack.memory.pages} == self.exact
        free = [p.pfn for p in stack.memory.pages if p.refcount == 0]
        assert sorted(stack.memory.free) == free
        vmstat = stack.vmstat()
        requested = (vmstat.nr_gup_slow_pages_requested or 0) + (
            vmstat.nr_gup_fast_pages_requested or 0
        )
        assert requested - (vmstat.nr_gup_pages_returned or 0) == pins

    def shared_pages(self) -> list[Page]:
        """Return the pages of shared anonymous memory."""
        processes = self.stack.mm.processes.values()
        vmas = [vma for process in processes for vma in process.vmas.values()]
        owners = {vma.anon for vma in vmas if vma.anon is not None}
        return [page for owner in owners for page in owner.pages.values()]

    def count_pins(self, counts: dict[int, int]) -> int:
        """Add what pins are worth to the counts; return how many there are."""
        pins = 0
        self.exact = dict.fromkeys(counts, 0)
        for pin in self.stack.devices.pins.values():
            for held in pin.pages:
                if held is not None and not is_zero(held):
                    bias = 1 if held.is_large else self.stack.geometry.pin_bias
                    counts[held.head.pfn] += bias if pin.flags.tracked else 1
                    self.exact[held.head.pfn] += held.is_large and pin.flags.tracked
                    pins += pin.flags.tracked
        return pins

    def check_disk(self) -> None:
        """After fsync the disk holds what memory holds."""
        if Feature.NO_DIRTY_TRACKING in self.stack_features:
            return
        image = self.do("power_cut")
        for file, inode in self.stack.files.names.items():
            expected: list[int] = []
            for page in range(-(-inode.size_words // WORDS)):
                expected += self.do("read", file=file, page=page)
            assert list(image.files[file].words) == expected, f"file {file}"
        used = Counter(
            e.block for i in self.stack.filesystem.inodes for e in i.extents.values()
        )
        shared = {block: count for block, count in used.items() if count > 1}
        assert self.stack.space.used == used.keys()
        assert self.stack.space.users == shared

    @property
    def stack_features(self) -> frozenset[Feature]:
        """What kind of stack it is."""
        tracked = self.stack.filesystem.traits.is_tracked
        return frozenset() if tracked else frozenset({Feature.NO_DIRTY_TRACKING})


def wander(
    seed: int,
    features: frozenset[Feature],
    length: int = 60,
    folio_pages: int = 1,
) -> Wanderer:
    """Run one random program; on failure say which."""
    wanderer = Wanderer(seed, features, folio_pages)
    try:
        wanderer.wander(length)
    except (AssertionError, KernelError, Signal, KeyError, AttributeError) as error:
        program = "\n".join(wanderer.log)
        where = f"seed {seed} {features} folio {folio_pages}"
        raise AssertionError(f"{where}: {error!r}\n{program}") from error
    return wanderer
