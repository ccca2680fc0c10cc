"""What config/redis/start.sh lets services do, read as text; tests/docker tries it."""

import re

from tests.services import ROOT

# Newer than Redis 7.0, so that Valkey lacks them, or known for faults of some releases.
KEPT_OUT = {"xackdel", "xdelex", "xnack", "xcfgset", "restore"}


def test_no_service_may_use_a_command_that_some_release_lacks_or_gets_wrong() -> None:
    rules = (ROOT / "config" / "redis" / "start.sh").read_text()
    allowed = set(re.findall(r"\+([a-z]+)", rules))
    assert {"xreadgroup", "xack", "xclaim", "xtrim", "evalsha"} <= allowed
    assert allowed & KEPT_OUT == set()
    everything = [line for line in rules.splitlines() if "+@" in line]
    assert [line.split()[0] for line in everything] == ['at_first="on', "user"]  # the operator
