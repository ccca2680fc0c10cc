"""What tests of several hosts rely on: a cut is silent, and a network is nobody else's."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hosts import OF_THIS_THREAD, Host, Network, network, why_not

PORT, PATIENCE, SILENCE = 5000, 5.0, 0.3


@pytest.fixture
def made() -> Iterator[Network]:
    if reason := why_not():
        pytest.skip(reason)
    with network() as made:
        yield made


@pytest.fixture
def ends(made: Network) -> Iterator[tuple[socket.socket, socket.socket, Host]]:
    """Of a connection between two hosts, and one of the hosts."""
    here, there = made.host(), made.host()
    with ExitStack() as until_the_end:
        with here.inside():
            door = until_the_end.enter_context(socket.create_server((here.address, PORT)))
        with there.inside():
            address = (here.address, PORT)
            far = until_the_end.enter_context(socket.create_connection(address, PATIENCE))
        near = until_the_end.enter_context(door.accept()[0])
        yield near, far, there


def test_a_host_that_is_cut_off_hears_and_says_nothing_and_is_back_with_its_connections(
    made: Network, ends: tuple[socket.socket, socket.socket, Host]
) -> None:
    near, far, host = ends
    near.sendall(b"1")
    assert far.recv(9) == b"1"
    with made.cut_off(host):
        for one, other in ((near, far), (far, near)):
            one.sendall(b"2")
            other.settimeout(SILENCE)
            with pytest.raises(TimeoutError):  # neither a byte nor an end
                other.recv(9)
    for end in (near, far):
        end.settimeout(PATIENCE)
        assert end.recv(9) == b"2"


def test_two_networks_have_the_same_addresses_and_meet_neither_each_other_nor_this_machine(
    ends: tuple[socket.socket, socket.socket, Host],
) -> None:
    before = own_network()
    near, _, host = ends
    with network() as other:
        twin, there = other.host(), other.host()
        assert (twin.address, there.address) == (near.getsockname()[0], host.address)
        with there.inside(), pytest.raises(ConnectionRefusedError):  # there, nobody listens
            socket.create_connection((twin.address, PORT), PATIENCE)
    assert own_network() == before


def own_network() -> tuple[Path, list[str]]:
    """Which it is, and what is in it."""
    return Path(OF_THIS_THREAD).readlink(), sorted(name for _, name in socket.if_nameindex())
