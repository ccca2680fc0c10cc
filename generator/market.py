"""Market: six prices that move at random, and which of their moves are worth a message."""

from random import Random
from typing import NamedTuple

LARGEST_MOVE = 0.5
SMALLEST_PUBLISHED = 0.10  # a fifth of all moves is smaller: 0.8 messages a move
LOWEST_PRICE = 1.01  # prices stay above 1, also when written with two decimals

OPENING_PRICES = {
    "NASDAQ": {"AMZN": 182.55, "AAPL": 220.0, "MSFT": 421.5},
    "NYSE": {"TSLA": 700.0, "NFLX": 500.0, "DIS": 145.0},
}


class Message(NamedTuple):
    """What is published, and where."""

    channel: str
    text: str


class Market:
    """Every price makes one move a step."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._prices = {
            (channel, stock_name): price
            for channel, stocks in OPENING_PRICES.items()
            for stock_name, price in stocks.items()
        }

    def step(self) -> list[Message]:
        """Move every price; small moves happen too, unpublished."""
        messages = []
        for (channel, stock_name), price in self._prices.items():
            move = self._random.uniform(-LARGEST_MOVE, LARGEST_MOVE)
            moved = reflect(price + move)
            self._prices[channel, stock_name] = moved
            if abs(move) >= SMALLEST_PUBLISHED:
                messages.append(Message(channel, f"{stock_name}:{moved:.2f}"))
        return messages


def reflect(price: float) -> float:
    """Turn a fall through the floor into a rise of the same size."""
    return price if price >= LOWEST_PRICE else 2 * LOWEST_PRICE - price
