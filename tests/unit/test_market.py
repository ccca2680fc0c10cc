"""The mock market: given stocks, given moves, and when a step is due."""

import re
from collections import defaultdict
from random import Random
from statistics import mean

import pytest

from generator.market import LOWEST_PRICE, OPENING_PRICES, Market, reflect
from generator.publisher import Schedule
from pipeline.tick import parse_message

STOCKS = {
    ("NASDAQ", "AMZN"): 182.55,
    ("NASDAQ", "AAPL"): 220.0,
    ("NASDAQ", "MSFT"): 421.5,
    ("NYSE", "TSLA"): 700.0,
    ("NYSE", "NFLX"): 500.0,
    ("NYSE", "DIS"): 145.0,
}
STEPS = 5000


class FixedRandom(Random):
    """Every move is the same."""

    def __init__(self, move: float) -> None:
        super().__init__()
        self.move = move

    def uniform(self, a: float, b: float) -> float:
        assert (a, b) == (-0.5, 0.5)
        return self.move


@pytest.fixture
def market() -> Market:
    return Market(Random(1))  # noqa: S311  # prices, not secrets


def test_the_given_stocks_open_at_their_given_prices() -> None:
    opening = {
        (c, name): price for c, names in OPENING_PRICES.items() for name, price in names.items()
    }
    assert opening == STOCKS


def test_messages_are_name_colon_price_with_two_decimals(market: Market) -> None:
    for _ in range(STEPS):
        for message in market.step():
            assert re.fullmatch(r"[A-Z]+:\d+\.\d\d", message.text)
            assert parse_message(message.text.encode())


def test_each_stock_is_published_on_its_exchange_only(market: Market) -> None:
    seen = {(m.channel, m.text.partition(":")[0]) for _ in range(STEPS) for m in market.step()}
    assert seen == STOCKS.keys()


def test_four_of_five_moves_are_large_enough_to_be_published(market: Market) -> None:
    published = sum(len(market.step()) for _ in range(STEPS))
    assert published / STEPS == pytest.approx(4.8, rel=0.02)  # 48 a second at 10 steps


def test_a_move_of_less_than_ten_cents_is_made_but_not_published() -> None:
    small = Market(FixedRandom(0.099))
    assert [small.step() for _ in range(5)] == [[]] * 5
    assert {m.text for m in Market(FixedRandom(0.10)).step()} >= {"TSLA:700.10", "AMZN:182.65"}


def test_unpublished_moves_add_up() -> None:
    moves = FixedRandom(0.05)
    market = Market(moves)
    for _ in range(10):
        market.step()
    moves.move = 0.25
    assert "TSLA:700.75" in {message.text for message in market.step()}


def test_moves_are_drawn_evenly_up_to_half_a_dollar(market: Market) -> None:
    prices = defaultdict(list)
    for _ in range(STEPS):
        for message in market.step():
            name, _, price = message.text.partition(":")
            prices[name].append(float(price))
    moves = [b - a for a, b in zip(prices["TSLA"], prices["TSLA"][1:], strict=False)]
    assert mean(moves) == pytest.approx(0, abs=0.02)
    assert max(map(abs, moves)) > 0.45


def test_prices_stay_above_one() -> None:
    falling = Market(FixedRandom(-0.5))
    for _ in range(2000):
        for message in falling.step():
            assert float(message.text.partition(":")[2]) > 1


def test_a_price_that_would_fall_through_the_floor_turns_around() -> None:
    assert reflect(LOWEST_PRICE - 0.3) == pytest.approx(LOWEST_PRICE + 0.3)
    assert reflect(LOWEST_PRICE) == LOWEST_PRICE


def test_steps_are_due_by_the_clock_and_delays_do_not_add_up() -> None:
    schedule = Schedule(hz=1042, now=100.0)
    taken = [schedule.take(100.0 + n * 0.0053) for n in range(1, 1001)]
    assert sum(taken) == int(1042 * 5.3)


def test_nothing_is_due_before_its_time() -> None:
    schedule = Schedule(hz=10, now=0.0)
    assert schedule.until_next(0.03) == pytest.approx(0.07)
    assert [schedule.take(0.09), schedule.take(0.11), schedule.take(0.12)] == [0, 1, 0]
    assert schedule.until_next(0.25) == 0


@pytest.mark.parametrize("hz", [0.1, 10, 5000])
def test_a_long_delay_is_skipped_and_never_burst(hz: float) -> None:
    schedule = Schedule(hz, now=0.0)
    away = 100.0
    assert schedule.take(away) == 0
    assert schedule.take(away + 1 / hz) == 1


def test_a_short_delay_is_caught_up_in_full() -> None:
    assert Schedule(hz=1000, now=0.0).take(0.9) == 900
