"""The load generator's messages: valid, in turn, and each with a number that can be read back."""

from collections import defaultdict

import hiredis

from bench.load import Load, number_of, price, stock_name
from pipeline.tick import parse_message

LOAD = Load(rate=100, seconds=10, stocks=6, channels=("NYSE", "NASDAQ"))


def test_the_number_of_a_message_can_be_read_from_its_price() -> None:
    for number in (1, 2, 999_999, 100_000_000):
        assert number_of(float(price(number))) == number


def test_each_stock_counts_from_one_on_a_channel_of_its_own() -> None:
    numbers = defaultdict(list)
    channels = defaultdict(set)
    for command in _decoded(LOAD.commands(0, 400) + LOAD.commands(400, LOAD.count)):
        verb, channel, message = command
        assert verb == b"PUBLISH"
        name, stored = parse_message(message)
        numbers[name].append(number_of(float(stored)))
        channels[name].add(channel)
    assert numbers.keys() == {stock_name(index) for index in range(6)}
    for counted in numbers.values():
        assert counted == list(range(1, len(counted) + 1))
    assert sum(map(len, numbers.values())) == LOAD.count == 1000
    assert sorted(map(tuple, channels.values())) == [(b"NASDAQ",)] * 3 + [(b"NYSE",)] * 3


def _decoded(commands: bytes) -> list[list[bytes]]:
    reader = hiredis.Reader()
    reader.feed(commands)
    return list(iter(reader.gets, False))  # noqa: FBT003  # says that there is no more
