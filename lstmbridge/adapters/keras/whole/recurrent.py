"""Recurrent layers of Keras: drawn as loops, and named as stacks that stand at their places.

Semantics of directions and merges: the documentation of RNN and Bidirectional; masks: `masks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lstmbridge.adapters.keras.layers import Context, Leaf, recurrent_of
from lstmbridge.adapters.keras.versions import zeros_when_masked
from lstmbridge.adapters.keras.weights import Kernels
from lstmbridge.adapters.keras.whole.activations import activation_named
from lstmbridge.adapters.keras.whole.drawing import Drawing, Value
from lstmbridge.adapters.keras.whole.loops import Looped, loop
from lstmbridge.adapters.keras.whole.masks import Packed, packed, spread
from lstmbridge.adapters.keras.whole.site import Site
from lstmbridge.adapters.keras.whole.steps import Drawn
from lstmbridge.errors import CannotExpress
from lstmbridge.gates import Array, GateBlocks, InMemory, Weights
from lstmbridge.graph.whole import Place
from lstmbridge.model.blocks import Bidirectional, Block, Model, Recurrent
from lstmbridge.model.cells import GRU

RECURRENT = frozenset(
    {"LSTM", "GRU", "SimpleRNN", "CuDNNLSTM", "CuDNNGRU", "RNN", "Bidirectional"}
)
"""Classes that are drawn here."""


@dataclass(frozen=True)
class Cell:
    """A cell of a layer: as it is drawn, and as the model has it where it can."""

    drawn: Drawn
    block: Recurrent | None


@dataclass(frozen=True)
class Result:
    """What a recurrent layer gives, and the stacks in it."""

    outputs: list[Value]
    places: list[Place]


def draw_recurrent(site: Site, context: Context) -> Result:
    """One call of a recurrent layer.

    Raises:
        CannotExpress, NotRecognised, FactMissing: of its config or weights.
    """
    layer = _Layer.of(site, context)
    return _both(layer) if site.kind == "Bidirectional" else _one(layer)


@dataclass
class _Layer:
    """A layer that is being drawn."""

    site: Site
    config: Mapping[str, Any]
    cells: list[Cell]
    x: Value
    initial: list[Value | None]
    mask: Value | None

    @classmethod
    def of(cls, site: Site, context: Context) -> _Layer:
        """Look at the layer's config, inputs and weights. Errors: as `draw_recurrent`."""
        config = site.config
        if site.kind == "Bidirectional":
            inner = config["layer"].get("config")
            config = inner if isinstance(inner, dict) else {}
        x, initial, mask = _fed(site)
        if x.rank != 3:
            raise site.refused(f"is fed {x.rank} axes", "(batch, time, features)")
        if config.get("time_major"):
            raise site.refused("is time-major", "(batch, time, features)")
        cells = []
        for k, (leaf, kernels) in enumerate(
            zip(site.stored.leaves, site.stored.kernels, strict=True)
        ):
            halves = ("forward/", "backward/") if site.kind == "Bidirectional" else ("", "")
            scope = halves[k % 2] if site.kind == "Bidirectional" else (f"cell_{k}/" if k else "")
            cells.append(_cell(site, leaf, kernels, context, scope))
        wanted = sum(len(cell.drawn.states) for cell in cells)
        if initial and len(initial) != wanted:
            raise site.refused(f"is fed {len(initial)} states", f"{wanted} states")
        return cls(site, config, cells, x, initial or [None] * wanted, mask)

    @property
    def drawing(self) -> Drawing:
        """What it is drawn in."""
        return self.site.drawing

    def flag(self, key: str) -> bool:
        """A switch of its config."""
        return bool(self.config.get(key, False))


def _fed(site: Site) -> tuple[Value, list[Value | None], Value | None]:
    """The sequence, the states, and the mask."""
    options = dict(site.options)
    states = options.pop("initial_state", None)
    for key, value in options.items():
        if value is not None and key != "training":
            raise site.refused(f"is called with {key}")
    x, *rest = site.inputs
    initial: list[Value | None] = list(rest)
    if isinstance(states, Value):
        initial.append(states)
    elif isinstance(states, list | tuple):
        initial += [value for value in states if isinstance(value, Value)]
    elif states is not None:
        raise site.refused("has initial states that are no tensors")
    return replace(x, mask=None), initial, x.mask


