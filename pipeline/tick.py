"""What `TSLA:723.02` and an entry's id mean, what is refused, and why: InvalidTick."""

import re
from functools import lru_cache

MAX_NAME = 255
MAX_DIGITS = 18  # on either side of the point
SEQUENCE_BITS = 20
SEQUENCES = 1000 << 10  # <ms>-<µs within the ms * 1024 + n>
TIME_BITS = 43  # milliseconds until the year 2248

PRICE = rb"(?:0(?=\.0*[1-9])|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?"
_PRICE = re.compile(PRICE)
_NUMBER = re.compile(rb"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_NAMES_KEPT = 100_000  # bounded: the market decides how many there are


class InvalidTick(Exception):
    """Nobody can ever use this message; the text says what is wrong with it."""


def parse_message(message: bytes) -> tuple[str, bytes]:
    """Stock name and price of `NAME:PRICE`, split at the last colon; raises InvalidTick.

    The price stays as published: checked, a positive JSON number.
    """
    name, colon, price = message.rpartition(b":")
    if not colon:
        raise InvalidTick("empty message" if not message else "no colon between name and price")
    stock_name = checked_name(name)
    if not _PRICE.fullmatch(price):
        raise InvalidTick(_price_fault(price))
    return stock_name, price


@lru_cache(maxsize=_NAMES_KEPT)  # names repeat for ever: each is checked once
def checked_name(name: bytes) -> str:
    """Of a stock or an exchange, as text; raises InvalidTick."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise InvalidTick("name is not UTF-8") from None
    if not text:
        raise InvalidTick("name is empty")
    if len(text) > MAX_NAME:
        raise InvalidTick(f"name is longer than {MAX_NAME} characters")
    if ":" in text:
        raise InvalidTick("name contains a colon")
    if not text.isprintable() or any(character.isspace() for character in text):
        raise InvalidTick("name contains white space or an unprintable character")
    return text


def _price_fault(price: bytes) -> str:
    if not price:
        return "price is empty"
    if _NUMBER.fullmatch(price):
        if not price.strip(b"0."):
            return "price is not above zero"
        return f"price has more than {MAX_DIGITS} digits before or after the point"
    return "price is not a plain decimal number"


def id_pair(entry_id: bytes) -> tuple[int, int]:
    """Ids as Redis orders them; a stranger's too."""
    ms, _, sequence = entry_id.partition(b"-")
    return int(ms), int(sequence)


def unpack_id(entry_id: bytes) -> tuple[int, int]:
    """(milliseconds, sequence) of `<ms>-<seq>`; raises InvalidTick if the pair can't be packed."""
    ms, sequence = id_pair(entry_id)
    if ms >> TIME_BITS or sequence >= SEQUENCES:
        raise InvalidTick("entry id was not made by the bridge: it holds no time")
    return ms, sequence
