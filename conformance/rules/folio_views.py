"""What the samples of a history show of large folios.

Which pages of a file are one folio is a claim of the stack: those that have the same
first page. It is used to say what a rule is about, never to say that it is held.

Interface:
  * `mates(sample, name)`: the pages seen in one large folio with a page of a file.
  * `head_of(sample, name)`: the page of the file that is the first of its folio.
  * `pins_of_folios(case)`: the pages of pins that were part of a large folio when they
    were granted. `holds_at`, `shown_at`: whether one is held, and what is seen of it.
  * `strangers(case, sample, pinned)`: who else is seen to have a pinned page.
  * `misplaced(case, pinned)`: losses where a device's data is, or is not, for which
    its pin is to blame.
"""

from collections.abc import Iterable, Iterator

import attrs

from conformance.interface import DeviceComplete, DeviceRead, DeviceWrite, PageView
from conformance.oracle.history import Moment, Sample
from conformance.oracle.layout import PageName
from conformance.oracle.pins import PinnedPage, PinRecord
from conformance.rules.evidence import Loss, lost_in_memory, lost_on_disk
from conformance.rules.rule import Case
from conformance.rules.sightings import place_of, view_of

Pages = dict[PageName, PageView]


@attrs.frozen(eq=False)
class Pinned:
    """One page of a pin."""

    record: PinRecord
    number: int
    page: PinnedPage

    @property
    def label(self) -> str:
        """Say which page of which pin it is."""
        return f"page {self.number} of pin {self.record.handle}"

    def holds_at(self, moment: Moment) -> bool:
        """Whether it surely is held at a moment."""
        return self.record.maker.ended < moment < self.page.put_asked

    def shown_at(self, sample: Sample) -> PageView | None:
        """Return what a sample shows of the page; None: nothing, or it is not held."""
        if not self.holds_at(sample.moment):
            return None
        return sample.pins.get((self.record.handle, self.number))


# --- folios -----------------------------------------------------------------------


def mates(sample: Sample | None, name: PageName | None) -> Pages:
    """Return the pages seen in one large folio with a page, itself among them.

    Empty: it is a single page, or the stack does not tell.
    """
    view = view_of(sample, name)
    if sample is None or name is None or view is None or view.head_frame is None:
        return {}
    found = {
        other: seen
        for other, seen in sample.pages.items()
        if other[0] == name[0] and seen.head_frame == view.head_frame
    }
    return found if len(found) > 1 or view.head_frame != view.frame else {}


def head_of(sample: Sample | None, name: PageName) -> PageName | None:
    """Return the page of the file that is the first of a page's large folio."""
    for other, view in mates(sample, name).items():
        if view.frame == view.head_frame:
            return other
    return None


# --- pins -------------------------------------------------------------------------


def pins_of_folios(case: Case) -> list[Pinned]:
    """Return the pinned pages that were part of a large folio when they were granted.

    Not in programs of misuse, where anything may become of them.
    """
    if case.history.program.misuse:
        return []
    return [
        Pinned(record, number, page)
        for record in case.oracle.pins
        if record.is_certain
        for number, page in enumerate(record.pages)
        if mates(case.history.sample_after(record.maker.ended), page.file_page)
    ]


def held_pages(case: Case, moment: Moment) -> list[Pinned]:
    """Return all pages of pins that are surely held at a moment."""
    everything = (
        Pinned(record, number, page)
        for record in case.oracle.pins
        if record.is_certain
        for number, page in enumerate(record.pages)
    )
    return [pinned for pinned in everything if pinned.holds_at(moment)]


def strangers(case: Case, sample: Sample, pinned: Pinned) -> Iterator[str]:
    """Say which other files are seen to have the memory of a page that is held.

    Within its file, a request may just have been answered with the wrong page.
    """
    view, own = pinned.shown_at(sample), pinned.page.file_page
    if view is None or view.frame is None or own is None:
        return
    for name, seen in sample.pages.items():
        if seen.is_cached and seen.frame == view.frame and name[0] != own[0]:
            yield place_of(name)
    for other in held_pages(case, sample.moment):
        seen_there, name_there = other.shown_at(sample), other.page.file_page
        is_same = seen_there is not None and seen_there.frame == view.frame
        if is_same and name_there is not None and name_there[0] != own[0]:
            yield other.label


# --- damage -----------------------------------------------------------------------


def misplaced(case: Case, pinned: Iterable[Pinned]) -> Iterator[Loss]:
    """Yield the losses that show that a device is not at the page that it was given.

    It does not read what is there, or what it wrote is found in another page.
    """
    held = list(pinned)
    for loss in (*lost_in_memory(case), *lost_on_disk(case)):
        if any(_reads(case, one, loss) or _strayed_to(one, loss) for one in held):
            yield loss


def _reads(case: Case, pinned: Pinned, loss: Loss) -> bool:
    operation = loss.call.operation
    return (
        isinstance(operation, DeviceRead)
        and case.oracle.pin_of(loss.call) is pinned.record
        and operation.page == pinned.number
    )


def _strayed_to(pinned: Pinned, loss: Loss) -> bool:
    """Whether what was lost is overwritten by what the device wrote elsewhere."""
    if pinned.page.name == (loss.file, loss.page):
        return False
    for write in pinned.page.device_writes:
        assert isinstance(write.operation, DeviceWrite | DeviceComplete)
        if write.operation.value == loss.seen and write.asked < loss.call.ended:
            return True
    return False
