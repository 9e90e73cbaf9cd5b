"""Files that share extents: clone and dedupe, where the filesystem has them."""

from pytest_gup.adapters.linux.bench import Call
from pytest_gup.adapters.linux.files import Files


class Sharing(Files):
    """What a filesystem with shared extents offers."""

    def clone(self, file: int, clone: int) -> Call:
        """Make a file that shares the extents of another, by FICLONE."""
        bench = self.bench

        def keep(descriptor: object) -> None:
            assert isinstance(descriptor, int), f"a clone answered {descriptor!r}"
            bench.files[clone] = descriptor

        return self._on(file, "clone", bench.file_path(clone), then=keep)

    def dedupe(
        self, file: int, page: int, other: int, other_page: int, pages: int
    ) -> Call:
        """Share the extents of two ranges if they are equal, by FIDEDUPERANGE."""
        bench = self.bench
        size = bench.geometry.page_size_bytes

        def whole_pages(shared: object) -> int:
            assert isinstance(shared, int), f"dedupe answered {shared!r}"
            return shared // size

        return self._on(
            *(file, "dedupe", page * size, bench.files[other], other_page * size),
            pages * size,
            then=whole_pages,
        )
