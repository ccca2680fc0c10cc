"""PostgreSQL's settings in its container: what .env or the environment says arrives there."""

import json

from local.postgres import SETTINGS, variable
from tests.docker.cli import docker
from tests.docker.stack import Stack
from tests.postgres_settings import differences, plain


async def test_every_setting_of_the_running_container_is_that_of_env(stack: Stack) -> None:
    expected = {name: stack.settings[variable(name)] for name in SETTINGS}
    assert await differences(stack.owner_dsn, expected) == {}


def test_the_environment_wins_and_its_value_arrives_in_the_command(stack: Stack) -> None:
    given = {variable(name): f"from-{name}" for name in SETTINGS}
    words = ("compose", "config", "--format", "json")
    answer = docker(*words, variables=stack.settings | given)
    command = json.loads(answer)["services"]["postgres"]["command"]
    assert [f"--{name}=from-{name}" for name in SETTINGS] == command[-len(SETTINGS) :]


def test_its_memory_holds_its_buffers_four_times(stack: Stack) -> None:
    buffers = plain(stack.settings[variable("shared_buffers")])
    assert isinstance(buffers, float)
    assert stack.one("postgres").host["Memory"] >= 4 * buffers
