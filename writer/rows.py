"""Rows: ticks as COPY takes them in binary, made from the stream's bytes, a column at a time."""

from collections.abc import AsyncIterator, Iterable, Sequence
from functools import lru_cache
from itertools import chain, repeat
from struct import Struct, pack

import orjson

from pipeline.tick import SEQUENCE_BITS
from pipeline.ticks import Ticks

COLUMNS = ("event_id", "timestamp", "price", "stock_name", "exchange_name")

PART = 1_000  # rows in a piece; PostgreSQL stores one while the next is made
_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no extension
_END = b"\xff\xff"

_POSTGRES_EPOCH_US = 946_684_800_000_000  # its years begin in 2000
_ID_AND_TIME = Struct(">hiqiq")  # how many columns, then each with its length
# A numeric in PostgreSQL's binary format: how many digits of base 10,000, the weight of the first
# one, the sign, how many decimals are shown, and the digits; it strips zeros itself.
_BASE, _BASE_DIGITS = 10_000, 4
_COMMON = Struct(">ihhHHHHH")
_COMMON_LENGTH = _COMMON.size - 4
_COMMON_WHOLE, _COMMON_SCALE = _BASE**2, _BASE_DIGITS


async def copied(ticks: Ticks) -> AsyncIterator[bytes]:
    """What COPY … (`COLUMNS`) FROM STDIN (FORMAT binary) reads."""
    yield _BEGIN
    for begin in range(0, len(ticks.ids), PART):
        yield encode(ticks.part(begin, begin + PART))
    yield _END


def encode(ticks: Ticks) -> bytes:
    """Rows, without what COPY wants before and after them. asyncpg's own way costs twice that."""
    event_ids = [
        ms << SEQUENCE_BITS | sequence
        for ms, sequence in zip(ticks.ms, ticks.sequences, strict=True)
    ]
    times = [us - _POSTGRES_EPOCH_US for us in ticks.received_us()]
    begins = map(_ID_AND_TIME.pack, repeat(len(COLUMNS)), repeat(8), event_ids, repeat(8), times)
    names, exchanges = map(_text, ticks.stock_names), map(_text, ticks.exchanges)
    return b"".join(
        chain.from_iterable(zip(begins, encode_prices(ticks.prices), names, exchanges, strict=True))
    )


def encode_prices(prices: Sequence[bytes]) -> Iterable[bytes]:
    """Checked prices, such as `723.02`, as columns with their lengths, all digits kept."""
    text = b",".join(prices)
    if text.count(b".") != len(prices):
        return map(_encode_price, prices)
    # A 1 before the decimals keeps their zeros, and one pass in C makes numbers of all.
    numbers = orjson.loads(b"[%b]" % text.replace(b".", b",1"))
    wholes, decimals = numbers[::2], numbers[1::2]
    if max(wholes) >= _COMMON_WHOLE or max(decimals) >= 2 * 10**_COMMON_SCALE:
        return map(_encode_price, prices)
    return [
        _COMMON.pack(_COMMON_LENGTH, 3, 1, 0, scale, whole // _BASE, whole % _BASE, digits)
        for whole, (scale, digits) in zip(wholes, map(_decimals, decimals), strict=True)
    ]


@lru_cache(maxsize=2 * _BASE)
def _decimals(after_a_one: int) -> tuple[int, int]:
    """How many there are, and four of them."""
    digits = str(after_a_one)[1:]
    return len(digits), int(digits.ljust(_BASE_DIGITS, "0"))


def _encode_price(price: bytes) -> bytes:
    whole, _, decimals = price.partition(b".")
    scale = len(decimals)
    whole = whole.zfill(_rounded_up(len(whole)))
    text = whole + decimals.ljust(_rounded_up(scale), b"0")
    digits = [int(text[n : n + _BASE_DIGITS]) for n in range(0, len(text), _BASE_DIGITS)]
    weight = len(whole) // _BASE_DIGITS - 1
    length = 8 + 2 * len(digits)
    return pack(f">ihhHH{len(digits)}H", length, len(digits), weight, 0, scale, *digits)


def _rounded_up(length: int) -> int:
    return -(-length // _BASE_DIGITS) * _BASE_DIGITS


@lru_cache(maxsize=100_000)  # names repeat for ever
def _text(text: str) -> bytes:
    encoded = text.encode()
    return pack(">i", len(encoded)) + encoded