def _cell(site: Site, leaf: Leaf, kernels: Kernels, context: Context, scope: str) -> Cell:
    problem: CannotExpress | None = None
    try:
        block: Recurrent | None = recurrent_of(site.name, leaf, kernels, context)
    except CannotExpress as err:
        block, problem = None, err
    kind = leaf.kind.removeprefix("CuDNN").removesuffix("Cell")
    cudnn = leaf.kind.startswith("CuDNN")
    config = leaf.config
    if cudnn:
        config = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    if (cudnn or kernels.parted) and block is None and problem is not None:
        raise problem
    gate = config.get("recurrent_activation", config.get("inner_activation"))
    if gate is None and block is not None and kind != "SimpleRNN":
        gate = block.cell.facts["gate_activation"].value
    after = kind == "GRU" and _resets_after(config, kernels, block)
    fused = _fused(block, kernels, cudnn=cudnn)
    d = site.drawing
    weights = {role: d.variable(f"{scope}{role}", w) for role, w in fused.items()}
    drawn = Drawn(
        kind,
        kernels.units,
        _read(d, kind, weights, after),
        activation_named(config.get("activation", "tanh"), site.version, site.name)[1],
        activation_named(gate or "sigmoid", site.version, site.name)[1],
        after,
    )
    return Cell(drawn, block)


def _resets_after(config: Mapping[str, Any], kernels: Kernels, block: Recurrent | None) -> bool:
    if block is not None and isinstance(block.cell, GRU):
        return bool(block.cell.reset_after.value)
    two = kernels.bias is not None and len(kernels.bias) == 2
    return bool(config.get("reset_after", two))


def _fused(block: Recurrent | None, kernels: Kernels, *, cudnn: bool) -> dict[str, Weights]:
    """Kernel, recurrent kernel and bias as Keras 2's layers have them."""
    if not cudnn and not kernels.parted:
        names = {"kernel": "kernel", "recurrent": "recurrent_kernel", "bias": "bias"}
        return {names[role]: ref for role, ref in kernels.roles.items()}
    if block is None:
        return {}
    cell = block.cell
    found: dict[str, Weights] = {
        "kernel": _joined(cell.blocks["kernel"]),
        "recurrent_kernel": _joined(cell.blocks["recurrent"]),
    }
    if "recurrent_bias" in cell.blocks:
        rows = [_joined(cell.blocks[n]).load() for n in ("bias", "recurrent_bias")]
        found["bias"] = InMemory("bias", np.stack(rows))
    elif "bias" in cell.blocks:
        found["bias"] = _joined(cell.blocks["bias"])
    return found


_ORDER = {"i": 0, "f": 1, "c": 2, "o": 3, "z": 0, "r": 1, "h": 2}


def _joined(blocks: Any) -> InMemory:
    """A cell's gates side by side in Keras' order."""
    if not isinstance(blocks, GateBlocks):
        raise TypeError("no gates")
    gates = sorted(blocks, key=lambda g: 2 if g == "c" else _ORDER.get(g, 0))
    joined: Array = np.concatenate([blocks[gate] for gate in gates], axis=-1)
    return InMemory("joined", joined)


def _read(d: Drawing, kind: str, weights: Mapping[str, Value], after: bool) -> dict[str, Value]:
    """The weights as a step reads them."""
    found = {"kernel": weights["kernel"], "recurrent": weights["recurrent_kernel"]}
    bias = weights.get("bias")
    if kind == "GRU" and not after:
        units = weights["recurrent_kernel"].shape[0] or 0
        recurrent = found.pop("recurrent")
        found["gates"] = d.slice(recurrent, 1, 0, 2 * units)
        found["candidate"] = d.slice(recurrent, 1, 2 * units, None)
    if bias is not None and bias.rank == 2:
        found["bias"], found["second"] = d.at(bias, 0, 0), d.at(bias, 0, 1)
    elif bias is not None:
        found["bias"] = bias
    return found


def _one(layer: _Layer) -> Result:
    """A layer in one direction: one cell, or several on one another."""
    site, d = layer.site, layer.drawing
    backwards, sequences = layer.flag("go_backwards"), layer.flag("return_sequences")
    x, mask = layer.x, layer.mask
    if backwards:
        x = d.reverse(x, 1)
        mask = None if mask is None else d.reverse(mask, 1)
    given = None if mask is None else packed(d, x, mask)
    wide = layer.flag("zero_output_for_mask") and given is not None
    places: list[Place] = []
    states: list[Value] = []
    initial = list(layer.initial)
    current = x if given is None else given.x
    for k, cell in enumerate(layer.cells):
        own = [initial.pop(0) for _ in cell.drawn.states]
        last = k == len(layer.cells) - 1
        looped = loop(
            d, cell.drawn, current, own, None if given is None else given.lengths,
            sequence=sequences or wide or not last,
        )  # fmt: skip
        name = site.name if len(layer.cells) == 1 else f"{site.name}/cell_{k}"
        places += _places(_Stand(name, current, given, [own]), [cell], [looped])
        current = looped.sequence or current
        states += looped.finals
    output = looped.finals[0]
    if sequences or wide:
        output = current
        if given is not None:
            output = spread(d, current, given, backward=False, zeros=wide)
        if not sequences:
            output = d.at(output, 1, -1)
    if sequences and layer.mask is not None:
        # Keras hands the mask on as it is, whichever way the steps went
        output = replace(output, mask=layer.mask)
    outputs = [output]
    if layer.flag("return_state"):
        outputs += states
    return Result(outputs, places)


