"""Filesystems on images, in a mount namespace of their own.

Interface:
  * `with Lab() as lab`: what it makes is undone at the end, last things first.
  * `Filesystem.file`, `stalled`, `power_cut`, `after_power_cut`.
"""

import contextlib
import ctypes
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.fuse import Device, FaultyDisk
from lab.process import LIBC, filled
from lab.steps import value

SIZES = {"ext4": 64 << 20, "xfs": 300 << 20, "btrfs": 128 << 20}
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
CLONE_NEWNS = 0x20000
STALL_SECONDS_MAX = 20.0
LOSETUP = ("losetup", "--find", "--show", "--direct-io=on")


def run(*command: str) -> str:
    """Run a command; its output is the answer."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


class Filesystem:
    """A filesystem on an image, mounted."""

    def __init__(self, lab: "Lab", name: str, *, stalls: bool, faulty: bool) -> None:
        self.lab, self.name = lab, name
        lab.count += 1
        self.folder = lab.folder / f"{name}-{lab.count}"
        self.folder.mkdir()
        self.path = self.folder / "mounted"
        self.path.mkdir()
        self.outer: Path | None = None
        if stalls:
            self.outer = lab.filesystem("ext4", size=SIZES[name] + (128 << 20)).path
        self.image = (self.outer or self.folder) / "image"

    def make(self, size: int, *, faulty: bool) -> None:
        """Make and mount it."""
        with self.image.open("wb") as image:
            image.truncate(size)
        run(
            f"mkfs.{self.name}",
            *(["-F"] if self.name == "ext4" else []),
            "-q",
            str(self.image),
        )
        source = self.image
        if faulty:
            self.disk = FaultyDisk(self.folder / "disk", self.image, size)
            self.lab.at_end(lambda: run("umount", "-l", str(self.disk.path)))
            self.lab.at_end(self.disk.close)
            source = self.folder / "disk" / "image"
        self.mount(source, self.path)
        self.lab.at_end(self.give_up)

    def mount(self, image: Path, at: Path) -> None:
        """Mount an image."""
        options = "loop,nouuid" if self.name == "xfs" else "loop"
        run("mount", "-t", self.name, "-o", options, str(image), str(at))

    def set_stable_writes(self, *, wanted: bool) -> None:
        """Mount it again, on a disk that needs pages not to change meanwhile, or not.

        A loop device keeps that from one use to the next, so it is set in both cases,
        and put back at the end.
        """
        self.unmount()
        device = run("losetup", "--find", "--show", str(self.image))
        setting = Path("/sys/block", Path(device).name, "queue/stable_writes")
        before = setting.read_text()
        setting.write_text(str(int(wanted)))
        options = ["-o", "nouuid"] if self.name == "xfs" else []
        run("mount", "-t", self.name, *options, device, str(self.path))
        run("losetup", "-d", device)
        self.lab.at_end(lambda: setting.write_text(before))

    def unmount(self) -> None:
        """Unmount it; its loop device goes with that."""
        if os.path.ismount(self.path):
            run("umount", str(self.path))

    def give_up(self) -> None:
        """Unmount it even if it is in use."""
        if os.path.ismount(self.path):
            run("umount", "-l", str(self.path))

    def file(self, value: int = 1, name: str = "file", pages: int = 1) -> Path:
        """Make a file, filled with a value, and on the disk."""
        path = self.path / name
        with path.open("wb", buffering=0) as file:
            file.write(filled(value) * pages)
            os.fsync(file.fileno())
        return path

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Have the disk stand still: no write to it ends, nor is its content read."""
        assert self.outer is not None, "made without `stalls`"
        outer = os.open(self.outer, os.O_RDONLY)
        reader, writer = os.pipe()
        fcntl.ioctl(outer, FIFREEZE, 0)
        thawer = os.fork()
        if thawer == 0:
            # Whatever becomes of the script, it does not stand still for ever.
            os.close(writer)
            select.select([reader], [], [], STALL_SECONDS_MAX)
            fcntl.ioctl(outer, FITHAW, 0)
            os._exit(0)
        try:
            yield
        finally:
            os.close(outer)
            os.write(writer, b"!")
            os.waitpid(thawer, 0)
            os.close(reader)
            os.close(writer)

    def power_cut(self) -> None:
        """Copy the image as it stands."""
        run("cp", "--sparse=always", str(self.image), str(self.folder / "copy"))

    def after_power_cut(self, name: str = "file") -> str:
        """Mount the copy instead of the original, and read the first page of a file."""
        self.unmount()
        if self.name == "btrfs":
            run("btrfs", "device", "scan", "--forget")
        self.mount(self.folder / "copy", self.path)
        return value(self.path / name)


class Lab:
    """A mount namespace and a temporary folder; everything in it is undone at exit."""

    def __init__(self) -> None:
        if os.geteuid():
            sys.exit("this needs root: it mounts filesystems")
        self.count = 0
        self.undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Begin."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: sys.exit(128 + number))
        try:
            self._begin()
        except BaseException:
            self.undo.close()
            raise
        return self

    def _begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gup-finding-"))
        self.at_end(lambda: shutil.rmtree(self.folder, ignore_errors=True))
        if LIBC.unshare(CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "unshare")
        run("mount", "--make-rprivate", "/")
        self.device = Device(self.folder / "device")
        self.at_end(lambda: run("umount", "-l", str(self.device.path)))
        self.at_end(self.device.close)
        self.source = self.device.path / "dma"
        if os.environ.get("PIN") == "block":
            self.source = Path(run(*LOSETUP, str(self.source)))
            self.at_end(lambda: run("losetup", "-d", str(self.source)))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Undo everything, last things first."""
        self.undo.close()

    def at_end(self, function: Callable[[], object]) -> None:
        """Have something done at the end."""
        self.undo.callback(function)

    def filesystem(
        self, name: str, *, stalls: bool = False, faulty: bool = False, size: int = 0
    ) -> Filesystem:
        """Make a filesystem and mount it."""
        made = Filesystem(self, name, stalls=stalls, faulty=faulty)
        made.make(size or SIZES[name], faulty=faulty)
        return made
