"""A stack that obeys every rule, readable as a specification.

Read it from the bottom: `stepping` (how operations are written down), `memory`,
`blockdev`, `pagecache`, `pagetable`, `rmap`, `space`, `filesystem`, `files`,
`writeback`, `fault`, `mm`, `gup`, `gup_fast`, `dma`; `stack` wires them.

    pytest --gup-impl=reference_impl
"""

from reference_impl.stack import boot

__all__ = ["boot"]
