"""pipeline.settings: the environment as typed, frozen values."""

from datetime import timedelta
from pathlib import Path
from socket import gethostname
from urllib.parse import unquote

import pytest
from pydantic import ValidationError

from bridge.settings import BridgeSettings
from forwarder.settings import ForwarderSettings
from generator.settings import GeneratorSettings
from pipeline.settings import Names, PostgresSettings, Seconds, Settings, StreamSettings
from writer.settings import WriterSettings

REDIS_URL = "redis://user:secret@127.0.0.1:6379/0"
POSTGRES_DSN = "postgresql://user:secret@127.0.0.1:5432/db"


class SomeSettings(StreamSettings, PostgresSettings):
    """A service's own, with each of the special types."""

    channels: Names = ("NYSE", "NASDAQ")
    interval: Seconds = timedelta(seconds=5)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in SomeSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("REDIS_URL", REDIS_URL)
    monkeypatch.setenv("POSTGRES_DSN", POSTGRES_DSN)
    return monkeypatch


def test_only_the_addresses_are_required(environment: pytest.MonkeyPatch) -> None:
    assert str(SomeSettings().redis_url) == REDIS_URL
    assert str(SomeSettings().postgres_dsn) == POSTGRES_DSN
    environment.delenv("REDIS_URL")
    environment.delenv("POSTGRES_DSN")
    assert _faults() == {"redis_url", "postgres_dsn"}


@pytest.mark.parametrize(
    ("address", "whole"),
    [
        ("redis://user@h:6379/0", "redis://user:p%2F%20%40:%25@h:6379/0"),
        ("redis://user:own@h:6379/0", "redis://user:own@h:6379/0"),
        ("redis://h:6379/0", "redis://h:6379/0"),
    ],
)
def test_a_password_of_its_own_is_for_a_user_who_has_none(
    environment: pytest.MonkeyPatch, address: str, whole: str
) -> None:
    environment.setenv("REDIS_URL", address)
    environment.setenv("REDIS_PASSWORD", "p/ @:%")
    settings = SomeSettings()
    assert unquote(str(settings.redis_url)) == unquote(whole)
    assert "p/" not in repr(settings.redis_password)


def test_a_secret_may_be_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("POSTGRES_DSN", "postgresql://writer@h:5432/db")
    (tmp_path / "postgres_password").write_text("from a file\n")
    settings = SomeSettings(_secrets_dir=tmp_path)
    assert str(settings.postgres_dsn) == "postgresql://writer:from%20a%20file@h:5432/db"


