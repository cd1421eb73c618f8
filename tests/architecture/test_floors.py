"""The house of the design, enforced: imports point down, rooms do not know each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "lstmbridge"

FLOORS = {
    "errors": 0,
    "gates": 1,
    "arrays": 1,
    "staging": 1,
    "model": 2,
    "graph": 3,
    "contracts": 3,
    "metadata": 3,
    "sources": 4,
    "adapters": 4,
    "targets": 4,
    "runtimes": 4,
    "verify": 4,
    "report": 5,
    "registry": 5,
    "subjects": 5,
    "whole_models": 5,
    "inspections": 5,
    "written": 5,
    "api": 6,
    "golden": 6,
    "diagnose": 6,
    "testing": 6,
    "pytest_plugin": 7,
    "cli": 7,
    "torch": 7,
    "__main__": 7,
}
SINGLE_IMPORTS = {
    # the public door of one target: it opens that target and nothing else
    ("torch", "targets"),
    ("torch", "runtimes"),
}
FRAMEWORKS = {
    "onnx": ("targets/onnx", "runtimes"),
    "onnxruntime": ("runtimes",),
    "torch": ("targets/torch", "runtimes", "torch.py"),
    "tensorflow": ("runtimes",),
    "tf_keras": ("runtimes",),
    "h5py": ("sources",),
    "google.protobuf": ("sources",),
    "google_crc32c": ("sources",),
    "safetensors": ("targets/torch",),
    "click": ("cli",),
    "rich": ("cli", "report"),
}
AT_MODULE_LEVEL = {"click", "rich", "google_crc32c", "google.protobuf"}
"""Light enough, or needed by every line of the module that imports them."""


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if not p.name.endswith("_pb2.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import of {node.module}"
            yield node.module or "", node
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node


def module_level(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Imports that run when the module is imported (TYPE_CHECKING blocks do not)."""
    stack: list[ast.stmt] = list(tree.body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            stack += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from imports(ast.Module([node], []))


def violations(path: Path, source: str) -> list[str]:
    room = room_of(path)
    if room == "__init__":
        return []
    found = []
    for name, node in imports(ast.parse(source)):
        parts = name.split(".")
        if parts[0] != "lstmbridge" or len(parts) < 2 or parts[1] == "__version__":
            continue
        other = parts[1]
        if other == room or (room, other) in SINGLE_IMPORTS or other not in FLOORS:
            continue
        if FLOORS[other] > FLOORS[room] or (FLOORS[other] == FLOORS[room] == 4):
            found.append(
                f"{room} (F{FLOORS[room]}) imports {name} (F{FLOORS[other]}), line {node.lineno}"
            )
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    assert room_of(path) in {*FLOORS, "__init__"}, "a module without a floor"
    assert violations(path, path.read_text()) == []


def test_an_upward_import_would_be_seen() -> None:
    bad = "from lstmbridge.verify import judge\n"
    assert violations(PACKAGE / "sources" / "x.py", bad)
    assert violations(PACKAGE / "model" / "x.py", "import lstmbridge.api\n")
    assert not violations(PACKAGE / "api.py", bad)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_frameworks_stay_in_their_rooms(path: Path) -> None:
    where = str(path.relative_to(PACKAGE))
    for name, node in imports(ast.parse(path.read_text())):
        for framework, rooms in FRAMEWORKS.items():
            if name == framework or name.startswith(framework + "."):
                assert where.startswith(rooms), f"{framework} at line {node.lineno}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_frameworks_are_imported_inside_functions(path: Path) -> None:
    where = str(path.relative_to(PACKAGE))
    for name, node in module_level(ast.parse(path.read_text())):
        for framework in FRAMEWORKS.keys() - AT_MODULE_LEVEL:
            if name == framework or name.startswith(framework + "."):
                owner = FRAMEWORKS[framework][0]
                at_home = where.startswith(owner) and framework in {"onnx", "torch"}
                assert at_home, f"{framework} at module level, line {node.lineno}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_can_be_held_in_the_head(path: Path) -> None:
    lines = path.read_text().count("\n")
    assert lines <= 400, f"{lines} lines: split the room, not the rule"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_functions_can_be_seen_at_once(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body:
                length = (body[-1].end_lineno or 0) - body[0].lineno + 1
                assert length <= 60, f"{node.name}: {length} lines"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_error_is_swallowed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            kind = ast.unparse(node.type) if node.type else ""
            assert kind not in {"", "BaseException"}, f"bare except, line {node.lineno}"
            if kind == "Exception":
                assert any(isinstance(x, ast.Raise) for x in ast.walk(node)), (
                    f"`except Exception` that does not raise, line {node.lineno}"
                )
