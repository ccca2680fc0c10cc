"""What deploy/kubernetes leaves to others: an owner who is no superuser, a node's log files."""

import asyncpg
import yaml

from tests import vrl
from tests.databases import in_database, upgrade
from tests.kubernetes import one
from tests.servers import PostgresServer
from tests.services import ROOT

ROLES = "writer, api, vector, grafana"
LINE = '{"at":"2026-01-02T03:04:05Z","service":"writer","event":"progress","rows":7}'


async def test_the_schema_is_made_by_an_owner_with_no_more_than_cloudnativepg_gives(
    own_postgres: PostgresServer,
) -> None:
    bootstrap = one("production", "Cluster", "pipeline-db")["spec"]["bootstrap"]["initdb"]
    superuser = await asyncpg.connect(own_postgres.owner_dsn)
    await superuser.execute(f"DROP OWNED BY {ROLES}; DROP ROLE {ROLES}")
    await superuser.execute("CREATE ROLE app LOGIN PASSWORD 'secret'")
    await superuser.execute("CREATE DATABASE app OWNER app")
    database = in_database(own_postgres, "app")
    inside = await asyncpg.connect(database.owner_dsn)
    for sql in bootstrap["postInitApplicationSQL"]:
        await inside.execute(sql.replace(bootstrap["owner"], "app"))
    await inside.close()
    await superuser.close()

    address = database.owner_dsn.rpartition("@")[2]
    owned = PostgresServer(
        own_postgres.runner, f"postgresql://app:secret@{address}", own_postgres.passwords
    )
    await upgrade(owned)
    await upgrade(owned)  # the next release, and passwords again
    for role in ROLES.split(", "):
        await (await asyncpg.connect(owned.dsn(role))).close()


def test_a_line_of_a_nodes_file_is_the_services_own_and_joined_where_it_was_split() -> None:
    transforms = yaml.safe_load((ROOT / "config/vector/pods.yaml").read_text())["transforms"]
    whole, first, last = (f"2026-01-02T03:04:05.678901234Z stdout {flag} " for flag in "FPF")
    texts = [whole + LINE, first + LINE[:20], last + LINE[20:], "Segmentation fault"]
    made = vrl.run(transforms["parts"]["source"], [{"message": text} for text in texts])
    assert made[0] == {"message": LINE, "stream": "stdout", "flag": "F"}
    assert [each.get("flag") for each in made[1:]] == ["P", "F", None]
    assert made[1]["message"] + made[2]["message"] == LINE
    assert made[3] == {"message": "Segmentation fault"}
    lines = transforms["lines"]
    ends = vrl.run(f'. = {{"ends": {lines["ends_when"]}}}', made)
    assert [each["ends"] for each in ends] == [True, False, True, True]
    assert lines["merge_strategies"] == {"message": "concat_raw"}
    assert lines["group_by"] == ["file", "stream"]
