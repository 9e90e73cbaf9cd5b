"""Taking a page out of the page cache for another owner.

A page goes into a pipe by splice(2), uncopied, and from there, by splice(2) with
SPLICE_F_MOVE, into the answer to a read from a cached FUSE file. The kernel then
tries to make the page itself a page of that file, which it can if nobody else uses
it (fs/fuse/dev.c, fuse_try_move_folio); if not, it copies. A page under writeback is
waited for: so it is the shell that hands in the answer, and not the server.
"""

import os
from collections.abc import Generator

import attrs

from conformance.interface import Done, Running
from pytest_gup.adapters.linux.bench import Bench, Call, CallState, Chain, checked
from pytest_gup.adapters.linux.files import Files


class Stealing(Files):
    """What a filesystem offers whose clean pages can be taken away."""

    def steal(self, file: int, page: int) -> Chain:
        """Have a page made the page of another file."""
        return Chain(self._steal(file, page * self.bench.geometry.page_size_bytes))

    def _steal(self, file: int, offset: int) -> Generator["Call | Asked", Done, None]:
        bench = self.bench
        ended = yield self._on(file, "to_pipe", offset, then=lambda ends: ends)
        checked(ended)
        assert isinstance(ended.result, list), f"a pipe is {ended.result!r}"
        reader, writer = ended.result
        name = bench.fresh_pin_name("steal")
        path = f"{bench.lab.folder}/device/{name}"
        thief = bench.begin(bench.shell, "read_page", path)
        yield Asked(bench, name, thief)
        answer, (server,) = bench.lab.device.exchange(("lend", name))
        try:
            call = bench.begin(
                *(bench.shell, "answer_from_pipe", answer[0], reader),
                give=(server,),
            )
        finally:
            os.close(server)
        yield call
        bench.lab.device.order("returned", name)
        yield thief
        checked((yield bench.begin(bench.shell, "close_all", [reader, writer])))


@attrs.define(eq=False)
class Asked:
    """A read from the device, until its request has arrived there."""

    bench: Bench
    name: str
    call: Call

    def state(self) -> CallState:
        """Tell whether the request is there."""
        (taken,) = self.bench.lab.device.order("taken", self.name)
        if taken is not None:
            return Done()
        state = self.call.state()
        return Done() if isinstance(state, Done) else Running()
