"""What the stack shows of itself."""

from conformance.interface import PageView
from tests.reference_impl.stepper import Driver


def test_a_page_is_shown_with_all_that_is_known() -> None:
    """Every field is filled in."""
    driver = Driver()
    driver.do("store")

    assert driver.stack.page_view(0, 0) == PageView(
        is_cached=True,
        is_dirty=True,
        is_under_writeback=False,
        is_locked=False,
        is_uptodate=True,
        has_buffers=True,
        maybe_pinned=False,
        refcount=2,
        writable_ptes=1,
        dirty_ptes=1,
        frame=0,
        head_frame=0,
        is_movable=False,
    )
    assert driver.stack.page_view(0, 1) == PageView(is_cached=False)
    assert driver.stack.page_view(9, 0) == PageView(is_cached=False)
    assert (driver.stack.mtime(9), driver.stack.page_mkwrite_count(9)) == (0, 0)


def test_the_fingerprint_tells_states_apart_and_is_repeatable() -> None:
    """Equal programs give equal fingerprints; each change gives another."""
    programs: tuple[list[tuple[str, dict[str, int]]], ...] = (
        [],
        [("store", {"value": 1})],
        [("store", {"value": 2})],
        [("store", {"value": 1}), ("get_user_pages", {})],
        [("store", {"value": 1}), ("hold", {})],
        [("store", {"value": 1}), ("hold", {}), ("writeback", {})],
        [("store", {"value": 1}), ("fsync", {})],
        [("freeze", {})],
    )
    prints = []
    for _ in range(2):
        seen = []
        for program in programs:
            driver = Driver()
            for name, fields in program:
                driver.do(name, **fields)
            seen.append(driver.stack.fingerprint())
        prints.append(seen)

    assert prints[0] == prints[1]
    assert len(set(prints[0])) == len(programs)


def test_a_pin_that_was_put_is_part_of_the_fingerprint() -> None:
    """Its device cannot be used any more."""
    driver = Driver()
    driver.do("get_user_pages")
    before = driver.stack.fingerprint()

    driver.do("put_user_page")

    assert driver.stack.fingerprint() != before
