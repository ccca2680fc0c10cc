"""Settings: what a service reads from its environment, once, frozen."""

import os
from datetime import timedelta
from pathlib import Path
from socket import gethostname
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveInt,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pipeline.addresses import Addresses, PostgresUrl, RedisUrl, database_of, with_password


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


def _numbers(value: object) -> object:
    names = _names(value)
    if not isinstance(value, str) or not isinstance(names, tuple):
        return value
    if not all(name.isdecimal() for name in names):
        raise ValueError("must be whole numbers separated by commas")
    return tuple(int(name) for name in names)


SECRETS = Path("/run/secrets")
"""Where containers find secrets that are files."""

LONGEST_BLOCK = timedelta(seconds=5)  # below the time after which a silent Redis counts as dead

Seconds = Annotated[timedelta, BeforeValidator(_seconds), AfterValidator(_not_negative)]
"""A duration, written as a plain number of seconds."""

Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names), Field(min_length=1)]
"""Names separated by commas."""

Numbers = Annotated[tuple[int, ...], NoDecode, BeforeValidator(_numbers), Field(min_length=1)]
"""Whole numbers separated by commas."""

MOST_SHARDS = 32  # their numbers in one line of progress: Vector takes 64 kB


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

    memory: ClassVar[tuple[str, ...]] = ()
    """Settings that are a process's, for all of its shards in sum."""

    _together: int = 1

    redis_url: RedisUrl = Field(description="Redis or Valkey, as redis://user:password@host:port/0")
    redis_password: SecretStr | None = Field(
        None, description="the user's password, if REDIS_URL names a user without one"
    )
    redis_cluster: Addresses = Field(
        (),
        description="nodes of a Redis Cluster, as host:port,…: any tells who has the stream",
    )
    redis_sentinels: Addresses = Field(
        (), description="Sentinels, as host:port,…: they tell who is the master"
    )
    redis_master: str = Field("pipeline", min_length=1, description="its name among Sentinels")
    stream: str = Field("ticks", min_length=1, description="key of the tick stream")
    shards: int = Field(
        1, ge=1, le=MOST_SHARDS, description="streams that ticks are spread over, by stock name"
    )
    shard: Annotated[Numbers | None, NoDecode] = Field(
        None, description="numbers, from 0, of those that this process serves; none: all"
    )
    heartbeat_file: Annotated[Path, AfterValidator(_in_a_folder)] | None = Field(
        None, description="file to touch after progress, for a health check to read its age"
    )

    @model_validator(mode="after")
    def _serves_what_there_is(self) -> Self:
        if self.shard and max(self.shard) >= self.shards:
            raise ValueError(f"SHARD must have numbers below SHARDS, which is {self.shards}")
        if self.shards > 1 and "{" in self.stream:
            raise ValueError("STREAM must have no braces: each shard has its own")
        return self

    @model_validator(mode="after")
    def _follows_one(self) -> Self:
        if self.redis_cluster and self.redis_sentinels:
            raise ValueError("REDIS_CLUSTER and REDIS_SENTINELS exclude each other")
        if self.redis_cluster and database_of(self.redis_url):
            raise ValueError("REDIS_URL must name no database: a cluster has none but 0")
        return self

    @property
    def follows(self) -> bool:
        """Whether the stream may move: then REDIS_URL says how to come in, but not where."""
        return bool(self.redis_cluster or self.redis_sentinels)

    def helper_key(self, *parts: str) -> str:
        """A key beside the stream; the braces keep all of them in one Redis Cluster slot."""
        tagged = f"{{{self.stream}}}" if self.number is None else self.stream
        return ":".join((tagged, *parts))

    def each_shard(self) -> dict[int, Self]:
        """By number, the settings of each that this process serves, as if there were no other."""
        if self.shards == 1:
            return {0: self}
        served = tuple(dict.fromkeys(self.shard or range(self.shards)))
        return {number: self._of(number, len(served)) for number in served}

    @property
    def number(self) -> int | None:
        """Of the shard that these settings are of; None: there is only one stream."""
        return self.shard[0] if self.shard and self.shards > 1 else None

    @property
    def together(self) -> int:
        """How many shards have to share a process and what it may keep in memory."""
        return self._together

    def _of(self, number: int, together: int) -> Self:
        own: dict[str, object] = {"stream": f"{self.stream}:{{{number}}}", "shard": (number,)}
        own |= {name: max(1, getattr(self, name) // together) for name in self.memory}
        if file := self.heartbeat_file:
            own["heartbeat_file"] = file.with_name(f"{file.name}.{number}")
        copy = self.model_copy(update=own)
        copy._together = together  # noqa: SLF001 - our own
        return copy


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
