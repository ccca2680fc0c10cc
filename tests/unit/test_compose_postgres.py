"""compose.replica.yaml and compose.pgbouncer.yaml agree with the files and services they name."""

import re
from typing import Any

import pytest
import yaml

from api.settings import ApiSettings
from local.instance import read_dotenv
from tests import compose
from tests.services import ROOT

ADDED = {"compose.replica.yaml": "replica", "compose.pgbouncer.yaml": "pgbouncer"}
OVERLAYS = tuple(ADDED)
CONTAINED = ("read_only", "cap_drop", "security_opt", "restart", "user", "networks", "deploy")


def services(*files: str) -> dict[str, Any]:
    """What they say of each service, extensions and environments merged as Compose does it."""
    found: dict[str, Any] = {}
    for file in files:
        for name, service in yaml.safe_load((ROOT / file).read_text())["services"].items():
            extended = found.get(service.get("extends", {}).get("service", name), {})
            environment = extended.get("environment", {}) | service.get("environment", {})
            found[name] = extended | service | {"environment": environment}
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_address_leads_to_a_service_and_every_mount_to_a_file(overlay: str) -> None:
    whole = services("docker-compose.yaml", overlay)
    for service in whole.values():
        for address in service["environment"].values():
            if host := re.search(r"@(\w+):\d+/", str(address)):
                assert host[1] in whole
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_has_a_value_in_env(overlay: str) -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)\}", (ROOT / overlay).read_text()))
    assert used
    assert used <= read_dotenv(ROOT / ".env").keys()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_of_the_api_is_one_that_it_reads(overlay: str) -> None:
    given = yaml.safe_load((ROOT / overlay).read_text())["services"]["api"]["environment"]
    assert {name.lower() for name in given} <= ApiSettings.model_fields.keys()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_an_overlay_adds_has_no_more_rights_than_the_others(overlay: str) -> None:
    added = services("docker-compose.yaml", overlay)[ADDED[overlay]]
    like = services("docker-compose.yaml")["postgres"]
    assert [key for key in CONTAINED if key not in added] == []
    assert all(added[key] == like[key] for key in ("read_only", "cap_drop", "security_opt"))
    assert added["networks"] == ["data"]
    assert "ports" not in added


def test_in_production_the_replicas_password_is_a_file_and_no_variable() -> None:
    files = [f"compose.{part}.yaml" for part in ("production", "replica", "replica.production")]
    whole, without = compose.services(*files), compose.production()
    assert whole["migrate"]["environment"] == without["migrate"]["environment"]
    assert whole["replica"]["environment"].keys() == {"PGHOST", "PGUSER", "PGDATABASE"}
    secret = {"postgres_replica_password"}
    assert {*compose.secrets(whole["replica"])} == secret
    added = compose.secrets(whole["migrate"]).keys() - compose.secrets(without["migrate"]).keys()
    assert added == secret


def test_the_docs_say_how_to_start_each() -> None:
    docs = (ROOT / "docs" / "postgres-beyond-one.md").read_text()
    assert all(f"-f docker-compose.yaml -f {overlay}" in docs for overlay in OVERLAYS)
