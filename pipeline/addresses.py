"""Addresses of Redis and PostgreSQL, checked at the start: a wrong one is no outage to wait out."""

from typing import Annotated
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import AfterValidator, BeforeValidator, PostgresDsn, RedisDsn
from pydantic_settings import NoDecode

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


def with_password(address: str, password: str) -> str:
    """The address with the password for the user it names; its own one wins."""
    try:
        parts = urlsplit(address)
    except ValueError:  # its own check says better what is wrong with it
        return address
    if not parts.username or parts.password:
        return address
    host = parts.netloc.rpartition("@")[2]
    login = f"{parts.username}:{quote(password, safe='')}"
    return parts._replace(netloc=f"{login}@{host}").geturl()


def database_of(url: RedisDsn) -> str:
    """Its number; empty for the one that a connection begins in."""
    database = (url.path or "/").strip("/")
    return "" if database == "0" else database


def _addresses(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(_address(each.strip()) for each in value.split(",") if each.strip())


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host.strip("[]") or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError("must be host:port, several with commas between")
    return host.strip("[]"), int(port)


Address = tuple[str, int]
"""Host and port."""

Addresses = Annotated[tuple[Address, ...], NoDecode, BeforeValidator(_addresses)]
"""Addresses separated by commas."""

RedisUrl = Annotated[RedisDsn, AfterValidator(_understood_by_all)]
PostgresUrl = Annotated[PostgresDsn, AfterValidator(_known_ssl_mode)]
