"""One running copy of the system: its data, its ports, and what its processes are told."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
DEFAULT_HTTP_PORT = 8080
# What .env, or the environment, must say: nothing here has a password of its own.
REQUIRED = (
    "POSTGRES_PASSWORD",
    "POSTGRES_WRITER_PASSWORD",
    "POSTGRES_API_PASSWORD",
    "POSTGRES_VECTOR_PASSWORD",
    "POSTGRES_GRAFANA_PASSWORD",
    "REDIS_OPERATOR_PASSWORD",
    "REDIS_GENERATOR_PASSWORD",
    "REDIS_BRIDGE_PASSWORD",
    "REDIS_FORWARDER_PASSWORD",
    "REDIS_WRITER_PASSWORD",
    "REDIS_API_PASSWORD",
    "CENTRIFUGO_API_KEY",
)
HIGHEST_HTTP_PORT = 65535 - 6


class CannotRun(Exception):
    """Something outside this program is missing or in the way; the text says what, plainly."""


@dataclass(frozen=True)
class Instance:
    """Every port follows from `http_port`, so two instances differ in one number and one folder."""

    root: Path
    http_port: int
    data: Path
    variables: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    @classmethod
    def from_environment(cls) -> Instance:
        """The instance of this checkout that HTTP_PORT names."""
        text = (read_dotenv(ROOT / ".env") | os.environ).get("HTTP_PORT", "")
        try:
            port = int(text or DEFAULT_HTTP_PORT)
        except ValueError:
            port = 0
        if not 0 < port <= HIGHEST_HTTP_PORT:
            raise CannotRun(
                f"HTTP_PORT must be a number from 1 to {HIGHEST_HTTP_PORT}, not {text!r}"
            )
        instance = cls(root=ROOT, http_port=port, data=ROOT / ".run" / str(port))
        if missing := [name for name in REQUIRED if not instance.environment().get(name)]:
            raise CannotRun(f"set in .env or in the environment: {', '.join(missing)}")
        return instance

    @property
    def redis_port(self) -> int:
        return self.http_port + 1

    @property
    def postgres_port(self) -> int:
        return self.http_port + 2

    @property
    def centrifugo_port(self) -> int:
        return self.http_port + 3

    @property
    def centrifugo_internal_port(self) -> int:
        return self.http_port + 4

    @property
    def api_port(self) -> int:
        return self.http_port + 5

    @property
    def vector_port(self) -> int:
        return self.http_port + 6

    @property
    def http_host(self) -> str:
        return self._given().get("HTTP_HOST") or LOOPBACK

    @property
    def own_http_host(self) -> str:
        """Where this machine itself reaches nginx."""
        return LOOPBACK if self.http_host == "0.0.0.0" else self.http_host  # noqa: S104  # only compared

    @property
    def url(self) -> str:
        host = "localhost" if self.own_http_host == LOOPBACK else self.own_http_host
        return f"http://{host}:{self.http_port}"

    @property
    def run_files(self) -> Path:
        """What each start makes anew: rendered configuration, heartbeats, temporary files."""
        return self.data / "run"

    @property
    def logs(self) -> Path:
        """What each process wrote, over all starts; the oldest goes first."""
        return self.data / "logs"

    def environment(self) -> dict[str, str]:
        """.env, then the environment, then the addresses, which nobody else can know."""
        given = {"POSTGRES_DB": "pipeline", "POSTGRES_USER": "pipeline"} | self._given()
        return {
            "CENTRIFUGO_HTTP_API_KEY": given.get("CENTRIFUGO_API_KEY", ""),
            "GRAFANA_ADDRESS": "",  # there is none, unless somebody runs one
            **given,
            "HTTP_PORT": str(self.http_port),
            "CENTRIFUGO_API_URL": f"http://{LOOPBACK}:{self.centrifugo_internal_port}/api",
            "CENTRIFUGO_HTTP_SERVER_ADDRESS": LOOPBACK,
            "CENTRIFUGO_HTTP_SERVER_PORT": str(self.centrifugo_port),
            "CENTRIFUGO_HTTP_SERVER_INTERNAL_ADDRESS": LOOPBACK,
            "CENTRIFUGO_HTTP_SERVER_INTERNAL_PORT": str(self.centrifugo_internal_port),
            "API_HOST": LOOPBACK,
            "API_PORT": str(self.api_port),
            "NGINX_LISTEN": f"{self.http_host}:{self.http_port}",
            "NGINX_TLS": "",
            "NGINX_HTTPS_PORT": "",
            "NGINX_RESOLVER": LOOPBACK,  # never asked: the addresses below are no names
            "API_ADDRESS": f"{LOOPBACK}:{self.api_port}",
            "CENTRIFUGO_ADDRESS": f"{LOOPBACK}:{self.centrifugo_port}",
            "WEB_ROOT": str(self.root / "web"),
            "RUN_FILES": str(self.run_files),
        }

    def service_environment(self, service: str, replica: str = "0") -> dict[str, str]:
        """What `python -m SERVICE` needs; no two replicas share a name."""
        name = f"{service}-{replica}"
        own = {"CONSUMER": name, "HEARTBEAT_FILE": str(self.run_files / f"{name}.alive")}
        own["REDIS_URL"] = self.redis_url(service)
        own["POSTGRES_DSN"] = self.postgres_dsn(service)
        own["PGPASSWORD"] = self.environment().get(f"POSTGRES_{service.upper()}_PASSWORD", "")
        return self.environment() | own

    def redis_url(self, user: str) -> str:
        """The address for one of the users of config/redis/start.sh; operator may do all."""
        return f"redis://{self._login('REDIS', user)}@{LOOPBACK}:{self.redis_port}/0"

    def postgres_dsn(self, role: str) -> str:
        """The address for one of the roles of migrate/002_roles.sql."""
        return f"postgresql://{self._login('POSTGRES', role)}@{self._database}"

    @property
    def owner_dsn(self) -> str:
        """Its password is in POSTGRES_PASSWORD."""
        return f"postgresql://{self.environment()['POSTGRES_USER']}@{self._database}"

    @property
    def _database(self) -> str:
        return f"{LOOPBACK}:{self.postgres_port}/{self.environment()['POSTGRES_DB']}"

    def _given(self) -> dict[str, str]:
        return read_dotenv(self.root / ".env") | dict(self.variables)

    def _login(self, server: str, user: str) -> str:
        password = self.environment().get(f"{server}_{user.upper()}_PASSWORD", "")
        return f"{user}:{quote(password, safe='')}"


def read_dotenv(path: Path) -> dict[str, str]:
    """The part of Compose's format that the file uses: NAME=value, quotes, comments."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        name, equals, value = line.strip().partition("=")
        if not equals or name.startswith("#"):
            continue
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        else:
            value = value.partition(" #")[0].strip()
        found[name.strip()] = value
    return found
