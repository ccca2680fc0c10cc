"""local.occupied: who is in the way of a start is told how far away another port has to be."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.__main__ import USAGE
from local.instance import HIGHEST_HTTP_PORT, CannotRun, Instance
from local.occupied import USES_OF_PORTS, claim
from tests.services import ROOT

HOLD = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_instance_is_sent_past_the_ports_of_the_first(tmp_path: Path) -> None:
    instance = Instance(ROOT, 8080, tmp_path, {})
    with subprocess.Popen(  # noqa: S603  # our own command line
        [sys.executable, "-c", HOLD, str(tmp_path / "lock"), "-m", "local"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(CannotRun, match=f"at least {instance.vector_port - 8080 + 1} away"):
            claim(instance)
        holder.communicate()


def test_all_say_how_many_ports_there_are() -> None:
    assert len(USES_OF_PORTS) == 7
    assert HIGHEST_HTTP_PORT + len(USES_OF_PORTS) - 1 == 65535
    for text in (USAGE, (ROOT / "README.md").read_text()):
        assert "the six ports above" in text
