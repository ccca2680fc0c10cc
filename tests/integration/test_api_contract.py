"""api: what its OpenAPI says is what it does, asked by schemathesis in every way that it finds."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.api_process import LONG, Api, store, tick
from tests.conftest import Database
from tests.services import ROOT

CASES = os.environ.get("TEST_API_CASES", "10")  # for each operation, in each phase


@pytest.mark.timeout(1800)  # as many cases as are asked for
async def test_every_answer_is_what_the_documentation_promises(
    api: Api, postgres: Database, tmp_path: Path
) -> None:
    await postgres.connection.execute(LONG)
    await store(postgres.connection, [tick(n, str(n + 1)) for n in range(9)])

    words = ["run", f"{api.url}/api/openapi.json", "--checks=all", f"--max-examples={CASES}"]
    run = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "schemathesis.cli",
        *words,
        "--no-color",
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.contract"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await run.communicate())[0].decode()

    print(said)  # noqa: T201  # pytest shows it if it failed, or by -s
    assert run.returncode == 0, said[-3000:]
    # Some requests aren't HTTP at all, which uvicorn says; anything else is a fault.
    logged = [each for each in api.process.events if each["event"] == "log"]
    assert {each["text"] for each in logged} <= {"Invalid HTTP request received."}
