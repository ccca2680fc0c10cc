"""The page's pure modules, by Node's own test runner: newer ticks, digits, times; its rhythm."""

import re
import subprocess
from datetime import timedelta

import orjson
import pytest

from tests.node import NODE
from tests.services import ROOT
from writer.settings import WriterSettings


def test_the_modules_without_a_page_keep_their_promises() -> None:
    files = sorted((ROOT / "tests" / "web").glob("*.test.mjs"))
    assert files
    line = [str(NODE), "--test", "--test-reporter=spec", *map(str, files)]
    run = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own words
    if run.returncode:
        pytest.fail(run.stdout + run.stderr)


def test_the_page_has_the_rhythm_of_the_writer_and_of_centrifugo() -> None:
    script = (ROOT / "web" / "rhythm.js").read_text()
    said = {
        name: timedelta(milliseconds=int(number))
        for name, number in re.findall(r"^export const (\w+) = ([\d_]+);$", script, re.MULTILINE)
    }
    flush = WriterSettings.model_fields["flush_interval"].default
    configured = orjson.loads((ROOT / "config" / "centrifugo" / "config.json").read_bytes())
    seconds = re.fullmatch(r"(\d+)s", configured["client"]["ping_interval"])
    assert seconds
    assert said == {"FLUSH": flush, "PING": timedelta(seconds=int(seconds[1]))}
    given = re.search(r"^FLUSH_INTERVAL=(\d+)$", (ROOT / ".env").read_text(), re.MULTILINE)
    assert given
    assert timedelta(seconds=int(given[1])) == flush
