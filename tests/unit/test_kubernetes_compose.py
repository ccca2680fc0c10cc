"""deploy/kubernetes and compose say the same: what differs is named here, with its reason."""

import importlib
import json
import re
from pathlib import Path

import pytest

from local.instance import read_dotenv
from pipeline.settings import Environment
from tests import compose
from tests.kubernetes import EVERY, GROWN, Manifest, Pod, of_kind, one, pods
from tests.services import ROOT

OURS = ["migrate", "generator", "bridge", "forwarder", "writer", "api"]
NOT_THERE = {
    "local": {"socket-proxy"},  # Vector reads a node's files instead
    "production": {"socket-proxy", "redis", "postgres", "generator"},  # operators; no mock market
}
CLUSTER = {*(f"redis-{n}" for n in range(2, 7)), "redis-cluster"}  # an operator's, too
# Values that only a cluster can have; the names are the same.
ADDRESSES = {
    *("NGINX_RESOLVER", "API_ADDRESS", "CENTRIFUGO_ADDRESS", "GRAFANA_ADDRESS"),
    "REDIS_CLUSTER",
}
ADDED = {"vector": {"NAMESPACE", "POSTGRES_ADDRESS"}}
LEFT_OUT = {"COMPOSE_PROJECT_NAME"}  # names containers
OTHER_WORDS = {"vector"}  # pods.yaml for containers.yaml
IMAGES = {".": "tick-pipeline", "web": "tick-pipeline-web"}
URL = re.compile(r"http://127\.0\.0\.1:(\d+)(/[\w/]+)")
GRACE = 30  # Kubernetes' own
UNITS = {"m": 1 << 20, "g": 1 << 30, "Mi": 1 << 20, "Gi": 1 << 30}


def pairs() -> list[tuple[str, str]]:
    """By compose's word: kustomize isn't asked before a test runs."""
    return [(overlay, name) for overlay in EVERY for name in sorted(names(overlay))]


def names(overlay: str) -> set[str]:
    return plain(overlay).keys() - NOT_THERE[overlay.partition(" ")[0]] - CLUSTER


def plain(overlay: str) -> dict[str, compose.Service]:
    """For development; a component has its file of compose."""
    return compose.services(*(f"compose.{part}.yaml" for part in overlay.split()[1:]))


def whole(overlay: str) -> dict[str, compose.Service]:
    """For production."""
    files = [f"compose.{part}.yaml" for part in (*overlay.split()[1:], "production")]
    feeds = ["compose.two-feeds.production.yaml"] if "two-feeds" in overlay else []
    return compose.services(*files, *feeds)


def expected(overlay: str, service: str) -> compose.Service:
    """Secrets are files everywhere; TLS and what belongs to it are production's."""
    ours, theirs = plain(overlay)[service], whole(overlay)[service]
    if "local" in overlay and service == "nginx":
        return ours
    if (
        service == "generator"
    ):  # production has it for trying only, and leaves its password where it was
        environment = {n: v for n, v in ours["environment"].items() if n != "REDIS_PASSWORD"}
        secret = {"source": "redis_generator_password", "target": "redis_password"}
        return ours | {"environment": environment, "secrets": [secret]}
    if "local" in overlay:
        environment = dict(theirs.get("environment", {}))
        environment.pop("GF_SECURITY_COOKIE_SECURE", None)
        return theirs | {"environment": environment, "deploy": ours["deploy"]}
    return theirs


@pytest.mark.parametrize("overlay", EVERY)
def test_every_service_is_there(overlay: str) -> None:
    assert pods(overlay).keys() == names(overlay)


@pytest.mark.parametrize(("overlay", "name"), pairs())
def test_images_are_the_same(overlay: str, name: str) -> None:
    service, image = plain(overlay)[name], pods(overlay)[name].container["image"]
    if "build" in service:
        assert Path(image).name.partition(":")[0] == IMAGES[service["build"]]
    else:
        assert image == service["image"]


@pytest.mark.parametrize(("overlay", "name"), pairs())
def test_programs_are_started_with_the_same_words(overlay: str, name: str) -> None:
    if name in OTHER_WORDS:
        return
    pod, service = pods(overlay)[name], expected(overlay, name)
    for ours, theirs in (("command", "entrypoint"), ("args", "command")):
        words = [compose.resolved(word) for word in service.get(theirs, [])]
        assert sorted(pod.words(ours)) == sorted(words)  # PostgreSQL's settings in any order


