"""What a power cut leaves."""

from conformance.interface import FileImage, HoldPoint
from tests.reference_impl.stepper import Driver, words


def test_a_file_appears_with_its_first_fsync() -> None:
    """File 0 is there from the beginning, all holes."""
    driver = Driver()
    driver.do("create", file=1)
    driver.do("write", file=1, value=9)
    assert driver.do("power_cut").files == {0: FileImage((0,) * 8)}

    driver.do("fsync", file=1)

    assert words(driver, 1) == (9,)


def test_the_size_of_a_file_never_points_past_its_data() -> None:
    """Data first, then the size: until fsync the file is short."""
    driver = Driver()
    driver.do("write", page=4, value=9)
    driver.do("writeback")
    driver.settle()
    assert words(driver) == (0,) * 8

    driver.do("fsync")

    assert words(driver) == (0, 0, 0, 0, 0, 0, 0, 0, 9)


def test_the_stack_goes_on_undisturbed() -> None:
    """A write that is held lands later as if nothing had been."""
    driver = Driver()
    driver.do("store", value=9)
    driver.do("hold", at=HoldPoint.AFTER_CAPTURE)
    fsync = driver.start("fsync")
    assert words(driver)[0] == 0

    driver.do("release")
    driver.settle()

    assert fsync.is_done
    assert words(driver)[0] == 9
