"""Addresses of Redis and PostgreSQL, checked at the start: a wrong one is no outage to wait out."""

from typing import Annotated
from urllib.parse import parse_qs

from pydantic import AfterValidator, PostgresDsn, RedisDsn

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def _understood_by_all(url: RedisDsn) -> RedisDsn:
    """Two libraries read it, the bridge's own way too: options of one would part them."""
    database = (url.path or "/0").removeprefix("/") or "0"
    if url.query or url.fragment or not database.isdecimal():
        raise ValueError("must be redis://user:password@host:port/N, and nothing after the N")
    return url


def _known_ssl_mode(dsn: PostgresDsn) -> PostgresDsn:
    for mode in parse_qs(dsn.query or "").get("sslmode", []):
        if mode not in SSL_MODES:
            raise ValueError(f"sslmode must be one of {', '.join(SSL_MODES)}")
    return dsn


RedisUrl = Annotated[RedisDsn, AfterValidator(_understood_by_all)]
PostgresUrl = Annotated[PostgresDsn, AfterValidator(_known_ssl_mode)]
