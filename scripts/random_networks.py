"""Random networks for experiments: every kind of cell and wrapper, sizes, weights, options.

`case(seed)` is the same on every machine. The weights are of the regimes of `WEIGHTS`, each of
which breaks another habit of thought about tolerances: chaotic ones part company after some
steps, saturated ones hide errors, tiny ones live near the noise, huge ones switch gates between
exact 0 and 1, and whole blocks may be zero.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import ml_dtypes
import numpy as np

from lstmbridge.contracts import TargetOptions
from lstmbridge.gates import GateBlocks, InMemory
from lstmbridge.model.blocks import (
    Bidirectional,
    Dense,
    Highway,
    Model,
    Recurrent,
    Residual,
    Sequence,
)
from lstmbridge.model.cells import (
    GRU,
    LSTM,
    NAS,
    RNN,
    UGRNN,
    CoupledLSTM,
    IndyGRU,
    IndyLSTM,
    Intersection,
    LayerNormLSTM,
)
from lstmbridge.model.facts import Fact
from lstmbridge.model.signature import States

KINDS = (LSTM, GRU, RNN, CoupledLSTM, LayerNormLSTM, IndyLSTM, IndyGRU, NAS, UGRNN, Intersection)
_KIND_SHARES = (0.40, 0.20, 0.08, 0.05, 0.06, 0.04, 0.04, 0.05, 0.04, 0.04)
WEIGHTS = {
    # regime: (share, times 1 / sqrt(fan in), bias)
    "trained": (0.30, (0.7, 1.6), 0.5),
    "tame": (0.15, (0.1, 0.7), 0.2),
    "lively": (0.15, (1.6, 4.0), 1.0),
    "chaotic": (0.12, (4.0, 30.0), 1.0),
    "saturated": (0.08, (0.5, 2.0), 12.0),
    "tiny": (0.08, (1e-5, 1e-2), 1e-3),
    "huge": (0.04, (100.0, 3000.0), 50.0),
    "sparse": (0.04, (1.0, 4.0), 0.0),
    "some blocks zero": (0.04, (0.7, 1.6), 0.0),
}
_DTYPES = {"float32": 0.80, "float16": 0.08, "bfloat16": 0.06, "float64": 0.06}
_NUMPY = {"float16": np.float16, "float32": np.float32, "float64": np.float64}
_NUMPY["bfloat16"] = ml_dtypes.bfloat16
_GATE_ACTIVATIONS = ("hard_sigmoid", "tanh", "softsign", "relu6")
_ACTIVATIONS = ("relu", "sigmoid", "softsign", "elu", "selu", "softplus", "linear", "relu6")


@dataclass(frozen=True)
class Case:
    """A random network, and what its artifact is asked to be.

    Attributes:
        kind: of its cells; ``"mixed"``.
        weights: the regime, a key of `WEIGHTS`.
        around: what stands around the cells: ``"stack"``, ``"bidirectional"``, ...
    """

    seed: int
    model: Model
    kind: str
    weights: str
    around: str
    options: TargetOptions

    @property
    def dtype(self) -> str:
        """As the weights are stored."""
        return str(self.model.dtype)

    @property
    def units(self) -> int:
        """Of the widest layer."""
        return max(layer.cell.units for layer in self.model.layers)


class Maker:
    """Draws everything of one network from one generator."""

    def __init__(self, seed: int, widest: int) -> None:
        self.random = np.random.default_rng([seed, 20261123])
        self.widest = widest
        self.regime = self.pick(WEIGHTS, [share for share, _, _ in WEIGHTS.values()])
        _, (low, high), self.bias = WEIGHTS[self.regime]
        self.scale = float(np.exp(self.random.uniform(np.log(low), np.log(high))))
        self.dtype = _NUMPY[self.pick(_DTYPES, _DTYPES.values())]

    def pick(self, values, shares=None):
        values = list(values)
        shares = None if shares is None else np.asarray(list(shares)) / sum(shares)
        return values[int(self.random.choice(len(values), p=shares))]

    def chance(self, probability: float) -> bool:
        return bool(self.random.random() < probability)

    def width(self) -> int:
        """Log-uniform, and small ones three times in four."""
        top = self.pick((16, 64, 256, 1024), (0.75, 0.18, 0.05, 0.02))
        return int(np.exp(self.random.uniform(0.0, np.log(min(top, self.widest) + 1))))

    def numbers(self, *shape: int, scale: float) -> np.ndarray:
        values = self.random.normal(size=shape) * scale
        if self.regime == "sparse":
            values *= self.random.random(shape) < 0.15
        if self.regime == "some blocks zero" and self.chance(0.3):
            values *= 0.0
        # float16 ends at 65,504; a source that stores infinities is refused before any run
        return np.clip(values, -6e4, 6e4).astype(self.dtype)

    def cell(self, kind, inputs: int, units: int, projection: int = 0):
        """One cell, each optional block and fact there or not by chance."""
        out = projection or units
        rows = 1 if kind in {IndyLSTM, IndyGRU} else out
        shapes = {"kernel": (inputs, units), "recurrent": (rows, units)}
        made = {}
        after = self.chance(0.5)
        for one in fields(kind):
            name = one.name
            if name in _FACTS:
                made[name] = Fact.given(self.fact(name, after, projection), "drawn")
            elif name == "projection":
                stored = InMemory(name, self.numbers(units, out, scale=1 / np.sqrt(units)))
                made[name] = stored if projection else None
            elif (
                (name == "peephole" and self.chance(0.6))
                or (name == "recurrent_bias" and not (after and self.chance(0.8)))
                or (name == "bias" and self.chance(0.1))
            ):
                made[name] = None
            elif name.startswith("state_"):
                made[name] = InMemory(name, self.numbers(units, scale=0.5))
            else:
                fan = np.sqrt(inputs + rows) if name in shapes else 1.0
                scale = self.scale / fan if name in shapes else self.bias
                gates = [g for g in kind.GATES if name != "peephole" or g in "ifo"]
                shape = shapes.get(name, (units,))
                made[name] = GateBlocks.of({g: self.numbers(*shape, scale=scale) for g in gates})
        return kind(**made)

    def fact(self, name: str, after: bool, projection: int):
        if name == "reset_after":
            return after
        if name == "forget_bias":
            return self.pick((1.0, 0.0, 0.5, -2.0), (0.6, 0.25, 0.1, 0.05))
        if name == "activation":
            return "tanh" if self.chance(0.8) else self.pick(_ACTIVATIONS)
        if name == "gate_activation":
            return "sigmoid" if self.chance(0.85) else self.pick(_GATE_ACTIVATIONS)
        if name == "epsilon":
            return self.pick((1e-12, 1e-3))
        if name == "proj_clip" and not projection:
            return None
        return self.pick((0.3, 1.0, 3.0, 10.0)) if self.chance(0.15) else None

    def block(self, inputs: int, units: int, kinds):
        """A cell with or without a wrapper; Intersection asks for inputs as wide as itself."""
        kind = self.pick(kinds)
        if kind is Intersection:
            return Recurrent(self.cell(kind, inputs, inputs))
        projected = kind in {LSTM, CoupledLSTM, NAS} and self.chance(0.15)
        projection = max(1, int(units * self.random.uniform(0.3, 1.2))) if projected else 0
        made = Recurrent(self.cell(kind, inputs, units, projection))
        if made.input_size != made.output_size or self.chance(0.7):
            return made
        if self.chance(0.6):
            return Residual(made)
        carry = self.numbers(inputs, inputs, scale=1 / np.sqrt(inputs))
        return Highway(
            made, InMemory("carry_w", carry), InMemory("carry_b", self.numbers(inputs, scale=0.5))
        )

    def dense(self, inputs: int) -> Dense:
        width = self.width()
        kernel = InMemory("kernel", self.numbers(inputs, width, scale=1 / np.sqrt(inputs)))
        bias = InMemory("bias", self.numbers(width, scale=0.3)) if self.chance(0.7) else None
        return Dense(kernel, bias, Fact.given("linear", "drawn"))


_FACTS = {
    "forget_bias", "activation", "gate_activation", "cell_clip", "proj_clip", "reset_after",
    "epsilon",
}  # fmt: skip


def case(seed: int, *, widest: int = 1024) -> Case:
    """The network of `seed`, no layer wider than `widest`."""
    make = Maker(seed, widest)
    mixed = make.chance(0.1)
    kinds = KINDS if mixed else [make.pick(KINDS, _KIND_SHARES)]
    around = make.pick(
        ("stack", "bidirectional", "two directions apart", "with a dense layer"),
        (0.68, 0.12, 0.08, 0.12),
    )
    width, units = make.width(), make.width()
    if make.chance(0.3):
        width = units
    blocks = []
    for _ in range(make.pick((1, 2, 3, 4), (0.45, 0.35, 0.15, 0.05))):
        if around == "bidirectional":
            pair = [make.block(width, units, kinds) for _ in range(2)]
            blocks.append(Bidirectional(*pair))
        else:
            blocks.append(make.block(width, units, kinds))
        width = blocks[-1].output_size
    if around == "two directions apart":
        other = [make.block(blocks[0].input_size, units, kinds)]
        for _ in blocks[1:]:
            other.append(make.block(other[-1].output_size, units, kinds))
        blocks = [Bidirectional(Sequence(tuple(blocks)), Sequence(tuple(other)))]
    if around == "with a dense layer":
        blocks.append(make.dense(width))
    return Case(
        seed=seed,
        model=Model(f"random{seed}", Sequence(tuple(blocks))),
        kind="mixed" if mixed else kinds[0].__name__,
        weights=make.regime,
        around=around,
        options=_options(make),
    )


def _options(make: Maker) -> TargetOptions:
    narrow = make.dtype == np.float32 and make.chance(0.05)
    return TargetOptions(
        states=make.pick(States, (0.5, 0.25, 0.25)),
        sequence_length=make.chance(0.4),
        dtype="float16" if narrow else None,
    )


def sequences(one: Case, specs, *, seed: int, longest: int = 2000) -> dict[str, np.ndarray]:
    """Feeds for an artifact of `one`, drawn without a look at its weights.

    Args:
        one: the network.
        specs: the artifact's inputs.
        seed: of the sequences.
        longest: bound on steps; large networks get fewer.
    """
    random = np.random.default_rng([one.seed, seed, 7])
    cost = sum(x.cell.units * (x.cell.units + x.cell.input_size) for x in one.model.layers)
    top = int(np.clip(4e7 / cost, 2, longest))
    steps = int(np.exp(random.uniform(0.0, np.log(top + 1))))
    batch = int(random.integers(1, 5))
    amplitude = float(random.choice([0.1, 1.0, 1.0, 3.0, 30.0]))
    feeds = {}
    for spec in specs:
        if spec.optional and random.random() < 0.3:
            continue
        if spec.name == "inputs":
            values = random.normal(size=(batch, steps, spec.shape[2])) * amplitude
        elif spec.name == "sequence_length":
            values = random.integers(0, steps + 1, batch)
            values[int(random.integers(batch))] = steps
        else:
            values = random.normal(size=(batch, spec.shape[1]))
        feeds[spec.name] = values.astype(spec.dtype)
    return feeds
