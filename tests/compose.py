"""What compose says of a service: docker-compose.yaml, and other files over it."""

import re
from functools import cache
from typing import Any

import yaml

from local.instance import read_dotenv
from tests.services import ROOT

RESET = object()
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")

Service = dict[str, Any]


class Override(dict[str, Any]):
    """A mapping that replaces the other file's, where others are merged."""


class _Loader(yaml.SafeLoader):
    """Knows Compose's own tags."""


def _reset(_loader: yaml.Loader, _node: yaml.Node) -> object:
    return RESET


def _override(loader: yaml.Loader, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return Override({str(k): v for k, v in loader.construct_mapping(node, deep=True).items()})
    assert isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node, deep=True)


_Loader.add_constructor("!reset", _reset)
_Loader.add_constructor("!override", _override)


@cache
def development() -> dict[str, Service]:
    """docker-compose.yaml alone, by service."""
    return _read("docker-compose.yaml")


@cache
def production() -> dict[str, Service]:
    return services("compose.production.yaml")


@cache
def services(*files: str) -> dict[str, Service]:
    """Of docker-compose.yaml and these over it, by service.

    `environment`, `deploy` and `secrets` are merged, the rest of a key is replaced; an extended
    service isn't looked up.
    """
    found = development()
    for file in files:
        over = _read(file)
        names = found | over
        found = {name: _merged(found.get(name, {}), over.get(name, {})) for name in names}
    return found


def secrets(service: Service) -> dict[str, str]:
    """Name of the file in /run/secrets → name of the secret."""
    given = service.get("secrets", [])
    pairs = [(s, s) if isinstance(s, str) else (s["target"], s["source"]) for s in given]
    return dict(pairs)


def resolved(text: object) -> str:
    """With .env and the defaults put in, and `$$` read as Compose does."""
    values = read_dotenv(ROOT / ".env")

    def value(found: re.Match[str]) -> str:
        name, kind, default = found.groups()
        return values.get(name) or (default if kind == "-" else "")

    return _VARIABLE.sub(value, str(text)).replace("$$", "$")


def _read(name: str) -> dict[str, Service]:
    text = (ROOT / name).read_text()
    return dict(yaml.load(text, _Loader)["services"])  # noqa: S506  # a SafeLoader with two tags more


def _merged(service: Service, over: Service) -> Service:
    merged = service | {key: value for key, value in over.items() if key != "environment"}
    environment = over.get("environment", {})
    if environment is RESET:
        environment = Override()
    if not isinstance(environment, Override):
        environment = service.get("environment", {}) | environment
    merged["environment"] = {k: v for k, v in environment.items() if v is not RESET}
    merged["deploy"] = service.get("deploy", {}) | over.get("deploy", {})
    merged["secrets"] = [*service.get("secrets", []), *over.get("secrets", [])]
    return merged
