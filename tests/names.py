"""Names: a DNS server that knows one name, with several addresses, as Docker's does."""

import socketserver
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from threading import Thread
from typing import cast

from tests.servers import LOOPBACK

ANSWERED, TO_THE_NAME_ASKED_FOR = 0x8180, 0xC00C
A, INTERNET, SECONDS = 1, 1, 5
HEAD = 12  # bytes


class _Names(socketserver.UDPServer):
    addresses: Sequence[str] = ()


class _Answer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        question, socket = self.request
        addresses = cast("_Names", self.server).addresses
        answers = b"".join(
            struct.pack("!HHHIH", TO_THE_NAME_ASKED_FOR, A, INTERNET, SECONDS, 4)
            + IPv4Address(each).packed
            for each in addresses
        )
        head = question[:2] + struct.pack("!HHHHH", ANSWERED, 1, len(addresses), 0, 0)
        socket.sendto(head + question[HEAD:] + answers, self.client_address)


@contextmanager
def serving_names(*addresses: str) -> Iterator[str]:
    """Where it listens. Whatever it is asked for has these addresses."""
    with _Names((LOOPBACK, 0), _Answer) as server:
        server.addresses = addresses
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"{LOOPBACK}:{server.server_address[1]}"
        finally:
            server.shutdown()
