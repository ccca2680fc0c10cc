"""Settings: what a service reads from its environment, once, frozen."""

import os
from datetime import timedelta
from pathlib import Path
from socket import gethostname
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveInt,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pipeline.addresses import PostgresUrl, RedisUrl, with_password


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return timedelta(seconds=float(value))
    except (ValueError, OverflowError):
        raise ValueError("must be a number of seconds") from None


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError("must not be negative")
    return value


def _in_a_folder(path: Path) -> Path:
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError("must be in a folder that is there and may be written to")
    return path


def _names(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(name for part in value.split(",") if (name := part.strip()))


SECRETS = Path("/run/secrets")
"""Where containers find secrets that are files."""

LONGEST_BLOCK = timedelta(seconds=5)  # below the time after which a silent Redis counts as dead

Seconds = Annotated[timedelta, BeforeValidator(_seconds), AfterValidator(_not_negative)]
"""A duration, written as a plain number of seconds."""

Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names), Field(min_length=1)]
"""Names separated by commas."""


class Environment(BaseSettings):
    """Frozen, and complete at start-up: a missing variable stops the service by name.

    A password may stand in its address, in a variable of its own, or, as any other setting, in a
    file of the variable's name in `SECRETS`.
    """

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    @model_validator(mode="before")
    @classmethod
    def _complete_addresses(cls, given: dict[str, Any]) -> dict[str, Any]:
        found = dict(given)
        for address, password in (
            ("redis_url", "redis_password"),
            ("postgres_dsn", "postgres_password"),
            ("postgres_read_dsn", "postgres_password"),
        ):
            if found.get(address) and found.get(password):
                found[address] = with_password(str(found[address]), found[password])
        return found


class Settings(Environment):
    """Where the stream is."""

    redis_url: RedisUrl = Field(description="Redis or Valkey, as redis://user:password@host:port/0")
    redis_password: SecretStr | None = Field(
        None, description="the user's password, if REDIS_URL names a user without one"
    )
    stream: str = Field("ticks", min_length=1, description="key of the tick stream")
    heartbeat_file: Annotated[Path, AfterValidator(_in_a_folder)] | None = Field(
        None, description="file to touch after progress, for a health check to read its age"
    )

    def helper_key(self, *parts: str) -> str:
        """A key beside the stream; the braces keep all of them in one Redis Cluster slot."""
        return ":".join((f"{{{self.stream}}}", *parts))


class PostgresSettings(Environment):
    """Where the table is."""

    postgres_dsn: PostgresUrl = Field(
        description="PostgreSQL, as postgresql://user:password@host:port/database"
    )
    postgres_password: SecretStr | None = Field(
        None, description="the user's password, if POSTGRES_DSN names a user without one"
    )


class StreamSettings(Settings):
    """How a consumer group's member reads the tick stream."""

    consumer: str = Field(
        default_factory=gethostname,
        min_length=1,
        description="this replica's name in its group: stable, so a restart finds its backlog",
    )
    batch: PositiveInt = Field(5000, description="entries asked of Redis in one read")
    block: Seconds = Field(
        timedelta(seconds=2),
        gt=timedelta(0),
        le=LONGEST_BLOCK,
        description="seconds a read waits on an idle stream",
    )
