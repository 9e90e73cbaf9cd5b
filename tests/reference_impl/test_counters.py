"""The counters in both families."""

from reference_impl.counters import Counters, format_gup_counters


def test_a_backoff_leaves_the_balance_as_it_was() -> None:
    """It counts as requested, backed off and returned."""
    counters = Counters()
    counters.count_fast()
    counters.count_backoff()
    counters.count_slow()
    counters.count_returned()

    vmstat = counters.vmstat(free_pages=3)
    assert vmstat.nr_gup_fast_pages_requested == 1
    assert vmstat.nr_gup_fast_page_backoffs == 1
    assert vmstat.nr_gup_pages_returned == 2
    assert (vmstat.nr_foll_pin_acquired, vmstat.nr_foll_pin_released) == (2, 2)
    assert vmstat.nr_free_pages == 3


def test_the_five_are_printed_as_in_the_document() -> None:
    """One name and one number in each line, in the document's order."""
    counters = Counters(gup_slow_requested=21319, gup_overflows=1)

    assert format_gup_counters(counters.vmstat(0)) == (
        "nr_gup_slow_pages_requested 21319\n"
        "nr_gup_fast_pages_requested 0\n"
        "nr_gup_fast_page_backoffs 0\n"
        "nr_gup_page_count_overflows 1\n"
        "nr_gup_pages_returned 0\n"
    )
