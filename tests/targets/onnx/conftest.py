"""Networks of every topology and option with seeded weights, written, run and compared."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from lstmbridge.arrays import UNIT_ROUNDING, Rounding
from lstmbridge.contracts import Artifact, TargetOptions
from lstmbridge.gates import TENSORFLOW_LSTM, GateBlocks, InMemory
from lstmbridge.model.blocks import Bidirectional, Block, Model, Recurrent, Residual, Sequence
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
from lstmbridge.model.forward import forward
from lstmbridge.runtimes.onnxruntime import OnnxRuntimeCpu
from lstmbridge.targets.onnx import OnnxTarget

REPLICAS = 32
CONSTANT = 2.0
"""Allowed is this much of what rounding does to the oracle, in the worst of the replicas."""


def fact(value: Any) -> Fact[Any]:
    return Fact.given(value, "test")


class Stored(Rounding):
    """Arithmetic of `precision` on numbers that were first stored in it."""

    def __init__(self, precision: str) -> None:
        super().__init__(precision, seed=0)
        self._dtype = np.dtype(precision)

    def constant(self, value):
        return np.asarray(value).astype(self._dtype).astype(np.float64)


def allowed(model: Model, fed: dict[str, np.ndarray], expected, precision: str, replicas: int):
    """By output: how far an honest runtime of `precision` may be from the oracle, here."""
    tiled = {name: np.concatenate([array] * replicas) for name, array in fed.items()}
    runs = forward(model, tiled, ops=Stored(precision))
    unit = UNIT_ROUNDING[precision]
    return {
        name: CONSTANT * np.abs(runs[name].reshape(replicas, *values.shape) - values).max()
        + unit * np.abs(values)
        + float(np.finfo(precision).tiny)
        for name, values in expected.items()
    }


class Nets:
    """Makes networks; each test has weights of its own, the same in each run."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def cell(self, inputs: int, units: int = 5, *, kind: str = "LSTM", **options: Any) -> Cell:
        """A cell of `kind` (see `KINDS`), with whatever options that kind has."""
        build, fixed = KINDS[kind]
        return build(self, inputs, units, **{**fixed, **options})

    def lstm(
        self,
        inputs: int,
        units: int,
        *,
        dtype: Any = np.float32,
        projection: int = 0,
        peephole: bool = False,
        bias: bool = True,
        forget_bias: float = 1.0,
        activation: str = "tanh",
        gate_activation: str = "sigmoid",
        cell_clip: float | None = None,
        proj_clip: float | None = None,
        scale: float = 1.0,
    ) -> LSTM:
        out = projection or units
        kernel = InMemory("kernel", self.numbers((inputs + out, 4 * units), dtype, scale))
        stored = InMemory("bias", self.numbers((4 * units,), dtype))
        return LSTM(
            kernel=GateBlocks.from_fused(kernel, TENSORFLOW_LSTM, slice(0, inputs)),
            recurrent=GateBlocks.from_fused(kernel, TENSORFLOW_LSTM, slice(inputs, inputs + out)),
            bias=GateBlocks.from_fused(stored, TENSORFLOW_LSTM) if bias else None,
            forget_bias=fact(forget_bias),
            activation=fact(activation),
            gate_activation=fact(gate_activation),
            cell_clip=fact(cell_clip),
            proj_clip=fact(proj_clip),
            peephole=self.blocks("ifo", (units,), dtype) if peephole else None,
            projection=self.vector((units, out), dtype) if projection else None,
        )

    def coupled(
        self,
        inputs: int,
        units: int,
        *,
        projection: int = 0,
        peephole: bool = False,
        forget_bias: float = 1.0,
        proj_clip: float | None = None,
        dtype: Any = np.float32,
        **options: Any,
    ) -> CoupledLSTM:
        out = projection or units
        return CoupledLSTM(
            **self.common(CoupledLSTM, inputs, units, out, dtype=dtype, **options),
            forget_bias=fact(forget_bias),
            proj_clip=fact(proj_clip),
            peephole=self.blocks("fo", (units,), dtype) if peephole else None,
            projection=self.vector((units, out), dtype) if projection else None,
        )

    def gru(
        self,
        inputs: int,
        units: int,
        *,
        reset_after: bool,
        gate_activation: str = "sigmoid",
        recurrent_bias: str = "",
        dtype: Any = np.float32,
        **options: Any,
    ) -> GRU:
        return GRU(
            **self.common(GRU, inputs, units, units, dtype=dtype, **options),
            reset_after=fact(reset_after),
            gate_activation=fact(gate_activation),
            recurrent_bias=self.blocks(recurrent_bias, (units,), dtype)
            if recurrent_bias
            else None,
        )

    def layer_norm(
        self, inputs: int, units: int, *, dtype: Any = np.float32, **options: Any
    ) -> LayerNormLSTM:
        common = self.common(LayerNormLSTM, inputs, units, units, dtype=dtype, **options)
        del common["bias"]
        return LayerNormLSTM(
            **common,
            gain=self.blocks("ifco", (units,), dtype),
            shift=self.blocks("ifco", (units,), dtype),
            state_gain=self.vector((units,), dtype),
            state_shift=self.vector((units,), dtype),
            forget_bias=fact(1.0),
            epsilon=fact(1e-12),
        )

    def nas(
        self,
        inputs: int,
        units: int,
        *,
        projection: int = 0,
        dtype: Any = np.float32,
        **options: Any,
    ) -> NAS:
        out = projection or units
        common = self.common(NAS, inputs, units, out, dtype=dtype, **options)
        del common["activation"]
        projected = self.vector((units, out), dtype) if projection else None
        return NAS(**common, projection=projected)

    def simple(self, inputs: int, units: int, *, of: type[Cell], **options: Any) -> Cell:
        rows = 1 if of in {IndyLSTM, IndyGRU} else units
        bias = {"forget_bias": fact(1.0)} if of in {IndyLSTM, UGRNN, Intersection} else {}
        return of(**self.common(of, inputs, units, rows, **options), **bias)

    def common(
        self,
        of: type[Cell],
        inputs: int,
        units: int,
        rows: int,
        *,
        dtype: Any = np.float32,
        scale: float = 1.0,
        bias: bool = True,
        activation: str = "tanh",
    ) -> dict[str, Any]:
        """What nearly all cells have; `rows`: of the recurrent weights."""
        return {
            "kernel": self.blocks(of.GATES, (inputs, units), dtype, scale),
            "recurrent": self.blocks(of.GATES, (rows, units), dtype, scale),
            "bias": self.blocks(of.GATES, (units,), dtype) if bias else None,
            "activation": fact(activation),
        }

    def blocks(
        self, gates: Any, shape: tuple[int, ...], dtype: Any = np.float32, scale: float = 1.0
    ) -> GateBlocks:
        return GateBlocks.of({gate: self.numbers(shape, dtype, scale) for gate in gates})

    def vector(self, shape: tuple[int, ...], dtype: Any = np.float32) -> InMemory:
        return InMemory("v", self.numbers(shape, dtype))

    def numbers(self, shape: tuple[int, ...], dtype: Any, scale: float = 1.0) -> np.ndarray:
        return (self.rng.normal(size=shape) * scale / np.sqrt(shape[0])).astype(dtype)

    def model(self, topology: str, **options: Any) -> Model:
        return Model("encoder/rnn", getattr(self, topology)(**options))

    def one(self, **options: Any) -> Block:
        return Recurrent(self.cell(3, **options))

    def stack(self, **options: Any) -> Block:
        wide = options.get("projection") or 5
        above = Residual(Recurrent(self.cell(wide, **options)))
        return Sequence((Recurrent(self.cell(3, **options)), above, self._to(wide, **options)))

    def shared(self, **options: Any) -> Block:
        cell = self.cell(options.get("projection") or 5, **options)
        return Sequence((Recurrent(cell), Recurrent(cell), Recurrent(cell)))

    def residual_first(self, **options: Any) -> Block:
        return Residual(Recurrent(self.cell(options.get("projection") or 5, **options)))

    def bidirectional(self, **options: Any) -> Block:
        return Bidirectional(self.one(**options), self.one(**options))

    def two_stacks(self, **options: Any) -> Block:
        wide = options.get("projection") or 5
        forward = Sequence((self.one(**options), self._to(wide, **options)))
        backward = Residual(Recurrent(self.cell(wide, **options)))
        return Bidirectional(forward, Sequence((self.one(**options), backward)))

    def stacked_bidirectional(self, **options: Any) -> Block:
        wide = 2 * (options.get("projection") or 5)
        above = Bidirectional(self._to(wide, **options), self._to(wide, **options))
        return Sequence((self.bidirectional(**options), above, self._to(wide, **options)))

    def nested(self, **options: Any) -> Block:
        return Bidirectional(self.one(**options), self.bidirectional(**options))

    def _to(self, width: int, **options: Any) -> Block:
        return Recurrent(self.cell(width, **options))


KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "LSTM": (Nets.lstm, {}),
    "coupled": (Nets.coupled, {}),
    "GRU reset before": (Nets.gru, {"reset_after": False}),
    "GRU reset after": (Nets.gru, {"reset_after": True, "recurrent_bias": "rzc"}),
    "GRU of cuDNN": (Nets.gru, {"reset_after": True, "recurrent_bias": "c"}),
    "RNN": (Nets.simple, {"of": RNN}),
    "UGRNN": (Nets.simple, {"of": UGRNN}),
    "Intersection": (Nets.simple, {"of": Intersection}),
    "layer norm": (Nets.layer_norm, {}),
    "IndyLSTM": (Nets.simple, {"of": IndyLSTM}),
    "IndyGRU": (Nets.simple, {"of": IndyGRU}),
    "NAS": (Nets.nas, {"bias": False}),
}

TOPOLOGIES = (
    "one",
    "stack",
    "shared",
    "residual_first",
    "bidirectional",
    "two_stacks",
    "stacked_bidirectional",
    "nested",
)


@pytest.fixture(params=TOPOLOGIES)
def topology(request):
    """Every way to put cells together."""
    return request.param


@pytest.fixture(params=KINDS)
def kind(request):
    """Every kind of cell."""
    return request.param


@pytest.fixture
def nets(request) -> Nets:
    return Nets(zlib.crc32(request.node.name.encode()))


