"""What a file of a whole model says beside its tensors, and its form as JSON. No torch in here.

What comes from a file is checked as it is read: names, kinds and numbers, never code.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

from lstmbridge.contracts import Expression
from lstmbridge.errors import LstmBridgeError, SourceUnreadable
from lstmbridge.gates import Array, InMemory
from lstmbridge.graph.network import Loop, LoopVariable, Network, Op, Tensor
from lstmbridge.graph.pruned import STACK
from lstmbridge.model.signature import Signature, TensorSpec
from lstmbridge.targets.torch.codec import DTYPES
from lstmbridge.targets.torch.whole.stack import Stack, stack_from, to_body

GRAPH = "lstmbridge.torch.graph"
"""Under which name the graph stands among a file's strings."""
WEIGHT = "_Weight"
"""Stands for a tensor of the file; its attribute ``key`` names it."""
VERSION = 2
_READS = (1, VERSION)
"""Version 1 had no stacks."""
_DTYPE = re.compile(r"bool|object|(u?int|float|complex)\d{1,3}|bfloat16")


@dataclass(frozen=True, eq=False)
class Program:
    """A graph that is ready to be stored.

    Attributes:
        precision: of its floats, by NumPy's name.
        inputs: where each input of the signature is fed.
        outputs: where each output is read.
        fixed: tensors that inference fixes, and their values.
        stacks: by the operation that stands for each.
    """

    precision: str
    network: Network
    inputs: tuple[tuple[TensorSpec, Tensor], ...]
    outputs: tuple[tuple[TensorSpec, Tensor], ...]
    fixed: tuple[tuple[Tensor, Array], ...]
    expressions: tuple[Expression, ...] = ()
    stacks: Mapping[str, Stack] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """The tensors of the file that operations read; those of stacks are not among them."""
        ops = self.network.ops.values()
        return tuple(str(op.attrs["key"]) for op in ops if op.kind == WEIGHT)


def signature_of_program(program: Program) -> Signature:
    """What the module is called with and gives."""
    return Signature(
        tuple(spec for spec, _ in program.inputs), tuple(spec for spec, _ in program.outputs)
    )


def dtype_called(name: str) -> np.dtype[Any]:
    """The dtype of a name. Errors: ValueError for any other text."""
    if not _DTYPE.fullmatch(name):
        raise ValueError(f"a dtype {name!r}")
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


# --- writing ---------------------------------------------------------------------------------


def to_json(program: Program) -> str:
    """One line; the same graph gives the same text."""
    network = program.network
    ops = sorted(network.ops.values(), key=lambda op: op.name)
    body = {
        "version": VERSION,
        "precision": program.precision,
        "expressions": [asdict(one) for one in program.expressions],
        "inputs": [_port(*one) for one in program.inputs],
        "outputs": [_port(*one) for one in program.outputs],
        "fixed": [[at, _numbers(value)] for at, value in program.fixed],
        "ops": [[op.name, op.kind, op.inputs, _attrs(op), op.controls] for op in ops],
        "loops": [
            [one.name, [[v.initial, v.entry, v.following, v.exits] for v in one.variables],
             one.condition]
            for one in network.loops
        ],
        "stacks": {name: to_body(one) for name, one in program.stacks.items()},
    }  # fmt: skip
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def _port(spec: TensorSpec, at: Tensor) -> list[Any]:
    return [spec.name, list(spec.shape), spec.dtype.name, at]


def _attrs(op: Op) -> dict[str, Any]:
    if op.kind == "Const":
        return {"value": {"numbers": _numbers(np.asarray(op.attrs["value"].load()))}}
    said = {name: _said(value) for name, value in op.attrs.items() if name[:1] != "_"}
    return {name: value for name, value in said.items() if value is not None}


