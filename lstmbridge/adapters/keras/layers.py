"""Each recurrent layer of a Keras file as a block, with what it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmbridge.adapters.keras.cells import CUDNN, GATES, Constants, build
from lstmbridge.adapters.keras.config import LayerEntry
from lstmbridge.adapters.keras.versions import (
    gate_activation,
    other_hard_sigmoid,
    release,
    reset_after,
    unlike_tensorflow_2,
)
from lstmbridge.adapters.keras.weights import Kernels
from lstmbridge.arrays.namespace import ACTIVATIONS
from lstmbridge.contracts import Hints
from lstmbridge.errors import CannotExpress, FactConflict, FactMissing, NotRecognised
from lstmbridge.gates import InMemory
from lstmbridge.model.blocks import Bidirectional, Block, Dense, Recurrent
from lstmbridge.model.blocks import Sequence as Chain
from lstmbridge.model.cells import Cell
from lstmbridge.model.facts import Fact

MERGES: Mapping[str | None, float] = {"concat": 0.0, "sum": 1.0, "ave": 0.5, None: 0.0}
"""How a Bidirectional layer merges -> what each direction is multiplied by before it is added."""
_REFUSED = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")


@dataclass(frozen=True, slots=True)
class Context:
    """What holds for all layers of one file."""

    version: str
    tree: bool
    where: str
    hints: Hints


@dataclass(frozen=True, slots=True)
class Leaf:
    """One cell that a layer is said to have."""

    kind: str
    config: Mapping[str, Any]


def leaves_of(entry: LayerEntry, *, alone: bool = True) -> list[Leaf]:
    """The cells of a recurrent layer, forward before backward; none where it is another layer.

    Args:
        entry: the layer.
        alone: it is to be a block of a stack, which has no reversed time.

    Raises:
        CannotExpress: a recurrent layer that has no exact form here.
    """
    config, kind = entry.config, entry.kind
    if kind in _REFUSED:
        raise CannotExpress(
            f"{entry.name} is a {kind}, whose states are images",
            where=entry.name,
            advice="there is no exact way to convert it",
        )
    if kind in GATES:
        refuse_backwards(entry.name, alone and config.get("go_backwards"))
        return [Leaf(kind, config)]
    if kind == "RNN":
        refuse_backwards(entry.name, alone and config.get("go_backwards"))
        return _cells(entry, config.get("cell"))
    if kind != "Bidirectional":
        return []
    inner = config.get("layer")
    if not isinstance(inner, dict) or not isinstance(inner.get("config"), dict):
        return []
    other = config.get("backward_layer")
    pair = [inner, other if isinstance(other, dict) else inner]
    if inner["config"].get("go_backwards"):
        raise CannotExpress(f"the forward layer of {entry.name} goes backwards", where=entry.name)
    found = [
        leaf
        for layer in pair
        for leaf in leaves_of(
            LayerEntry(
                entry.path,
                str(layer.get("class_name", "")),
                {**layer["config"], "go_backwards": False},
                None,
                (),
            )
        )
    ]
    if len(found) != 2:
        raise CannotExpress(
            f"{entry.name} is a Bidirectional layer over {inner.get('class_name')}",
            expected="one recurrent cell in each direction",
            where=entry.name,
        )
    return found


def _cells(entry: LayerEntry, cell: Any) -> list[Leaf]:
    """The cells of an RNN layer. Errors: CannotExpress."""
    kind = str(cell.get("class_name", "")) if isinstance(cell, dict) else ""
    config = cell.get("config") if isinstance(cell, dict) else None
    if kind == "StackedRNNCells" and isinstance(config, dict):
        return [leaf for one in config.get("cells", ()) for leaf in _cells(entry, one)]
    if kind in GATES and isinstance(config, dict):
        return [Leaf(kind, config)]
    raise CannotExpress(
        f"{entry.name} is an RNN layer over a {kind or 'cell'} of its own",
        expected="LSTMCell, GRUCell, SimpleRNNCell, or StackedRNNCells of these",
        where=entry.name,
        advice="there is no exact way to convert a cell that the file does not define",
    )


def refuse_backwards(name: str, backwards: Any) -> None:
    """Errors: CannotExpress for a lone layer in reversed time."""
    if backwards:
        raise CannotExpress(
            f"{name} goes backwards (go_backwards=True)",
            expected="a layer that goes forward, or a Bidirectional layer",
            where=name,
            advice="convert the whole model, which says it: give the file with its model in it, "
            "without --stack-only",
        )


def block_of(
    name: str, leaves: Sequence[Leaf], kernels: Sequence[Kernels], context: Context
) -> Block:
    """The block of a layer: one cell, cells on one another, or two directions.

    Raises:
        NotRecognised: the weights are not those that the config asks for.
        CannotExpress, FactConflict, FactMissing: of a constant.
    """
    blocks = [recurrent_of(name, *pair, context) for pair in zip(leaves, kernels, strict=True)]
    return blocks[0] if len(blocks) == 1 else Chain(tuple(blocks))


def both_ways(
    name: str,
    leaves: Sequence[Leaf],
    kernels: Sequence[Kernels],
    context: Context,
    merge: str | None = "concat",
) -> Block:
    """The block of a Bidirectional layer; a sum is a product with two unit matrices, exactly.

    merge_mode None gives the two directions apart: here they stand side by side.

    Raises:
        As `block_of`; CannotExpress for a merge that no block says.
    """
    if merge not in MERGES:
        raise CannotExpress(
            f"{name} is a Bidirectional layer with merge_mode {merge!r}",
            expected=f"merge_mode {', '.join(map(str, MERGES))}",
            where=name,
            advice="convert the whole model, which says it: give the file with its model in it, "
            "without --stack-only",
        )
    forward, backward = (
        recurrent_of(name, *pair, context) for pair in zip(leaves, kernels, strict=True)
    )
    both = Bidirectional(forward, backward)
    if not MERGES[merge]:
        return both
    unit = np.eye(forward.output_size, dtype=forward.cell.dtype) * forward.cell.dtype.type(
        MERGES[merge]
    )
    kernel = InMemory(f"{name} merge_mode {merge}", np.concatenate([unit, unit]))
    linear = Fact.read("linear", f"{context.where}: {name}: merge_mode {merge}")
    return Chain((both, Dense(kernel, None, linear)))


def recurrent_of(name: str, leaf: Leaf, kernels: Kernels, context: Context) -> Recurrent:
    """One cell of a layer.

    Raises:
        As `block_of`.
    """
    units = leaf.config.get("units", leaf.config.get("output_dim", kernels.units))
    if kernels.gates != GATES[leaf.kind] or units != kernels.units:
        raise NotRecognised(
            f"{name} is a {leaf.kind} of {units} units, and its weights have {kernels.gates} "
            f"gates of {kernels.units}",
            expected="weights of this layer",
            where=kernels.place,
        )
    return Recurrent(_cell(name, leaf, kernels, context))


def _cell(name: str, leaf: Leaf, kernels: Kernels, context: Context) -> Cell:
    cudnn = leaf.kind in CUDNN
    where = f"{context.where}: {name}"
    bias = kernels.bias
    after = cudnn if kernels.gates == 3 else False
    if bias is not None and len(bias) == 2:
        after = True
    reset = Fact.read(after, where if "reset_after" in leaf.config else "shape of the bias")
    if bias is None and kernels.gates == 3 and not kernels.parted:
        reset = _reset(name, leaf, where, context)
        after = reset.value
    if cudnn:
        by_class = f"{leaf.kind} has no other"
        constants = Constants(
            Fact.read("tanh", by_class), Fact.read("sigmoid", by_class), Fact.read(True, by_class)
        )
        _agree(constants.activation, context.hints.activation, "--activation")
        _agree(constants.gate_activation, context.hints.gate_activation, "--gate-activation")
    else:
        constants = Constants(
            _activation(leaf, "activation", where, context),
            _gates(name, leaf, kernels, where, context, reset=reset),
            reset,
        )
    if "reset_after" in leaf.config and bool(leaf.config["reset_after"]) != after:
        raise NotRecognised(
            f"{name} says reset_after={leaf.config['reset_after']}, and its bias is {bias}",
            expected="a bias with two rows where the reset comes after",
            where=where,
        )
    return build(kernels, constants, cudnn=cudnn)


def _reset(name: str, leaf: Leaf, where: str, context: Context) -> Fact[bool]:
    """Which reset a GRU without a bias has, whose shape would show it. Errors: FactMissing."""
    if "reset_after" in leaf.config:
        return Fact.read(bool(leaf.config["reset_after"]), where)
    if context.hints.reset_after is not None:
        return Fact.given(context.hints.reset_after, "--reset-after")
    found = reset_after(context.version, tree=context.tree)
    if found is None:
        raise FactMissing(
            f"{name}: a GRU without a bias does not show its reset, and Keras "
            f"{context.version or 'of no stated version'} had two defaults",
            expected="before the product (Keras 2, TensorFlow 1) or after (TensorFlow 2)",
            where=context.where or name,
            advice="--reset-after, or --no-reset-after",
        )
    return Fact.assumed(found, f"default of Keras {context.version or '3'}")


def _gates(
    name: str, leaf: Leaf, kernels: Kernels, where: str, context: Context, *, reset: Fact[bool]
) -> Fact[str]:
    for key in ("recurrent_activation", "inner_activation"):
        if key in leaf.config:
            return _activation(leaf, key, where, context)
    given = context.hints.gate_activation
    if kernels.gates == 1:
        return Fact.read("sigmoid", "it has no gate")
    if given is not None:
        return Fact.given(given, "--gate-activation")
    version = "1.0" if kernels.parted and not context.version else context.version
    found = gate_activation(version, tree=context.tree)
    if kernels.gates == 3 and unlike_tensorflow_2(version, after=reset.value):
        found = None
    if found is None:
        raise FactMissing(
            f"{name}: the file does not say what its gates' activation is, and Keras "
            f"{context.version or 'of no stated version'} had two defaults",
            expected="hard_sigmoid (Keras up to 2.2, TensorFlow 1, tf.compat.v1) or sigmoid "
            "(TensorFlow 2)",
            where=context.where or name,
            advice="--gate-activation hard_sigmoid, or --gate-activation sigmoid",
        )
    classic = "; tf.compat.v1's layers have hard_sigmoid" if release(version) >= (2, 4) else ""
    return Fact.assumed(found, f"default of Keras {version or '3'}{classic}")


def _activation(leaf: Leaf, key: str, where: str, context: Context) -> Fact[str]:
    flag = "--activation" if key == "activation" else "--gate-activation"
    given = getattr(context.hints, flag.removeprefix("--").replace("-", "_"))
    if key not in leaf.config:
        if given is not None:
            return Fact.given(given, flag)
        return Fact.assumed("tanh", f"default of Keras {context.version}".rstrip())
    stored = leaf.config[key]
    if isinstance(stored, dict):
        stored = stored.get("config") if isinstance(stored.get("config"), str) else stored
    value = "linear" if stored is None else str(stored)
    odd = value == "hard_sigmoid" and other_hard_sigmoid(context.version)
    if value not in ACTIVATIONS or odd:
        what = "Keras 3's hard_sigmoid, clip(x / 6 + 0.5, 0, 1)," if odd else f"{value[:60]!r}"
        raise CannotExpress(
            f"{key} is {what} which no target has",
            expected=f"one of {', '.join(ACTIVATIONS)}",
            where=where,
            advice="there is no exact way to convert it",
        )
    fact = Fact.read(value, where)
    _agree(fact, given, flag)
    return fact


def _agree(fact: Fact[str], given: str | None, flag: str) -> None:
    """Refuse what contradicts the file. Errors: FactConflict."""
    if given is not None and given != fact.value:
        raise FactConflict(
            f"{flag} {given}, and the file says {fact.value}",
            expected="a statement that agrees with what was read",
            where=fact.where,
            advice=f"leave {flag} out",
        )
