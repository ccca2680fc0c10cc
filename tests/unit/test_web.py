"""The page's pure modules, by Node's own test runner: newer ticks, digits, times."""

import subprocess

import pytest

from tests.node import NODE
from tests.services import ROOT


def test_the_modules_without_a_page_keep_their_promises() -> None:
    files = sorted((ROOT / "tests" / "web").glob("*.test.mjs"))
    assert files
    line = [str(NODE), "--test", "--test-reporter=spec", *map(str, files)]
    run = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own words
    if run.returncode:
        pytest.fail(run.stdout + run.stderr)
