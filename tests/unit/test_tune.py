"""make tune: PGTune's rules, as lines that .env takes."""

import subprocess
import sys

import pytest

from local.postgres import SETTINGS
from local.tune import machine_memory, megabytes, sizes
from tests.services import ROOT


def test_a_small_machine_gets_what_pgtune_says() -> None:
    assert lines("--memory", "1GB", "--cores", "2") == {
        "POSTGRES_MEMORY": "1024m",
        "POSTGRES_SHARED_BUFFERS": "256MB",
        "POSTGRES_EFFECTIVE_CACHE_SIZE": "768MB",
        "POSTGRES_MAINTENANCE_WORK_MEM": "64MB",
        "POSTGRES_WORK_MEM": "4MB",
        "POSTGRES_MAX_PARALLEL_WORKERS_PER_GATHER": "2",
    }


def test_a_larger_machine_gets_what_pgtune_says() -> None:
    assert sizes(64 << 10, 16, 100) == {
        "shared_buffers": "16384MB",
        "effective_cache_size": "49152MB",
        "maintenance_work_mem": "2048MB",
        "work_mem": "70MB",
        "max_parallel_workers_per_gather": "4",
    }


@pytest.mark.parametrize("memory", [256, 1000, 12_345, 1 << 20])
@pytest.mark.parametrize("cores", [1, 3, 4, 5, 128])
def test_any_machine_gets_settings_that_are_passed_and_fit(memory: int, cores: int) -> None:
    given = sizes(memory, cores, 100)
    assert given.keys() <= set(SETTINGS)
    assert 4 * megabytes_of(given["shared_buffers"]) <= memory
    assert megabytes_of(given["work_mem"]) >= 4
    assert 2 <= int(given["max_parallel_workers_per_gather"]) <= 4


def test_without_arguments_half_of_this_machine_is_shared_out() -> None:
    memory = int(lines()["POSTGRES_MEMORY"].removesuffix("m"))
    assert memory == max(machine_memory() // 2, 256)


def test_a_size_is_a_number_with_a_unit() -> None:
    assert megabytes("4GB") == megabytes("4096MB")
    for text in ("4", "4 GB", "4TB", "100MB", "-4GB", ""):
        with pytest.raises(ValueError, match="size of at least"):
            megabytes(text)


def lines(*words: str) -> dict[str, str]:
    """What it prints, as .env reads it."""
    line = [sys.executable, "-m", "local.tune", *words]
    printed = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603  # our own
    return dict(each.split("=") for each in printed.splitlines() if not each.startswith("#"))


def megabytes_of(size: str) -> int:
    return int(size.removesuffix("MB"))
