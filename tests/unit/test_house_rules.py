"""The house rules that no linter knows: sizes, names, sentences, the catalogue, README."""

import ast
import importlib
import inspect
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

from pipeline.events import Event
from pipeline.settings import Environment
from tests.services import ROOT

SERVICES = ["migrate", "generator", "bridge", "forwarder", "writer", "api"]
CODE = ["pipeline", *SERVICES, "local", "bench"]
NOT_OURS = {"node_modules", "vendor", "__pycache__"}  # beside every dot folder that isn't below
OUR_DOT_FOLDERS = {".github", ".ci"}

MODULE_LINES, TEST_MODULE_LINES, FUNCTION_LINES = 250, 300, 40
FILE_LINES = {"README.md": 200, "docker-compose.yaml": 250, "pyproject.toml": 120}
EMPTY_NAMES = {
    "utils",
    "util",
    "common",
    "manager",
    "managers",
    "base",
    "helper",
    "helpers",
    "misc",
}

# The patterns don't match themselves.
MACHINE_PATH = re.compile(r"(?<![\w.}\-])/(?:root|work|home)(?![\w-])")
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|npmjs\.org|(?:proxy|sum)\.golang\.org"
    r"|(?<!-no-emit-)(?:extra-)?index-url[ =]|^registry *=|GOPROXY=h[t]tp",
    re.MULTILINE,
)
EXCEPTION = re.compile(r"#\s*(?:noqa|type: ignore|pragma:)")
EXCEPTION_WITH_REASON = re.compile(
    r"#\s*(?:noqa: [A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)*|type: ignore\[[a-z\-, ]+\])\s+[#-] ?\w"
)


@cache
def files() -> list[Path]:
    """All of the repository, whether it is tracked yet or not."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if _is_ours(name)]
        # A work tree's .git is a file, and says where the repository is.
        ours = [name for name in names if name != ".git" and not name.startswith(".coverage")]
        found += [Path(folder, name) for name in ours]
    return [path.relative_to(ROOT) for path in sorted(found)]


def _is_ours(folder: str) -> bool:
    return folder not in NOT_OURS and (not folder.startswith(".") or folder in OUR_DOT_FOLDERS)


def modules(*folders: str) -> list[Path]:
    return [p for p in files() if p.suffix == ".py" and p.parts[0] in (folders or (*CODE, "tests"))]


def text(path: Path | str) -> str:
    return (ROOT / path).read_text(errors="replace")


def tree(path: Path) -> ast.Module:
    return ast.parse(text(path))


def test_modules_are_small() -> None:
    sizes = {path: len(text(path).splitlines()) for path in modules()}
    limits = {True: TEST_MODULE_LINES, False: MODULE_LINES}
    assert not [f"{p}: {n}" for p, n in sizes.items() if n > limits[p.name.startswith("test_")]]


def test_functions_are_small() -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert not [
        f"{path}: {node.name}: {size}"
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, kinds)
        and (size := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]


def test_modules_open_with_one_sentence_on_a_line_to_itself() -> None:
    sentence = re.compile(r".{10,}(\n\n|\Z)")
    assert not [p for p in modules() if not sentence.match(ast.get_docstring(tree(p)) or "")]


def test_services_say_what_goes_in_and_what_comes_out() -> None:
    for service in SERVICES:
        docstring = ast.get_docstring(tree(Path(service, "__main__.py"))) or ""
        assert re.match(rf"{service}: .+ → .+", docstring)


def test_names_of_modules_say_something() -> None:
    assert not [p for p in modules() if EMPTY_NAMES & {*p.parts[:-1], p.stem}]


def test_exceptions_to_rules_name_the_rule_and_the_reason() -> None:
    assert not [
        f"{path}: {line.strip()}"
        for path in modules()
        for line in text(path).splitlines()
        if EXCEPTION.search(line) and not EXCEPTION_WITH_REASON.search(line)
    ]


def test_tests_sleep_only_between_two_looks() -> None:
    """That is: for a named interval, or not at all. A bare number of seconds is a guess."""
    assert not [
        f"{path}: {ast.unparse(call)}"
        for path in modules("tests")
        for call in _calls(path, "sleep")
        if not re.fullmatch(r"0|[A-Z_]+", ast.unparse(call.args[0]))
    ]


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    assert not _lines_with(MACHINE_PATH)


def test_no_file_names_a_package_registry() -> None:
    assert not _lines_with(REGISTRY)


def test_documents_are_short() -> None:
    sizes = {name: len(text(name).splitlines()) for name in FILE_LINES if (ROOT / name).exists()}
    assert not [name for name, size in sizes.items() if size > FILE_LINES[name]]


def test_events_in_the_code_are_in_the_catalogue_and_the_other_way_round() -> None:
    emitted = {event for path in modules(*CODE) for event in _emitted(path)}
    assert emitted - set(get_args(Event)) == set(), "not in the catalogue"
    assert set(get_args(Event)) - emitted == set(), "never emitted"


def test_the_list_of_settings_is_complete() -> None:
    rows = [line for line in text("docs/settings.md").splitlines() if line.startswith("|")]
    listed = set(re.findall(r"`([A-Z][A-Z_]+)`", "\n".join(rows)))
    assert {name for service in SERVICES for name in _settings(service)} - listed == set()


def _settings(service: str) -> set[str]:
    module = importlib.import_module(f"{service}.settings")
    found = [each for _, each in inspect.getmembers(module, inspect.isclass)]
    classes = [each for each in found if issubclass(each, Environment)]
    return {name.upper() for each in classes for name in each.model_fields}


def _emitted(path: Path) -> Iterator[str]:
    """Event names are written out where they are emitted, or the catalogue could not be checked."""
    for call in _calls(path, "emit"):
        nodes = ast.walk(call.args[0])
        names = [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        assert names, f"{path}:{call.lineno}: no event name in {ast.unparse(call)}"
        yield from names


def _calls(path: Path, name: str) -> list[ast.Call]:
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    return [
        c for c in calls if name in (getattr(c.func, "id", None), getattr(c.func, "attr", None))
    ]


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [f"{path}: {found[0]}" for path in files() if (found := pattern.search(text(path)))]
