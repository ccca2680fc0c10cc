"""Grafana's files agree: data source, dashboards, alert rules, mounts, and what compose passes."""

import configparser
import json
import re
from collections import Counter
from typing import Any

import pytest
import yaml

from local.instance import read_dotenv
from tests.dashboards import GRAFANA, PROVISIONING, RULES, dashboards, panels, read, rules
from tests.services import ROOT

MOUNTED_AT = "/etc/grafana"
VARIABLE = re.compile(r"\$\{?(\w+)")
CONTACT = "contact-point.yaml"  # an example, and copied by whoever wants to be told
WIDTH = 24
PATH_OF_A_TICK = ["generator", "bridge", "forwarder", "writer", "api"]
WANTED_RULES = {"stage-stopped", "lag", "errors", "stream-full", "no-ticks"}
CALLS_HOME = {
    ("analytics", "reporting_enabled"): False,
    ("analytics", "check_for_updates"): False,
    ("analytics", "check_for_plugin_updates"): False,
    ("news", "news_feed_enabled"): False,
    ("plugins", "preinstall_disabled"): True,
    ("plugins", "preinstall_auto_update"): False,
    ("plugins", "public_key_retrieval_disabled"): True,
    ("security", "disable_gravatar"): True,
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yaml").read_text()))


@pytest.fixture(scope="module")
def settings() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(GRAFANA / "grafana.ini")
    return parser


def source() -> dict[str, Any]:
    [only] = read("datasources/postgres.yaml")["datasources"]
    return dict(only)


def test_the_folder_is_mounted_where_grafana_looks(
    compose: dict[str, Any], settings: configparser.ConfigParser
) -> None:
    grafana = compose["services"]["grafana"]
    mounts = dict(volume.split(":", 1) for volume in grafana["volumes"])
    assert mounts["./config/grafana"] == f"{MOUNTED_AT}:ro"
    [provider] = read("dashboards/files.yaml")["providers"]
    assert provider["options"]["path"] == f"{MOUNTED_AT}/dashboards"
    home = settings["dashboards"]["default_home_dashboard_path"]
    assert home.removeprefix(f"{MOUNTED_AT}/dashboards/") in dashboards()
    assert "paths" not in settings  # the image's own: /etc/grafana/provisioning
    assert provider["allowUiUpdates"] is False


def test_the_types_are_those_of_the_image(compose: dict[str, Any]) -> None:
    package = json.loads((ROOT / "tests/grafana/package.json").read_text())
    version = package["dependencies"]["@grafana/schema"]
    assert compose["services"]["grafana"]["image"] == f"grafana/grafana:{version}"


def test_there_is_nothing_that_grafana_would_pass_over() -> None:
    # The four folders that Grafana looks for.
    folders = {"datasources": 1, "dashboards": 1, "alerting": 1, "plugins": 1}
    files = [path for path in PROVISIONING.rglob("*.yaml") if path.name != CONTACT]
    assert Counter(path.parent.name for path in files) == folders
    assert {path.suffix for path in PROVISIONING.rglob("*") if path.is_file()} == {".yaml"}
    assert {path.suffix for path in (GRAFANA / "dashboards").iterdir()} == {".json"}


def test_the_data_source_is_the_database_that_compose_starts(compose: dict[str, Any]) -> None:
    data = source()
    host, _, port = data["url"].partition(":")
    assert port == "5432"
    services = compose["services"]
    assert set(services[host]["networks"]) & set(services["grafana"]["networks"]) == {"data"}
    roles = (ROOT / "migrate/002_roles.sql").read_text()
    assert f"'{data['user']}'" in roles
    assert f"ALTER ROLE {data['user']} SET statement_timeout" in roles
    assert f"ALTER ROLE {data['user']} SET default_transaction_read_only = on" in roles
    assert data["editable"] is False


def test_every_variable_in_the_files_is_passed_and_has_a_value(compose: dict[str, Any]) -> None:
    given = compose["services"]["grafana"]["environment"]
    used = set()
    for path in [*PROVISIONING.rglob("*.yaml"), GRAFANA / "grafana.ini"]:
        lines = path.read_text().splitlines()
        text = "\n".join(line for line in lines if not line.lstrip().startswith(("#", ";")))
        used |= set(VARIABLE.findall(text)) - {"NONCE"}  # Grafana's own, in its policy
    assert used == {"POSTGRES_DB", "GF_POSTGRES_PASSWORD"}
    assert used <= given.keys()
    ours = read_dotenv(ROOT / ".env")
    assert {name for value in given.values() for name in VARIABLE.findall(value)} <= ours.keys()


def test_no_rule_has_a_dollar_sign_that_grafana_would_read_as_a_variable() -> None:
    lines = RULES.read_text().splitlines()
    assert not [line for line in lines if "$" in line and not line.startswith("#")]


def test_who_wants_to_be_told_has_an_example_and_grafana_does_not_read_it() -> None:
    assert not (GRAFANA / CONTACT).is_relative_to(PROVISIONING)
    text = (GRAFANA / CONTACT).read_text()
    assert "$" not in text
    contact = yaml.safe_load(text)
    [point], [policy] = contact["contactPoints"], contact["policies"]
    assert policy["receiver"] == point["name"]
    [receiver] = point["receivers"]
    assert receiver["type"] == "webhook"
    assert receiver["uid"]
    assert receiver["settings"]["url"].startswith("https://")


def test_dashboards_are_three_each_known_by_its_file() -> None:
    assert {name: it["uid"] for name, it in dashboards().items()} == {
        f"{uid}.json": uid for uid in ("pipeline", "market", "databases")
    }
    titles = [dashboard["title"] for dashboard in dashboards().values()]
    assert sorted(titles) == ["Market", "Pipeline", "PostgreSQL and Redis"]


def test_all_ask_the_one_data_source() -> None:
    known = {"type": source()["type"], "uid": source()["uid"]}
    for dashboard in dashboards().values():
        asking = [panel for panel in panels(dashboard) if "targets" in panel]
        asking += dashboard["templating"]["list"] + dashboard["annotations"]["list"]
        assert all(it["datasource"] == known for it in asking)
    asked = {data["datasourceUid"] for rule in rules() for data in rule["data"]}
    assert asked == {source()["uid"], "__expr__"}


def test_each_panel_says_what_it_shows() -> None:
    for dashboard in dashboards().values():
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(ids)) == len(ids)
        for panel in panels(dashboard):
            assert panel["title"], panel["id"]
            assert len(panel["description"]) > 15, panel["title"]
            assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]
            assert panel["type"] == "alertlist" or panel["fieldConfig"]["defaults"]["unit"]


