"""A model in TensorFlow's own cells and loops, by the route its training script took.

The cells of `tensorflow_cells`, `ResidualWrapper`, `MultiRNNCell`, `dynamic_rnn` and
`bidirectional_dynamic_rnn`, in a graph and session of their own. Nothing of `model.equations` or
`model.forward` is used: this is the second opinion on both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.gates import Array
from lstmbridge.model.blocks import (
    Attachment,
    Bidirectional,
    Block,
    Highway,
    Layer,
    Model,
    Recurrent,
    Residual,
)
from lstmbridge.model.blocks import Sequence as Series
from lstmbridge.model.cells import Cell
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.runtimes.tensorflow_cells import (
    NAME,
    OwnCell,
    lacking,
    leaf_cells,
    own_cell,
    tools_of,
)

_DTYPES = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True)
class Stack:
    """A built network: feeds and fetches by the artifact's names."""

    session: Any
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs; every input must be fed."""
        fed = {tensor: feeds[name] for name, tensor in self.inputs.items()}
        found: dict[str, Array] = self.session.run(dict(self.outputs), feed_dict=fed)
        return found

    def close(self) -> None:
        """Let go of the session."""
        self.session.close()


def check_expressible(model: Model) -> None:
    """Refuse, before TensorFlow is imported, what it does not have.

    Raises:
        RuntimeUnavailable: naming the layer and the feature.
    """
    for layer in model.layers:
        cell = layer.cell
        lacks = lacking(cell)
        if not lacks and (str(cell.dtype) not in _DTYPES or cell.dtype != model.dtype):
            lacks = f"dtype {cell.dtype} in a network of {model.dtype}"
        if lacks:
            raise _declined(layer, lacks)
    for attachment in model.attachments:
        highway = isinstance(attachment.block, Highway)
        wrapper = (
            "HighwayWrapper" if highway else "InputProjectionWrapper, OutputProjectionWrapper"
        )
        raise _declined(attachment, f"{wrapper} any more")


def _declined(place: Layer | Attachment, what: str) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        f"TensorFlow 2 has no {what}",
        expected="cells and wrappers that TensorFlow 2 still has",
        where=f"{NAME}, {place.name}",
    )


def build_stack(tf: Any, model: Model) -> Stack:
    """The network in a graph of its own, its variables holding the model's weights.

    Raises:
        RuntimeUnavailable: a topology or a TensorFlow without these cells.
    """
    graph = tf.Graph()
    with graph.as_default(), tf.device("/cpu:0"):
        builder = _Builder(tf, model)
        x = builder.placeholder(INPUTS, (None, None, model.input_size))
        y = builder.block(model.root, x)
    config = tf.compat.v1.ConfigProto(device_count={"GPU": 0})
    session = tf.compat.v1.Session(graph=graph, config=config)
    for variable, numbers in builder.weights:
        # fed, not a constant: a graph may hold no more than 2 GB
        session.run(variable.initializer, {variable.initializer.inputs[1]: numbers})
    return Stack(session, builder.inputs, {OUTPUTS: y, **builder.finals})


class _Builder:
    """One graph in the making. Cells take the model's layers in order."""

    def __init__(self, tf: Any, model: Model) -> None:
        self._tf = tf
        self._dtype = tf.as_dtype(model.dtype.name)
        self._tools = tools_of(tf, self._dtype)
        self._layers = list(model.layers)
        self.inputs: dict[str, Any] = {}
        self.finals: dict[str, Any] = {}
        self.weights: list[tuple[Any, Array]] = []
        self._lengths = tf.compat.v1.placeholder(tf.int32, (None,), SEQUENCE_LENGTH)
        self.inputs[SEQUENCE_LENGTH] = self._lengths

    def placeholder(self, name: str, shape: tuple[int | None, ...]) -> Any:
        """An input under the artifact's name."""
        self.inputs[name] = self._tf.compat.v1.placeholder(self._dtype, shape, name)
        return self.inputs[name]

    def block(self, block: Block, x: Any) -> Any:
        """Y of `block` over x (batch, time, features)."""
        if _is_cell(block):
            return self._one_way(block, x)
        if isinstance(block, Bidirectional):
            return self._two_ways(block, x)
        if isinstance(block, Residual):
            return self._mask(self.block(block.inner, x) + x)
        assert isinstance(block, Series)  # `check_expressible` has refused the others
        for child in block.blocks:
            x = self.block(child, x)
        return x

    def _one_way(self, block: Block, x: Any) -> Any:
        cell, layers, initial = self._cell(block, x)
        y, final = self._tf.compat.v1.nn.dynamic_rnn(
            cell, x, self._lengths, initial, scope=layers[0].name
        )
        self._keep([cell], layers, final)
        return y

    def _two_ways(self, block: Bidirectional, x: Any) -> Any:
        if not (_is_cell(block.forward) and _is_cell(block.backward)):
            raise RuntimeUnavailable(
                "a bidirectional block lies inside one direction of another",
                expected="directions that are made of one-way layers",
                where=NAME,
            )
        forward, fw_layers, fw_initial = self._cell(block.forward, x)
        backward, bw_layers, bw_initial = self._cell(block.backward, x)
        ys, finals = self._tf.compat.v1.nn.bidirectional_dynamic_rnn(
            forward, backward, x, self._lengths, fw_initial, bw_initial, scope=fw_layers[0].name
        )
        self._keep([forward, backward], fw_layers + bw_layers, finals)
        return self._tf.concat(ys, axis=-1)

    def _mask(self, y: Any) -> Any:
        alive = self._tf.sequence_mask(self._lengths, self._tf.shape(y)[1])
        return self._tf.where(alive[..., None], y, self._tf.zeros_like(y))

    def _cell(self, block: Block, x: Any) -> tuple[Any, list[Layer], Any]:
        """(TensorFlow's cell, the layers in it, its initial state) of a one-way block."""
        rnn = self._tools.rnn
        if isinstance(block, Recurrent):
            layer = self._layers.pop(0)
            states = {
                state: self.placeholder(layer.initial_name(state), (None, width))
                for state, width in layer.cell.state_sizes.items()
            }
            initial = rnn.LSTMStateTuple(**states) if len(states) > 1 else states["h"]
            return _own(layer.cell).make(self._tools, layer.cell), [layer], initial
        if isinstance(block, Residual):
            cell, layers, initial = self._cell(block.inner, x)
            return rnn.ResidualWrapper(cell), layers, initial
        assert isinstance(block, Series)
        parts = [self._cell(child, x) for child in block.blocks]
        cells = rnn.MultiRNNCell([cell for cell, _, _ in parts])
        layers = [layer for _, inner, _ in parts for layer in inner]
        return cells, layers, tuple(initial for _, _, initial in parts)

    def _keep(self, cells: list[Any], layers: list[Layer], final: Any) -> None:
        """Note the final states, and which numbers go into which variable."""
        states = iter(self._tf.nest.flatten(final))
        for layer in layers:
            for state in _own(layer.cell).states:
                self.finals[layer.state_name(state)] = next(states)
        single = [leaf for cell in cells for leaf in leaf_cells(cell)]
        for own, layer in zip(single, layers, strict=True):
            numbers = _own(layer.cell).variables(layer.cell)
            ends = sorted(numbers, key=len, reverse=True)  # "projection/kernel" before "kernel"
            for variable in own.weights:
                name = variable.name.split(":")[0]
                key = next(end for end in ends if name.endswith(end))
                self.weights.append((variable, numbers.pop(key)))
            if numbers:
                raise RuntimeUnavailable(
                    f"TensorFlow's cell has no variable for {', '.join(numbers)}", where=NAME
                )


def _own(cell: Cell) -> OwnCell:
    own = own_cell(cell)
    assert own is not None  # `check_expressible` has asked
    return own


def _is_cell(block: Block) -> bool:
    """Can TensorFlow say the block as one cell?"""
    if isinstance(block, Residual):
        return _is_cell(block.inner)
    if isinstance(block, Series):
        return all(map(_is_cell, block.blocks))
    return isinstance(block, Recurrent)
