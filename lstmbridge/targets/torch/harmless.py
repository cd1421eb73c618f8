"""Does a ``.pt2`` file do more than compute? `torch.export.load` itself does not ask.

It unpickles what claims to be a pickle, evaluates strings as Python (sizes, guards), looks up
functions anywhere in torch, and loads machine code. A file of ours has none of that: what stands
in it is compared with what may stand there, and everything else is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lstmbridge.targets.torch.archive import (
    CONSTANTS_TABLE,
    EXAMPLES,
    GRAPH,
    PLAIN,
    WEIGHTS,
    WEIGHTS_TABLE,
    broken,
    opened,
)

_WORD = re.compile(r"[\w.+-]*")
_WEIGHT = re.compile(r"weight_\d+")
_TARGET = re.compile(
    r"torch\.ops\.aten\.(?!from_file)\w+\.\w+|torch\.ops\.higher_order\.scan"
    r"|_operator\.(add|sub|mul|floordiv|mod|neg|ge|le|gt|lt|eq|ne|and_|or_|getitem)"
)
_SYMBOLS = (
    r"Symbol|Integer|Add|Mul|Max|Min|Mod|FloorDiv|Eq|Ne|Equality|Unequality|GreaterThan"
    r"|LessThan|StrictGreaterThan|StrictLessThan|And|Or|Not|positive|nonnegative|integer|True"
)
_SIZE = re.compile(rf"(?:(?:{_SYMBOLS}|[suz]\d+|-?\d+)(?!\w)|'[suz]\d+'|[(),=\s]){{0,999}}")
_AXIS = r"L\['\w+'\]\.size\(\)\[\d+\]"
_GUARD = re.compile(
    rf"(?!.*\*\*)(?:{_AXIS}|(?:\d+|and|or|not|max|min)(?!\w)|[()\s+*/%<>=!,-]){{0,999}}"
)
_CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict"}
_VALUES = {
    "as_bool", "as_bools", "as_device", "as_expr", "as_float", "as_floats", "as_graph", "as_int",
    "as_ints", "as_layout", "as_memory_format", "as_name", "as_none", "as_optional_tensors",
    "as_scalar_type", "as_string", "as_sym_bool", "as_sym_int", "as_sym_ints", "as_tensor",
    "as_tensors",
}  # fmt: skip
"""The kinds of arguments that are numbers, tensors or names of either."""


def refuse_harmful(path: Path) -> None:
    """Raise SourceUnreadable when `torch.export.load` could do more than build a network."""
    with opened(path) as members:
        for name in members.infos.keys() - PLAIN:
            if not _WEIGHT.fullmatch(name.removeprefix(WEIGHTS)):
                raise broken(path, f"nothing of ours is called {name[:80]!r}")
        weights = members.json(WEIGHTS_TABLE)["config"].values()
        if any(not _WEIGHT.fullmatch(one["path_name"]) or one["use_pickle"] for one in weights):
            raise broken(path, "a weight of it is a pickle")
        if members.json(CONSTANTS_TABLE)["config"] or members.bytes(EXAMPLES):
            raise broken(path, "it holds more than weights")
        for key, text in _strings(members.json(GRAPH), ""):
            if not _CHECKS.get(key, _is_word)(text):
                raise broken(path, f"{key} is {text[:80]!r}, which no file of ours says")


def _strings(body: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every string with the key that it stands under, and every key as a word.

    Raises:
        ValueError: an argument of a kind that no network needs, or notes at a node.
    """
    if isinstance(body, str):
        yield key, body
    elif isinstance(body, list):
        for part in body:
            yield from _strings(part, key)
    elif isinstance(body, dict):
        for name, part in body.items():
            if name.startswith("as_") and name not in _VALUES:
                raise ValueError(f"an argument {name}")
            if name == "metadata" and part:
                raise ValueError("notes at a node")
            yield "", name
            yield from _strings(part, name)


def _is_word(text: str) -> bool:
    return _WORD.fullmatch(text) is not None


def _is_tree(text: str) -> bool:
    """A tree of tuples, lists and dictionaries with names for keys."""
    version, tree = json.loads(text)
    return version == 1 and all(map(_is_container, _trees(tree)))


def _trees(tree: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield tree
    for child in tree["children_spec"]:
        yield from _trees(child)


def _is_container(tree: Mapping[str, Any]) -> bool:
    names = json.loads(tree["context"] or "null")
    return tree["type"] in _CONTAINERS and all(map(_is_word, names or ()))


_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "target": lambda text: _TARGET.fullmatch(text) is not None,
    "expr_str": lambda text: _SIZE.fullmatch(text) is not None,
    "guards_code": lambda text: _GUARD.fullmatch(text) is not None,
    "in_spec": _is_tree,
    "out_spec": _is_tree,
    "as_string": lambda text: text.isprintable(),  # a message, written as a literal
}
"""Key -> may this string stand there? Elsewhere: a word."""
