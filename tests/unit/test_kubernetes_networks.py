"""deploy/kubernetes: policies let through what compose's networks do; ports and addresses agree."""

import json
import re
from itertools import permutations

import pytest

from api.settings import ApiSettings
from tests import compose
from tests.kubernetes import EVERY, GROWN, Manifest, Pod, matches, objects, of_kind, one, pods
from tests.services import ROOT

NOBODY_ASKS = "vector"  # compose has it on `data` all the same
OPERATED = {"redis": 6379, "postgres": 5432}  # names of Services that operators make
BY_OPERATOR = {  # and these, of which we make none
    "production": {("ticks-sentinel", 26379)},
    GROWN[1]: {("tick-cluster-leader", 6379), ("tick-cluster-follower", 6379)},
}
ADDRESS = re.compile(r"(?:^|[/@,])([a-z-]+)(?:\.tick-pipeline[\w.]*)?:(\d+)")


@pytest.mark.parametrize("overlay", EVERY)
def test_whoever_is_on_a_network_of_compose_reaches_those_on_it_and_nobody_else(
    overlay: str,
) -> None:
    found = pods(overlay)
    for one_, other in permutations(found.values(), 2):
        shared = networks(overlay, one_.name) & networks(overlay, other.name)
        wanted = bool(shared) and other.name != NOBODY_ASKS
        assert allowed(overlay, one_, other) == (wanted, wanted), (one_.name, other.name)


def networks(overlay: str, service: str) -> set[str]:
    said = compose.services("compose.two-feeds.yaml") if "two-feeds" in overlay else {}
    return set((said or compose.development())[service]["networks"])


def allowed(overlay: str, source: Pod, target: Pod) -> tuple[bool, bool]:
    """To go out and to come in, by rules about whole pods; single ports are for outsiders."""
    out = any(_is(peer, source, target) for peer in peers(overlay, "Egress", source))
    return out, any(_is(peer, target, source) for peer in peers(overlay, "Ingress", target))


def peers(overlay: str, kind: str, at: Pod) -> list[Manifest]:
    specs = [
        policy["spec"]
        for policy in of_kind(overlay, "NetworkPolicy")
        if policy["metadata"]["namespace"] == at.namespace
        and kind in policy["spec"]["policyTypes"]
        and matches(policy["spec"]["podSelector"], at.labels)
    ]
    assert specs, "everything would be allowed"
    rules = [rule for spec in specs for rule in spec.get(kind.lower(), []) if "ports" not in rule]
    return [peer for rule in rules for peer in rule["to" if kind == "Egress" else "from"]]


def _is(peer: Manifest, at: Pod, other: Pod) -> bool:
    spaces = peer.get("namespaceSelector")
    named = {"kubernetes.io/metadata.name": other.namespace}
    near = other.namespace == at.namespace if spaces is None else matches(spaces, named)
    return near and matches(peer["podSelector"], other.labels)


def test_what_operators_make_is_on_data_too() -> None:
    wanted = {"network/data": "true"}
    for kind in ("RedisReplication", "RedisSentinel"):
        assert wanted.items() <= one("production", kind, "ticks")["metadata"]["labels"].items()
    settings = pods("production")["bridge"].environment
    watched = one("production", "RedisSentinel", "ticks")["spec"]["redisSentinelConfig"]
    assert settings["REDIS_MASTER"] == watched["masterGroupName"]
    assert float(settings["BRIDGE_REPLAY"]) >= 30  # docs/redis-cluster.md
    nodes = one(GROWN[1], "RedisCluster", "tick-cluster")["metadata"]["labels"]
    assert wanted.items() <= nodes.items()
    cluster = one("production", "Cluster", "pipeline-db")["spec"]
    assert wanted.items() <= cluster["inheritedMetadata"]["labels"].items()


@pytest.mark.parametrize("overlay", EVERY)
def test_ports_are_listened_to(overlay: str) -> None:
    for service in of_kind(overlay, "Service"):
        if service["spec"].get("type") == "ExternalName":
            continue
        [pod] = [
            p
            for p in pods(overlay).values()
            if service["spec"]["selector"].items() <= p.labels.items()
        ]
        targets = {port.get("targetPort", port["port"]) for port in service["spec"]["ports"]}
        assert targets == pod.ports, pod.name
    centrifugo = json.loads((ROOT / "config/centrifugo/config.json").read_text())["http_server"]
    assert {str(port) for port in pods(overlay)["centrifugo"].ports} == set(centrifugo.values())
    assert pods(overlay)["api"].ports == {ApiSettings.model_fields["api_port"].default}
    listened = pods(overlay)["nginx"].environment["NGINX_LISTEN"].split()[0]
    assert int(listened) in pods(overlay)["nginx"].ports


@pytest.mark.parametrize("overlay", EVERY)
def test_every_address_is_a_services(overlay: str) -> None:
    known = {
        (s["metadata"]["name"], port) for s in of_kind(overlay, "Service") for port in _ports(s)
    }
    said = {
        (name, int(port))
        for pod in pods(overlay).values()
        for value in pod.environment.values()
        for name, port in ADDRESS.findall(value)
    }
    assert len(said) > 5
    assert said - known == BY_OPERATOR.get(overlay, set())
    assert {n for n, _ in said} >= {"redis", "postgres", "api", "centrifugo", "grafana"}
    assert ("redis-feed" in {n for n, _ in said}) == ("two-feeds" in overlay)


def _ports(service: Manifest) -> list[int]:
    if service["spec"].get("type") == "ExternalName":
        return [OPERATED[service["metadata"]["name"]]]
    return [port["port"] for port in service["spec"]["ports"]]


@pytest.mark.parametrize("overlay", EVERY)
def test_objects_have_a_namespace_or_are_one(overlay: str) -> None:
    places = {(o["metadata"].get("namespace"), o["kind"] == "Namespace") for o in objects(overlay)}
    assert places == {(None, True), ("tick-pipeline", False), ("tick-pipeline-logs", False)}
