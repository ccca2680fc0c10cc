"""What a bridge hears between the prices: Redis's own words, and bridges of another release."""

from datetime import timedelta

import pytest
from pydantic import RedisDsn

from bridge.backlog import Backlog
from bridge.channels import ChannelConnection
from bridge.lineup import LineUp
from bridge.post import Post
from bridge.ring import Ring
from bridge.settings import BridgeSettings

POST = Post(BridgeSettings(redis_url=RedisDsn("redis://nowhere")))


@pytest.fixture
def line_up() -> LineUp:
    return LineUp(Backlog(10), Ring(timedelta(seconds=1), 10), lambda _: None)


@pytest.mark.parametrize(
    ("answer", "position", "refused"),
    [
        (b"*4\r\n$6\r\nlength\r\n:1\r\n$13\r\nentries-added\r\n:7\r\n", 7, None),
        (b"-ERR no such key\r\n", 0, None),
        # Then SUBSCRIBE is taken all the same: what is published meanwhile must not be missed.
        (b"-LOADING Redis is loading the dataset in memory\r\n", -1, None),
        (b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", -1, None),
        (b"-NOPERM not for this user\r\n", 0, "NOPERM not for this user"),
    ],
)
def test_who_subscribes_learns_the_position_or_that_nobody_knows_it(
    line_up: LineUp, answer: bytes, position: int, refused: str | None
) -> None:
    connection = ChannelConnection(line_up, POST, None)
    connection.data_received(answer)
    assert (connection.position, connection.refused) == (position, refused)


def test_a_bridge_of_another_release_can_not_be_followed(line_up: LineUp) -> None:
    line_up.aligned = True
    line_up.hear(b"anything else")
    assert line_up.aligned
    line_up.hear(b"notice token 1 token:1 2 0  1-1 2-0,2-1")
    assert not line_up.aligned
