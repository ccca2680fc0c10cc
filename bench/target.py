"""Target: the running system that a bench measures, by its addresses."""

import os
import urllib.error
import urllib.request
from dataclasses import dataclass

from local.instance import ROOT, Instance

HTTP_PORT = 8080
ANSWER_LIMIT = 5.0


@dataclass(frozen=True)
class Target:
    """Addresses from the environment where given, else those of a local system on this port."""

    http_port: int
    redis_url: str
    postgres_dsn: str
    http_url: str

    @classmethod
    def from_environment(cls, http_port: int | None = None) -> "Target":
        port = http_port or int(os.environ.get("HTTP_PORT") or HTTP_PORT)
        local = Instance(root=ROOT, http_port=port, data=ROOT / ".run" / str(port))
        return cls(
            http_port=port,
            redis_url=os.environ.get("REDIS_URL") or local.redis_url("operator"),
            postgres_dsn=os.environ.get("POSTGRES_DSN") or local.postgres_dsn("api"),
            http_url=os.environ.get("HTTP_URL") or f"http://127.0.0.1:{port}",
        )

    def answers(self) -> bool:
        """Whether the whole way to the database is there."""
        try:
            url = f"{self.http_url}/api/health/ready"
            with urllib.request.urlopen(url, timeout=ANSWER_LIMIT) as reply:  # noqa: S310  # http
                return bool(reply.status == 200)  # noqa: PLR2004  # OK
        except (urllib.error.URLError, TimeoutError):
            return False
