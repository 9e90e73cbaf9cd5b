"""The side that gives orders to a server: send one, wait for its answer."""

import socket

import attrs

from pytest_gup.adapters.linux import wire


@attrs.define(eq=False)
class Master:
    """Gives orders over one socket, one at a time."""

    end: socket.socket

    def order(self, *message: object, give: tuple[int, ...] = ()) -> wire.Message:
        """Have something done; answer what the server says.

        Raises:
            ConnectionError: the server has ended.
        """
        answer, descriptors = self.exchange(message, give)
        assert not descriptors, f"{message!r} was answered with descriptors"
        return answer

    def exchange(
        self, message: wire.Message, give: tuple[int, ...] = ()
    ) -> tuple[wire.Message, list[int]]:
        """Have something done; answer the message and descriptors that come back."""
        wire.send(self.end, message, give)
        answer, descriptors = wire.receive_with_descriptors(self.end)
        if answer is None:
            raise ConnectionError(f"nobody is left to answer {message!r}")
        return answer, descriptors
