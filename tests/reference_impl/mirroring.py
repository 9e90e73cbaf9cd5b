"""Stacks with an attached device, for tests of mirrors and notifiers."""

from conformance.interface import Setup
from reference_impl.mirror import Entry
from tests.reference_impl.stepper import Call, Driver


def attached(setup: Setup | None = None) -> Driver:
    """Return a stack with device 0 on mapping 0."""
    driver = Driver(setup)
    driver.do("attach")
    return driver


def entry(driver: Driver, page: int = 0, device: int = 0) -> Entry | None:
    """Return what a device has of a page."""
    return driver.stack.mirrors.devices[device].entries.get(page)


def in_flight(driver: Driver, name: str = "mirror_write", **fields: int) -> Call:
    """Begin an access that has begun and not got to memory."""
    call = driver.begin(name, **fields)
    driver.run_to(call, "mirror.started")
    return call