@pytest.mark.parametrize(("overlay", "name"), pairs())
def test_environments_are_the_same(overlay: str, name: str) -> None:
    pod = pods(overlay)[name]
    added = ADDED.get(name, set())
    wanted = expected(overlay, name).get("environment", {}).items()
    values = {n: compose.resolved(value) for n, value in wanted if n not in LEFT_OUT}
    found = pod.environment
    assert {n: found.get(n) for n in values if n not in ADDRESSES} == {
        n: value for n, value in values.items() if n not in ADDRESSES
    }
    assert pod.own_environment.keys() - added <= values.keys()
    assert values.keys() | added <= found.keys()


@pytest.mark.parametrize(("overlay", "name"), pairs())
def test_secrets_are_the_same_files(overlay: str, name: str) -> None:
    found = pods(overlay)[name].secrets
    renamed = {"tls.crt": "tls_certificate", "tls.key": "tls_key"}  # as in every Secret of its type
    found = {path: renamed.get(key, key) for path, key in found.items()}
    assert found == compose.secrets(expected(overlay, name))


@pytest.mark.parametrize(
    ("overlay", "name"), [(o, n) for o, n in pairs() if n in OURS], ids="-".join
)
def test_a_service_finds_all_that_it_needs(
    overlay: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = pods(overlay)[name]
    settings = settings_of(name)
    for field in settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    for variable, value in pod.environment.items():
        monkeypatch.setenv(variable, value)
    for path in pod.secrets:
        (tmp_path / path).write_text("a secret")
    settings(_secrets_dir=tmp_path)  # names what is missing
    known = {field.upper() for field in settings.model_fields}
    assert pod.own_environment.keys() <= known
    assert {path.upper() for path in pod.secrets} <= known
    everybodys = {f.upper() for each in OURS for f in settings_of(each).model_fields}
    assert pod.shared_environment.keys() <= everybodys


def settings_of(service: str) -> type[Environment]:
    module = importlib.import_module(f"{service}.settings")
    found: type[Environment] = getattr(module, f"{service.capitalize()}Settings")
    assert issubclass(found, Environment)
    return found


@pytest.mark.parametrize(("overlay", "name"), pairs())
def test_health_is_asked_in_the_same_way(overlay: str, name: str) -> None:
    pod, health = pods(overlay)[name], plain(overlay)[name]["healthcheck"]
    if health.get("disable"):
        assert not pod.probes
        return
    kind, *words = map(compose.resolved, health["test"])
    shell = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
    for probe in pod.probes.values():
        assert asked(probe) == (place(shell) or shell)
        assert f"{probe['periodSeconds']}s" == health["interval"]
        assert f"{probe['timeoutSeconds']}s" == health["timeout"]
        assert probe.get("failureThreshold", 3) == health["retries"]
    if alive := pod.probes.get("livenessProbe"):
        assert f"{alive['initialDelaySeconds']}s" == health["start_period"]


def asked(probe: Manifest) -> tuple[int, str] | list[str]:
    if get := probe.get("httpGet"):
        return get["port"], get["path"]
    words = probe["exec"]["command"]
    return place(words) or words


def place(words: list[str]) -> tuple[int, str] | None:
    found = URL.search(" ".join(words))
    return (int(found[1]), found[2]) if found else None


@pytest.mark.parametrize("overlay", EVERY)
def test_only_who_waits_for_nobody_is_ended_for_being_unwell(overlay: str) -> None:
    ended = {pod.name for pod in pods(overlay).values() if "livenessProbe" in pod.probes}
    assert ended - {"redis-feed"} == {"api", "nginx", "centrifugo", "grafana", "vector"}


@pytest.mark.parametrize(("overlay", "name"), pairs())
def test_limits_users_and_time_to_stop_are_the_same(overlay: str, name: str) -> None:
    pod, service = pods(overlay)[name], expected(overlay, name)
    limit = compose.resolved(service["deploy"]["resources"]["limits"]["memory"])
    assert size(pod.container["resources"]["limits"]["memory"]) == size(limit)
    user = service.get("user", "").partition(":")[0]
    assert str(pod.spec["securityContext"]["runAsUser"]) == (user or built_as(service))
    grace = int(service.get("stop_grace_period", "10s").removesuffix("s"))
    assert pod.spec.get("terminationGracePeriodSeconds", GRACE) >= grace


def built_as(service: compose.Service) -> str:
    if service["build"] == "web":
        return "101"  # nginx-unprivileged's
    [user] = re.findall(r"^USER (\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return str(user)


def size(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()  # type: ignore[union-attr]  # or the file is wrong
    return float(number) * UNITS[unit]


def test_what_is_asked_for_was_measured() -> None:
    """docs/bench.json: its highest use of memory, and of a core at the path's highest rate."""
    bench = json.loads((ROOT / "docs" / "bench.json").read_text())
    figures = {stage: part["figures"] for stage, part in bench.items()}
    needs = {name: pod.container["resources"]["requests"] for name, pod in asking().items()}
    checked = 0
    for name, need in needs.items():
        memory = [v for f in figures.values() for v in f.get(f"{name}, MB at most", [])]
        cores = figures["path"].get(f"{name}, % of a core", [])
        assert size(need["memory"]) >= max(memory, default=0) * 1e6, name
        assert millicores(need["cpu"]) >= max(cores, default=0) * 10, name
        checked += bool(memory) + bool(cores)
    assert checked > 8


def millicores(text: str) -> float:
    return float(text.removesuffix("m")) * (1 if text.endswith("m") else 1000)


def asking() -> dict[str, Pod]:
    """Production's, and what Redis and PostgreSQL are asked for there."""
    found = pods("production")
    redis = one("production", "RedisReplication", "ticks")["spec"]["kubernetesConfig"]
    postgres = one("production", "Cluster", "pipeline-db")["spec"]
    for name, resources in (("redis", redis["resources"]), ("postgres", postgres["resources"])):
        spec = {"containers": [{"resources": resources}]}
        found[name] = Pod("production", {"spec": {"template": {"spec": spec}}})
    return found


def mounts() -> list[tuple[str, str, str, str]]:
    return [
        (overlay, name, source, target.removesuffix(":ro"))
        for overlay, name in pairs()
        for volume in plain(overlay)[name].get("volumes", [])
        for source, _, target in [volume.partition(":")]
        if source.startswith("./config/")
    ]


@pytest.mark.parametrize(("overlay", "name", "source", "target"), mounts())
def test_configuration_is_the_same_files(overlay: str, name: str, source: str, target: str) -> None:
    path = ROOT / source
    if path.is_file():
        target, wanted = str(Path(target).parent), {path.name: path.read_text()}
    else:
        texts = [file for file in path.rglob("*") if file.is_file()]
        wanted = {str(file.relative_to(path)): file.read_text() for file in texts}
    wanted.pop("contact-point.yaml", None)  # an example
    wanted.pop("provisioning/alerting/contact-point.yaml", None)  # and its copy
    # Where there are no pods; what makes the ConfigMap; and of a Redis of another kind.
    others = ("cluster.sh", "create-cluster.sh", "redis.conf", "start.sh", "feed.conf", "feed.sh")
    own = others[4:] if name == "redis-feed" else others[2:4]
    for other in {"containers.yaml", "files.yaml", "kustomization.yaml", *others} - {*own}:
        wanted.pop(other, None)
    if "production" in overlay and name == "nginx":  # compose has it as a config
        wanted["redirect.conf.template"] = (ROOT / "config/nginx/redirect.conf").read_text()
    assert pods(overlay)[name].files(target) == wanted


def test_settings_are_those_of_dotenv() -> None:
    wanted = {name: v for name, v in read_dotenv(ROOT / ".env").items() if "PASSWORD" not in name}
    [shared] = [m for m in of_kind("local", "ConfigMap") if m["metadata"]["name"].startswith("set")]
    assert shared["data"].items() >= {
        (n, v) for n, v in wanted.items() if n in {"FLUSH_INTERVAL", "BATCH_ROWS", "GENERATOR_HZ"}
    }
    tuned = {
        name.removeprefix("POSTGRES_").lower(): value
        for name, value in wanted.items()
        if name.startswith("POSTGRES_") and name not in ("POSTGRES_DB", "POSTGRES_USER")
    }
    cluster = one("production", "Cluster", "pipeline-db")["spec"]
    assert cluster["postgresql"]["parameters"] == tuned
    limit = compose.resolved(
        compose.production()["postgres"]["deploy"]["resources"]["limits"]["memory"]
    )
    assert size(cluster["resources"]["limits"]["memory"]) == size(limit)
    limit = compose.development()["redis"]["deploy"]["resources"]["limits"]["memory"]
    for overlay, kind, name in (
        ("production", "RedisReplication", "ticks"),
        (GROWN[1], "RedisCluster", "tick-cluster"),
    ):
        redis = one(overlay, kind, name)["spec"]["kubernetesConfig"]["resources"]
        assert size(redis["limits"]["memory"]) == size(limit)
