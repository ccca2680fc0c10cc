"""Each stage of the bench at its smallest: it measures, and what is missing is said."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.services import ROOT

STAGES = {
    "bridge": ("--rate=500", "--seconds=1"),
    "writer": ("--entries=1000",),
    "forwarder": ("--entries=1000", "--seconds=1"),
    "path": ("--rate=500", "--seconds=1"),
}
LIMIT = 110


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_measures_what_is_complete(stage: str, tmp_path: Path) -> None:
    result = tmp_path / "bench.json"
    done = bench(stage, f"--result={result}")
    assert done.returncode == 0, done.stdout + done.stderr
    recorded = orjson.loads(result.read_bytes())[stage]
    assert recorded["conditions"]["cores"] >= 1
    for name, values in recorded["figures"].items():
        assert len(values) == 1
        assert f"| {name} |" in done.stdout
    assert any(name.startswith(f"{stage}, µs") or stage == "path" for name in recorded["figures"])


@pytest.mark.parametrize("stage", STAGES)
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