def _said(value: Any) -> Any:
    """An attribute's value; None for what no definition asks for (functions, resources)."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    if isinstance(value, np.dtype):
        return {"dtype": value.name} if _DTYPE.fullmatch(value.name) else None
    if isinstance(value, tuple | list):
        said = [_said(one) for one in value]
        return None if None in said else said
    return None


def _numbers(value: Array) -> list[Any]:
    if value.dtype.kind in "OSU":
        flat = [v if isinstance(v, bytes) else str(v).encode() for v in value.ravel().tolist()]
        return ["object", list(value.shape), [v.decode("latin-1") for v in flat]]
    wide = value.astype(np.float64) if value.dtype.kind not in "iub" else value
    return [wide.dtype.name, list(wide.shape), wide.ravel().tolist()]


# --- reading ---------------------------------------------------------------------------------


def program_of(text: str, where: str) -> Program:
    """The graph that a file states.

    Raises:
        SourceUnreadable: it is none.
    """
    try:
        body = json.loads(text)
        network = _network(body, where)
        return Program(
            body["precision"],
            network,
            tuple(_read_port(*one) for one in body["inputs"]),
            tuple(_read_port(*one) for one in body["outputs"]),
            tuple((_tensor(at), _array(*value)) for at, value in body["fixed"]),
            tuple(Expression(*map(str, (e["layer"], e["how"], e["detail"])))
                  for e in body["expressions"]),
            _stacks(body, network, where),
        )  # fmt: skip
    except (
        ArithmeticError, AttributeError, LookupError, LstmBridgeError, RecursionError,
        TypeError, ValueError,
    ) as error:  # fmt: skip
        raise SourceUnreadable(
            f"the graph in the file's metadata does not parse: {error}",
            expected="what lstmbridge writes",
            where=where,
            advice="convert the model again",
        ) from error


def _network(body: Mapping[str, Any], where: str) -> Network:
    if body["version"] not in _READS or body["precision"] not in DTYPES:
        raise ValueError(f"version {body['version']!r}, precision {body['precision']!r}")
    ops = [_op(*one) for one in body["ops"]]
    network = Network(
        {op.name: op for op in ops}, tuple(_loop(*one) for one in body["loops"]), where
    )
    if len(network.ops) != len(ops):
        raise ValueError("two operations have one name")
    return network


def _stacks(body: Mapping[str, Any], network: Network, where: str) -> dict[str, Stack]:
    stacks = {name: stack_from(one, where) for name, one in body.get("stacks", {}).items()}
    own = {op.name for op in network.ops.values() if op.kind == STACK}
    if set(stacks) != own or len({one.key for one in stacks.values()}) < len(stacks):
        raise ValueError("its stacks are not those of its operations")
    for name, one in stacks.items():
        read = (one.steps or 1) + one.lengths + len(one.initial)
        if len(network.op(name).inputs) != read:
            raise ValueError(f"the stack {one.name!r} reads {read} tensors")
        if one.architecture.dtype != body["precision"]:
            raise ValueError(f"the stack {one.name!r} is of {one.architecture.dtype}")
    return stacks


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _tensor(value: Any) -> Tensor:
    name, output = value
    if type(output) is not int or output < 0:
        raise ValueError(f"{value!r} is no tensor")
    return _text(name), output


def _op(name: Any, kind: Any, inputs: Any, attrs: Any, controls: Any) -> Op:
    return Op(
        _text(name),
        _text(kind),
        tuple(map(_tensor, inputs)),
        {_text(key): _attribute(value, str(name)) for key, value in attrs.items()},
        tuple(map(_text, controls)),
    )


def _loop(name: Any, variables: Any, condition: Any) -> Loop:
    read = [
        LoopVariable(_tensor(a), _tensor(b), _tensor(c), tuple(map(_tensor, exits)))
        for a, b, c, exits in variables
    ]
    return Loop(_text(name), tuple(read), _tensor(condition))


def _attribute(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        ((how, inner),) = value.items()
        if how == "numbers":
            return InMemory(name, _array(*inner))
        return dtype_called(_text(inner)) if how == "dtype" else _text(inner).encode("latin-1")
    if isinstance(value, list):
        return tuple(_attribute(one, name) for one in value)
    return value


def _array(dtype: Any, shape: Any, data: Any) -> Array:
    if math.prod(shape) != len(data):
        raise ValueError(f"{len(data)} numbers for the shape {shape}")
    if dtype == "object":
        data = [_text(one).encode("latin-1") for one in data]
    flat: Array = np.empty(len(data), dtype_called(_text(dtype)))
    flat[:] = data
    return np.reshape(flat, shape)


def _read_port(name: Any, shape: Any, dtype: Any, at: Any) -> tuple[TensorSpec, Tensor]:
    if not all(isinstance(n, str) or (type(n) is int and n >= 0) for n in shape):
        raise ValueError(f"{shape!r} is no shape")
    return TensorSpec(_text(name), tuple(shape), dtype_called(_text(dtype))), _tensor(at)
