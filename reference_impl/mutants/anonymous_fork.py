"""Stacks whose forks share what a device has, or copy what nobody should see."""

from functools import partial

from reference_impl.fork import ForkCopy
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Process, Pte, Vma
from reference_impl.stack import boot
from reference_impl.stepping import Stepped

# --- fork -----------------------------------------------------------------------------


class _SharesPinnedPages(ForkCopy):
    """Pinned pages are shared with the child like any other."""

    def must_copy(self, page: Page) -> bool:
        return False


class _CopiesForTheFirstChild(ForkCopy):
    """A pinned page is copied once; the next child shares it."""

    copied: set[int]

    def must_copy(self, page: Page) -> bool:
        self.copied = getattr(self, "copied", set())
        is_first = page.pfn not in self.copied
        must = super().must_copy(page)
        self.copied |= {page.pfn} if must else set()
        return must and is_first


class _CopiesTheFirstPage(ForkCopy):
    """Of a mapping only the first page is asked for pins, as of a huge page."""

    def must_copy(self, page: Page) -> bool:
        return page.index == 0 and super().must_copy(page)


class _GivesTheCopyToTheParent(ForkCopy):
    """The child gets the page that is pinned, and the parent the copy."""

    def copy_anon(
        self, vma: Vma, child: Process, address: int, page: Page
    ) -> Stepped[None]:
        if not self.must_copy(page):
            yield from super().copy_anon(vma, child, address, page)
            return
        copy = yield from self.copy_page(vma, page)
        self.tables.set_pte(child, address, Pte(page))
        self.tables.replace(vma.process, address, Pte(copy))
        self.memory.put(copy)


class _AsksForPinsOnce(ForkCopy):
    """All pages of a mapping are asked for pins before the first is shared."""

    pinned: list[Page]

    def keep_gup_fast_off(self, vma: Vma) -> None:
        pages = [
            vma.process.ptes[a].page for a in vma.addresses if a in vma.process.ptes
        ]
        self.pinned = [page for page in pages if self.memory.maybe_dma_pinned(page)]

    def must_copy(self, page: Page) -> bool:
        return page.is_exclusive and page in self.pinned


class _CopiesWithoutProtecting(ForkCopy):
    """A page that is copied stays writable meanwhile."""

    def protect(self, parent: Process, address: int) -> None:
        if not self.must_copy(parent.ptes[address].page):
            super().protect(parent, address)


class _CopiesInTwoParts(ForkCopy):
    """A page that is copied stays writable, and is copied in two parts."""

    def protect(self, parent: Process, address: int) -> None:
        if not self.must_copy(parent.ptes[address].page):
            super().protect(parent, address)

    def copy_page(self, vma: Vma, page: Page) -> Stepped[Page]:
        copy = yield from super().copy_page(vma, page)
        copy.words[1:] = page.words[1:]
        return copy


class _UnprotectsTooEarly(ForkCopy):
    """A page that was copied is writable again before the next one is looked at."""

    def copy_anon(
        self, vma: Vma, child: Process, address: int, page: Page
    ) -> Stepped[None]:
        pte = vma.process.ptes[address]
        yield from super().copy_anon(vma, child, address, page)
        if page.is_exclusive:
            self.tables.set_pte(vma.process, address, pte)


class _LetsTheChildWrite(ForkCopy):
    """The child may write to what its parent could write to."""

    def copy_anon(
        self, vma: Vma, child: Process, address: int, page: Page
    ) -> Stepped[None]:
        pte = vma.process.ptes[address]
        yield from super().copy_anon(vma, child, address, page)
        if child.ptes[address].page is page:
            self.tables.set_pte(child, address, pte)


class _CopiesPagesOfFiles(ForkCopy):
    """Whatever is pinned is copied for the child, a page of a file, too."""

    def is_own(self, page: Page) -> bool:
        return super().is_own(page) or self.memory.maybe_dma_pinned(page)

    def must_copy(self, page: Page) -> bool:
        return self.memory.maybe_dma_pinned(page)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "fork.shares_pinned_pages",
        ("ANON-FORK-COPY", "ANON-EXCL"),
        partial(boot, parts=Parts(make_fork_copy=_SharesPinnedPages)),
        "pinned pages are shared with the child like any other",
        "Z17: before 70e806e4e645",
    ),
    Mutant(
        "fork.copies_for_the_first_child",
        ("ANON-FORK-COPY", "ANON-EXCL"),
        partial(boot, parts=Parts(make_fork_copy=_CopiesForTheFirstChild)),
        "a pinned page is copied for one child; the next one shares it",
    ),
    Mutant(
        "fork.copies_the_first_page",
        ("ANON-FORK-COPY", "ANON-EXCL"),
        partial(boot, parts=Parts(make_fork_copy=_CopiesTheFirstPage)),
        "of a mapping only the first page is asked for pins",
        "Z19: d042035eaf5f, 4eae4efa2c29, huge pages were forgotten",
    ),
    Mutant(
        "fork.gives_the_copy_to_the_parent",
        ("ANON-FORK-COPY",),
        partial(boot, parts=Parts(make_fork_copy=_GivesTheCopyToTheParent)),
        "the child gets the page that is pinned, and the parent the copy",
        "Z3: copying could break either way",
    ),
    Mutant(
        "fork.asks_for_pins_once",
        ("ANON-FORK-SEQ", "ANON-EXCL"),
        partial(boot, parts=Parts(make_fork_copy=_AsksForPinsOnce)),
        "all pages are asked for pins before the first is shared, and GUP-fast goes on",
        "Z18: before 57efa1fe5957",
    ),
    Mutant(
        "fork.copies_without_protecting",
        ("ANON-FORK-SNAPSHOT",),
        partial(boot, parts=Parts(make_fork_copy=_CopiesWithoutProtecting)),
        "a page that is copied stays writable meanwhile",
        "Z22: a torn fork, since 70e806e4e645",
    ),
    Mutant(
        "fork.copies_in_two_parts",
        ("ANON-FORK-SNAPSHOT",),
        partial(boot, parts=Parts(make_fork_copy=_CopiesInTwoParts)),
        "a page that is copied stays writable, and is copied in two parts",
        "Z22: a torn fork, since 70e806e4e645",
    ),
    Mutant(
        "fork.unprotects_too_early",
        ("ANON-FORK-SNAPSHOT",),
        partial(boot, parts=Parts(make_fork_copy=_UnprotectsTooEarly)),
        "a page that was copied is writable again before the next one is looked at",
    ),
    Mutant(
        "fork.lets_the_child_write",
        ("ANON-ISOLATION", "ANON-EXCL", "ANON-FORK-COPY", "GWB-WRITEBIT"),
        partial(boot, parts=Parts(make_fork_copy=_LetsTheChildWrite)),
        "the child may write to what its parent could write to, in place",
    ),
    Mutant(
        "fork.copies_pages_of_files",
        ("ANON-FORK-FILE",),
        partial(boot, parts=Parts(make_fork_copy=_CopiesPagesOfFiles)),
        "whatever is pinned is copied for the child, a page of a file, too",
        "Z21: 5.10, before the fix around fb3d824d1a46",
    ),
)
