"""Networks of every topology and option, with seeded weights."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstmbridge.gates import GateBlocks, InMemory
from lstmbridge.model.blocks import (
    Bidirectional,
    Block,
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
    Cell,
    CoupledLSTM,
    IndyGRU,
    IndyLSTM,
    Intersection,
    LayerNormLSTM,
)
from lstmbridge.model.facts import Fact

ORDER = ("i", "c", "f", "o")


def make_cell(
    rng: np.random.Generator,
    inputs: int,
    units: int,
    *,
    dtype: Any = np.float64,
    bias: bool = True,
    peephole: bool = False,
    projection: int = 0,
    forget_bias: float = 1.0,
    activation: str = "tanh",
    gate_activation: str = "sigmoid",
    cell_clip: float | None = None,
    proj_clip: float | None = None,
    scale: float = 0.7,
) -> LSTM:
    output = projection or units

    def fused(*shape: int) -> GateBlocks:
        stored = (rng.normal(size=(*shape[:-1], 4 * shape[-1])) * scale).astype(dtype)
        return GateBlocks.from_fused(
            InMemory("fused", stored), type("Order", (), {"gates": ORDER})
        )

    def diagonals() -> GateBlocks:
        return GateBlocks.of({g: rng.normal(size=units).astype(dtype) for g in "ifo"})

    def fact(value: Any) -> Fact[Any]:
        return Fact.given(value, "test")

    return LSTM(
        kernel=fused(inputs, units),
        recurrent=fused(output, units),
        bias=fused(units) if bias else None,
        forget_bias=fact(forget_bias),
        activation=fact(activation),
        gate_activation=fact(gate_activation),
        cell_clip=fact(cell_clip),
        proj_clip=fact(proj_clip),
        peephole=diagonals() if peephole else None,
        projection=InMemory("projection", rng.normal(size=(units, output)).astype(dtype))
        if projection
        else None,
    )


CONSTANTS = {
    "forget_bias": 1.0,
    "activation": "tanh",
    "gate_activation": "sigmoid",
    "cell_clip": None,
    "proj_clip": None,
    "reset_after": True,
    "epsilon": 1e-3,
}
PEEPHOLES = ("i", "f", "o")


def make_other(
    rng: np.random.Generator,
    kind: type[Cell],
    inputs: int,
    units: int,
    *,
    dtype: Any = np.float64,
    without: tuple[str, ...] = (),
    gates: dict[str, tuple[str, ...]] | None = None,
    projection: int = 0,
    scale: float = 0.7,
    **constants: Any,
) -> Recurrent:
    """A layer of any kind with every optional field, except those of `without`."""
    shapes = {
        "kernel": (inputs, units),
        "recurrent": (1 if kind in {IndyLSTM, IndyGRU} else projection or units, units),
        "projection": (units, projection),
    }

    def draw(name: str) -> np.ndarray:
        return (rng.normal(size=shapes.get(name, (units,))) * scale).astype(dtype)

    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        name, what = field.name, str(field.type)
        if what.startswith("Fact"):
            values[name] = Fact.given(constants.get(name, CONSTANTS[name]), "test")
        elif name in without or (name == "projection" and not projection):
            values[name] = None
        elif what.startswith("Weights"):
            values[name] = InMemory(name, draw(name))
        else:
            all_gates = [g for g in kind.GATES if name != "peephole" or g in PEEPHOLES]
            chosen = (gates or {}).get(name, tuple(reversed(all_gates)))
            values[name] = GateBlocks.of({gate: draw(name) for gate in chosen})
    return Recurrent(kind(**values))


def make_dense(
    rng: np.random.Generator, inputs: int, outputs: int, *, dtype: Any = np.float64,
    bias: bool = True, activation: str = "linear",
) -> Dense:  # fmt: skip
    return Dense(
        InMemory("kernel", rng.normal(size=(inputs, outputs)).astype(dtype)),
        InMemory("bias", rng.normal(size=outputs).astype(dtype)) if bias else None,
        Fact.given(activation, "test"),
    )


def make_highway(
    rng: np.random.Generator, inner: Block, *, dtype: Any = np.float64, coupled: bool = True
) -> Highway:
    size = inner.output_size
    shapes = {"carry_kernel": (size, size), "carry_bias": (size,)}
    if not coupled:
        shapes |= {"transform_kernel": (size, size), "transform_bias": (size,)}
    drawn = {n: InMemory(n, rng.normal(size=s).astype(dtype)) for n, s in shapes.items()}
    return Highway(inner, **drawn)


def _series(*cells: LSTM) -> Sequence:
    return Sequence(tuple(Recurrent(cell) for cell in cells))


def _ways(rng: np.random.Generator, inputs: int, units: int, **options: Any) -> Bidirectional:
    return Bidirectional(
        Recurrent(make_cell(rng, inputs, units, **options)),
        Recurrent(make_cell(rng, inputs, units, **options)),
    )


def _shared(r: np.random.Generator, **options: Any) -> Sequence:
    return Sequence((Recurrent(make_cell(r, 4, 4, **options)),) * 3)


ZOO: dict[str, Callable[..., Any]] = {
    "one layer": lambda r, **o: Recurrent(make_cell(r, 3, 5, **o)),
    "one unit": lambda r, **o: Recurrent(make_cell(r, 1, 1, **o)),
    "uniform": lambda r, **o: _series(make_cell(r, 3, 5, **o), make_cell(r, 5, 5, **o)),
    "growing": lambda r, **o: _series(make_cell(r, 3, 2, **o), make_cell(r, 2, 7, **o)),
    "shared": _shared,
    "no bias": lambda r, **o: _series(
        make_cell(r, 3, 4, bias=False, forget_bias=0.0, **o),
        make_cell(r, 4, 4, bias=False, forget_bias=0.0, **o),
    ),
    "one bias of two": lambda r, **o: _series(
        make_cell(r, 3, 4, bias=False, forget_bias=0.0, **o), make_cell(r, 4, 4, **o)
    ),
    "forget bias only": lambda r, **o: Recurrent(make_cell(r, 3, 4, bias=False, **o)),
    "projected": lambda r, **o: _series(
        make_cell(r, 3, 5, projection=2, **o), make_cell(r, 2, 5, projection=2, **o)
    ),
    "projected wide": lambda r, **o: Recurrent(make_cell(r, 3, 2, projection=4, **o)),
    "projected clipped": lambda r, **o: Recurrent(
        make_cell(r, 3, 4, projection=2, proj_clip=0.3, **o)
    ),
    "peephole": lambda r, **o: _series(
        make_cell(r, 3, 4, peephole=True, **o), make_cell(r, 4, 4, peephole=True, **o)
    ),
    "everything": lambda r, **o: Recurrent(
        make_cell(
            r, 3, 4, peephole=True, projection=3, cell_clip=0.5, proj_clip=0.4,
            forget_bias=-0.25, activation="softsign", gate_activation="hard_sigmoid", **o
        )
    ),
    "clipped below": lambda r, **o: _series(
        make_cell(r, 3, 4, cell_clip=0.2, **o), make_cell(r, 4, 4, **o)
    ),
    "residual": lambda r, **o: Sequence((
        Recurrent(make_cell(r, 3, 4, **o)),
        Residual(Recurrent(make_cell(r, 4, 4, **o))),
        Residual(Residual(Recurrent(make_cell(r, 4, 4, peephole=True, **o)))),
    )),
    "residual at the root": lambda r, **o: Residual(_series(make_cell(r, 4, 4, **o))),
    "two ways": lambda r, **o: _ways(r, 3, 4, **o),
    "two unlike ways": lambda r, **o: Bidirectional(
        Recurrent(make_cell(r, 3, 2, **o)), Recurrent(make_cell(r, 3, 5, **o))
    ),
    "two ways stacked": lambda r, **o: Sequence((_ways(r, 3, 4, **o), _ways(r, 8, 4, **o))),
    "two ways stacked, projected": lambda r, **o: Sequence((
        _ways(r, 3, 4, projection=2, **o), _ways(r, 4, 4, projection=2, **o)
    )),
    "two ways stacked, unlike": lambda r, **o: Sequence((
        _ways(r, 3, 4, **o), _ways(r, 8, 3, peephole=True, **o)
    )),
    "two stacks": lambda r, **o: Bidirectional(
        _series(make_cell(r, 3, 4, **o), make_cell(r, 4, 4, **o)),
        _series(make_cell(r, 3, 4, **o), make_cell(r, 4, 4, **o)),
    ),
    "two stacks, unlike": lambda r, **o: Bidirectional(
        _series(make_cell(r, 3, 4, **o), make_cell(r, 4, 2, peephole=True, **o)),
        Sequence((
            Recurrent(make_cell(r, 3, 3, **o)), Residual(Recurrent(make_cell(r, 3, 3, **o)))
        )),
    ),
}  # fmt: skip
ZOO |= {
    f"activation {name}": (
        lambda r, name=name, **o: Recurrent(make_cell(r, 3, 4, activation=name, scale=0.3, **o))
    )
    for name in ("relu", "elu", "selu", "softplus", "linear", "relu6", "sigmoid", "hard_sigmoid")
}


OTHERS: dict[str, Callable[..., Any]] = {
    "gru": lambda r, **o: make_other(r, GRU, 3, 5, **o),
    "gru, one bias": lambda r, **o: make_other(r, GRU, 3, 4, without=("recurrent_bias",), **o),
    "gru, late bias": lambda r, **o: make_other(r, GRU, 3, 4, without=("bias",), **o),
    "gru, candidate's late bias": lambda r, **o: make_other(
        r, GRU, 3, 4, gates={"recurrent_bias": ("c",)}, **o
    ),
    "gru, no bias": lambda r, **o: make_other(
        r, GRU, 3, 4, without=("bias", "recurrent_bias"), **o
    ),
    "grus": lambda r, **o: Sequence((
        make_other(r, GRU, 3, 4, **o), make_other(r, GRU, 4, 4, without=("recurrent_bias",), **o)
    )),
    "gru, two ways stacked": lambda r, **o: Sequence(tuple(
        Bidirectional(make_other(r, GRU, n, 4, **o), make_other(r, GRU, n, 4, **o))
        for n in (3, 8)
    )),
    "gru, reset before": lambda r, **o: make_other(
        r, GRU, 3, 4, without=("recurrent_bias",), reset_after=False, **o
    ),
    "gru, both resets": lambda r, **o: Bidirectional(
        make_other(r, GRU, 3, 4, without=("recurrent_bias",), reset_after=False, **o),
        make_other(r, GRU, 3, 4, without=("recurrent_bias",), **o),
    ),
    "gru, relu": lambda r, **o: make_other(r, GRU, 3, 4, activation="relu", scale=0.3, **o),
    "gru, hard gates": lambda r, **o: make_other(
        r, GRU, 3, 4, gate_activation="hard_sigmoid", **o
    ),
    "rnn": lambda r, **o: make_other(r, RNN, 3, 4, **o),
    "rnn, relu": lambda r, **o: Sequence((
        make_other(r, RNN, 3, 4, activation="relu", scale=0.3, **o),
        make_other(r, RNN, 4, 4, activation="relu", scale=0.3, without=("bias",), **o),
    )),
    "rnn, no bias": lambda r, **o: make_other(r, RNN, 3, 4, without=("bias",), **o),
    "rnn, softsign": lambda r, **o: make_other(r, RNN, 3, 4, activation="softsign", **o),
    "rnn, two ways": lambda r, **o: Bidirectional(
        make_other(r, RNN, 3, 4, **o), make_other(r, RNN, 3, 4, **o)
    ),
    "rnn, two unlike ways": lambda r, **o: Bidirectional(
        make_other(r, RNN, 3, 4, activation="relu", scale=0.3, **o),
        make_other(r, RNN, 3, 4, **o),
    ),
    "ugrnn": lambda r, **o: make_other(r, UGRNN, 3, 4, activation="softplus", **o),
    "intersection": lambda r, **o: Sequence((
        make_other(r, Intersection, 4, 4, **o),
        make_other(r, Intersection, 4, 4, activation="relu", without=("bias",), **o),
    )),
    "coupled": lambda r, **o: Sequence((
        make_other(r, CoupledLSTM, 3, 4, projection=2, proj_clip=0.3, **o),
        make_other(r, CoupledLSTM, 2, 4, without=("peephole", "bias"), **o),
    )),
    "layer norm": lambda r, **o: Sequence((
        make_other(r, LayerNormLSTM, 3, 4, **o), make_other(r, LayerNormLSTM, 4, 5, **o)
    )),
    "independent": lambda r, **o: Sequence((
        make_other(r, IndyLSTM, 3, 4, **o), make_other(r, IndyGRU, 4, 5, **o)
    )),
    "nas": lambda r, **o: Sequence((
        make_other(r, NAS, 3, 4, **o), make_other(r, NAS, 4, 5, projection=3, **o)
    )),
    "every kind": lambda r, **o: Sequence((
        make_other(r, GRU, 3, 4, **o),
        make_other(r, RNN, 4, 4, **o),
        Recurrent(make_cell(r, 4, 4, **o)),
        Bidirectional(
            Sequence((
                make_other(r, GRU, 4, 2, without=("recurrent_bias",), reset_after=False, **o),
                make_other(r, NAS, 2, 2, **o),
            )),
            make_other(r, UGRNN, 4, 2, **o),
        ),
        make_other(r, LayerNormLSTM, 4, 4, **o),
        Residual(make_other(r, Intersection, 4, 4, **o)),
        Bidirectional(make_other(r, IndyLSTM, 4, 2, **o), make_other(r, IndyGRU, 4, 2, **o)),
        make_other(r, CoupledLSTM, 4, 3, **o),
    )),
    "one node of each sort": lambda r, **o: Sequence((
        Recurrent(make_cell(r, 3, 4, cell_clip=0.2, **o)),
        Recurrent(make_cell(r, 4, 4, **o)),
        make_other(r, GRU, 4, 4, **o),
        make_highway(r, make_dense(r, 4, 4, **o), **o),
    )),
    "dense": lambda r, **o: Sequence((
        make_dense(r, 3, 4, **o),
        Recurrent(make_cell(r, 4, 4, **o)),
        Recurrent(make_cell(r, 4, 4, **o)),
        make_dense(r, 4, 2, bias=False, activation="relu", **o),
    )),
    "dense in one direction": lambda r, **o: Bidirectional(
        Sequence((make_dense(r, 3, 4, **o), make_other(r, GRU, 4, 4, **o))),
        Sequence((make_other(r, UGRNN, 3, 4, **o), make_dense(r, 4, 4, **o))),
    ),
    "highway": lambda r, **o: Sequence((
        Recurrent(make_cell(r, 3, 4, **o)),
        make_highway(r, Recurrent(make_cell(r, 4, 4, **o)), **o),
        make_highway(r, make_other(r, NAS, 4, 4, **o), coupled=False, **o),
    )),
    "highway at the root": lambda r, **o: make_highway(
        r, Sequence((make_other(r, GRU, 4, 3, **o), make_other(r, RNN, 3, 4, **o))), **o
    ),
    "highways and residuals inside each other": lambda r, **o: Sequence((
        Residual(make_highway(r, Residual(make_other(r, GRU, 4, 4, **o)), **o)),
        make_highway(
            r,
            Sequence((
                make_highway(r, make_other(r, RNN, 4, 4, **o), **o),
                make_highway(r, make_dense(r, 4, 4, **o), coupled=False, **o),
                Residual(make_dense(r, 4, 4, activation="softsign", **o)),
            )),
            **o,
        ),
        make_highway(r, make_highway(r, Recurrent(make_cell(r, 4, 4, **o)), **o), **o),
    )),
    "highways in two directions": lambda r, **o: Sequence((
        make_highway(
            r, Bidirectional(make_other(r, GRU, 4, 2, **o), make_other(r, GRU, 4, 2, **o)), **o
        ),
        Bidirectional(
            make_highway(r, make_other(r, GRU, 4, 4, **o), **o),
            Sequence((
                make_other(r, RNN, 4, 4, **o),
                make_highway(r, make_other(r, RNN, 4, 4, **o), coupled=False, **o),
            )),
        ),
        make_other(r, GRU, 8, 4, **o),
    )),
}  # fmt: skip
ZOO |= OTHERS


class Lab:
    """What a test needs: networks, feeds for them, and a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cell = make_cell

    def model(self, name: str, *, seed: int = 0, **options: Any) -> Model:
        """One network of the zoo by name; options go to every cell."""
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        return Model(name, ZOO[name](rng, **options))

    def feeds(
        self, model: Model, *, batch: int = 4, time: int = 6, seed: int = 1, states: bool = True,
        lengths: bool = True, dtype: Any = np.float64,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """Ragged lengths with 0 and full among them, states with c different from h."""
        rng = np.random.default_rng(seed)

        def draw(*shape: int) -> np.ndarray:
            return rng.normal(size=shape).astype(dtype).astype(np.float64)

        feeds = {"inputs": draw(batch, time, model.input_size)}
        if lengths:
            ragged = rng.integers(0, time + 1, size=batch)
            ragged[: min(2, batch)] = (0, time)[: min(2, batch)]
            feeds["sequence_length"] = ragged.astype(np.int32)
        if states:
            for layer in model.layers:
                for state, width in layer.cell.state_sizes.items():
                    feeds[layer.initial_name(state)] = draw(batch, width)
        return feeds


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture(params=list(ZOO))
def kind(request: pytest.FixtureRequest) -> str:
    """The name of each network of the zoo."""
    return str(request.param)
