"""Anonymous memory: whose its pages are, and the zero page.

A page of anonymous memory belongs to no file, but to an *anon_vma*: the mappings
that may show it. These are the one that it was made in and, since a fork copies
mappings, its copies in other processes. A private mapping of a file has an anon_vma
too, for the copies that are made of the file's pages when they are written to.

An anonymous page is *exclusive* while one process alone has it. Only then is it
written to in place, and only then may it be pinned. A fork takes the exclusiveness
away and nothing gives it back: who wants to write makes a copy. So nobody has to
guess from a reference count whether somebody else still looks at a page.

The *zero page* stands for pages that were never written to. Everybody maps it, and
nobody counts it: neither entries nor pins.

Interface:
  * `AnonVma` owns pages; of shared anonymous memory it is also the place where they
    are found.
  * `is_zero` and `is_anon` tell what a page is; `make_anon` makes it anonymous.
"""

import attrs

from reference_impl.memory import Page

ZERO_PFN = -1
"""The frame of the zero page, before all that are ever handed out."""


@attrs.define(eq=False)
class AnonVma:
    """The owner of anonymous pages."""

    is_secret: bool = False
    """get_user_pages does not hand out its pages."""
    is_shared: bool = False
    """A fork does not copy it: all who have it see the same pages."""
    pages: dict[int, Page] = attrs.field(factory=dict[int, Page])
    """Shared anonymous memory: its pages by index."""


def make_zero_page(words: int) -> Page:
    """Make the page that stands for all that was never written to."""
    return Page(ZERO_PFN, [0] * words, refcount=1, is_uptodate=True)


def is_zero(page: Page) -> bool:
    """Tell whether it is the zero page, which nobody counts."""
    return page.pfn == ZERO_PFN


def is_anon(page: Page) -> bool:
    """Tell whether a page belongs to anonymous memory; the zero page does not."""
    return page.anon is not None


def make_anon(page: Page, owner: AnonVma, index: int) -> None:
    """Give a new page to anonymous memory; if that is not shared, to one process."""
    page.anon = owner
    page.index = index
    page.is_uptodate = True
    page.is_exclusive = not owner.is_shared
