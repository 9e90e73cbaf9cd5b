"""Pages are moved, merged, split and paged out, and nothing is lost by it."""

import pytest

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    Fsync,
    GetUserPages,
    Load,
    Merge,
    Migrate,
    Operation,
    Pageout,
    Read,
    Split,
    Store,
    Write,
)
from tests.pytest_gup.adapters.linux.programs import (
    LARGE,
    after,
    anonymous,
    answers,
    everywhere,
    frames,
    samples,
)

pytestmark = [pytest.mark.linux, pytest.mark.slow]

SHARES_LAB = True


@everywhere
def test_pageout(filesystem: str) -> None:
    """Nothing is lost by it."""
    history = after(
        filesystem,
        *(anonymous(), Store(mapping=1, value=3), Store(value=4)),
        *(Pageout(mapping=1), Pageout(), Load(mapping=1), Load()),
    )

    assert answers(history, Load) == [3, 4]


@everywhere
def test_merge(filesystem: str) -> None:
    """Equal pages become one, a pinned one does not, and a store parts them."""
    stores: list[Operation] = [
        Store(mapping=1, page=page, word=word, value=3)
        for page in range(3)
        for word in range(2)
    ]
    history = after(
        filesystem,
        *(anonymous(pages=3), *stores, GetUserPages(mapping=1, page=2)),
        *(Merge(mapping=1), Store(mapping=1, value=4)),
        *(Load(mapping=1, page=0), Load(mapping=1, page=1)),
    )

    first, second, pinned = (frames(history, page=page) for page in range(3))
    merged = -4
    assert first[merged] == second[merged] != pinned[merged]
    assert first[-1] != second[-1]
    assert len(set(pinned[-6:])) == 1
    assert answers(history, Load) == [4, 3]


@everywhere
def test_migrate(filesystem: str) -> None:
    """Anonymous memory moves with what it holds; a pinned page stays."""
    history = after(
        filesystem,
        *(anonymous(), Store(mapping=1, value=3), Migrate(mapping=1, pages=2)),
        *(GetUserPages(mapping=1), Migrate(mapping=1), DeviceComplete(value=5)),
        Load(mapping=1),
    )

    stored, moved, *later = frames(history)[-6:]
    assert stored != moved
    assert set(later) == {moved}
    assert answers(history, Load) == [5]


@everywhere
def test_migrate_pages_of_a_file(filesystem: str) -> None:
    """Whether they move or not, nothing is lost."""
    history = after(
        filesystem,
        *(Store(value=3), Migrate(pages=4), Load(), Read()),
    )

    assert answers(history, Load) == [3]
    assert answers(history, Read) == [(3, 0)]


@pytest.mark.parametrize("filesystem", LARGE)
def test_split(filesystem: str) -> None:
    """A folio that is pinned stays one, and can be split afterwards."""
    history = after(
        filesystem,
        *(Store(value=3), GetUserPages(page=1), Split(), DeviceAbort(), Fsync()),
        *(Split(page=2), Load()),
        folio_pages=4,
    )

    heads = [
        len({sample.pages[0, page].head_frame for page in range(4)})
        for sample in samples(history)
    ]
    assert heads == [1, 1, 1, 1, 1, 4, 4]
    assert answers(history, Load) == [3]


@pytest.mark.parametrize("filesystem", LARGE)
def test_no_large_folios_unless_asked_for(filesystem: str) -> None:
    """A geometry without large folios has none."""
    history = after(filesystem, Store(value=3), Write(page=1), Fsync(), Read(page=2))

    assert history.geometry.folio_pages == 1
    assert all(
        view.frame == view.head_frame
        for sample in history.samples
        for view in sample.pages.values()
    )
