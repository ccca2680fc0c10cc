"""deploy/kubernetes: valid, contained as in compose, and without a secret."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import kubernetes_validate
import pytest

from bridge.settings import BridgeSettings
from local.instance import read_dotenv
from tests.kubernetes import EVERY, GROWN, Pod, objects, of_kind, one, pods, text
from tests.services import ROOT

RELEASES = ("1.34", "1.37")  # of Kubernetes: the oldest that is promised, the newest that is known
SECRET = re.compile(r"PASSWORD|KEY|SECRET|TOKEN")
GIVEN = {"passwords", "tls", "postgres-owner", "redis-users"}  # docs/kubernetes.md makes them
READS_THE_NODE = "vector"

# By hand, from the operators' own types, as no package ships their schemas: KEDA's
# apis/keda/v1alpha1 and its redis-streams scaler, CloudNativePG's api/v1/cluster_types.go, the
# Redis operator's api/redisreplication, api/redissentinel and api/rediscluster (v1beta2): what
# must be there, and what else may.
OPERATED: dict[tuple[str, str], tuple[set[str], set[str]]] = {
    ("keda.sh/v1alpha1", "ScaledObject"): (
        {"scaleTargetRef", "triggers"},
        {
            *("minReplicaCount", "maxReplicaCount", "pollingInterval", "cooldownPeriod"),
            *("fallback", "advanced"),
        },
    ),
    ("keda.sh/v1alpha1", "TriggerAuthentication"): (
        set(),
        {"secretTargetRef", "configMapTargetRef"},
    ),
    ("postgresql.cnpg.io/v1", "Cluster"): (
        {"instances", "storage"},
        {
            *("imageName", "inheritedMetadata", "enablePDB", "bootstrap", "postgresql"),
            *("resources", "walStorage", "affinity", "backup", "plugins"),
        },
    ),
    ("redis.redis.opstreelabs.in/v1beta2", "RedisReplication"): (
        {"clusterSize", "kubernetesConfig"},
        {
            *("podSecurityContext", "securityContext", "acl", "redisConfig", "pdb", "storage"),
            *("topologySpreadConstraints",),
        },
    ),
    ("redis.redis.opstreelabs.in/v1beta2", "RedisSentinel"): (
        {"clusterSize", "kubernetesConfig", "redisSentinelConfig"},
        {"podSecurityContext", "securityContext", "pdb"},
    ),
    ("redis.redis.opstreelabs.in/v1beta2", "RedisCluster"): (
        {"clusterSize", "kubernetesConfig"},
        {
            *("clusterVersion", "persistenceEnabled", "podSecurityContext", "acl", "storage"),
            *("redisLeader", "redisFollower"),
        },
    ),
}
OPERATORS = {  # and who of them is in which
    "production": OPERATED.keys() - {("redis.redis.opstreelabs.in/v1beta2", "RedisCluster")},
    GROWN[1]: {kind for kind in OPERATED if kind[1] not in ("RedisReplication", "RedisSentinel")},
}
ROLES = ("redisLeader", "redisFollower")
STREAMS_TRIGGER = {"stream", "consumerGroup", "lagCount", "activationLagCount"}

RULES: dict[str, Callable[[Pod], bool]] = {
    "is one container": lambda p: not p.spec.get("initContainers") and bool(p.container),
    "has a user of its own": lambda p: (
        p.spec["securityContext"]["runAsNonRoot"] and p.spec["securityContext"]["runAsUser"] > 0
    ),
    "can't write to its image": lambda p: p.container["securityContext"]["readOnlyRootFilesystem"],
    "has no capability": lambda p: (
        p.container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    ),
    "gets no more than it has": lambda p: (
        p.container["securityContext"]["allowPrivilegeEscalation"] is False
        and not p.container["securityContext"].get("privileged")
    ),
    "may call what a runtime allows": lambda p: (
        p.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    ),
    "has no word in the cluster": lambda p: p.spec["automountServiceAccountToken"] is False,
    "isn't told of Services by variables": lambda p: p.spec["enableServiceLinks"] is False,
    "shares nothing with its node": lambda p: (
        not {"hostNetwork", "hostPID", "hostIPC"} & p.spec.keys()
        and (p.name == READS_THE_NODE or not _volumes(p, "hostPath"))
    ),
    "has bounded memory, and says what it needs": lambda p: (
        p.container["resources"]["limits"].keys() == {"memory"}
        and p.container["resources"]["requests"].keys() == {"cpu", "memory"}
    ),
    "has bounded files": lambda p: all(v.get("sizeLimit") for v in _volumes(p, "emptyDir")),
    "says how it is": lambda p: "readinessProbe" in p.probes or p.workload["kind"] == "Job",
    "can't change its configuration": lambda p: all(
        mount.get("readOnly")
        for mount in p.container["volumeMounts"]
        if mount["name"] in ("config", "secrets", "pods")
    ),
    "has no secret in a variable": lambda p: (
        not [name for name in p.environment if SECRET.search(name) and not name.endswith("_FILE")]
    ),
    "has an image with a version": lambda p: bool(
        re.fullmatch(r"[\w./-]+:(?!latest$)[\w.-]*\d[\w.-]*", p.container["image"])
    ),
}


@pytest.mark.parametrize("overlay", EVERY)
def test_official_objects_are_valid_to_the_last_field(overlay: str) -> None:
    plain = objects(overlay.partition(" ")[0]) if overlay in GROWN else ()  # each once
    new = [o for o in objects(overlay) if o not in plain]
    ours = [o for o in new if (o["apiVersion"], o["kind"]) not in OPERATED]
    assert len(ours) > (4 if plain else 30)
    for each in ours:
        for release in RELEASES:
            kubernetes_validate.validate(each, release, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    [first, *_] = of_kind("local", "Deployment")
    wrong = first | {"spec": first["spec"] | {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, RELEASES[-1], strict=True)


@pytest.mark.parametrize("overlay", OPERATORS)
def test_what_operators_read_has_the_fields_that_they_know(overlay: str) -> None:
    theirs = [o for o in objects(overlay) if (o["apiVersion"], o["kind"]) in OPERATED]
    assert {(o["apiVersion"], o["kind"]) for o in theirs} == OPERATORS[overlay]
    for each in theirs:
        required, known = OPERATED[each["apiVersion"], each["kind"]]
        assert required <= each["spec"].keys() <= required | known, each["kind"]
    assert {o["kind"] for o in objects("local")} & {o["kind"] for o in theirs} == set()


@pytest.mark.parametrize("overlay", OPERATORS)
def test_writers_are_scaled_by_all_streams_that_there_are(overlay: str) -> None:
    scaled = one(overlay, "ScaledObject", "writer")["spec"]
    clustered = "redis-cluster" in overlay
    triggers = [trigger["metadata"] for trigger in scaled["triggers"]]
    place = {"addresses" if clustered else "address"}
    assert all(trigger.keys() == STREAMS_TRIGGER | place for trigger in triggers)
    assert all(isinstance(value, str) for trigger in triggers for value in trigger.values())
    kinds = {trigger["type"] for trigger in scaled["triggers"]}
    assert kinds == {"redis-cluster-streams" if clustered else "redis-streams"}
    shards = int(pods(overlay)["writer"].environment["SHARDS"])
    streams = ["ticks"] if shards == 1 else [f"ticks:{{{n}}}" for n in range(shards)]
    assert [trigger["stream"] for trigger in triggers] == streams
    if shards > 1:  # by their sum, as each writer serves all
        formula = scaled["advanced"]["scalingModifiers"]["formula"]
        assert formula == " + ".join(trigger["name"] for trigger in scaled["triggers"])
    assert scaled["scaleTargetRef"]["name"] in pods(overlay)


def test_a_master_that_is_cut_off_stops_before_bridges_have_forgotten() -> None:
    """The operator includes the file last, on masters and on replicas."""
    spec = one(GROWN[1], "RedisCluster", "tick-cluster")["spec"]
    [file] = {spec[role]["redisConfig"]["additionalRedisConfig"] for role in ROLES}
    settings = one(GROWN[1], "ConfigMap", file)["data"]["redis-additional.conf"]
    [timeout] = re.findall(r"^cluster-node-timeout (\d+)$", settings, re.MULTILINE)
    replay: timedelta = BridgeSettings.model_fields["bridge_replay"].default
    assert timedelta(milliseconds=int(timeout)) <= replay / 2
    assert "appendonly yes" in settings
    assert "min-replicas-to-write" not in text(GROWN[1])  # one replica: none after a failover


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("overlay", EVERY)
def test_every_pod(overlay: str, rule: str) -> None:
    found = pods(overlay)
    assert len(found) > 8
    assert not [pod.name for pod in found.values() if not RULES[rule](pod)]


@pytest.mark.parametrize("overlay", EVERY)
def test_the_pipelines_own_namespace_takes_restricted_pods_only(overlay: str) -> None:
    [own] = [n for n in of_kind(overlay, "Namespace") if n["metadata"]["name"] == "tick-pipeline"]
    assert own["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    elsewhere = {p.name for p in pods(overlay).values() if p.namespace != "tick-pipeline"}
    assert elsewhere == {READS_THE_NODE}
    [path] = _volumes(pods(overlay)[READS_THE_NODE], "hostPath")
    assert path["path"] == "/var/log/pods"


@pytest.mark.parametrize("overlay", EVERY)
def test_secrets_are_named_and_never_there(overlay: str) -> None:
    assert not of_kind(overlay, "Secret")
    values = [v for n, v in read_dotenv(ROOT / ".env").items() if SECRET.search(n)]
    assert len(values) > 10
    assert not [value for value in values if value in text(overlay)]
    assert {name for each in objects(overlay) for name in _secrets(each)} <= GIVEN


@pytest.mark.parametrize("overlay", EVERY)
def test_what_is_disrupted_or_scaled_is_there(overlay: str) -> None:
    found = pods(overlay)
    for budget in of_kind(overlay, "PodDisruptionBudget"):
        name = budget["metadata"]["name"]
        labels = budget["spec"]["selector"]["matchLabels"]
        assert [p.name for p in found.values() if labels.items() <= p.labels.items()] == [name]
        assert budget["spec"]["maxUnavailable"] == 1
    several = {p.name for p in found.values() if p.workload["spec"].get("replicas", 1) > 1}
    for scaler in of_kind(overlay, "ScaledObject", "HorizontalPodAutoscaler"):
        name = scaler["spec"]["scaleTargetRef"]["name"]
        assert "replicas" not in found[name].workload["spec"], "both would set them"
        several.add(name)
    budgets = {each["metadata"]["name"] for each in of_kind(overlay, "PodDisruptionBudget")}
    assert several <= budgets
    assert ("production" in overlay) == ({"bridge", "writer", "api", "nginx"} <= several)
    assert ("two-feeds" in overlay) == ("centrifugo" in several)


@pytest.mark.parametrize(
    ("overlay", "name"), [("production", "bridge"), *((grown, "centrifugo") for grown in GROWN)]
)
def test_one_of_two_is_replaced_only_when_the_next_is_there(overlay: str, name: str) -> None:
    """A bridge waits 3 s for one who knows more."""
    pod = pods(overlay)[name]
    assert pod.workload["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert pod.workload["spec"]["minReadySeconds"] > 3
    by = {c["topologyKey"]: c for c in pod.spec["topologySpreadConstraints"]}
    assert by["kubernetes.io/hostname"]["whenUnsatisfiable"] == "DoNotSchedule"


@pytest.mark.parametrize("overlay", EVERY)
def test_every_config_map_is_somebodys(overlay: str) -> None:
    used = {name for each in objects(overlay) for name in _maps(each)}
    made = {each["metadata"]["name"] for each in of_kind(overlay, "ConfigMap")}
    idle = {name.rpartition("-")[0] or name for name in made - used}
    # Made beside the others, for the other overlay.
    assert idle <= ({"redis"} if "local" in overlay else {"redis", "postgres"})
    assert used <= made


def _volumes(pod: Pod, kind: str) -> list[dict[str, Any]]:
    return [volume[kind] for volume in pod.spec.get("volumes", []) if kind in volume]


def _secrets(node: object) -> set[str]:
    """Names of Secrets, wherever an object says one."""
    return set(_said(node, "secret", "secretName")) | set(
        _said(node, "secretKeyRef", "name")
        + _said(node, "redisSecret", "name")
        + _said(node, "secretTargetRef", "name")
        + _said(node, "secret", "name")
    )


def _maps(node: object) -> set[str]:
    found = _said(node, "configMap", "name") + _said(node, "configMapRef", "name")
    found += _said(node, "configMapTargetRef", "name")
    return {*found, *_said(node, "redisConfig", "additionalRedisConfig")}


def _said(node: object, key: str, field: str) -> list[str]:
    if isinstance(node, list):
        return [name for each in node for name in _said(each, key, field)]
    if not isinstance(node, dict):
        return []
    found = [name for value in node.values() for name in _said(value, key, field)]
    inside = node.get(key, [])
    entries = inside if isinstance(inside, list) else [inside]
    return found + [e[field] for e in entries if isinstance(e, dict) and field in e]
