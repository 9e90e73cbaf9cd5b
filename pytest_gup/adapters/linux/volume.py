"""The filesystem under test: made, mounted, copied aside, unmounted.

A filesystem is made once, in memory, with file 0 in it; what is not zero in that
image is remembered, and every boot begins with a fresh image of just that. So a boot
costs an attach and a mount.

Interface:
  * `Volumes.mount` makes file 0 and mounts; `Volume.unmount` takes that down.
  * `Volume.power_cut` mounts a copy of the disk as it stands beside the original
    and reads every file on it.
"""

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from pytest_gup.adapters.linux import extents, kernel, loop, offers, tasks
from pytest_gup.adapters.linux.filesystems import Filesystem
from pytest_gup.adapters.linux.master import Master

MS_NOATIME = 1024
FITHAW = 0xC0045878
BTRFS_IOC_FORGET_DEV = 0x50009405
BTRFS_PATH_BYTES = 4096
UNMOUNT_SECONDS = 5.0
"""How long a mount may stay busy after its last user was killed."""
PAGE_BYTES = 4096
TOOL_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
"""Where the tools are looked for that make filesystems."""
FILE_0 = "file-0"

PagesRead = tuple[int, list[bytes | None]]
"""Size of a file in bytes, and its pages; None: reading it fails."""


@attrs.define(eq=False)
class Volumes:
    """Makes filesystems."""

    folder: Path
    disk: Master
    pristine: dict[tuple[str, int], extents.Pristine] = attrs.field(
        factory=dict[tuple[str, int], extents.Pristine]
    )
    offered: dict[str, frozenset[str]] = attrs.field(factory=dict[str, frozenset[str]])
    """What each filesystem was found to offer."""
    count: int = 0

    def offers(self, filesystem: Filesystem) -> frozenset[str]:
        """Find out what a filesystem offers, on a disk that is thrown away."""
        if not filesystem.make:
            return frozenset()
        if filesystem.name not in self.offered:
            self.offered[filesystem.name] = _tried(filesystem, self.folder / "copy")
        return self.offered[filesystem.name]

    def mount(
        self, filesystem: Filesystem, file_bytes: int, *, stable_writes: bool
    ) -> "Volume":
        """Mount a fresh filesystem that holds nothing but file 0."""
        volume = Volume(filesystem, self.folder, self.disk)
        if not filesystem.make:
            size = f"size={filesystem.size_bytes}"
            kernel.mount("tmpfs", str(volume.path), "tmpfs", MS_NOATIME, size)
            _make_file_0(volume.path, file_bytes)
            return volume
        key = filesystem.name, file_bytes
        if key not in self.pristine:
            self.pristine[key] = _made(filesystem, volume.copy_path, file_bytes)
        self.count += 1
        volume.attach(self.pristine[key], f"image-{self.count}", stable=stable_writes)
        return volume


@attrs.define(eq=False)
class Volume:
    """One filesystem, mounted."""

    filesystem: Filesystem
    folder: Path
    disk: Master
    device: str | None = None
    """Its loop device; None: it has no disk."""

    @property
    def path(self) -> Path:
        """Where it is mounted."""
        return self.folder / "stack"

    @property
    def copy_path(self) -> Path:
        """Where a copy of it is mounted for a moment."""
        return self.folder / "copy"

    def attach(self, pristine: extents.Pristine, image: str, *, stable: bool) -> None:
        """Put a fresh image into the disk, and mount it."""
        medium = pristine.fresh()
        try:
            self.disk.order("insert", image, pristine.size_bytes, give=(medium,))
        finally:
            os.close(medium)
        path = str(self.folder / "disk" / image)
        self.device = loop.attach(path, direct=True, stable_writes=stable)
        system = self.filesystem
        options = system.options
        kernel.mount(self.device, str(self.path), system.name, MS_NOATIME, options)
        tasks.warm_up(str(self.path))

    def unmount(self) -> None:
        """Take it down; nothing may be held by now."""
        if self.is_mounted():
            self.thaw()
            _unmount(self.path)
        if self.device is not None:
            loop.detach(self.device)
            _forget(self.filesystem, self.device)

    def is_mounted(self) -> bool:
        """Whether it is mounted; a program may have unmounted it."""
        return os.path.ismount(self.path)

    def thaw(self) -> None:
        """End a freeze, if there is one."""
        if not self.is_mounted():
            return
        with contextlib.suppress(OSError):
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.ioctl(descriptor, FITHAW, 0)
            finally:
                os.close(descriptor)

    def power_cut(self) -> dict[str, PagesRead]:
        """Read all files on a copy of the disk as it stands."""
        _, (medium,) = self.disk.exchange(("copy",))
        try:
            return _read_copy(self.filesystem, medium, self.copy_path)
        finally:
            os.close(medium)


