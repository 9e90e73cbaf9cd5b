"""What devices do, and the drivers of the stack itself."""

from typing import ClassVar

import attrs

from conformance.interface.operations.base import BaseOperation


@attrs.frozen
class DeviceWrite(BaseOperation):
    """A device writes one word of a pinned page, past all page tables."""

    name: ClassVar[str] = "device_write"
    pin: int = 0
    page: int = 0
    word: int = 0
    value: int = 1


@attrs.frozen
class DeviceRead(BaseOperation):
    """A device reads one word of a pinned page. Answers its stamp."""

    name: ClassVar[str] = "device_read"
    pin: int = 0
    page: int = 0
    word: int = 0


@attrs.frozen
class DeviceComplete(BaseOperation):
    """A device writes every word of a pin, marks its pages dirty and puts them.

    For stacks where these are one step; made of the parts for others.
    """

    name: ClassVar[str] = "device_complete"
    pin: int = 0
    value: int = 1


@attrs.frozen
class DeviceAbort(BaseOperation):
    """A device gives up: the pages of a pin are put, and nothing else."""

    name: ClassVar[str] = "device_abort"
    pin: int = 0


@attrs.frozen
class DirectRead(BaseOperation):
    """Read pages of a file with O_DIRECT into a mapping. Answers how many pages.

    The stack's own driver: it pins the buffer, has the disk write to it, marks it
    dirty and puts it.
    """

    name: ClassVar[str] = "direct_read"
    process: int = 0
    mapping: int = 0
    page: int = 0
    file: int = 1
    file_page: int = 0
    pages: int = 1


@attrs.frozen
class DirectWrite(BaseOperation):
    """Write pages of a file with O_DIRECT from a mapping. Answers how many pages."""

    name: ClassVar[str] = "direct_write"
    process: int = 0
    mapping: int = 0
    page: int = 0
    file: int = 1
    file_page: int = 0
    pages: int = 1


@attrs.frozen
class DeviceTransfer(BaseOperation):
    """An RDMA-like driver of the stack fills pages of a mapping with one stamp.

    It pins the pages, writes every word of them, marks them dirty and puts them.
    Answers how many pages.
    """

    name: ClassVar[str] = "device_transfer"
    process: int = 0
    mapping: int = 0
    page: int = 0
    pages: int = 1
    value: int = 1


@attrs.frozen
class Attach(BaseOperation):
    """Let a device share the page table of a mapping (ODP, HMM).

    The device follows every change of the page table through a notifier, and holds
    no pin. It faults pages in when it accesses them.
    """

    name: ClassVar[str] = "attach"
    process: int = 0
    mapping: int = 0
    device: int = 0
    """Handle of the device that is attached."""


@attrs.frozen
class Detach(BaseOperation):
    """End what `Attach` began; the device's accesses have ended when it answers."""

    name: ClassVar[str] = "detach"
    device: int = 0


@attrs.frozen
class MirrorWrite(BaseOperation):
    """An attached device writes one word of its mapping, faulting it in if need be."""

    name: ClassVar[str] = "mirror_write"
    device: int = 0
    page: int = 0
    word: int = 0
    value: int = 1


@attrs.frozen
class MirrorRead(BaseOperation):
    """An attached device reads one word of its mapping. Answers its stamp."""

    name: ClassVar[str] = "mirror_read"
    device: int = 0
    page: int = 0
    word: int = 0
