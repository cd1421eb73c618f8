"""A model in TensorFlow's own cells and loops, by the route its training script took.

`LSTMCell` (peepholes, projection, clips, any activation), `ResidualWrapper`, `MultiRNNCell`,
`dynamic_rnn` and `bidirectional_dynamic_rnn`, in a graph and session of their own. Nothing of
`model.equations` or `model.forward` is used: this is the second opinion on both.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.gates import TENSORFLOW_LSTM, Array
from lstmbridge.model.blocks import Bidirectional, Block, Layer, Model, Recurrent, Residual
from lstmbridge.model.blocks import Sequence as Series
from lstmbridge.model.cells import LSTM
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH

NAME = "tensorflow"

_CELLS = (
    # where TensorFlow and Keras have kept the cells, newest place first
    "tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl",
    "tensorflow.python.ops.rnn_cell_impl",
)

_ACTIVATIONS: Mapping[str, Callable[[Any], Callable[[Any], Any]]] = {
    "tanh": lambda tf: tf.tanh,
    "sigmoid": lambda tf: tf.sigmoid,
    "relu": lambda tf: tf.nn.relu,
    "elu": lambda tf: tf.nn.elu,
    "selu": lambda tf: tf.nn.selu,
    "softplus": lambda tf: tf.nn.softplus,
    "softsign": lambda tf: tf.nn.softsign,
    "linear": lambda tf: tf.identity,
    "relu6": lambda tf: tf.nn.relu6,
    # Keras before version 3; Keras 3 has another function by this name
    "hard_sigmoid": lambda tf: lambda x: tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0),
}

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
    """Refuse, before TensorFlow is imported, what its cells do not have.

    Raises:
        RuntimeUnavailable: naming the layer and the feature.
    """
    for attachment in model.attachments:
        raise RuntimeUnavailable(
            f"{attachment.name} stands between TensorFlow's cells",
            expected="cells alone, or with residual connections",
            where=NAME,
        )
    for layer in model.layers:
        cell = _lstm_of(layer)
        if cell.gate_activation.value != "sigmoid":
            raise _declined(layer, f"gates with {cell.gate_activation.value}: its are sigmoid")
        if cell.activation.value not in _ACTIVATIONS:
            raise _declined(layer, f"activation {cell.activation.value}")
        if str(cell.dtype) not in _DTYPES or cell.dtype != model.dtype:
            raise _declined(layer, f"dtype {cell.dtype} in a network of {model.dtype}")


def _lstm_of(layer: Layer) -> LSTM:
    if not isinstance(layer.cell, LSTM):
        raise _declined(layer, f"form for {layer.cell.KIND}")
    return layer.cell


def _declined(layer: Layer, what: str) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        f"TensorFlow's LSTMCell has no {what}",
        expected="a cell that tf.compat.v1.nn.rnn_cell.LSTMCell can be",
        where=f"{NAME}, {layer.name}",
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
        self._rnn = _cells_of(tf)
        self._dtype = tf.as_dtype(model.dtype.name)
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
        if isinstance(block, Series):
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
        if isinstance(block, Recurrent):
            layer = self._layers.pop(0)
            h, c = (
                self.placeholder(layer.initial_name(state), (None, width))
                for state, width in layer.cell.state_sizes.items()
            )
            return self._lstm_cell(_lstm_of(layer)), [layer], self._rnn.LSTMStateTuple(c=c, h=h)
        if isinstance(block, Residual):
            cell, layers, initial = self._cell(block.inner, x)
            return self._rnn.ResidualWrapper(cell), layers, initial
        assert isinstance(block, Series)
        parts = [self._cell(child, x) for child in block.blocks]
        cells = self._rnn.MultiRNNCell([cell for cell, _, _ in parts])
        layers = [layer for _, inner, _ in parts for layer in inner]
        return cells, layers, tuple(initial for _, _, initial in parts)

    def _lstm_cell(self, cell: LSTM) -> Any:
        projected = cell.projection is not None
        return self._rnn.LSTMCell(
            cell.units,
            use_peepholes=cell.peephole is not None,
            cell_clip=cell.cell_clip.value,
            num_proj=cell.output_size if projected else None,
            proj_clip=cell.proj_clip.value if projected else None,
            forget_bias=cell.forget_bias.value,
            activation=_ACTIVATIONS[cell.activation.value](self._tf),
            dtype=self._dtype,
        )

    def _keep(self, cells: list[Any], layers: list[Layer], final: Any) -> None:
        """Note the final states, and which numbers go into which variable."""
        states = self._tf.nest.flatten(final)  # c, h of each layer
        for k, layer in enumerate(layers):
            self.finals[layer.state_name("c")] = states[2 * k]
            self.finals[layer.state_name("h")] = states[2 * k + 1]
        single = [leaf for cell in cells for leaf in _lstm_cells(cell)]
        for lstm, layer in zip(single, layers, strict=True):
            numbers = _variables(_lstm_of(layer))
            for variable in lstm.weights:
                name = variable.name.split(":")[0]
                key = next(k for k in _LONGEST_FIRST if name.endswith(k))
                self.weights.append((variable, numbers.pop(key)))
            if numbers:
                raise RuntimeUnavailable(
                    f"TensorFlow's cell has no variable for {', '.join(numbers)}", where=NAME
                )


_LONGEST_FIRST = ("projection/kernel", "w_i_diag", "w_f_diag", "w_o_diag", "kernel", "bias")


def _variables(cell: LSTM) -> dict[str, Array]:
    """The numbers by the ends of TensorFlow's variable names, in its layout."""
    stacked = [cell.kernel.join(TENSORFLOW_LSTM), cell.recurrent.join(TENSORFLOW_LSTM)]
    bias = cell.bias
    found = {
        "kernel": np.concatenate(stacked, axis=0),
        "bias": np.zeros(4 * cell.units, cell.dtype)
        if bias is None
        else bias.join(TENSORFLOW_LSTM),
    }
    if cell.peephole is not None:
        found |= {f"w_{gate}_diag": cell.peephole[gate] for gate in "ifo"}
    if cell.projection is not None:
        found["projection/kernel"] = cell.projection.load()
    return found


def _is_cell(block: Block) -> bool:
    """Can TensorFlow say the block as one cell?"""
    if isinstance(block, Residual):
        return _is_cell(block.inner)
    if isinstance(block, Series):
        return all(map(_is_cell, block.blocks))
    return isinstance(block, Recurrent)


def _lstm_cells(cell: Any) -> list[Any]:
    """The `LSTMCell`s inside a cell, in order."""
    if hasattr(cell, "_cells"):
        return [leaf for inner in cell._cells for leaf in _lstm_cells(inner)]  # noqa: SLF001
    if hasattr(cell, "cell"):
        return _lstm_cells(cell.cell)
    return [cell]


def _cells_of(tf: Any) -> Any:
    """The module that holds `LSTMCell`, wherever this TensorFlow keeps it.

    Raises:
        RuntimeUnavailable: nowhere.
    """
    for name in _CELLS:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if hasattr(module, "LSTMCell") and hasattr(module, "ResidualWrapper"):
            return module
    raise RuntimeUnavailable(
        f"TensorFlow {tf.__version__} has no LSTMCell any more",
        expected=f"one of the modules {', '.join(_CELLS)}",
        where=NAME,
        advice="pip install tensorflow==2.16.2",
    )
