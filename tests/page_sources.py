"""tsc, eslint and prettier over the page and its tests; `--write` mends what the latter two can."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.node import NODE, npm_ci
from tests.services import ROOT

TOOLS = ROOT / "tests" / "web"
KEPT = ROOT / ".run" / "page-sources"  # what the tools know of files that didn't change
KINDS = ("js", "mjs", "ts", "css", "html", "json")
LIMIT = 240.0  # seconds


def main(arguments: list[str]) -> int:
    """Print what they complain of; the exit code says whether they do."""
    npm_ci(TOOLS)
    KEPT.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(_run, _lines(write=arguments == ["--write"])))
    for run in runs:
        if run.returncode:
            sys.stderr.write(f"{Path(run.args[1]).stem}:\n{run.stdout}{run.stderr}\n")
    return int(any(run.returncode for run in runs))


def _lines(*, write: bool) -> list[list[str]]:
    files = [
        str(path.relative_to(ROOT))
        for folder in (ROOT / "web", TOOLS, ROOT / "bench")
        for path in sorted(folder.iterdir())
        if path.suffix.removeprefix(".") in KINDS and path.name != "package-lock.json"
    ]
    rules, style = str(TOOLS / "eslint.config.mjs"), str(TOOLS / ".prettierrc.json")
    lint = ["--config", rules, "--max-warnings=0", *(["--fix"] if write else []), *_cache("eslint")]
    form = ["--config", style, "--log-level=warn", "--write" if write else "--check"]
    return [
        _tool("typescript/bin/tsc", "--project", str(TOOLS)),
        _tool("eslint/bin/eslint.js", *lint, *(each for each in files if each.endswith("js"))),
        _tool("prettier/bin/prettier.cjs", *form, *_cache("prettier"), *files),
    ]


def _cache(name: str) -> list[str]:
    return ["--cache", "--cache-location", str(KEPT / name)]


def _tool(program: str, *arguments: str) -> list[str]:
    return [str(NODE), str(TOOLS / "node_modules" / program), *arguments]


def _run(line: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own words
        line, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
