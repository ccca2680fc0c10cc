"""Rows: stream entries as COPY sends them, without a datetime or a Decimal in between."""

from struct import Struct, pack

import asyncpg

from pipeline.tick import SEQUENCE_BITS
from pipeline.ticks import Ticks

COLUMNS = ("timestamp", "stock_name", "exchange_name", "price", "event_id")

Row = tuple[tuple[int], str, str, bytes, int]
"""`COLUMNS`: µs since 2000 in a tuple, the names, the price as published, the packed entry id."""

_POSTGRES_EPOCH_US = 946_684_800_000_000  # its years begin in 2000
# A numeric in PostgreSQL's binary format: how many digits of base 10,000, the weight of the first
# one, the sign, how many decimals are shown, and the digits; it strips zeros itself.
_BASE_DIGITS = 4
_COMMON = Struct(">hhHHHHH")
_COMMON_WHOLE, _COMMON_SCALE = 2 * _BASE_DIGITS, _BASE_DIGITS


def rows_of(ticks: Ticks) -> list[Row]:
    """The rows of a batch, a column at a time."""
    times = [(us - _POSTGRES_EPOCH_US,) for us in ticks.received_us()]
    ids = [
        ms << SEQUENCE_BITS | sequence
        for ms, sequence in zip(ticks.ms, ticks.sequences, strict=True)
    ]
    return list(zip(times, ticks.stock_names, ticks.exchanges, ticks.prices, ids, strict=True))


async def take_rows(connection: asyncpg.Connection) -> None:
    """Have a connection take `Row`s; asyncpg's own types cost three times as much."""
    for name, exchanged, encoder in (
        ("timestamptz", "tuple", _as_it_is),
        ("numeric", "binary", encode_price),
    ):
        await connection.set_type_codec(
            name, schema="pg_catalog", format=exchanged, encoder=encoder, decoder=_as_it_is
        )


def encode_price(price: bytes) -> bytes:
    """A checked price, such as `723.02`, in PostgreSQL's binary format, all digits kept."""
    whole, _, decimals = price.partition(b".")
    scale = len(decimals)
    if len(whole) <= _COMMON_WHOLE and scale <= _COMMON_SCALE:
        high, low = divmod(int(whole), 10**_BASE_DIGITS)
        return _COMMON.pack(3, 1, 0, scale, high, low, int(decimals.ljust(_BASE_DIGITS, b"0")))
    whole = whole.zfill(_rounded_up(len(whole)))
    text = whole + decimals.ljust(_rounded_up(scale), b"0")
    digits = [int(text[n : n + _BASE_DIGITS]) for n in range(0, len(text), _BASE_DIGITS)]
    weight = len(whole) // _BASE_DIGITS - 1
    return pack(f">hhHH{len(digits)}H", len(digits), weight, 0, scale, *digits)


def _rounded_up(length: int) -> int:
    return -(-length // _BASE_DIGITS) * _BASE_DIGITS


def _as_it_is(value: object) -> object:
    return value
