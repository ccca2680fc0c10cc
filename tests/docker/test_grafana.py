"""Grafana itself, behind nginx, where its image is: data source, dashboards, queries, rules."""

from typing import Any

import aiohttp
import pytest

from tests.dashboards import dashboards, in_the_browser, queries, rules
from tests.docker.stack import Stack
from tests.outside import Outside
from tests.waiting import wait_until

API = "/grafana/api"
STOCKS = {"stock": ["TSLA", "NFLX"]}
EVALUATED = 90.0  # seconds: every 20 s, after a start of its own


@pytest.fixture
def admin(stack: Stack) -> aiohttp.BasicAuth:
    if "grafana" in stack.left_out:
        pytest.skip("no image of Grafana here")
    return aiohttp.BasicAuth("admin", stack.settings["GRAFANA_ADMIN_PASSWORD"])


async def get(outside: Outside, path: str, login: aiohttp.BasicAuth | None = None) -> Any:
    async with outside.http.get(f"{API}{path}", auth=login) as answer:
        assert answer.status == 200, (path, await answer.text())
        return await answer.json()


async def test_where_its_image_is_missing_nginx_runs_and_says_so(
    stack: Stack, outside: Outside
) -> None:
    if "grafana" not in stack.left_out:
        pytest.skip("Grafana is here")
    async with outside.http.get("/grafana/") as answer:
        assert answer.status == 502
        assert (await answer.json(content_type="application/problem+json"))["status"] == 502


async def test_its_data_source_is_well(outside: Outside, admin: aiohttp.BasicAuth) -> None:
    assert (await get(outside, "/datasources/uid/postgres/health", admin))["status"] == "OK"


@pytest.mark.usefixtures("admin")
async def test_everybody_finds_the_dashboards(outside: Outside) -> None:
    found = {it["uid"] for it in await get(outside, "/search?type=dash-db")}
    for dashboard in dashboards().values():
        assert dashboard["uid"] in found
        there = await get(outside, f"/dashboards/uid/{dashboard['uid']}")
        assert there["meta"]["provisioned"]
        assert len(there["dashboard"]["panels"]) == len(dashboard["panels"])


@pytest.mark.usefixtures("admin")
async def test_every_query_is_answered_to_everybody(outside: Outside) -> None:
    wrong = {}
    for query in queries():
        question = {
            "refId": "A",
            "datasource": {"type": "grafana-postgresql-datasource", "uid": "postgres"},
            "rawSql": in_the_browser(query, STOCKS),
            "format": "table" if query.format == "annotation" else query.format,
            "intervalMs": 10_000,
            "maxDataPoints": 500,
        }
        body = {"queries": [question], "from": "now-15m", "to": "now"}
        async with outside.http.post(f"{API}/ds/query", json=body) as answer:
            said = await answer.json()
        if answer.status != 200 or "frames" not in said["results"]["A"]:
            wrong[query.place] = said
    assert wrong == {}


async def test_every_rule_is_there_and_can_be_evaluated(
    outside: Outside, admin: aiohttp.BasicAuth
) -> None:
    there = {it["uid"] for it in await get(outside, "/v1/provisioning/alert-rules", admin)}
    assert there >= {rule["uid"] for rule in rules()}

    async def evaluated() -> bool:
        said = await get(outside, "/prometheus/grafana/api/v1/rules", admin)
        health = {
            rule["name"]: rule["health"]
            for group in said["data"]["groups"]
            for rule in group["rules"]
        }
        return all(health.get(rule["title"]) in {"ok", "nodata"} for rule in rules())

    await wait_until(evaluated, EVALUATED, "every rule evaluated")


@pytest.mark.usefixtures("admin")
async def test_nobody_without_a_login_may_change_anything(outside: Outside) -> None:
    for path in ("/dashboards/db", "/folders", "/datasources", "/v1/provisioning/alert-rules"):
        async with outside.http.post(f"{API}{path}", json={}) as answer:
            assert answer.status in {401, 403}, path
