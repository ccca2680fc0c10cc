"""Production's plain port sends everybody to HTTPS, on the port that is open outside."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import yaml

from local.instance import Instance
from local.servers import prepare
from tests.embedded import PORTS, ServerProcess
from tests.servers import LOOPBACK, free_ports, http_answers
from tests.services import ROOT

OUTSIDE = "8443"


@pytest.fixture
def plain_url() -> Iterator[str]:
    """The template as in production, but for TLS, with redirect.conf beside it."""
    data = Path(tempfile.mkdtemp(prefix="pipeline-test-"))
    variables = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    instance = Instance(ROOT, free_ports(PORTS), data, variables)
    prepare(instance)
    rendered = instance.run_files / "default.conf"
    text = rendered.read_text()
    assert '{ default ""; }' in text
    plain = instance.api_port  # no api runs here
    redirect = (ROOT / "config/nginx/redirect.conf").read_text()
    redirect = redirect.replace("listen 8080", f"listen {LOOPBACK}:{plain}")
    rendered.write_text(text.replace('{ default ""; }', f'{{ default "{OUTSIDE}"; }}') + redirect)
    url = f"http://{LOOPBACK}:{plain}"
    process = ServerProcess("nginx", instance, lambda: http_answers(f"{url}/healthz"))
    try:
        process.start()
        yield url
    finally:
        process.close()


async def test_who_comes_by_http_is_sent_to_the_port_of_https(plain_url: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{plain_url}/api/stocks?a=%20b", allow_redirects=False) as answer,
    ):
        assert answer.status == 308
        assert answer.headers["Location"] == f"https://{LOOPBACK}:{OUTSIDE}/api/stocks?a=%20b"


def test_the_port_is_the_one_that_compose_opens() -> None:
    text = (ROOT / "compose.production.yaml").read_text()
    nginx = yaml.safe_load(text.replace("!override", "").replace("!reset", ""))["services"]["nginx"]
    assert nginx["environment"]["NGINX_HTTPS_PORT"] == "${HTTPS_PORT:-443}"
    assert "${HTTPS_PORT:-443}:8443" in nginx["ports"]
