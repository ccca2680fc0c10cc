"""What the documents name as proof is there."""

import ast
import re
from pathlib import Path

from tests.services import ROOT

FAILURES = "docs/failures.md"
NAMED = re.compile(r"`(tests/[^`]*)`")
PLACED = re.compile(r"(tests/[\w/]+\.py)::((?:\w+::)?test_\w+)")


def test_every_test_that_a_document_names_is_there() -> None:
    for document in sorted((ROOT / "docs").glob("*.md")):
        assert missing(document.read_text()) == []


def test_each_row_about_a_failure_names_its_proof() -> None:
    rows = [line for line in (ROOT / FAILURES).read_text().splitlines() if line.startswith("| ")]
    cases = [row for row in rows if not row.startswith(("| What can go wrong", "| Broken"))]
    assert len(cases) > 40
    assert [row for row in cases if not PLACED.search(row)] == []


def test_a_wrong_name_is_found() -> None:
    here = "tests/unit/test_docs.py"
    right = f"`{here}::test_a_wrong_name_is_found`, `tests/unit`"
    wrong = [f"{here}::test_nothing", f"{here}::TestIt::test_a_wrong_name_is_found", f"{here}::x"]
    wrong += ["tests/unit/test_nothing.py::test_it", "tests/nothing.py"]
    assert missing(right + "".join(f"`{name}`" for name in wrong)) == wrong


def missing(text: str) -> list[str]:
    return [name for name in NAMED.findall(text) if not _is_there(name)]


def _is_there(name: str) -> bool:
    if "::" not in name:
        return (ROOT / name).exists()
    found = PLACED.fullmatch(name)
    return found is not None and found[2] in _tests(ROOT / found[1])


def _tests(path: Path) -> set[str]:
    """Names of the module's tests; those of a class after its name and two colons."""
    if not path.exists():
        return set()
    names = set()
    for node in ast.parse(path.read_text()).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        functions = [n for n in inside if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        names |= {prefix + function.name for function in functions}
    return names