@pytest.fixture
def write(tmp_path):
    """`write(model, states=..., sequence_length=...)` -> the artifact."""

    def writing(model: Model, *, name: str = "model.onnx", **options: Any) -> Artifact:
        return OnnxTarget().write(model, tmp_path / name, TargetOptions(**options), {"k": "v"})

    return writing


@pytest.fixture
def feeds(nets):
    """`feeds(artifact, batch, time, lengths=...)`: random numbers for all that must be fed."""

    def feeding(artifact, batch=3, time=6, lengths=(0, 6, 4)):
        sizes = {"batch": batch, "time": time}
        fed = {}
        for spec in artifact.signature.inputs:
            shape = [sizes.get(axis, axis) for axis in spec.shape]
            fed[spec.name] = nets.rng.normal(size=shape).astype(spec.dtype)
            if spec.name == "sequence_length":
                fed[spec.name] = np.array(lengths[:batch], np.int32)
        return fed

    return feeding


@pytest.fixture
def assert_agrees():
    """ONNX Runtime's every output equals the oracle's, as closely as its precision allows."""

    def agreeing(
        model: Model, artifact: Artifact, fed: dict[str, np.ndarray], replicas: int = REPLICAS
    ) -> None:
        expected = forward(model, fed)
        limits = allowed(model, fed, expected, artifact.precision, replicas)
        with OnnxRuntimeCpu().open(artifact) as session:
            got = session.run(fed)
        assert set(got) == set(expected) == set(artifact.signature.output_names())
        for name, values in got.items():
            assert values.dtype == np.dtype(artifact.precision)
            assert values.shape == expected[name].shape
            difference = np.abs(values.astype(np.float64) - expected[name])
            assert (difference <= limits[name]).all(), (name, (difference / limits[name]).max())

    return agreeing


@pytest.fixture
def graph_of():
    """The artifact's graph, loaded by onnx itself and checked in full."""

    def loading(artifact: Artifact) -> onnx.GraphProto:
        onnx.checker.check_model(str(artifact.path), full_check=True)
        return onnx.load(str(Path(artifact.path))).graph

    return loading
