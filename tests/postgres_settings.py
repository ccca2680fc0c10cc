"""What docker-compose.yaml tells PostgreSQL, and what a running server says that it does."""

import re
from collections.abc import Mapping

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
_OPTION = re.compile(r"      - --(\w+)=\$\{(\w+):\?\}")


def passed_by_compose() -> dict[str, str]:
    """Setting → variable, of every option of the command that comes from the environment."""
    return dict(_OPTION.findall((ROOT / "docker-compose.yaml").read_text()))


async def differences(dsn: str, expected: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    """Of all that isn't as expected, or not by the command line: expected, found, its source."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT name, setting, unit, source FROM pg_settings WHERE name = ANY($1)",
            list(expected),
        )
    finally:
        await connection.close()
    found = {row["name"]: row for row in rows}
    return {
        name: (value, row["setting"] + (row["unit"] or ""), row["source"])
        for name, value in expected.items()
        if (row := found[name])
        and not (value == AUTOMATIC and row["setting"] > "0")
        and (plain(value) != plain(_with_unit(row)) or row["source"] != "command line")
    }


def plain(value: str) -> float | str:
    """Bytes, seconds or a number, where it is one."""
    number, unit = re.fullmatch(r"([0-9.]*)(.*)", value).groups()  # type: ignore[union-attr]  # fits everything
    if not number:
        return value
    return float(number) * UNITS.get(unit, 1)


def _with_unit(row: "asyncpg.Record") -> str:
    if not row["unit"]:
        return str(row["setting"])
    return f"{float(row['setting']) * UNITS[row['unit']]}"