def test_panels_fill_their_lines_and_none_covers_another() -> None:
    for dashboard in dashboards().values():
        taken: dict[tuple[int, int], str] = {}
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= WIDTH
            for x in range(at["x"], at["x"] + at["w"]):
                for y in range(at["y"], at["y"] + at["h"]):
                    assert taken.setdefault((x, y), panel["title"]) == panel["title"]
        height = 1 + max(y for _, y in taken)
        assert len(taken) == WIDTH * height, f"a hole in {dashboard['uid']}"


def test_the_rows_of_pipeline_are_the_path_of_a_tick(compose: dict[str, Any]) -> None:
    rows = [it["title"] for it in dashboards()["pipeline.json"]["panels"] if it["type"] == "row"]
    stages = [title.partition(":")[0] for title in rows]
    assert [stage for stage in stages if stage in PATH_OF_A_TICK] == PATH_OF_A_TICK
    assert [name for name in compose["services"] if name in PATH_OF_A_TICK] == PATH_OF_A_TICK


def test_every_rule_leads_to_its_panel() -> None:
    assert {rule["uid"] for rule in rules()} == WANTED_RULES
    there = {(it["uid"], panel["id"]) for it in dashboards().values() for panel in panels(it)}
    for rule in rules():
        assert (rule["dashboardUid"], rule["panelId"]) in there, rule["uid"]
        [asked, threshold] = rule["data"]
        assert threshold["model"]["expression"] == asked["refId"] == asked["model"]["refId"]
        assert rule["condition"] == threshold["refId"] == threshold["model"]["refId"]
        assert {"summary", "description"} == rule["annotations"].keys()
        assert rule["noDataState"] in {"OK", "Alerting"}


@pytest.mark.parametrize(("section", "key"), CALLS_HOME)
def test_nothing_calls_home(settings: configparser.ConfigParser, section: str, key: str) -> None:
    assert settings.getboolean(section, key) is CALLS_HOME[section, key]


def test_its_own_metrics_are_nobodys(settings: configparser.ConfigParser) -> None:
    assert not settings.getboolean("metrics", "enabled", fallback=True)


def test_grafana_lives_under_a_path_that_nginx_passes_on_whole(
    compose: dict[str, Any], settings: configparser.ConfigParser
) -> None:
    assert settings["server"]["root_url"].endswith("/grafana/")
    assert settings.getboolean("server", "serve_from_sub_path")
    assert settings["auth.anonymous"]["org_role"] == "Viewer"
    nginx = (ROOT / "config/nginx/templates/default.conf.template").read_text()
    [location] = re.findall(r"location \^~ /grafana/ \{(.*?)\n  \}", nginx, re.DOTALL)
    assert "proxy_pass http://$grafana;" in location  # no path behind it
    for header in ("Upgrade $http_upgrade", "Connection $connection_upgrade", "Host $http_host"):
        assert f"proxy_set_header {header};" in location
    assert not settings.getboolean("server", "enable_gzip")  # once is enough
    services = compose["services"]
    assert services["nginx"]["environment"]["GRAFANA_ADDRESS"] == "grafana:3000"
    assert "grafana" not in services["nginx"]["depends_on"]
    assert "ports" not in services["grafana"]
