"""What kustomize makes of deploy/kubernetes: its objects, and what a pod of each would find."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from local.go_tools import BIN
from tests.services import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("local", "production")
GROWN = ("local two-feeds", "production two-feeds redis-cluster")
"""An overlay, and the components that it takes more."""

EVERY = (*OVERLAYS, *GROWN)
SECRETS = "/run/secrets"
WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "Job"}
_REFERENCE = re.compile(r"\$\$|\$\((\w+)\)")

Manifest = dict[str, Any]


@cache
def text(overlay: str) -> str:
    """What `kubectl apply` would get."""
    name, *components = overlay.split()
    if not components:
        return _build(FOLDER / name)
    with tempfile.TemporaryDirectory() as place:
        for part in ("deploy", "config"):  # kustomize reads no file outside
            shutil.copytree(ROOT / part, Path(place, part))
        folder = Path(place) / FOLDER.relative_to(ROOT) / name
        _take(folder / "kustomization.yaml", components)
        return _build(folder)


def _take(kustomization: Path, components: list[str]) -> None:
    """The one line that docs/kubernetes.md says."""
    before = "components: [../contained]"
    said = kustomization.read_text()
    assert said.count(before) == 1
    taken = ", ".join(f"../{each}" for each in (*components, "contained"))
    kustomization.write_text(said.replace(before, f"components: [{taken}]"))


def _build(folder: Path) -> str:
    done = subprocess.run(  # noqa: S603  # our own words
        [str(BIN / "kustomize"), "build", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr  # it says there what it will drop in a later release
    return done.stdout


@cache
def objects(overlay: str) -> tuple[Manifest, ...]:
    return tuple(yaml.safe_load_all(text(overlay)))


def of_kind(overlay: str, *kinds: str) -> list[Manifest]:
    return [each for each in objects(overlay) if each["kind"] in kinds]


def one(overlay: str, kind: str, name: str) -> Manifest:
    [found] = [o for o in of_kind(overlay, kind) if o["metadata"]["name"] == name]
    return found


@dataclass(frozen=True)
class Pod:
    """The only container of a workload's pods, and what it finds there."""

    overlay: str
    workload: Manifest

    @property
    def name(self) -> str:
        return str(self.workload["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.workload["metadata"]["namespace"])

    @property
    def template(self) -> Manifest:
        return dict(self.workload["spec"]["template"])

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.template["metadata"]["labels"])

    @property
    def spec(self) -> Manifest:
        return dict(self.template["spec"])

    @property
    def container(self) -> Manifest:
        [only] = self.spec["containers"]
        return dict(only)

    @property
    def own_environment(self) -> dict[str, str]:
        """Said for this one alone."""
        return {each["name"]: each["value"] for each in self.container.get("env", [])}

    @property
    def shared_environment(self) -> dict[str, str]:
        """From ConfigMaps, whether it is of use here or not."""
        found: dict[str, str] = {}
        for source in self.container.get("envFrom", []):
            found |= self._map(source["configMapRef"]["name"])
        return found

    @property
    def environment(self) -> dict[str, str]:
        return self.shared_environment | self.own_environment

    @property
    def secrets(self) -> dict[str, str]:
        """File in /run/secrets → key of a Secret."""
        found: dict[str, str] = {}
        for path, volume in self._mounts():
            if path == SECRETS:
                found |= {i["path"]: i["key"] for i in volume["secret"]["items"]}
        return found

    @property
    def ports(self) -> set[int]:
        return {each["containerPort"] for each in self.container.get("ports", [])}

    @property
    def probes(self) -> dict[str, Manifest]:
        kinds = ("startupProbe", "readinessProbe", "livenessProbe")
        return {kind: self.container[kind] for kind in kinds if kind in self.container}

    def words(self, key: str) -> list[str]:
        """`command` or `args`, as the container's program gets them."""

        def value(found: re.Match[str]) -> str:
            return self.environment[found[1]] if found[1] else "$"

        return [_REFERENCE.sub(value, word) for word in self.container.get(key, [])]

    def files(self, folder: str) -> dict[str, str]:
        """Path below the folder → text, of what a ConfigMap puts there."""
        for path, volume in self._mounts():
            if path == folder and "configMap" in volume:
                data = self._map(volume["configMap"]["name"])
                items = volume["configMap"].get("items")
                if items is None:
                    return data
                return {item["path"]: data[item["key"]] for item in items}
        raise LookupError(f"{self.name}: no ConfigMap at {folder}")

    def _mounts(self) -> Iterator[tuple[str, Manifest]]:
        volumes = {volume["name"]: volume for volume in self.spec.get("volumes", [])}
        for mount in self.container.get("volumeMounts", []):
            if mount["name"] in volumes:
                yield mount["mountPath"], volumes[mount["name"]]

    def _map(self, name: str) -> dict[str, str]:
        found = one(self.overlay, "ConfigMap", name)
        assert found["metadata"]["namespace"] == self.namespace
        return dict(found["data"])


def pods(overlay: str) -> dict[str, Pod]:
    """By service, each once."""
    found = [Pod(overlay, workload) for workload in of_kind(overlay, *WORKLOADS)]
    assert len({pod.name for pod in found}) == len(found)
    return {pod.name: pod for pod in found}


def matches(selector: Manifest, labels: dict[str, str]) -> bool:
    """A selector by labels alone; an empty one selects all."""
    assert selector.keys() <= {"matchLabels"}
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()
