"""What the disk is made to do."""

from typing import ClassVar

import attrs

from conformance.interface.operations.base import BaseOperation
from conformance.interface.values import HoldPoint


@attrs.frozen
class Hold(BaseOperation):
    """Make the disk stop, for every write from now on, at a point."""

    name: ClassVar[str] = "hold"
    at: HoldPoint = HoldPoint.AFTER_CAPTURE


@attrs.frozen
class Release(BaseOperation):
    """Let the disk go on."""

    name: ClassVar[str] = "release"


@attrs.frozen
class FailNext(BaseOperation):
    """Make the disk fail the next write (or read) of file data with an I/O error."""

    name: ClassVar[str] = "fail_next"
    write: bool = True


@attrs.frozen
class PowerCut(BaseOperation):
    """Copy the disk as it stands, and read all files on the copy.

    The stack goes on undisturbed. Answers a `PowerCutImage`.
    """

    name: ClassVar[str] = "power_cut"


@attrs.frozen
class FlushDisk(BaseOperation):
    """Empty the volatile cache of the disk."""

    name: ClassVar[str] = "flush_disk"
