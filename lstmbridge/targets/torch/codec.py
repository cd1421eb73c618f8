"""The architecture as JSON and back. What comes from a file is checked before it is used."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from lstmbridge.arrays import ACTIVATIONS
from lstmbridge.contracts import Expression
from lstmbridge.errors import SourceUnreadable
from lstmbridge.targets.torch.architecture import (
    Architecture,
    Equations,
    Native,
    Node,
    Series,
    TwoWay,
)

VERSION = 1
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
    return json.dumps(body, sort_keys=True)


def _tree(node: Node) -> dict[str, Any]:
    kind = type(node).__name__
    if isinstance(node, Series):
        inner: dict[str, Any] = {"nodes": [_tree(child) for child in node.nodes]}
    elif isinstance(node, TwoWay):
        inner = {"forward": _tree(node.forward), "backward": _tree(node.backward)}
    else:
        inner = asdict(node)
    return {"kind": kind, "residuals": node.residuals, **inner}


def from_json(text: str, where: str) -> Architecture:
    """The architecture that a file states.

    Raises:
        SourceUnreadable: it is not one, or its numbers are out of all bounds.
    """
    try:
        body = json.loads(text)
        _check_version(body["version"], where)
        said = tuple(
            Expression(*(_text(e[key]) for key in ("layer", "how", "detail")))
            for e in body["expressions"]
        )
        return Architecture(_node(body["root"], 0), _dtype(body["dtype"]), said)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SourceUnreadable(
            f"the architecture in the file's metadata does not parse: {error}",
            expected="what lstmbridge writes",
            where=where,
            advice="convert the checkpoint again",
        ) from error


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
    kind = body["kind"]
    residuals = _count(body["residuals"])
    if kind == "Series":
        nodes = tuple(_node(child, depth + 1) for child in body["nodes"])
        if not nodes:
            raise ValueError("a series of nothing")
        return Series(nodes, residuals)
    if kind == "TwoWay":
        forward = _node(body["forward"], depth + 1)
        return TwoWay(forward, _node(body["backward"], depth + 1), residuals)
    if kind not in _LEAVES:
        raise ValueError(f"kind {kind!r}")
    maker, checks = _LEAVES[kind]
    leaf: Node = maker(**{f.name: checks[f.name](body[f.name]) for f in fields(maker)})
    if isinstance(leaf, Native) and len(leaf.names) != len(leaf.suffixes):
        raise ValueError(f"{len(leaf.names)} names for {len(leaf.suffixes)} layers")
    return leaf


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _LARGEST:
        raise ValueError(f"{value!r} is no size")
    return int(value)


def _size(value: Any) -> int:
    if _count(value) == 0:
        raise ValueError("a size of 0")
    return int(value)


def _layers(value: Any) -> int:
    if _size(value) > 2**16:
        raise ValueError(f"{value} layers")
    return int(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"{value!r} is no text")
    return value


def _finite(value: Any) -> float:
    if type(value) not in {int, float} or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _limit(value: Any) -> float | None:
    return None if value is None else _finite(value)


def _dtype(value: Any) -> str:
    if value not in DTYPES:
        raise ValueError(f"dtype {value!r}")
    return str(value)


def _activation(value: Any) -> str:
    if _text(value) not in ACTIVATIONS:
        raise ValueError(f"activation {value!r}")
    return str(value)


def _names(value: Any) -> tuple[str, ...]:
    return tuple(_text(name) for name in value)


_LEAVES: Mapping[str, tuple[type[Any], Mapping[str, Callable[[Any], Any]]]] = {
    "Native": (
        Native,
        {
            "names": _names,
            "input_size": _size,
            "hidden_size": _size,
            "num_layers": _layers,
            "bidirectional": _flag,
            "proj_size": _count,
            "bias": _flag,
            "residuals": _count,
        },
    ),
    "Equations": (
        Equations,
        {
            "name": _text,
            "input_size": _size,
            "units": _size,
            "output_size": _size,
            "bias": _flag,
            "peephole": _flag,
            "projection": _flag,
            "forget_bias": _finite,
            "activation": _activation,
            "gate_activation": _activation,
            "cell_clip": _limit,
            "proj_clip": _limit,
            "residuals": _count,
        },
    ),
}
