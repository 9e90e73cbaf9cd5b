"""Waits and locks."""

import pytest

from conformance.interface import KernelError
from reference_impl.stepping import Lock, SharedLock, wait_until
from tests.reference_impl.stepper import Call


def test_a_lock_has_one_holder() -> None:
    """The second to ask waits until the first has let go."""
    lock = Lock("lock")
    first, second = Call(lock.acquire("first")), Call(lock.acquire("second"))

    first.step()
    second.step()

    assert (first.is_done, second.can_go_on) == (True, False)
    lock.release()
    second.step()
    assert lock.held_by == "second"


def test_readers_share_a_lock_and_a_writer_does_not() -> None:
    """Two readers hold it at once; a writer waits for both."""
    lock = SharedLock("lock")
    readers = [Call(lock.acquire_read()) for _ in range(2)]
    for reader in readers:
        reader.step()
    writer = Call(lock.acquire_write("writer"))
    writer.step()

    lock.release_read()
    assert not writer.can_go_on
    lock.release_read()
    writer.step()

    assert lock.writer == "writer"
    assert not lock.is_readable()
    lock.release_write()
    assert lock.is_free()


def test_who_may_not_wait_is_refused() -> None:
    """A wait turns into EAGAIN."""
    with pytest.raises(KernelError, match=r"^EAGAIN: would wait for lock$"):
        list(wait_until("lock", lambda: False, nowait=True))
