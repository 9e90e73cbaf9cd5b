"""Messages between the processes of the lab: one packet, one tuple.

A message is a tuple of integers, strings, bytes, tuples, lists, dicts and None,
sent as one packet over a Unix socket, with file descriptors beside it where needed.

Interface:
  * `pair` makes two connected ends.
  * `send` and `receive` carry one message; `receive` answers None when the other
    end is closed.
  * `receive_now` does not wait: it raises BlockingIOError.
"""

import marshal
import socket

PACKET_MAX = 1 << 18
DESCRIPTORS_MAX = 64

Message = tuple[object, ...]


def pair() -> tuple[socket.socket, socket.socket]:
    """Make two connected ends."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(
    end: socket.socket, message: Message, descriptors: tuple[int, ...] = ()
) -> None:
    """Send one message."""
    packet = marshal.dumps(message)  # type: ignore[arg-type]  # see the head
    if descriptors:
        socket.send_fds(end, [packet], descriptors)
    else:
        end.send(packet)


def receive(end: socket.socket) -> Message | None:
    """Wait for one message; None: the other end is closed."""
    return _unpacked(end.recv(PACKET_MAX))


def receive_now(end: socket.socket) -> Message | None:
    """Take one message.

    Raises:
        BlockingIOError: there is none.
    """
    return _unpacked(end.recv(PACKET_MAX, socket.MSG_DONTWAIT))


def receive_with_descriptors(end: socket.socket) -> tuple[Message | None, list[int]]:
    """Wait for one message and the file descriptors that came with it."""
    packet, descriptors, _, _ = socket.recv_fds(end, PACKET_MAX, DESCRIPTORS_MAX)
    return _unpacked(packet), descriptors


def _unpacked(packet: bytes) -> Message | None:
    if not packet:
        return None
    message: Message = marshal.loads(packet)  # noqa: S302 - both ends are ours
    return message
