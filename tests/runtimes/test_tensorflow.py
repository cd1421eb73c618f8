"""TensorFlow's own cells agree with the oracle, and decline what they do not have."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from lstmbridge.adapters.adapter import recognise
from lstmbridge.arrays import Rounding
from lstmbridge.contracts import Artifact, Signature
from lstmbridge.errors import RuntimeUnavailable
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
from lstmbridge.model.cells import GRU, LSTM, RNN, UGRNN
from lstmbridge.model.facts import Fact
from lstmbridge.model.forward import forward
from lstmbridge.runtimes import tensorflow
from lstmbridge.runtimes.tensorflow import TensorFlow
from lstmbridge.sources import open_source

here = importlib.util.find_spec("tensorflow") is not None
needs_tensorflow = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(not here, reason="TensorFlow is not installed"),
]


class Make:
    """Layers with seeded weights."""

    def __init__(self, dtype: Any = np.float64) -> None:
        self._rng = np.random.default_rng(2)
        self._dtype = dtype

    def numbers(self, *shape: int) -> np.ndarray:
        return (self._rng.normal(size=shape) * 0.7).astype(self._dtype)

    def blocks(self, *shape: int, gates: str = "icfo") -> GateBlocks:
        return GateBlocks.of({gate: self.numbers(*shape) for gate in gates})

    def __call__(
        self, inputs: int, units: int, *, bias: bool = True, peephole: bool = False,
        projection: int = 0, **facts: Any,
    ) -> Recurrent:  # fmt: skip
        said: dict[str, Any] = {
            "forget_bias": 1.0,
            "activation": "tanh",
            "gate_activation": "sigmoid",
            "cell_clip": None,
            "proj_clip": None,
        }
        output = projection or units
        return Recurrent(
            LSTM(
                kernel=self.blocks(inputs, units),
                recurrent=self.blocks(output, units),
                bias=self.blocks(units) if bias else None,
                peephole=self.blocks(units, gates="ifo") if peephole else None,
                projection=InMemory("p", self.numbers(units, output)) if projection else None,
                **{k: Fact.given(v, "test") for k, v in (said | facts).items()},
            )
        )

    def gru(
        self, inputs: int, units: int, *, after: bool = False, late: str = "", bias: bool = True,
        activation: str = "tanh", gate_activation: str = "sigmoid",
    ) -> Recurrent:  # fmt: skip
        """A GRU; `late` are the gates that have a recurrent bias."""
        return Recurrent(
            GRU(
                kernel=self.blocks(inputs, units, gates="zrc"),
                recurrent=self.blocks(units, units, gates="crz"),
                bias=self.blocks(units, gates="rzc") if bias else None,
                recurrent_bias=self.blocks(units, gates=late) if late else None,
                reset_after=Fact.given(after, "test"),
                activation=Fact.given(activation, "test"),
                gate_activation=Fact.given(gate_activation, "test"),
            )
        )

    def rnn(
        self, inputs: int, units: int, *, bias: bool = True, activation: str = "tanh",
        kind: Any = RNN, **facts: Any,
    ) -> Recurrent:  # fmt: skip
        """A cell of one state."""
        gates = "".join(kind.GATES)
        return Recurrent(
            kind(
                kernel=self.blocks(inputs, units, gates=gates),
                recurrent=self.blocks(units, units, gates=gates),
                bias=self.blocks(units, gates=gates) if bias else None,
                activation=Fact.given(activation, "test"),
                **{name: Fact.given(value, "test") for name, value in facts.items()},
            )
        )


NETWORKS: dict[str, Callable[[Make], Block]] = {
    "one layer": lambda m: m(3, 4),
    "one unit": lambda m: m(1, 1),
    "no bias": lambda m: m(3, 4, bias=False, forget_bias=0.0),
    "three layers": lambda m: Sequence((m(3, 4), m(4, 2), m(2, 5))),
    "a shared cell": lambda m: Sequence((m(4, 4),) * 3),
    "peephole": lambda m: Sequence((m(3, 4, peephole=True), m(4, 4, peephole=True))),
    "projected": lambda m: Sequence((m(3, 5, projection=2), m(2, 3, projection=4))),
    "everything": lambda m: m(
        3, 4, peephole=True, projection=3, cell_clip=0.5, proj_clip=0.4, forget_bias=-0.25,
        activation="softsign",
    ),
    "clipped": lambda m: m(3, 4, cell_clip=0.2),
    "residual": lambda m: Sequence((m(3, 4), Residual(m(4, 4)), Residual(m(4, 4)))),
    "residual around all": lambda m: Residual(Sequence((m(3, 4), m(4, 3)))),
    "residual around two ways": lambda m: Residual(Bidirectional(m(4, 2), m(4, 2))),
    "two ways": lambda m: Bidirectional(m(3, 4), m(3, 2)),
    "two ways stacked": lambda m: Sequence(
        (Bidirectional(m(3, 4), m(3, 4)), Bidirectional(m(8, 2), m(8, 2)))
    ),
    "two stacks": lambda m: Bidirectional(
        Sequence((m(3, 4), Residual(m(4, 4)))), Sequence((m(3, 3), m(3, 5, peephole=True)))
    ),
    "gru": lambda m: Sequence((m.gru(3, 4), m.gru(4, 4, bias=False), m.gru(4, 2))),
    "gru, relu": lambda m: m.gru(3, 4, activation="relu"),
    "gru, hard gates": lambda m: m.gru(3, 4, gate_activation="hard_sigmoid"),
    "gru, reset after": lambda m: Sequence(
        (m.gru(3, 4, after=True, late="zrc"), m.gru(4, 4, after=True))
    ),
    "gru, reset after, candidate's bias": lambda m: m.gru(3, 4, after=True, late="c", bias=False),
    "gru, reset after, hard gates": lambda m: m.gru(
        3, 4, after=True, late="zrc", gate_activation="hard_sigmoid", activation="softsign"
    ),
    "gru, two ways": lambda m: Bidirectional(m.gru(3, 4), m.gru(3, 2, after=True, late="zrc")),
    "rnn": lambda m: Sequence((m.rnn(3, 4), m.rnn(4, 4, bias=False), m.rnn(4, 2))),
    "rnn, relu": lambda m: m.rnn(3, 4, activation="relu"),
    "every cell": lambda m: Sequence((
        m.gru(3, 4), Residual(m(4, 4)), m.rnn(4, 4), Residual(m.gru(4, 4, after=True, late="c")),
        m(4, 5, projection=2), Bidirectional(m.rnn(2, 3), Sequence((m.gru(2, 3), m(3, 3)))),
    )),
    **{
        f"activation {name}": lambda m, name=name: m(3, 4, activation=name)
        for name in ("relu", "elu", "softplus", "linear", "relu6", "sigmoid", "hard_sigmoid")
    },
}  # fmt: skip


def network(name: str, dtype: Any = np.float64) -> Model:
    return Model(name, NETWORKS[name](Make(dtype)))


def feeds_for(model: Model, batch: int = 4, time: int = 6, dtype: Any = np.float64) -> Any:
    rng = np.random.default_rng(3)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(dtype).astype(np.float64)

    lengths = rng.integers(0, time + 1, size=batch)
    lengths[: min(2, batch)] = (0, time)[: min(2, batch)]
    feeds = {"inputs": draw(batch, time, model.input_size), "sequence_length": lengths}
    for layer in model.layers:
        for state, width in layer.cell.state_sizes.items():
            feeds[layer.initial_name(state)] = draw(batch, width)
    return feeds


def worst(mine: Any, exact: Any) -> float:
    assert mine.keys() == exact.keys()
    for name, value in exact.items():
        assert mine[name].shape == value.shape, name
    return max(float(np.max(np.abs(mine[n] - v), initial=0.0)) for n, v in exact.items())


class TestWithTensorFlow:
    pytestmark = needs_tensorflow

    def test_the_source_s_own_graph_is_run_where_there_is_one(self, case):
        with closing(open_source(case("tf115-everything").prefix)) as source:
            part = recognise(source).parts[0]
            feeds = {"inputs": np.random.default_rng(0).normal(size=(2, 5, part.model.input_size))}
            with TensorFlow().bound(source, part).open(part.model) as session:
                assert "its own graph" in session.device
                got = session.run(feeds)
        for name, values in forward(part.model, feeds).items():
            np.testing.assert_allclose(got[name], values, atol=2e-6)

    @pytest.mark.parametrize("name", list(NETWORKS))
    def test_its_cells_agree_with_the_oracle_in_float64(self, name: str) -> None:
        model = network(name)
        feeds = feeds_for(model)
        with TensorFlow().open(model) as session:
            assert (session.precision, session.device) == ("float64", "cpu")
            assert worst(session.run(feeds), forward(model, feeds)) < 1e-13
            inputs = {"inputs": feeds["inputs"]}
            assert worst(session.run(inputs), forward(model, inputs)) < 1e-13

    @pytest.mark.parametrize("name", ["everything", "two stacks", "every cell"])
    @pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
    def test_its_narrow_arithmetic_stays_within_the_noise_floor(
        self, name: str, dtype: Any
    ) -> None:
        model = network(name, dtype)
        feeds = feeds_for(model, dtype=dtype)
        exact = forward(model, feeds)
        with TensorFlow().open(model) as session:
            mine = session.run(feeds)
        assert session.precision == np.dtype(dtype).name
        runs = [forward(model, feeds, ops=Rounding(session.precision, k)) for k in range(8)]
        for output, value in exact.items():
            assert mine[output].dtype == dtype
            floor = max(float(np.max(np.abs(run[output] - value))) for run in runs)
            assert np.max(np.abs(mine[output].astype(np.float64) - value)) <= 2 * floor, output

    @pytest.mark.parametrize(("batch", "time"), [(0, 3), (1, 1)])
    def test_an_empty_batch_and_a_single_step_are_no_special_case(
        self, batch: int, time: int
    ) -> None:
        model = network("two stacks")
        feeds = feeds_for(model, batch, time)
        with TensorFlow().open(model) as session:
            assert worst(session.run(feeds), forward(model, feeds)) < 1e-13

    def test_it_sees_one_weight_that_is_off(self) -> None:
        model = network("one layer")
        cell = model.layers[0].cell
        recurrent = {g: np.array(cell.recurrent[g]) for g in "ifco"}
        recurrent["o"][1, 2] += 1e-6
        other = Model("x", Recurrent(replace(cell, recurrent=GateBlocks.of(recurrent))))
        feeds = feeds_for(model)
        with TensorFlow().open(other) as session:
            assert worst(session.run(feeds), forward(model, feeds)) > 1e-9

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"initial_layer9_h": np.zeros((4, 4))}, "'initial_layer9_h' was fed"),
            ({"sequence_length": np.array([7, 0, 0, 0])}, "from 0 to 7"),
            ({"sequence_length": np.array([1, -2, 0, 0])}, "from -2 to 1"),
            ({"inputs": np.zeros((4, 6, 5))}, "TensorFlow declined to run"),
            ({"inputs": np.zeros((4, 0, 3))}, "no steps"),
        ],
    )
    def test_wrong_feeds_are_declined(self, wrong: dict[str, np.ndarray], said: str) -> None:
        model = network("one layer")
        with (
            TensorFlow().open(model) as session,
            pytest.raises(RuntimeUnavailable, match=said),
        ):
            session.run(feeds_for(model) | wrong)

    def test_a_direction_that_has_two_ways_is_declined(self) -> None:
        make = Make()
        inner = Bidirectional(make(3, 2), make(3, 2))
        with pytest.raises(RuntimeUnavailable, match="inside one direction"):
            TensorFlow().open(Model("x", Bidirectional(inner, make(3, 2))))

    def test_its_first_import_writes_nothing_to_stderr(self) -> None:
        code = (
            "from lstmbridge.runtimes.tensorflow import import_tensorflow\n"
            "import sys; print(import_tensorflow().__version__); print('still here', file=sys.stderr)"
        )
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert done.stdout.startswith("2.")
        assert done.stderr == "still here\n"


DECLINED: dict[str, tuple[Callable[[Make], Block], str, str]] = {
    "hard gates": (
        lambda m: Sequence((m(3, 4), m(4, 4, gate_activation="hard_sigmoid"))),
        "no LSTM cell with hard_sigmoid gates", "layer1",
    ),
    "an activation": (lambda m: m.rnn(3, 4, activation="swish"), "no activation swish", "layer0"),
    "a gate's activation": (
        lambda m: m.gru(3, 4, gate_activation="swish"), "no activation swish", "layer0",
    ),
    "a cell": (
        lambda m: Sequence((m.gru(3, 4), m.rnn(4, 4, kind=UGRNN, forget_bias=1.0))),
        "no cell for UGRNN", "layer1",
    ),
    "a highway": (
        lambda m: Highway(
            m.gru(4, 4), InMemory("w", m.numbers(4, 4)), InMemory("b", m.numbers(4))
        ),
        "no HighwayWrapper any more", "highway0",
    ),
    "a projection of the output": (
        lambda m: Sequence((
            m(3, 4), Dense(InMemory("k", m.numbers(4, 2)), None, Fact.given("linear", "test"))
        )),
        "OutputProjectionWrapper any more", "dense0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(DECLINED))
def test_what_it_does_not_have_is_declined_by_name(name: str) -> None:
    make, said, where = DECLINED[name]
    with pytest.raises(RuntimeUnavailable, match=said) as caught:
        TensorFlow().open(Model("x", make(Make())))
    assert where in caught.value.where


def test_layers_of_several_dtypes_are_declined() -> None:
    model = Model("x", Sequence((Make(np.float32)(3, 4), Make(np.float16)(4, 4))))
    with pytest.raises(RuntimeUnavailable, match="float16 in a network of float32"):
        TensorFlow().open(model)


def test_an_artifact_is_declined() -> None:
    artifact = Artifact(Path("x.onnx"), "onnx", Signature((), ()), "float32")
    with pytest.raises(RuntimeUnavailable, match="was given an artifact"):
        TensorFlow().open(artifact)


def test_where_it_is_absent_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorflow, "installed_version", lambda: "")
    info = TensorFlow().info()
    assert not info.available
    assert "pip install" in info.install
    with pytest.raises(RuntimeUnavailable, match="not installed"):
        TensorFlow().open(network("one layer"))


def test_asking_whether_it_is_here_does_not_import_it() -> None:
    code = (
        "import sys\n"
        "from lstmbridge.runtimes.tensorflow import TensorFlow\n"
        "print(TensorFlow().info().available, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == f"{here} False"
    assert done.stderr == ""