def _made(filesystem: Filesystem, at: Path, file_bytes: int) -> extents.Pristine:
    medium = extents.make(filesystem.size_bytes)
    try:
        with _mounted_new(filesystem, medium, at):
            _make_file_0(at, file_bytes)
        return extents.pristine(medium, filesystem.size_bytes)
    finally:
        os.close(medium)


def _tried(filesystem: Filesystem, at: Path) -> frozenset[str]:
    medium = extents.make(filesystem.size_bytes)
    try:
        with _mounted_new(filesystem, medium, at):
            return offers.of_filesystem(at)
    finally:
        os.close(medium)


@contextlib.contextmanager
def _mounted_new(filesystem: Filesystem, medium: int, at: Path) -> Iterator[None]:
    """Make a filesystem in a memory file, and have it mounted for a while."""
    image = f"/proc/{os.getpid()}/fd/{medium}"
    command = [*filesystem.make, image]
    made = subprocess.run(  # noqa: S603 - a literal command
        command,
        env={**os.environ, "PATH": TOOL_PATH},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise OSError(f"{' '.join(command)} failed: {made.stderr.strip()}")
    device = loop.attach(image, direct=False)
    try:
        kernel.mount(device, str(at), filesystem.name, 0, filesystem.options)
        try:
            yield
        finally:
            _unmount(at)
    finally:
        loop.detach(device)
        _forget(filesystem, device)


def _make_file_0(folder: Path, size_bytes: int) -> None:
    descriptor = os.open(folder / FILE_0, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, size_bytes)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_copy(filesystem: Filesystem, medium: int, at: Path) -> dict[str, PagesRead]:
    device = loop.attach(f"/proc/{os.getpid()}/fd/{medium}", direct=False)
    try:
        options = filesystem.copy_options or filesystem.options
        kernel.mount(device, str(at), filesystem.name, 0, options)
        try:
            return {path.name: _read(path) for path in at.glob("file-*")}
        finally:
            _unmount(at)
    finally:
        loop.detach(device)
        _forget(filesystem, device)


def _read(path: Path) -> PagesRead:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        pages: list[bytes | None] = []
        for offset in range(0, size, PAGE_BYTES):
            try:
                pages.append(os.pread(descriptor, PAGE_BYTES, offset))
            except OSError:
                pages.append(None)
    finally:
        os.close(descriptor)
    return size, pages


def _unmount(path: Path) -> None:
    deadline = time.monotonic() + UNMOUNT_SECONDS
    while True:
        try:
            return kernel.unmount(str(path))
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def _forget(filesystem: Filesystem, device: str) -> None:
    """Have btrfs forget a device that is gone, lest its id clash with a copy."""
    if filesystem.name != "btrfs":
        return
    control = os.open("/dev/btrfs-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        name = device.encode().ljust(BTRFS_PATH_BYTES - 8, b"\0")
        with contextlib.suppress(OSError):
            kernel.call("ioctl", control, BTRFS_IOC_FORGET_DEV, bytes(8) + name)
    finally:
        os.close(control)
