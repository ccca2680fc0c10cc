"""Redis's users of production are those of compose, but for whom the operator works by."""

import subprocess
from pathlib import Path

from tests.kubernetes import FOLDER
from tests.services import ROOT

SCRIPT = FOLDER / "production" / "users.sh"
USERS = ["operator", "generator", "bridge", "forwarder", "writer", "api"]


def test_users_are_those_of_compose_and_the_operators_own(tmp_path: Path) -> None:
    for user in USERS:
        (tmp_path / f"redis_{user}_password").write_text(f"secret-of-{user}\n")
    made = _lines(["sh", str(SCRIPT), str(tmp_path)], {})
    file = tmp_path / "users.acl"
    passwords = {f"REDIS_{user.upper()}_PASSWORD": f"secret-of-{user}" for user in USERS}
    _lines(["sh", str(ROOT / "config/redis/start.sh"), str(file), "true"], passwords)
    same = [line for line in file.read_text().splitlines() if not line.startswith("user default ")]
    assert made["default"] == "on >secret-of-operator ~* &* +@all"
    assert {f"user {name} {rules}" for name, rules in made.items()} >= set(same)
    assert made.keys() == {*USERS, "default"}


def _lines(words: list[str], environment: dict[str, str]) -> dict[str, str]:
    """User → rules."""
    environment = {"PATH": "/usr/bin:/bin", **environment}
    text = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout  # noqa: S603  # our own script
    return dict(line.removeprefix("user ").split(" ", 1) for line in text.splitlines())
