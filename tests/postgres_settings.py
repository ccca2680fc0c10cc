"""What docker-compose.yaml tells PostgreSQL, and what a running server says that it does."""

import re
from collections.abc import Iterable, Mapping

import asyncpg

from tests.services import ROOT

UNITS = {
    "B": 1,
    "kB": 1 << 10,
    "8kB": 8 << 10,
    "MB": 1 << 20,
    "GB": 1 << 30,
    "ms": 0.001,
    "s": 1,
    "min": 60,
    "h": 3600,
}
AUTOMATIC = "-1"  # wal_buffers: the server answers with what it has made of it
_NUMBER = re.compile(r"(-?[0-9.]+|)(.*)")
_OPTION = re.compile(r'"--(\w+)=\$\{(\w+):\?\}"')


def passed_by_compose() -> dict[str, str]:
    """Setting → variable, of every option of the command that comes from the environment."""
    return dict(_OPTION.findall((ROOT / "docker-compose.yaml").read_text()))


async def differences(dsn: str, expected: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    """Of all that isn't as expected, or not by the command line: expected, found, its source."""
    found = {
        name: (_with_unit(row["setting"], row["unit"]), row["source"])
        for name, row in (await _settings(dsn, expected)).items()
    }
    return {
        name: (value, *found[name])
        for name, value in expected.items()
        if not _same(value, found[name][0]) or found[name][1] not in _given(value)
    }


async def server_defaults(dsn: str, names: Iterable[str]) -> dict[str, str]:
    """What it would do without being told."""
    rows = await _settings(dsn, names)
    return {name: _with_unit(row["boot_val"], row["unit"]) for name, row in rows.items()}


def plain(value: str) -> float | str:
    """Bytes, seconds or a number, where it is one."""
    number, unit = _NUMBER.fullmatch(value).groups()  # type: ignore[union-attr]  # fits everything
    if not number:
        return value
    return float(number) * UNITS.get(unit, 1)


async def _settings(dsn: str, names: Iterable[str]) -> dict[str, "asyncpg.Record"]:
    connection = await asyncpg.connect(dsn)
    try:
        query = "SELECT * FROM pg_settings WHERE name = ANY($1)"
        return {row["name"]: row for row in await connection.fetch(query, list(names))}
    finally:
        await connection.close()


def _same(given: str, found: str) -> bool:
    return plain(given) == plain(found) or (given == AUTOMATIC and float(found) > 0)


def _given(value: str) -> set[str]:
    return {"override"} if value == AUTOMATIC else {"command line"}


def _with_unit(number: str, unit: str | None) -> str:
    if not unit or number == AUTOMATIC:
        return number
    return f"{float(number) * UNITS[unit]}"
