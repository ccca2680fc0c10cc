"""Market: so many seconds of a busy market, as stream entries that are stored at once."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.load import stock_name
from pipeline.stream import Entry

# A tenth of a market of 6,000 stocks (what NYSE and NASDAQ list) with 5,000 messages a second: each
# stock is as busy as there, so there are as many rows for each page that a checkpoint makes new.
STOCKS = 600
RATE = 500  # messages a second
BUSIEST_SHARE = 6  # every sixth message is of the first stock, as in the mock market of six
QUARTER = 900  # seconds of an hour
FLUSH_INTERVAL = 5  # seconds
CHANNELS = (b"NYSE", b"NASDAQ")
MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Market:
    """Where its first message stands in time, and how long it goes on."""

    begin_us: int
    seconds: int = QUARTER

    @property
    def end_us(self) -> int:
        return self.begin_us + self.seconds * MICROSECONDS

    @property
    def rows(self) -> int:
        return self.seconds * RATE

    def flushes(self) -> Iterator[tuple[int, list[Entry]]]:
        """What the writer stores at once, and how many seconds of the market are over then."""
        for second in range(0, self.seconds, FLUSH_INTERVAL):
            over = second + FLUSH_INTERVAL
            yield over, [self._entry(n) for n in range(second * RATE, over * RATE)]

    def _entry(self, n: int) -> Entry:
        turn, place = divmod(n, BUSIEST_SHARE)
        stock = 1 + (turn * (BUSIEST_SHARE - 1) + place - 1) % (STOCKS - 1) if place else 0
        price = 1 + n * 7919 % 99_991 / 100  # no two neighbours alike, two decimals
        return entry(self.begin_us + n * MICROSECONDS // RATE, stock, f"{price:.2f}")


def entry(us: int, stock: int, price: object) -> Entry:
    """As the bridge makes it of the first message of a microsecond."""
    entry_id = f"{us // 1000}-{us % 1000 * 1024}".encode()
    return entry_id, CHANNELS[stock % 2], f"{stock_name(stock)}:{price}".encode()
