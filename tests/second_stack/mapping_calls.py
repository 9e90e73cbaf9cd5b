"""The calls on mappings: what processes do to files by load and store."""

import attrs

from conformance.interface import Errno, KernelError, Signal, SignalName

from .file_calls import FileCalls, sleeping
from .things import Mapping, Page


@attrs.define(eq=False)
class MappingCalls(FileCalls):
    """Mappings by their handles."""

    mappings: dict[tuple[int, int], Mapping] = attrs.field(
        factory=dict[tuple[int, int], Mapping]
    )
    """By process and number."""

    def mmap(
        self,
        process: int,
        mapping: int,
        file: int | None,
        page: int,
        pages: int,
        writable: bool = True,
    ) -> None:
        """Map pages of a file, shared."""
        if file is None or pages <= 0:
            raise KernelError(Errno.EINVAL, "only pages of files can be mapped")
        mapped = Mapping(self.files[file], page, pages, writable)
        self.mappings[process, mapping] = mapped
        mapped.file.mappings.add(mapped)

    def munmap(self, process: int, mapping: int) -> None:
        """Remove a mapping; a store that is asleep in it ends in SIGSEGV."""
        mapped = self.mappings.pop((process, mapping))
        mapped.is_gone = True
        mapped.file.mappings.remove(mapped)
        for page in mapped.file.pages.values():
            page.writers.discard(mapped)
        self.volume.drop_if_unused(mapped.file)

    def load(self, process: int, mapping: int, page: int, word: int) -> int:
        """Read one word through a mapping."""
        mapped = self.mappings[process, mapping]
        index = locate(mapped, self.volume.words_per_page, page, write=False)
        try:
            return self.volume.page(mapped.file, index).words[word]
        except KernelError as error:
            raise Signal(SignalName.SIGBUS, error.reason) from error

    def store(
        self, process: int, mapping: int, page: int, word: int, value: int
    ) -> None:
        """Write one word through a mapping."""
        mapped = self.mappings[process, mapping]

        def call() -> None:
            index = locate(mapped, self.volume.words_per_page, page, write=True)
            try:
                self.writable_page(mapped, index).words[word] = value
            except KernelError as error:
                raise Signal(SignalName.SIGBUS, error.reason) from error

        sleeping(call)

    def writable_page(self, mapping: Mapping, index: int) -> Page:
        """Give a page, dirty, that may be written through a mapping from now on."""
        page = self.volume.page(mapping.file, index)
        if mapping not in page.writers:
            self.volume.page_mkwrite(page)
            page.writers.add(mapping)
        return page


def locate(mapping: Mapping, words_per_page: int, page: int, *, write: bool) -> int:
    """Give the index in the file of a page of a mapping, or end in a signal."""
    if mapping.is_gone or page not in range(mapping.pages):
        raise Signal(SignalName.SIGSEGV, f"page {page} is not mapped")
    if write and not mapping.is_writable:
        raise Signal(SignalName.SIGSEGV, f"page {page} is mapped read-only")
    index = mapping.first + page
    if index * words_per_page >= mapping.file.size:
        raise Signal(SignalName.SIGBUS, f"page {index} is beyond end of file")
    return index