def test_an_address_that_cannot_be_read_is_still_named(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIS_URL", "redis://user@[:6379")
    environment.setenv("REDIS_PASSWORD", "secret")
    assert _faults() == {"redis_url"}


def test_an_empty_variable_counts_as_unset(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("STREAM", "")
    assert SomeSettings().stream == "ticks"
    environment.setenv("REDIS_URL", "")
    assert _faults() == {"redis_url"}


def test_defaults_are_those_of_the_documentation() -> None:
    settings = SomeSettings()
    assert settings.consumer == gethostname()
    assert settings.heartbeat_file is None
    assert settings.block == timedelta(seconds=2)


def test_the_environment_is_read_once(environment: pytest.MonkeyPatch) -> None:
    settings = SomeSettings()
    environment.setenv("STREAM", "other")
    assert settings.stream == "ticks"
    with pytest.raises(ValidationError):
        settings.stream = "other"  # type: ignore[misc]  # that it can't be set is the point


def test_durations_are_written_in_seconds(environment: pytest.MonkeyPatch) -> None:
    for text, seconds in (("0", 0), ("0.25", 0.25), ("60", 60)):
        environment.setenv("INTERVAL", text)
        assert SomeSettings().interval == timedelta(seconds=seconds)
    assert SomeSettings(interval=timedelta(minutes=1)).interval == timedelta(minutes=1)


@pytest.mark.parametrize("text", ["-1", "five", "1s", "nan", "inf", "1e99"])
def test_a_wrong_duration_is_named(environment: pytest.MonkeyPatch, text: str) -> None:
    environment.setenv("INTERVAL", text)
    assert _faults() == {"interval"}


def test_names_are_separated_by_commas(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CHANNELS", " NYSE, LSE ,,")
    assert SomeSettings().channels == ("NYSE", "LSE")
    environment.setenv("CHANNELS", " , ")
    assert _faults() == {"channels"}


def test_every_fault_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIS_URL", "http://127.0.0.1")
    environment.setenv("BATCH", "0")
    environment.setenv("INTERVAL", "soon")
    assert _faults() == {"redis_url", "batch", "interval"}


@pytest.mark.parametrize(
    "address", ["redis://h/abc", "redis://h/0?db=3", "redis://h/0#1", "redis://h/1/2"]
)
def test_an_address_that_two_readers_would_read_differently_is_refused(
    environment: pytest.MonkeyPatch, address: str
) -> None:
    environment.setenv("REDIS_URL", address)
    assert _faults() == {"redis_url"}


@pytest.mark.parametrize("address", ["redis://h", "redis://[::1]:6380/3", "rediss://u:p@h:1/0"])
def test_other_addresses_are_not(environment: pytest.MonkeyPatch, address: str) -> None:
    environment.setenv("REDIS_URL", address)
    assert str(SomeSettings().redis_url).startswith(address)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BLOCK", "10"),  # as long as a reply may take: each idle read would be an outage
        ("BLOCK", "0"),  # for ever
        ("HEARTBEAT_FILE", "/nowhere/alive"),
    ],
)
def test_a_value_that_cannot_work_is_named(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(name, value)
    assert _faults() == {name.lower()}


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [
        (GeneratorSettings, "GENERATOR_HZ", "1e308"),
        (BridgeSettings, "BRIDGE_LEASE", "0"),
        (WriterSettings, "POSTGRES_DSN", "postgresql://h/d?sslmode=banana"),
        (ForwarderSettings, "CENTRIFUGO_API_KEY", "two\nlines"),
        (ForwarderSettings, "CENTRIFUGO_API_URL", "http://h:9000/api, h2:9000/api"),
    ],
)
def test_a_value_that_a_service_cannot_work_with_is_named(
    environment: pytest.MonkeyPatch, service: type[Settings], name: str, value: str
) -> None:
    environment.setenv("POSTGRES_DSN", "postgresql://h/d?sslmode=require")
    environment.setenv("CENTRIFUGO_API_URL", "http://h:9000/api")
    environment.setenv("CENTRIFUGO_API_KEY", "a key")
    service()
    environment.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        service()
    assert [error["loc"][0] for error in caught.value.errors()] == [name.lower()]


def test_centrifugo_may_have_several_addresses(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CENTRIFUGO_API_KEY", "a key")
    environment.setenv("CENTRIFUGO_API_URL", "http://h:9000/api, https://[::1]/api/")
    assert ForwarderSettings().centrifugo_api_url == ("http://h:9000/api", "https://[::1]/api")


def test_helper_keys_share_the_hash_tag_of_the_stream() -> None:
    assert Settings(stream="t").helper_key("dead", "writer") == "{t}:dead:writer"


def test_a_path_is_a_path(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("HEARTBEAT_FILE", str(tmp_path / "alive"))
    assert SomeSettings().heartbeat_file == tmp_path / "alive"


def _faults() -> set[str]:
    with pytest.raises(ValidationError) as caught:
        SomeSettings()
    return {str(error["loc"][0]) for error in caught.value.errors()}


def test_nodes_of_a_cluster_are_addresses(environment: pytest.MonkeyPatch) -> None:
    assert not SomeSettings().follows
    environment.setenv("REDIS_CLUSTER", "redis-1:6379, [::1]:7000")
    settings = SomeSettings()
    assert (settings.redis_cluster, settings.follows) == (
        (("redis-1", 6379), ("::1", 7000)),
        True,
    )


@pytest.mark.parametrize("nodes", ["redis-1", "redis-1:", ":6379", "redis-1:port", "redis-1:65536"])
def test_a_node_without_a_port_is_a_fault(environment: pytest.MonkeyPatch, nodes: str) -> None:
    environment.setenv("REDIS_SENTINELS", nodes)
    assert _faults() == {"redis_sentinels"}


def test_a_cluster_has_no_sentinels_and_one_database(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIS_CLUSTER", "redis-1:6379")
    environment.setenv("REDIS_SENTINELS", "sentinel-1:26379")
    with pytest.raises(ValidationError, match="exclude each other"):
        SomeSettings()
    environment.delenv("REDIS_SENTINELS")
    environment.setenv("REDIS_URL", "redis://h:6379/1")
    with pytest.raises(ValidationError, match="no database"):
        SomeSettings()
