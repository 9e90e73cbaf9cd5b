"""The walk over the mappings of a page."""

from tests.reference_impl.stepper import Driver


def test_every_mapping_of_a_page_is_write_protected() -> None:
    """Two mappings and a child: three entries, none writable after fsync."""
    driver = Driver()
    driver.do("mmap", mapping=1)
    driver.do("store", mapping=0)
    driver.do("store", mapping=1)
    driver.do("fork", child=1)
    assert driver.stack.page_view(0, 0).writable_ptes == 4

    driver.do("fsync")

    view = driver.stack.page_view(0, 0)
    assert (view.writable_ptes, view.dirty_ptes, view.is_dirty) == (0, 0, False)


def test_a_walk_keeps_mremap_out() -> None:
    """No writable entry slips past a walk that has begun."""
    driver = Driver()
    driver.do("mmap", mapping=1)
    driver.do("store", mapping=1)
    fsync = driver.begin("fsync")
    driver.run_to(fsync, "mkclean.pte")

    mremap = driver.begin("mremap", mapping=1)
    driver.run(mremap)

    assert mremap.waits is not None
    assert mremap.waits.on == "rmap lock"
    driver.settle()
    assert mremap.is_done
    assert driver.stack.page_view(0, 0).writable_ptes == 0


def test_fork_keeps_a_walk_out() -> None:
    """Entries that are being copied are all copied before they are cleaned."""
    driver = Driver()
    driver.do("store", page=0)
    driver.do("store", page=1)
    fork = driver.begin("fork", child=1)
    driver.run_to(fork, "fork.pte_copied")

    driver.start("fsync")

    assert fork.is_done
    for page in (0, 1):
        assert driver.stack.page_view(0, page).writable_ptes == 0
