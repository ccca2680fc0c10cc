"""What config/redis/start.sh and feed.sh let their users do, read as text; other tests try it."""

import re

import pytest

from tests.services import ROOT

# Newer than Redis 7.0, so that Valkey lacks them, or known for faults of some releases.
KEPT_OUT = {"xackdel", "xdelex", "xnack", "xcfgset", "restore"}


USED = {
    "start.sh": {"xreadgroup", "xack", "xclaim", "xtrim", "evalsha"},
    "feed.sh": {"evalsha", "xadd", "publish", "subscribe"},
}
EVERYTHING = {"start.sh": ['at_first="on', "user"], "feed.sh": []}  # the operator


@pytest.mark.parametrize("script", USED)
def test_no_service_may_use_a_command_that_some_release_lacks_or_gets_wrong(script: str) -> None:
    rules = (ROOT / "config" / "redis" / script).read_text()
    allowed = set(re.findall(r"\+([a-z]+)", rules))
    assert USED[script] <= allowed
    assert allowed & KEPT_OUT == set()
    everything = [line for line in rules.splitlines() if "+@" in line]
    assert [line.split()[0] for line in everything] == EVERYTHING[script]
