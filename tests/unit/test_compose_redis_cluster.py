"""compose.redis-cluster.yaml beside docker-compose.yaml: as closed, and who knows whom."""

import re
import subprocess
from pathlib import Path

import yaml

from pipeline.settings import Settings
from tests import compose
from tests.services import ROOT

OVERLAY = ROOT / "compose.redis-cluster.yaml"
NODES = ["redis", *(f"redis-{n}" for n in range(2, 7))]
ADDED = {*NODES[1:], "redis-cluster"}
CLOSED = ("read_only", "cap_drop", "security_opt", "image", "user", "deploy", "healthcheck")
OWN = {"redis-cluster": {"healthcheck"}}  # it ends
USERS = ("GENERATOR", "BRIDGE", "FORWARDER", "WRITER", "API")
ODD = r'a"b\c#$d'
SERVICES = {"generator", "bridge", "forwarder", "writer", "api"}  # those that open Redis


def overlay() -> dict[str, compose.Service]:
    return {name: compose.services(OVERLAY.name)[name] for name in {*NODES, *ADDED, *SERVICES}}


def test_every_node_is_the_redis_of_docker_compose_with_data_and_an_address_of_its_own() -> None:
    said = overlay()
    for name in ADDED:
        assert said[name]["extends"] == {"file": "docker-compose.yaml", "service": "redis"}
        # What isn't said is extended, so that none is more open than the one Redis.
        assert {key for key in CLOSED if said[name].get(key)} <= OWN.get(name, set())
        assert "ports" not in said[name]
    assert len({str(said[node]["command"]) for node in NODES}) == 1
    volumes = [said[node]["volumes"][-1] for node in NODES]
    names = [f"redis-{n}" for n in range(1, 7)]  # not that of a single Redis, which isn't empty
    assert volumes == [f"{name}:/data" for name in names]
    declared = yaml.safe_load(re.sub("!override", "", OVERLAY.read_text()))["volumes"]
    assert [*declared] == names
    places = [said[node]["networks"]["data"]["ipv4_address"] for node in NODES]
    assert [f"{place}:6379" for place in places] == said["redis-cluster"]["command"][2:]
    assert len({*places}) == len(NODES)


def test_who_opens_redis_asks_the_nodes_and_waits_for_the_cluster() -> None:
    said = overlay()
    base = compose.development().items()
    opens = {name for name, service in base if "REDIS_URL" in service.get("environment", {})}
    assert opens == SERVICES
    for name in SERVICES:
        environment = {n: compose.resolved(v) for n, v in said[name]["environment"].items()}
        names = ("redis_url", "redis_cluster", "shards")
        settings = Settings.model_validate({name: environment[name.upper()] for name in names})
        assert settings.redis_cluster == tuple((node, 6379) for node in NODES)
        assert settings.shards == 3
        waits = said[name]["depends_on"]["redis-cluster"]
        assert waits == {"condition": "service_completed_successfully"}
    assert said["bridge"]["deploy"]["replicas"] == 2
    assert said["redis-cluster"]["depends_on"].keys() == {*NODES}


def test_a_node_follows_by_the_operators_password_whatever_is_in_it(tmp_path: Path) -> None:
    """And it is on no command line."""
    words = {f"REDIS_{user}_PASSWORD": "x" for user in USERS} | {"REDIS_OPERATOR_PASSWORD": ODD}
    script = ROOT / "config" / "redis" / "cluster.sh"
    done = subprocess.run(  # noqa: S603  # our own script
        ["/bin/sh", str(script), str(tmp_path), "/bin/echo", "server"],
        env={"PATH": "/usr/bin:/bin", **words},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (tmp_path / "follow.conf").read_text().splitlines() == [
        "masteruser operator",
        r'masterauth "a\"b\\c#$d"',
    ]
    assert f"--include {tmp_path}/follow.conf --cluster-enabled yes" in done.stdout
    assert ODD not in done.stdout
    assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.iterdir())
