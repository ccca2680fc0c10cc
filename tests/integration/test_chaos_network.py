"""What make chaos does to connections, on a real one."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import pytest

from tests.chaos.network import Link, Network
from tests.servers import LOOPBACK, free_ports
from tests.stand_in import close_all
from tests.waiting import wait_until

WAY = "client-echo"


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    """One way, to a server that says everything back."""

    ends: list[asyncio.StreamWriter] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)
        while said := await reader.read(64):
            writer.write(said)
        writer.close()

    first = free_ports(3)
    ways = Network({WAY: Link("client", "echo", first + 1, first + 2)}, first)
    line = ways.command(tmp_path / "ways.json")
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as proxy:  # noqa: S603, ASYNC220  # it lives as long as the test
        try:
            async with await asyncio.start_server(echo, LOOPBACK, first + 2):
                try:
                    await wait_until(lambda: _answers(ways))
                    yield ways
                finally:
                    await close_all(ends)  # those that were cut haven't seen the end of it
        finally:
            proxy.terminate()


def _answers(network: Network) -> bool:
    try:
        return network.answers()
    except OSError:
        return False


async def said_back(network: Network) -> bytes:
    reader, writer = await asyncio.open_connection(LOOPBACK, network.links[WAY].port)
    try:
        writer.write(b"hello")
        return await reader.read(64)
    finally:
        writer.close()


async def test_a_way_is_cut_late_reset_and_a_black_hole_and_well_again(network: Network) -> None:
    async with network.cut(WAY):
        with pytest.raises(ConnectionRefusedError):
            await said_back(network)
    async with network.toxic(WAY, "reset_peer", ("upstream", "downstream"), timeout=0):
        with pytest.raises(ConnectionResetError):
            await said_back(network)
    async with network.toxic(WAY, "latency", ("downstream",), latency=200):
        began = monotonic()
        assert await said_back(network) == b"hello"
        assert monotonic() - began >= 0.2
    async with network.toxic(WAY, "timeout", ("upstream",), timeout=0):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(said_back(network), 0.3)
    assert await said_back(network) == b"hello"
