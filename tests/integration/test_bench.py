"""Each stage of the bench at its smallest: it measures, and what is missing is said."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from bench.load import price, stock_name
from bench.writer import JUDGE, verdict
from tests.conftest import Database
from tests.services import ROOT

STAGES = {
    "bridge": ("--rate=500", "--seconds=1"),
    "writer": ("--entries=1000",),
    "forwarder": ("--entries=1000", "--seconds=1"),
    "path": ("--rate=500", "--seconds=1"),
    "growth_clients": ("--sizes=3", "--rate=500", "--seconds=1"),
    "soak": ("--rate=500", "--seconds=5"),
}
CHARTS = {"soak": "soak.svg"}
LIMIT = 300  # seconds: a stage starts up to five servers and four services


@pytest.mark.timeout(LIMIT)
# The path has in it all that the other stages have.
@pytest.mark.parametrize("stage", ["path", "soak"])
def test_a_stage_measures_what_is_complete(stage: str, tmp_path: Path) -> None:
    result = tmp_path / "bench.json"
    done = bench(stage, f"--result={result}")
    assert done.returncode == 0, done.stdout + done.stderr
    recorded = orjson.loads(result.read_bytes())[stage]
    assert recorded["conditions"]["cores"] >= 1
    for name, values in recorded["figures"].items():
        assert len(values) == 1
        assert f"| {name} |" in done.stdout
    assert "bridge, µs a message" in recorded["figures"]
    drawn = [path.name for path in tmp_path.glob("*.svg")]
    assert drawn == [CHARTS[stage]] if stage in CHARTS else not drawn


@pytest.mark.timeout(LIMIT)
# The other growths and the soak are judged by the path's own hand.
@pytest.mark.parametrize("stage", [each for each in STAGES if each != "soak"])
def test_a_stage_that_misses_one_message_says_so_and_fails(stage: str, tmp_path: Path) -> None:
    result = tmp_path / "bench.json"
    done = bench(stage, f"--result={result}", "--leave-out=321")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 missing" in done.stdout
    assert not result.exists()


def bench(stage: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own module
        [sys.executable, "-m", "bench", stage, "--runs=1", *STAGES[stage], *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


TICK = "INSERT INTO stock_prices VALUES (now(), $1, 'NYSE', $2, $3)"


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([(0, 1), (1, 1), (0, 2)], []),
        ([(0, 1), (0, 2)], ["1 missing"]),
        ([(0, 1), (1, 1), (0, 2), (0, 2)], ["1 there twice"]),
        ([(0, 2), (1, 1), (0, 1)], ["1 out of order"]),
        # Names and prices that are alike only when they are joined.
        ([(1, 11), (11, 1), (11, 2)], []),
    ],
)
async def test_the_table_is_judged(
    postgres: Database, rows: list[tuple[int, int]], wrong: list[str]
) -> None:
    values = [
        (stock_name(stock), Decimal(price(number)), place)
        for place, (stock, number) in enumerate(rows)
    ]
    await postgres.connection.executemany(TICK, values)
    found = await postgres.connection.fetchrow(JUDGE)
    assert found
    assert verdict(found, 3) == wrong
