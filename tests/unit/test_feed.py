"""What the forwarder keeps of a market's stocks."""

from pathlib import Path

from forwarder.feed import _quoted

STOCKS = 20_000


def resident_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def test_a_name_that_is_kept_takes_no_more_than_itself() -> None:
    """The writer of JSON gives out buffers of 4 kB, whatever is in them."""
    before = resident_kb()
    assert all(_quoted(f"KEPT{number}") for number in range(STOCKS))
    assert (resident_kb() - before) / STOCKS < 1
