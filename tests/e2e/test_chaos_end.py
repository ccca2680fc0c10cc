"""make chaos, asked to end in the middle of its faults: nothing is left of all that it started."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from tests.processes import alive, descendants
from tests.services import ROOT
from tests.waiting import wait_until


async def test_sigterm_ends_all_that_chaos_started_and_says_how_far_it_came(tmp_path: Path) -> None:
    said = tmp_path / "said"
    line = [sys.executable, "-m", "tests.chaos", "--faults", "freeze:redis,cut:*", "--rate", "300"]
    with (
        said.open("wb") as output,
        subprocess.Popen(line, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT) as chaos,  # noqa: ASYNC220, S603  # it lives as long as the test
    ):
        try:
            await wait_until(lambda: "1 of 100" in said.read_text(), limit=60)
            data = Path(said.read_text().splitlines()[0].split()[-1])
            started = descendants(chaos.pid)
        finally:
            chaos.send_signal(signal.SIGTERM)
        await wait_until(lambda: chaos.poll() is not None, limit=30)
    assert "ENDED EARLY" in said.read_text().splitlines()[-1]
    assert started
    assert not [pid for pid in started if alive(pid)]
    assert not await asyncio.to_thread(data.exists)
