"""A whole model as tensors and text: what a file must hold."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

import numpy as np

from lstmbridge.contracts import TargetOptions
from lstmbridge.errors import CannotExpress, NotRecognised
from lstmbridge.gates import Array, InMemory, Weights
from lstmbridge.graph.network import Network, Op
from lstmbridge.graph.trace import VARIABLES
from lstmbridge.graph.whole import Port, Whole
from lstmbridge.model.signature import TensorSpec
from lstmbridge.targets.ranks import shape_of_port
from lstmbridge.targets.torch.codec import DTYPES
from lstmbridge.targets.torch.files import Content
from lstmbridge.targets.torch.weights import cast, state_dict
from lstmbridge.targets.torch.whole.program import (
    GRAPH,
    WEIGHT,
    Program,
    dtype_called,
    to_json,
)
from lstmbridge.targets.torch.whole.said import said_of
from lstmbridge.targets.torch.whole.stack import PREFIX, Stack, stack_of
from lstmbridge.targets.wholes import precision_of_whole

MOST_IN_TEXT = 64
"""Integers of a constant that stand in the text; more are a tensor of the file."""
_ADVICE = "give --stack-only to convert the recurrent layers alone"


def plan_whole(whole: Whole, options: TargetOptions) -> Content:
    """The tensors and the graph of a file.

    A stack whose model has no modules is said operation by operation, as the rest is; so is one
    that the rest cannot be computed around.

    Raises:
        CannotExpress: an operation that is not known, or a port that holds no numbers.
    """
    dtype = (
        dtype_called(options.dtype)
        if options.dtype in DTYPES
        else precision_of_whole(whole, options)
    )
    try:
        said = said_of(whole, dtype)
    except NotRecognised as error:
        raise CannotExpress(error.read, where=error.where, advice=_ADVICE) from error
    left = said.left
    tensors: dict[str, Weights] = {}
    ops: dict[str, Op] = {}
    for op in left.network.ops.values():
        ops[op.name] = _stored(op, whole, dtype, tensors)
    stacks: dict[str, Stack] = {}
    for name, place in left.stacks.items():
        key = _stack_key(place.name, {one.key for one in stacks.values()} | tensors.keys())
        stack = stacks[name] = stack_of(place, key, said.architectures[place.name])
        own = state_dict(place.model, stack.architecture, dtype)
        tensors |= {f"{stack.prefix}{inner}": weights for inner, weights in own.items()}
    loops, where = left.network.loops, left.network.where
    program = Program(
        dtype.name,
        Network(ops, loops, where),
        tuple(
            (_spec(_ranked(whole, p), dtype), at)
            for p, at in zip(whole.inputs, left.inputs, strict=True)
        ),
        tuple((_spec(p, dtype), at) for p, at in zip(whole.outputs, left.outputs, strict=True)),
        tuple((at, np.asarray(whole.settings[k].value)) for at, k in left.fixed.items()),
        said.expressions,
        stacks,
    )
    ordered = {key: tensors[key] for key in sorted(tensors)}
    return Content(ordered, {GRAPH: to_json(program)})


def _stored(op: Op, whole: Whole, dtype: np.dtype[Any], tensors: dict[str, Weights]) -> Op:
    """The operation; one that is a table of numbers becomes a tensor of the file."""
    if op.kind in VARIABLES:
        array = np.asarray(whole.program.weights(op))
        declared = op.attrs.get("dtype")
        if declared is not None and np.dtype(declared).kind in "iub":
            array = array.astype(bool if np.dtype(declared).kind == "b" else np.int64)
    elif op.kind == "Const":
        array = np.asarray(op.attrs["value"].load())
        small = array.ndim == 0 if array.dtype.kind in "fV" else array.size <= MOST_IN_TEXT
        if small or array.dtype.kind in "OSU":
            return op
    else:
        return op
    key = _key(op.name, tensors)
    tensors[key] = InMemory(key, _narrowed(array, dtype, op.name))
    return replace(op, kind=WEIGHT, inputs=(), attrs={"key": key}, controls=())


def _narrowed(array: Array, dtype: np.dtype[Any], name: str) -> Array:
    if array.dtype.kind in "fV":
        return cast(array, dtype, name)
    return np.ascontiguousarray(array.astype(bool if array.dtype.kind == "b" else np.int64))


def _key(name: str, taken: dict[str, Weights]) -> str:
    """A variable's own name, as far as torch takes it.

    Torch has no points in a name, and one without a slash might be an attribute of a module: it
    is called as TensorFlow calls its tensor.
    """
    plain = name.replace(".", "_")
    key = plain if "/" in plain else f"{plain}:0"
    while key in taken:
        key += "_"
    return key


def _stack_key(scope: str, taken: AbstractSet[str]) -> str:
    """A stack's scope, as far as torch takes it for the name of a module."""
    key = PREFIX + scope.replace(".", "_")
    while key in taken:
        key += "_"
    return key


def _ranked(whole: Whole, port: Port) -> Port:
    return replace(port, shape=shape_of_port(whole, port))


def _spec(port: Port, dtype: np.dtype[Any]) -> TensorSpec:
    if port.dtype.kind not in "iubfV":
        raise CannotExpress(
            f"{port.name!r} is of {port.dtype}",
            expected="numbers",
            where=port.tensor[0],
            advice=f"{_ADVICE}, or choose other inputs and outputs with --inputs, --outputs",
        )
    own = port.dtype if port.dtype.kind in "iub" else dtype
    if port.shape is None:
        return TensorSpec(port.name, ("...",), own)
    axes = enumerate(port.shape)
    shape = tuple(f"{port.name}_dim{k}" if n is None else n for k, n in axes)
    return TensorSpec(port.name, shape, own)
