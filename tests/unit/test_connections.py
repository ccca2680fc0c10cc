"""What Redis says in passing is an Outage, by whichever of redis-py's classes it comes."""

import asyncio
from typing import Any

import pytest
from redis._parsers import BaseParser
from redis.exceptions import ResponseError

from bridge.resp import CommandConnection
from pipeline.connections import redis_outage
from pipeline.outage import Outage


@pytest.mark.parametrize(
    "reply",
    [
        "ASK 9530 10.0.0.1:6379",
        "BUSY Redis is busy running a script",
        "CLUSTERDOWN The cluster is down",
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down",
        "MISCONF Redis is configured to save RDB snapshots",
        "MOVED 9530 10.0.0.1:6379",
        "NOREPLICAS Not enough good replicas to write.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "UNBLOCKED force unblock from blocking operation",
    ],
)
def test_a_reply_that_time_can_mend_is_an_outage(reply: str) -> None:
    with pytest.raises(Outage), redis_outage():
        raise error_of(reply)


def test_any_other_reply_is_a_bug() -> None:
    with pytest.raises(ResponseError), redis_outage():
        raise error_of("WRONGTYPE Operation against a key")


@pytest.mark.parametrize("reply", ["ASK 1 h:1", "CLUSTERDOWN The cluster is down", "MOVED 1 h:1"])
async def test_a_bridge_asks_anew_where_the_stream_is_when_its_node_has_it_no_more(
    reply: str,
) -> None:
    connection = CommandConnection()
    call = asyncio.ensure_future(connection.call("PING"))
    await asyncio.sleep(0)
    connection.data_received(f"-{reply}\r\n".encode())
    with pytest.raises(Outage, match=reply):
        await call
    assert connection.lost.is_set()


def error_of(reply: str) -> Exception:
    """As redis-py reads it from the wire, which for some words leaves out the word."""
    parser: Any = BaseParser  # it has no types
    error: Exception = parser.parse_error(reply)
    return error
