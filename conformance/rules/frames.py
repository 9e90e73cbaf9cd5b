"""Physical pages: free, cached, or held by pins alone.

While nothing but file pages uses memory, every page is one of these, and their number
is what it was after boot.

Interface:
  * `is_countable(history)`: nothing else uses memory, and every file page is shown.
  * `shows_all_memory(history)`: the same, whatever large folios there are.
  * `free_pages(sample)`: pages that are free or cached; None: it cannot be told.
  * `frames_held(sample)`: pages of no file that are behind pins.
"""

from conformance.interface import (
    DirectRead,
    DirectWrite,
    Mmap,
    Operation,
    Read,
    Truncate,
    Unlink,
    Write,
)
from conformance.oracle.history import History, Sample


def is_countable(history: History) -> bool:
    """Whether each page is free, cached or behind a pin, and can be seen.

    Of a large folio a page may have left its file, and not be free before the rest.
    """
    return history.geometry.folio_pages == 1 and shows_all_memory(history)


def shows_all_memory(history: History) -> bool:
    """Whether all memory in use is that of pages of files that have a name."""
    geometry = history.geometry
    words = geometry.file_pages * geometry.words_per_page
    return not any(
        _hides(call.operation, geometry.file_pages, words)
        for call in history.calls
        if call.was_asked
    )


def _hides(operation: Operation, pages: int, words: int) -> bool:
    """Whether an operation may use memory that no view shows."""
    match operation:
        case Mmap(file=file, shared=shared):
            is_hidden = file is None or not shared
        case Truncate(words=size):
            is_hidden = size > words
        case Read(page=page) | Write(page=page):
            is_hidden = page >= pages
        case DirectRead() | DirectWrite():
            is_hidden = operation.file_page + operation.pages > pages
        case _:
            is_hidden = isinstance(operation, Unlink)
    return is_hidden


def free_pages(sample: Sample) -> int | None:
    """Count the pages that are free or cached; None: it cannot be told now."""
    free = sample.vmstat.nr_free_pages
    views = sample.pages.values()
    is_busy = sample.vmstat.nr_writeback or any(v.is_under_writeback for v in views)
    if free is None or not views or is_busy:
        return None
    cached = [view.is_cached for view in views]
    return None if None in cached else free + cached.count(True)


def frames_held(sample: Sample) -> int | None:
    """Count the pages that belong to no file and are behind pins; None: not told."""
    orphans = [view for view in sample.pins.values() if not view.is_cached]
    frames = {view.frame for view in orphans}
    is_told = None not in frames and all(v.is_cached is False for v in orphans)
    return len(frames) if is_told else None
