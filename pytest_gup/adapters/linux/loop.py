"""Loop devices: a block device over a file.

Interface:
  * `attach` returns the path of a loop device over a file. It detaches itself when
    the last user closes it, even if everybody who knew of it was killed.
  * `detach` detaches it now.
  * `backing` tells what a loop device is attached to.

Struct layout: include/uapi/linux/loop.h (`LOOP_CONFIGURE`, Linux 5.8 and later).
"""

import errno
import fcntl
import os
import struct
from pathlib import Path

LOOP_CLR_FD = 0x4C01
LOOP_CTL_GET_FREE = 0x4C82
LOOP_CONFIGURE = 0x4C0A
LO_FLAGS_AUTOCLEAR = 4
LO_FLAGS_DIRECT_IO = 16
ATTEMPTS = 50
"""Another process may take the free device that we were told of."""

_CONFIG = struct.Struct("=II QQQQQ IIII 64s64s32s QQ 8Q")


def attach(path: str, *, direct: bool, stable_writes: bool | None = None) -> str:
    """Attach a free loop device to a file; return the path of the device.

    Args:
        path: the file.
        direct: pass requests to the file with O_DIRECT.
        stable_writes: whether the queue demands stable pages; None: its default.
    """
    access = os.O_RDWR | os.O_CLOEXEC | (os.O_DIRECT if direct else 0)
    file = os.open(path, access)
    try:
        device, descriptor = _configure(file, direct=direct)
    finally:
        os.close(file)
    try:
        if stable_writes is not None:
            _demand_stable(device, wanted=stable_writes)
    except OSError:
        os.close(descriptor)
        raise
    _kept[device] = descriptor
    return device


def detach(device: str) -> None:
    """Detach a loop device that `attach` returned."""
    descriptor = _kept.pop(device)
    _put_back(device)
    try:
        fcntl.ioctl(descriptor, LOOP_CLR_FD)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
    finally:
        os.close(descriptor)


def release(device: str) -> None:
    """Stop keeping a device attached: it detaches itself after its last user."""
    _put_back(device)
    os.close(_kept.pop(device))


def _demand_stable(device: str, *, wanted: bool) -> None:
    """Set what the queue demands; to write there stops the device for a while."""
    setting = _queue(device, "stable_writes")
    found = setting.read_text()
    if int(found) != wanted:
        setting.write_text(str(int(wanted)))
        _found[device] = found


def _put_back(device: str) -> None:
    """Leave the queue as it was found: a setting outlives the attachment."""
    found = _found.pop(device, None)
    if found is not None:
        _queue(device, "stable_writes").write_text(found)


def backing(device: str) -> str | None:
    """Tell the path of the file under a loop device; None: it is free."""
    try:
        return Path("/sys/block", Path(device).name, "loop/backing_file").read_text()
    except OSError:
        return None


_kept: dict[str, int] = {}
"""An open descriptor for each attached device; without one, it detaches itself."""
_found: dict[str, str] = {}
"""What `stable_writes` was before we changed it, by device."""


def _configure(file: int, *, direct: bool) -> tuple[str, int]:
    flags = LO_FLAGS_AUTOCLEAR | (LO_FLAGS_DIRECT_IO if direct else 0)
    config = _CONFIG.pack(
        *(file, 4096 if direct else 512, 0, 0, 0, 0, 0),
        *(0, 0, 0, flags, b"pytest-gup", b"", b"", 0, 0),
        *[0] * 8,
    )
    for _ in range(ATTEMPTS):
        device = f"/dev/loop{_free_number()}"
        descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, LOOP_CONFIGURE, config)
        except OSError as error:
            os.close(descriptor)
            if error.errno != errno.EBUSY:
                raise
        else:
            return device, descriptor
    raise OSError(errno.EBUSY, f"no free loop device in {ATTEMPTS} attempts")


def _free_number() -> int:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(control, LOOP_CTL_GET_FREE)
    finally:
        os.close(control)


def _queue(device: str, attribute: str) -> Path:
    return Path("/sys/block", Path(device).name, "queue", attribute)
