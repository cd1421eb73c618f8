"""A model in plain words and arrays, for a TensorFlow that rebuilds it in its own cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.gates import Array
from lstmbridge.model.blocks import (
    Bidirectional,
    Block,
    Layer,
    Model,
    Recurrent,
    Residual,
)
from lstmbridge.model.blocks import Sequence as Series
from lstmbridge.runtimes.tensorflow_cells import own_cell

_KINDS = frozenset({"LSTM", "GRU", "RNN"})


def network_of(
    model: Model, variables: Mapping[str, tuple[str, ...]], where: str
) -> tuple[dict[str, Any], dict[str, Array]]:
    """(what the worker rebuilds, its numbers by ``layer|role``).

    Args:
        model: the network.
        variables: a layer -> the names of its variables in the source.
        where: for messages.

    Raises:
        RuntimeUnavailable: naming the layer and what no TensorFlow's cells of every release have.
    """
    if model.attachments:
        raise _declined(where, model.attachments[0].name, "a wrapper with weights of its own")
    layers, weights = [], {}
    for layer in model.layers:
        numbers = _numbers(layer, where)
        layers.append(_described(layer, list(numbers), variables.get(layer.name, ())))
        weights.update({f"{layer.name}|{role}": array for role, array in numbers.items()})
    network = {
        "dtype": str(model.dtype),
        "input_size": model.input_size,
        "layers": layers,
        "root": _block(model.root, iter(model.layers)),
    }
    return network, weights


def _declined(where: str, layer: str, what: str) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        f"{layer}: {what} is not rebuilt in another Python's TensorFlow",
        expected="LSTM, GRU or RNN cells of tf.nn.rnn_cell, or a graph beside the weights",
        where=where,
    )


def _numbers(layer: Layer, where: str) -> Mapping[str, Array]:
    cell = layer.cell
    facts = {name: fact.value for name, fact in cell.facts.items()}
    own = own_cell(cell)
    if own is None or cell.KIND not in _KINDS or own.any_gates:
        raise _declined(where, layer.name, f"a {cell.KIND} cell of this form")
    if facts.get("gate_activation", "sigmoid") != "sigmoid":
        raise _declined(where, layer.name, f"a gate's {facts['gate_activation']}")
    return own.variables(cell)


def _described(layer: Layer, roles: list[str], variables: tuple[str, ...]) -> dict[str, Any]:
    cell = layer.cell
    states = dict(cell.state_sizes)
    return {
        "name": layer.name,
        "kind": cell.KIND,
        "units": cell.units,
        "output_size": cell.output_size,
        "facts": {name: fact.value for name, fact in cell.facts.items()},
        "roles": roles,
        "variables": list(variables),
        "states": states,
        "initial": {state: layer.initial_name(state) for state in states},
        "final": {state: layer.state_name(state) for state in states},
    }


def _block(block: Block, layers: Iterator[Layer]) -> dict[str, Any]:
    if isinstance(block, Recurrent):
        return {"kind": "cell", "layer": next(layers).name}
    if isinstance(block, Residual):
        return {"kind": "residual", "inner": _block(block.inner, layers)}
    if isinstance(block, Bidirectional):
        forward = _block(block.forward, layers)
        return {
            "kind": "bidirectional",
            "forward": forward,
            "backward": _block(block.backward, layers),
        }
    assert isinstance(block, Series)  # a wrapper with weights was declined
    return {"kind": "sequence", "blocks": [_block(child, layers) for child in block.blocks]}
