"""The stack as the contract sees it."""

import inspect

from conformance.interface import OPERATIONS, Feature, Geometry, Setup
from conformance.interface.points import POINTS
from reference_impl import boot
from reference_impl.layers import Parts
from reference_impl.memory import Memory, Page
from tests.reference_impl.stepper import Driver
from tests.reference_impl.wander import FEATURE_SETS, wander

MADE_OF_PARTS = {"device_complete", "device_abort"}


def test_every_operation_is_offered_with_its_parameters() -> None:
    """Except those that the suite makes of others, and private or no files."""
    stack = boot(Setup())
    missing = set()
    for name, operation in OPERATIONS.items():
        method = getattr(stack, name, None)
        if method is None:
            missing.add(name)
            continue
        fields = {field.name for field in operation.__attrs_attrs__}
        missing |= {
            f"{name}({field})"
            for field in fields - set(inspect.signature(method).parameters)
        }

    assert missing == MADE_OF_PARTS


def test_limits_are_small_only_when_asked_for() -> None:
    """The geometry in force says so."""
    small = Geometry(pin_bias=8, refcount_max=40)

    usual = boot(Setup(small)).geometry
    asked = boot(Setup(small, frozenset({Feature.SMALL_LIMITS}))).geometry

    assert (usual.pin_bias, usual.refcount_max) == (1024, 2**31 - 1)
    assert asked == small


def test_stacks_are_independent() -> None:
    """What is done to one is not seen in another."""
    first, second = Driver(), Driver()
    first.do("store", value=9)

    assert second.do("load") == 0
    assert (first.stack.vmstat().nr_dirty, second.stack.vmstat().nr_dirty) == (1, 0)
    assert first.stack.vmstat().nr_free_pages == 31


def test_a_variant_replaces_one_layer() -> None:
    """The others are wired to it as they are."""

    class Amnesiac(Memory):
        """Denies all pins."""

        def maybe_dma_pinned(self, page: Page) -> bool:
            return False

    driver = Driver(parts=Parts(make_memory=Amnesiac))
    driver.do("get_user_pages")
    driver.do("fsync")

    assert driver.stack.page_view(0, 0).maybe_pinned is False
    assert driver.stack.page_view(0, 0).is_dirty is False


def test_the_points_are_those_of_the_contract() -> None:
    """A random program passes no other."""
    seen = set()
    for features in FEATURE_SETS:
        seen |= wander(1, features).points

    assert seen <= set(POINTS)
