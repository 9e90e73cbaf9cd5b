"""A small driver for stepped calls: run in turn until all is done or waits."""

from collections.abc import Generator
from typing import Any

import attrs

from conformance.interface import KernelError, PowerCutImage, Setup, Signal, Step, Wait
from reference_impl import boot
from reference_impl.layers import Parts
from reference_impl.stack import Stack

TURNS_MAX = 20_000


@attrs.define(eq=False)
class Call:
    """A call in progress, or done."""

    work: Generator[Step | Wait, None, Any] | None
    waits: Wait | None = None
    result: Any = None
    error: Exception | None = None
    points: list[str] = attrs.field(factory=list[str])
    name: str = ""
    fields: dict[str, Any] = attrs.field(factory=dict[str, Any])

    @property
    def is_done(self) -> bool:
        """The call has answered."""
        return self.work is None

    @property
    def can_go_on(self) -> bool:
        """The call is neither done nor waiting."""
        return self.work is not None and (self.waits is None or self.waits.ready())

    def step(self) -> None:
        """Go on to the next yield."""
        assert self.work is not None
        self.waits = None
        try:
            made = next(self.work)
        except StopIteration as stop:
            self.work, self.result = None, stop.value
        except (KernelError, Signal) as error:
            self.work, self.error = None, error
        else:
            if isinstance(made, Wait):
                self.waits = made
            else:
                self.points.append(made.point)


class Driver:
    """A booted stack whose calls are run in order."""

    def __init__(self, setup: Setup | None = None, parts: Parts | None = None) -> None:
        self.stack: Stack = boot(setup or Setup(), parts or Parts())
        self.actors = [Call(work) for work in self.stack.background()]
        self.calls: list[Call] = []

    def begin(self, name: str, **fields: Any) -> Call:
        """Begin a call and leave it before its first step."""
        call = Call(None, name=name, fields=fields)
        try:
            answer = getattr(self.stack, name)(**fields)
        except (KernelError, Signal) as error:
            call.error = error
            return call
        if isinstance(answer, Generator):
            call.work = answer
            self.calls.append(call)
        else:
            call.result = answer
        return call

    def start(self, name: str, **fields: Any) -> Call:
        """Begin a call and run all calls as far as they get."""
        call = self.begin(name, **fields)
        self.settle()
        return call

    def do(self, name: str, **fields: Any) -> Any:
        """Run a call to its answer; a refusal is raised."""
        call = self.start(name, **fields)
        assert call.is_done, f"{name} waits for {call.waits}"
        if call.error is not None:
            raise call.error
        return call.result

    def settle(self) -> None:
        """Run calls and actors in turn until none can go on."""
        for _ in range(TURNS_MAX):
            self.calls = [call for call in self.calls if not call.is_done]
            able = [call for call in (*self.calls, *self.actors) if call.can_go_on]
            if not able:
                return
            for call in able:
                if call.can_go_on:
                    call.step()
        raise AssertionError("the stack does not come to rest")

    def run_to(self, call: Call, point: str) -> None:
        """Run one call alone until it has passed a point."""
        while point not in call.points:
            assert call.can_go_on, f"waits for {call.waits} before {point}"
            call.step()

    def step_once(self, call: Call) -> None:
        """Run one call to its next yield, if it can go on."""
        if call.can_go_on:
            call.step()

    def run(self, call: Call) -> Any:
        """Run one call alone as far as it gets."""
        while call.can_go_on:
            call.step()
        return call.result


def words(driver: Driver, file: int = 0) -> tuple[int, ...]:
    """Return what a power cut would leave of a file that exists then."""
    image: PowerCutImage = driver.do("power_cut")
    return image.files[file].words
