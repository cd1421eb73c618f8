"""Operations of `keras.ops` that stand in a Keras 3 model beside its layers.

A functional model of Keras 3 writes down every operation on its tensors: masks above all
(``words != 0`` behind an Embedding), and what users wrote between layers. Source: keras.ops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lstmbridge.adapters.keras.whole.drawing import Value
from lstmbridge.adapters.keras.whole.site import Site

MODULE = "keras.src.ops"
"""Where the config of an operation says that it comes from; a layer comes from elsewhere."""
Definition = Callable[[Site], Value]
_KINDS: Mapping[str, str] = {"f": "float", "i": "int", "u": "int", "b": "bool"}


def is_operation(layer: Mapping[str, Any]) -> bool:
    """Whether an entry of a model's config is an operation, and no layer.

    HDF5 files leave the module out; a layer's config says whether it is trained.
    """
    if "module" in layer:
        return str(layer["module"]).startswith(MODULE)
    config = layer.get("config")
    plain = isinstance(config, dict) and "trainable" not in config
    new = any(isinstance(node, dict) and "args" in node for node in layer.get("inbound_nodes", ()))
    return plain and new and layer.get("class_name") in OPERATIONS


def _operands(site: Site, count: int, kind: str = "") -> list[Value | str]:
    """The arguments, numbers among them as constants of the kind of the others."""
    given = list(site.options.get("arguments") or site.inputs)
    values = [one for one in given if isinstance(one, Value)]
    if len(given) != count or not values:
        raise site.refused(f"is called on {len(given)} arguments", f"{count}")
    known = kind or ("float" if any(v.kind == "float" for v in values) else values[0].kind)
    found: list[Value | str] = []
    for one in given:
        if isinstance(one, Value):
            found.append(site.drawing.cast(one, known))
        elif isinstance(one, bool | int | float):
            found.append(site.drawing.constant(one, known))
        else:
            raise site.refused("is called on something that is no number")
    return found


def _binary(op: str, result: str = "", of: str = "") -> Definition:
    def define(site: Site) -> Value:
        a, b = _operands(site, 2, of)
        kind = next(v.kind for v in (a, b) if isinstance(v, Value))
        return site.drawing.binary(op, a, b, result or kind)

    return define


def _unary(op: str, kind: str = "") -> Definition:
    def define(site: Site) -> Value:
        (x,) = _operands(site, 1, kind)
        if not isinstance(x, Value):
            raise site.refused("is called on no tensor")
        return replace(site.drawing.unary(op, x), kind=kind or x.kind)

    return define


def _setting(site: Site, key: str, position: int, default: Any) -> Any:
    """What the config, the options or the arguments say."""
    given = list(site.options.get("arguments") or ())
    if key in site.options:
        return site.options[key]
    if key in site.config:
        return site.config[key]
    return given[position] if len(given) > position else default


def _reduced(how: str, kind: str = "") -> Definition:
    def define(site: Site) -> Value:
        x = site.drawing.cast(site.x, kind) if kind else site.x
        axis = _setting(site, "axis", 1, None)
        axes = list(range(x.rank)) if axis is None else [axis] if isinstance(axis, int) else axis
        return site.drawing.reduce(
            how, x, list(axes), keep=bool(_setting(site, "keepdims", 2, False))
        )

    return define


def _expand_dims(site: Site) -> Value:
    return site.drawing.expand(site.x, int(_setting(site, "axis", 1, -1)))


def _squeeze(site: Site) -> Value:
    axis = _setting(site, "axis", 1, None)
    if not isinstance(axis, int):
        raise site.refused(f"has axis {axis}", "one axis")
    return site.drawing.squeeze(site.x, axis)


def _cast(site: Site) -> Value:
    dtype = str(_setting(site, "dtype", 1, None) or "")
    if not dtype or dtype == "None":
        return site.x
    first = "b" if dtype == "bool" else dtype.removeprefix("b")[:1]
    if first not in _KINDS:
        raise site.refused(f"has dtype {dtype[:30]!r}", "numbers")
    return site.drawing.cast(site.x, _KINDS[first])


def _matmul(site: Site) -> Value:
    a, b = _operands(site, 2)
    if not isinstance(a, Value) or not isinstance(b, Value) or min(a.rank, b.rank) < 2:
        raise site.refused("is no product of matrices")
    return site.drawing.matmul(a, b)


OPERATIONS: Mapping[str, Definition] = {
    **{name: _binary(name, "bool") for name in ("Equal", "NotEqual", "Greater", "GreaterEqual")},
    **{name: _binary(name, "bool") for name in ("Less", "LessEqual")},
    **{name: _binary(name, "bool", "bool") for name in ("LogicalAnd", "LogicalOr")},
    "LogicalNot": _unary("LogicalNot", "bool"),
    "Any": _reduced("Any", "bool"),
    "All": _reduced("All", "bool"),
    "Add": _binary("AddV2"),
    "Subtract": _binary("Sub"),
    "Multiply": _binary("Mul"),
    **dict.fromkeys(("Divide", "TrueDivide"), _binary("RealDiv", "float", "float")),
    "Maximum": _binary("Maximum"),
    "Minimum": _binary("Minimum"),
    "Matmul": _matmul,
    "Sum": _reduced("Sum"),
    "Mean": _reduced("Mean", "float"),
    "Max": _reduced("Max"),
    "Min": _reduced("Min"),
    "Exp": _unary("Exp", "float"),
    "Log": _unary("Log", "float"),
    "Sqrt": _unary("Sqrt", "float"),
    "Square": _unary("Square"),
    "Absolute": _unary("Abs"),
    "Negative": _unary("Neg"),
    "Tanh": _unary("Tanh", "float"),
    "Sigmoid": _unary("Sigmoid", "float"),
    "Relu": _unary("Relu", "float"),
    "ExpandDims": _expand_dims,
    "Squeeze": _squeeze,
    "Cast": _cast,
    "ConvertToTensor": _cast,
}
"""Class of an operation -> what it does."""
