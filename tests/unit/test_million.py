"""The plan to a million: its page is what the record says, and its arithmetic and shard hold."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.million import PAGE, RATES, TABLE, filled, processes, tables
from bench.simulation import BEGIN, END, Event, play
from bench.unit_costs import UnitCosts, read

COSTS = UnitCosts(
    cpu={
        "redis": 20.0,
        "bridge": 2.0,
        "forwarder": 5.0,
        "centrifugo": 1.5,
        "writer": 5.0,
        "postgres": 10.0,
    },
    redis_shares={"bridge": 0.4, "forwarder": 0.3, "writer": 0.3},
    kept=32,
    redis_log=400,
    row=100,
    postgres_log=200,
    wires={"to a page": 60},
)
CALM = Event(0)


def test_the_page_is_as_the_record_has_it() -> None:
    text = PAGE.read_text()
    assert {found[1] for found in TABLE.finditer(text)} == {"costs", "plan", "lag"}
    assert text == filled(text, tables(read())), "run python -m bench.million"


def test_a_missing_figure_is_named_with_its_bench(tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_bytes(b"{}")
    with pytest.raises(LookupError, match="make bench ARGS='bridge --result"):
        read(tmp_path / "bench.json")


@pytest.mark.parametrize(
    ("rate", "shards", "writers", "cores"),
    [(1, 1, 1, 1), (30_000, 1, 1, 1), (1_000_000, 34, 34, 17)],
)
def test_a_core_is_planned_to_sixty_percent(
    rate: int, shards: int, writers: int, cores: int
) -> None:
    found = processes(COSTS, rate)
    assert found["shards, each a Redis"] == shards
    assert found["bridges, two a shard"] == 2 * shards
    assert found["writers"] == writers
    assert found["cores of PostgreSQL"] == cores


def test_more_messages_never_take_less() -> None:
    plans = [processes(COSTS, rate) for rate in RATES]
    for name in plans[0]:
        counts = [plan[name] for plan in plans]
        assert counts == sorted(counts)


def test_a_shard_with_room_is_never_behind_and_one_without_ever_more() -> None:
    calm = play(COSTS, 0.9 * COSTS.shard_limit, CALM)
    assert (calm.most("writer"), calm.most("forwarder"), calm.again) == (0, 0, 0)
    full = play(COSTS, 1.1 * COSTS.shard_limit, CALM)
    assert full.again > END - BEGIN - 1
    assert full.most("forwarder") == 0
    left = (1 - 1.1 * 0.7) / 0.3  # of the limit, for the writer
    assert full.most("writer") == pytest.approx(END * (1 - left / 1.1), abs=1)


def test_what_a_writer_left_lying_is_worked_off_in_the_room_that_there_is() -> None:
    """At 60 %: a minute of it is 18 % of a core's minute, and 40 % of the core are free."""
    costs = replace(COSTS, cpu=COSTS.cpu | {"postgres": 1.0, "writer": 1.0})
    outcome = play(costs, 0.6 * costs.shard_limit, Event(60, away=("writer",)))
    assert outcome.most("writer") == pytest.approx(60, abs=0.3)
    assert outcome.again == pytest.approx(60 + 60 * 0.18 / 0.4, rel=0.1)
    assert outcome.held == pytest.approx(60 * 30_000, rel=0.01)
    assert outcome.most("forwarder") == 0


def test_a_bridge_holds_what_comes_while_redis_is_away() -> None:
    outcome = play(COSTS, 30_000, Event(15, away=("redis",)))
    assert outcome.waiting == pytest.approx(15 * 30_000, rel=0.01)
    assert outcome.again > 15