def _both(layer: _Layer) -> Result:
    """A Bidirectional layer."""
    site, d = layer.site, layer.drawing
    if len(layer.cells) != 2:
        raise site.refused(f"has {len(layer.cells)} cells", "one in each direction")
    sequences = layer.flag("return_sequences")
    given = None if layer.mask is None else packed(d, layer.x, layer.mask)
    wide = given is not None and sequences and zeros_when_masked(site.version)
    x = layer.x if given is None else given.x
    lengths = None if given is None else given.lengths
    half = len(layer.cells[0].drawn.states)
    starts = [layer.initial[:half], layer.initial[half:]]
    fw = loop(d, layer.cells[0].drawn, x, starts[0], lengths, sequence=sequences)
    bw = loop(d, layer.cells[1].drawn, _turned(d, x, lengths), starts[1], lengths,
              sequence=sequences)  # fmt: skip
    if bw.sequence is not None:
        bw = replace(bw, sequence=_turned(d, bw.sequence, lengths))
    places = _places(_Stand(site.name, x, given, starts), layer.cells, [fw, bw])
    pair = [fw.finals[0], bw.finals[0]]
    if fw.sequence is not None and bw.sequence is not None:
        pair = [fw.sequence, bw.sequence]
        if given is not None:
            pair = [
                spread(d, one, given, backward=bool(k), zeros=wide) for k, one in enumerate(pair)
            ]
    outputs = _merged(site, pair)
    if sequences and layer.mask is not None:
        outputs = [replace(one, mask=layer.mask) for one in outputs]
    if layer.flag("return_state"):
        outputs += [*fw.finals, *bw.finals]
    return Result(outputs, places)


def _turned(d: Drawing, value: Value, lengths: Value | None) -> Value:
    """In reversed time, each row up to its length."""
    if lengths is None:
        return d.reverse(value, 1)
    return d.op("ReverseSequence", [value, lengths], value.shape, seq_dim=1, batch_dim=0)


def _merged(site: Site, pair: Sequence[Value]) -> list[Value]:
    d, mode = site.drawing, site.config.get("merge_mode", "concat")
    forward, backward = pair
    if mode is None:
        return [forward, backward]
    if mode == "concat":
        return [d.concat([forward, backward], -1)]
    if mode == "mul":
        return [d.binary("Mul", forward, backward)]
    if mode not in {"sum", "ave"}:
        raise site.refused(f"has merge_mode {mode!r}", "concat, sum, ave, mul or None")
    total = d.binary("AddV2", forward, backward)
    return [total if mode == "sum" else d.binary("RealDiv", total, d.number(2.0))]


@dataclass(frozen=True)
class _Stand:
    """Where loops stand: what they read, and how they begin."""

    name: str
    x: Value
    given: Packed | None
    starts: Sequence[Sequence[Value | None]]


def _places(stand: _Stand, cells: Sequence[Cell], looped: Sequence[Looped]) -> list[Place]:
    """The stack that loops are, where the model has such cells."""
    blocks = [cell.block for cell in cells if cell.block is not None]
    if len(blocks) != len(cells):
        return []
    root: Block = blocks[0] if len(blocks) == 1 else Bidirectional(blocks[0], blocks[1])
    model = Model(stand.name, root)
    pairs = list(zip(model.layers, cells, stand.starts, looped, strict=True))
    initial = {
        (layer.name, state): _tensor(value)
        for layer, cell, own, _ in pairs
        for state, value in zip(cell.drawn.states, own, strict=True)
        if value is not None
    }
    finals = {
        (layer.name, state): (tensor,)
        for layer, _, _, one in pairs
        for state, tensor in one.exits.items()
    }
    lengths = None if stand.given is None else _tensor(stand.given.lengths)
    return [
        Place(
            name=stand.name,
            model=model,
            source=_tensor(stand.x),
            time_major=False,
            lengths=lengths,
            initial=initial,
            outputs=tuple(_tensor(one.sequence) for one in looped if one.sequence is not None),
            outputs_time_major=False,
            finals=finals,
            nodes=frozenset(one.name for one in looped),
        )
    ]


def _tensor(value: Value) -> tuple[str, int]:
    name, colon, number = value.name.rpartition(":")
    return (name, int(number)) if colon else (value.name, 0)
