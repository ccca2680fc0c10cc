"""deploy/kubernetes: valid, contained as in compose, and without a secret."""

import re
from collections.abc import Callable
from typing import Any

import kubernetes_validate
import pytest

from local.instance import read_dotenv
from tests.kubernetes import OVERLAYS, Pod, objects, of_kind, pods, text
from tests.services import ROOT

RELEASES = ("1.34", "1.37")  # of Kubernetes: the oldest that is promised, the newest that is known
SECRET = re.compile(r"PASSWORD|KEY|SECRET|TOKEN")
GIVEN = {"passwords", "tls", "postgres-owner", "redis-users"}  # docs/kubernetes.md makes them
READS_THE_NODE = "vector"

# By hand, from the operators' own types, as no package ships their schemas: KEDA's
# apis/keda/v1alpha1 and its redis-streams scaler, CloudNativePG's api/v1/cluster_types.go, the
# Redis operator's api/redisreplication and api/redissentinel (v1beta2): what must be there, and
# what else may.
OPERATED: dict[tuple[str, str], tuple[set[str], set[str]]] = {
    ("keda.sh/v1alpha1", "ScaledObject"): (
        {"scaleTargetRef", "triggers"},
        {"minReplicaCount", "maxReplicaCount", "pollingInterval", "cooldownPeriod", "fallback"},
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
}
STREAMS_TRIGGER = {"address", "stream", "consumerGroup", "lagCount", "activationLagCount"}

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


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_official_objects_are_valid_to_the_last_field(overlay: str) -> None:
    ours = [o for o in objects(overlay) if (o["apiVersion"], o["kind"]) not in OPERATED]
    assert len(ours) > 30
    for each in ours:
        for release in RELEASES:
            kubernetes_validate.validate(each, release, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    [first, *_] = of_kind("local", "Deployment")
    wrong = first | {"spec": first["spec"] | {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, RELEASES[-1], strict=True)


def test_what_operators_read_has_the_fields_that_they_know() -> None:
    theirs = [o for o in objects("production") if (o["apiVersion"], o["kind"]) in OPERATED]
    assert {(o["apiVersion"], o["kind"]) for o in theirs} == OPERATED.keys()
    for each in theirs:
        required, known = OPERATED[each["apiVersion"], each["kind"]]
        assert required <= each["spec"].keys() <= required | known, each["kind"]
    [scaled] = [o for o in theirs if o["kind"] == "ScaledObject"]
    triggers = [trigger["metadata"] for trigger in scaled["spec"]["triggers"]]
    assert {key for trigger in triggers for key in trigger} == STREAMS_TRIGGER
    assert all(isinstance(value, str) for trigger in triggers for value in trigger.values())
    shards = int(pods("production")["writer"].environment["SHARDS"])
    streams = ["ticks"] if shards == 1 else [f"ticks:{{{n}}}" for n in range(shards)]
    assert [trigger["stream"] for trigger in triggers] == streams
    assert scaled["spec"]["scaleTargetRef"]["name"] in pods("production")
    assert {o["kind"] for o in objects("local")} & {o["kind"] for o in theirs} == set()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod(overlay: str, rule: str) -> None:
    found = pods(overlay)
    assert len(found) > 8
    assert not [pod.name for pod in found.values() if not RULES[rule](pod)]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_pipelines_own_namespace_takes_restricted_pods_only(overlay: str) -> None:
    [own] = [n for n in of_kind(overlay, "Namespace") if n["metadata"]["name"] == "tick-pipeline"]
    assert own["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    elsewhere = {p.name for p in pods(overlay).values() if p.namespace != "tick-pipeline"}
    assert elsewhere == {READS_THE_NODE}
    [path] = _volumes(pods(overlay)[READS_THE_NODE], "hostPath")
    assert path["path"] == "/var/log/pods"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_are_named_and_never_there(overlay: str) -> None:
    assert not of_kind(overlay, "Secret")
    values = [v for n, v in read_dotenv(ROOT / ".env").items() if SECRET.search(n)]
    assert len(values) > 10
    assert not [value for value in values if value in text(overlay)]
    assert {name for each in objects(overlay) for name in _secrets(each)} <= GIVEN


@pytest.mark.parametrize("overlay", OVERLAYS)
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
    assert (overlay == "production") == ({"bridge", "writer", "api", "nginx"} <= several)


def test_a_bridge_is_replaced_only_when_the_next_has_lined_up() -> None:
    spec = pods("production")["bridge"].workload["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert spec["minReadySeconds"] > 3  # it waits so long for one who knows more
    by = {
        c["topologyKey"]: c for c in pods("production")["bridge"].spec["topologySpreadConstraints"]
    }
    assert by["kubernetes.io/hostname"]["whenUnsatisfiable"] == "DoNotSchedule"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_config_map_is_somebodys(overlay: str) -> None:
    used = {name for each in objects(overlay) for name in _maps(each)}
    made = {each["metadata"]["name"] for each in of_kind(overlay, "ConfigMap")}
    idle = {name.rpartition("-")[0] or name for name in made - used}
    # Made beside the others, for the other overlay.
    assert idle <= ({"redis"} if overlay == "local" else {"redis", "postgres"})
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
