"""What the kernel does to pages behind everybody's back."""

from typing import ClassVar

import attrs

from conformance.interface.operations.base import BaseOperation


@attrs.frozen
class Reclaim(BaseOperation):
    """Unmap, clean and free as many pages of a file as can be."""

    name: ClassVar[str] = "reclaim"
    file: int = 0


@attrs.frozen
class Pageout(BaseOperation):
    """Move pages of a mapping out of memory, to swap or to their file, if it can be."""

    name: ClassVar[str] = "pageout"
    process: int = 0
    mapping: int = 0
    page: int = 0
    pages: int = 1


@attrs.frozen
class Migrate(BaseOperation):
    """Move pages of a mapping to other physical pages (compaction, NUMA balancing)."""

    name: ClassVar[str] = "migrate"
    process: int = 0
    mapping: int = 0
    page: int = 0
    pages: int = 1


@attrs.frozen
class Merge(BaseOperation):
    """Share equal pages of a mapping of anonymous memory (KSM)."""

    name: ClassVar[str] = "merge"
    process: int = 0
    mapping: int = 0


@attrs.frozen
class Steal(BaseOperation):
    """Take a page of a file out of the page cache for another owner (splice)."""

    name: ClassVar[str] = "steal"
    file: int = 0
    page: int = 0


@attrs.frozen
class Split(BaseOperation):
    """Split the large folio that a page of a file belongs to."""

    name: ClassVar[str] = "split"
    file: int = 0
    page: int = 0
