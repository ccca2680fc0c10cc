"""Target: a whole running system as a test needs it, whatever it runs as."""

from typing import Protocol


class Target(Protocol):
    """Local processes (tests/system.py), or containers (tests/docker/stack.py)."""

    @property
    def url(self) -> str:
        """The one open port."""

    @property
    def redis_url(self) -> str:
        """Redis for the operator, now: a server that was started again may have moved."""

    @property
    def owner_dsn(self) -> str:
        """PostgreSQL for the owner of the table, now."""

    def kill(self, name: str) -> None:
        """SIGKILL to redis, bridge, writer …; it is gone, or back already, when this returns."""

    def take_away(self, name: str) -> None:
        """Stop it; it stays away."""

    def bring_back(self, name: str) -> None:
        """Start it again."""

    def wait_ready(self, limit: float = ...) -> None:
        """Return once all of it is there and well."""

    def log_of(self, name: str) -> str:
        """What a service wrote, over all its starts, as it wrote it."""

    def output(self) -> str:
        """What it has said lately."""
