"""Secrets of production: each is made, and is where its service looks."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.services import ROOT

PRODUCTION = ROOT / "compose.production.yaml"
DECLARED = re.compile(r'^  (\w+): \{file: "\$\{SECRETS:', re.MULTILINE)
BROUGHT = {"tls_certificate", "tls_key"}  # by whoever runs it
LENGTH = 48  # no newline: what reads a secret as it is would take it for a part


def test_make_secrets_makes_all_but_the_certificate(tmp_path: Path) -> None:
    files = sorted(ROOT.glob("compose*production.yaml"))
    assert len(files) == 3
    for path in (*files, ROOT / "Makefile"):
        shutil.copy(path, tmp_path)
    subprocess.run(["make", "secrets"], cwd=tmp_path, check=True, capture_output=True)  # noqa: S607  # our own Makefile
    made = {path.name: path.stat().st_size for path in (tmp_path / "secrets").iterdir()}
    wanted = {name for file in files for name in DECLARED.findall(file.read_text())} - BROUGHT
    assert made == dict.fromkeys(wanted, LENGTH)


def test_grafana_reads_its_secrets_where_they_are() -> None:
    [service] = re.findall(r"^  grafana:\n(.*)", PRODUCTION.read_text(), re.DOTALL | re.MULTILINE)
    [given] = re.findall(r"secrets: \[(.*)\]", service)
    read = re.findall(r"__FILE: /run/secrets/(\w+)", service)
    assert sorted(read) == sorted(given.split(", "))
    assert "grafana_secret_key" in read
