"""compose.two-feeds.yaml beside docker-compose.yaml: as closed, and every variable is there."""

import re
from typing import Any

import yaml

from local.instance import read_dotenv
from tests.services import ROOT

OVERLAY = ROOT / "compose.two-feeds.yaml"
CONTAINED = ("restart", "read_only", "cap_drop", "security_opt", "logging", "image", "user")


def services(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / name).read_text())["services"])


def test_their_redis_is_as_closed_as_the_streams() -> None:
    redis, feed = services("docker-compose.yaml")["redis"], services(OVERLAY.name)["redis-feed"]
    assert [feed[name] for name in CONTAINED] == [redis[name] for name in CONTAINED]
    assert feed["networks"] == ["feed"]
    assert feed["deploy"]["resources"]["limits"].keys() == {"memory", "pids"}
    assert feed["healthcheck"]["test"] == redis["healthcheck"]["test"]
    assert "ports" not in feed


def test_only_the_nodes_are_on_its_network_and_where_they_were() -> None:
    overlay, base = services(OVERLAY.name), services("docker-compose.yaml")
    assert overlay.keys() == {"redis-feed", "centrifugo"}
    assert set(base["centrifugo"]["networks"]) | {"feed"} == set(overlay["centrifugo"]["networks"])
    assert yaml.safe_load(OVERLAY.read_text())["networks"] == {"feed": {"internal": True}}


def test_its_variables_are_in_the_development_settings() -> None:
    used = set(re.findall(r"\$\{(\w+)", OVERLAY.read_text()))
    assert used == {"REDIS_FEED_PASSWORD"}
    assert used <= read_dotenv(ROOT / ".env").keys()


def test_the_nodes_use_the_user_and_the_prefix_that_their_redis_knows() -> None:
    engine = services(OVERLAY.name)["centrifugo"]["environment"]
    rules = (ROOT / "config" / "redis" / "feed.sh").read_text()
    user, prefix = (engine[f"CENTRIFUGO_ENGINE_REDIS_{name}"] for name in ("USER", "PREFIX"))
    assert f"user {user} on >$password ~{prefix}.* &{prefix}.* " in rules
