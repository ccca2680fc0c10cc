"""pipeline.metrics: what a distribution keeps of many values, and how exactly."""

from collections.abc import Callable
from math import ceil
from random import Random
from time import time

import pytest

from pipeline.metrics import AGES_EVERY, GROWTH, QUANTILES, SMALLEST, Ages, Distribution

WORST = GROWTH**0.5  # from the middle of a bucket to its edge
ROUNDING = 1 + 1e-9

MANY: dict[str, Callable[[Random], float]] = {
    "usual": lambda random: random.lognormvariate(-5, 1),
    "even": lambda random: random.uniform(0, 10),
    "wide": lambda random: 10 ** random.uniform(-6, 6),
    "tiny": lambda random: random.uniform(0, 3 * SMALLEST),
    "rows": lambda random: float(random.randint(1, 50_000)),
    "two values": lambda random: random.choice([0.001, 30.0]),
    "one value": lambda _: 5.0,
}


@pytest.mark.parametrize("kind", MANY)
@pytest.mark.parametrize("seed", range(20))
def test_a_quantile_is_at_most_2_percent_off(kind: str, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - no secrets
    values = [MANY[kind](random) for _ in range(random.choice([1, 2, 10, 1000]))]
    distribution = Distribution()
    for value in values:
        distribution.observe(value)
    read = distribution.read()

    values.sort()
    for name, share in QUANTILES.items():
        true = values[ceil(share * len(values)) - 1]
        told = read[name]
        assert told is not None
        lowest, highest = true / WORST / ROUNDING, max(true, SMALLEST) * WORST * ROUNDING
        assert lowest <= told <= highest
        assert told <= values[-1]
    assert read["max"] == values[-1]
    assert read["count"] == len(values)
    assert read["sum"] == pytest.approx(sum(values))


def test_count_and_sum_are_for_ever_and_the_rest_for_an_interval() -> None:
    distribution = Distribution()
    distribution.observe(10.0)
    distribution.read()
    distribution.observe(1.0, 3)
    read = distribution.read()
    assert (read["count"], read["sum"], read["max"]) == (4, 13.0, 1.0)
    assert read["p99"] == pytest.approx(1.0, rel=0.02)

    nothing = dict.fromkeys((*QUANTILES, "max"))
    assert distribution.read() == {"count": 4, "sum": 13.0, **nothing}


def test_a_value_many_times_is_that_many_values() -> None:
    at_once, one_by_one = Distribution(), Distribution()
    for value, count in ((0.25, 99), (8.0, 1)):
        at_once.observe(value, count)
        for _ in range(count):
            one_by_one.observe(value)
    assert at_once.read() == one_by_one.read()


def test_after_a_clock_stepped_back_an_age_is_zero() -> None:
    ages = Ages()
    ages.observe_batch([_id(age=-3600)], 7)
    read = ages.read()
    assert (read["count"], read["sum"], read["p50"], read["max"]) == (7, 0.0, 0.0, 0.0)


def test_each_age_of_a_batch_stands_for_those_up_to_the_next() -> None:
    ids = [_id(age=5 - n / 1000) for n in range(2 * AGES_EVERY + 50)]
    ages = Ages()
    ages.observe_batch(ids[::AGES_EVERY], len(ids))
    read = ages.read()
    assert read["count"] == len(ids)
    assert read["sum"] == pytest.approx(sum((5.0 * 100, 4.9 * 100, 4.8 * 50)), rel=0.01)
    assert read["max"] == pytest.approx(5.0, abs=0.5)
    assert read["p50"] == pytest.approx(4.9, rel=0.1)


def test_an_empty_batch_has_no_age() -> None:
    ages = Ages()
    ages.observe_batch([], 0)
    assert ages.read()["count"] == 0


@pytest.mark.parametrize("entry_id", [b"18446744073709551615-18446744073709551615", b"0-1"])
def test_an_id_that_no_bridge_made_has_an_age_too(entry_id: bytes) -> None:
    ages = Ages()
    ages.observe_batch([entry_id], 1)
    assert ages.read()["count"] == 1


def _id(age: float) -> bytes:
    us = int((time() - age) * 1e6)
    return b"%d-%d" % (us // 1000, us % 1000 << 10)
