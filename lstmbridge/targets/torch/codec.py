"""The architecture as JSON and back. What comes from a file is checked before it is used."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from lstmbridge.contracts import Expression
from lstmbridge.errors import SourceUnreadable
from lstmbridge.targets.torch.architecture import (
    Architecture,
    Equations,
    Linear,
    Mixed,
    Native,
    Node,
    Series,
    TwoWay,
    states_of,
)
from lstmbridge.targets.torch.native import MODES
from lstmbridge.targets.torch.structure import Block, Skeleton, activation_name

VERSION = 2
DTYPES: tuple[str, ...] = ("float16", "bfloat16", "float32", "float64")
_LARGEST = 2**31
_DEEPEST = 64


def to_json(architecture: Architecture) -> str:
    """One line, keys sorted: the same architecture gives the same text."""
    body = {
        "version": VERSION,
        "dtype": architecture.dtype,
        "expressions": [asdict(e) for e in architecture.expressions],
        "root": _tree(architecture.root),
    }
    if architecture.initial:
        body["initial"] = dict(architecture.initial)
    return json.dumps(body, sort_keys=True)


def _tree(node: Node) -> dict[str, Any]:
    if isinstance(node, Series):
        inner: dict[str, Any] = {"nodes": [_tree(child) for child in node.nodes]}
    elif isinstance(node, TwoWay):
        inner = {"forward": _tree(node.forward), "backward": _tree(node.backward)}
    elif isinstance(node, Mixed):
        inner = {"name": node.name, "coupled": node.coupled, "inner": _tree(node.inner)}
    elif isinstance(node, Equations):
        inner = {"name": node.name, "cell": _skeleton(node.skeleton)}
    else:
        inner = asdict(node)
    return {"node": type(node).__name__, "residuals": node.residuals, **inner}


def _skeleton(skeleton: Skeleton) -> dict[str, Any]:
    return {
        "kind": skeleton.kind,
        "blocks": {name: asdict(block) for name, block in skeleton.blocks.items()},
        "constants": dict(skeleton.constants),
    }


def from_json(written: str, where: str) -> Architecture:
    """The architecture that a file states.

    Raises:
        SourceUnreadable: it is not one, or its numbers are out of all bounds.
    """
    try:
        body = json.loads(written)
        _check_version(body["version"], where)
        said = tuple(
            Expression(*(text(e[key]) for key in ("layer", "how", "detail")))
            for e in body["expressions"]
        )
        root = _node(body["root"], 0)
        initial = _initial(body.get("initial", {}), root)
        return Architecture(root, _dtype(body["dtype"]), said, initial)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise SourceUnreadable(
            f"the architecture in the file's metadata does not parse: {error}",
            expected="what lstmbridge writes",
            where=where,
            advice="convert the checkpoint again",
        ) from error


def _initial(body: Mapping[str, Any], root: Node) -> dict[str, int]:
    """States that begin with a row of the file's: of the network's own, and as wide."""
    widths = {f"initial_{name}_{state}": width for name, state, width in states_of(root)}
    for name, width in body.items():
        if widths.get(name) != size(width):
            raise ValueError(f"{name} is {width} wide, and the network has {widths.get(name)}")
    return {name: widths[name] for name in body}


def _check_version(version: Any, where: str) -> None:
    if version != VERSION:
        raise SourceUnreadable(
            f"the architecture has version {version!r}",
            expected=f"version {VERSION}",
            where=where,
            advice="load it with the lstmbridge that wrote it, or a newer one",
        )


def _node(body: Mapping[str, Any], depth: int) -> Node:
    if depth > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} levels")
    kind = body["node"]
    if kind not in _READERS:
        raise ValueError(f"a node called {kind!r}")
    return _READERS[kind](body, depth + 1, count(body["residuals"]))


def _series(body: Mapping[str, Any], depth: int, residuals: int) -> Node:
    nodes = tuple(_node(child, depth) for child in body["nodes"])
    if not nodes:
        raise ValueError("a series of nothing")
    return Series(nodes, residuals)


def _two_way(body: Mapping[str, Any], depth: int, residuals: int) -> Node:
    return TwoWay(_node(body["forward"], depth), _node(body["backward"], depth), residuals)


def _mixed(body: Mapping[str, Any], depth: int, residuals: int) -> Node:
    inner = _node(body["inner"], depth)
    return Mixed(text(body["name"]), inner, flag(body["coupled"]), residuals)


def _linear(body: Mapping[str, Any], _depth: int, residuals: int) -> Node:
    return Linear(
        name=text(body["name"]),
        input_size=size(body["input_size"]),
        output_size=size(body["output_size"]),
        bias=flag(body["bias"]),
        activation=activation_name(body["activation"]),
        residuals=residuals,
    )


def _native(body: Mapping[str, Any], _depth: int, residuals: int) -> Node:
    native = Native(
        names=tuple(text(name) for name in body["names"]),
        mode=_mode(body["mode"]),
        input_size=size(body["input_size"]),
        hidden_size=size(body["hidden_size"]),
        num_layers=_layers(body["num_layers"]),
        bidirectional=flag(body["bidirectional"]),
        proj_size=count(body["proj_size"]),
        bias=flag(body["bias"]),
        residuals=residuals,
    )
    if len(native.names) != len(native.suffixes):
        raise ValueError(f"{len(native.names)} names for {len(native.suffixes)} layers")
    return native


def _equations(body: Mapping[str, Any], _depth: int, residuals: int) -> Node:
    cell = body["cell"]
    blocks = {
        text(name): Block(
            tuple(text(gate) for gate in block["gates"]), tuple(map(size, block["shape"]))
        )
        for name, block in cell["blocks"].items()
    }
    skeleton = Skeleton(text(cell["kind"]), blocks, dict(cell["constants"]))
    skeleton.cell()  # refuses blocks and constants that are not the kind's own
    return Equations(text(body["name"]), skeleton, residuals)


_READERS: Mapping[str, Callable[[Mapping[str, Any], int, int], Node]] = {
    "Series": _series,
    "TwoWay": _two_way,
    "Mixed": _mixed,
    "Linear": _linear,
    "Native": _native,
    "Equations": _equations,
}


def count(value: Any) -> int:
    """A number of things. Errors: ValueError for anything else."""
    if type(value) is not int or not 0 <= value < _LARGEST:
        raise ValueError(f"{value!r} is no size")
    return int(value)


def size(value: Any) -> int:
    """A number above 0. Errors: ValueError."""
    if count(value) == 0:
        raise ValueError("a size of 0")
    return int(value)


def _layers(value: Any) -> int:
    if size(value) > 2**16:
        raise ValueError(f"{value} layers")
    return int(value)


def flag(value: Any) -> bool:
    """A truth. Errors: ValueError."""
    if type(value) is not bool:
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def text(value: Any) -> str:
    """A text. Errors: ValueError."""
    if type(value) is not str:
        raise ValueError(f"{value!r} is no text")
    return value


def _mode(value: Any) -> str:
    if text(value) not in MODES:
        raise ValueError(f"mode {value!r}")
    return str(value)


def _dtype(value: Any) -> str:
    if value not in DTYPES:
        raise ValueError(f"dtype {value!r}")
    return str(value)
