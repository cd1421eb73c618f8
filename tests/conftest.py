"""What several rooms' tests share."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typing_extensions import Self

from lstmbridge.contracts import Artifact, RuntimeInfo
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.gates import GateBlocks, InMemory
from lstmbridge.model.blocks import Bidirectional, Block, Layer, Model, Recurrent, Sequence
from lstmbridge.model.cells import LSTM, Cell, IndyGRU, IndyLSTM
from lstmbridge.model.facts import Fact
from lstmbridge.model.forward import forward
from lstmbridge.model.signature import States, signature_of
from lstmbridge.verify.faults.fault import with_beginnings

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


@pytest.fixture(autouse=True)
def not_on_github(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command prints does not depend on where the tests run."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


class Case:
    """One folder of `fixtures/`: a checkpoint, and what its TensorFlow computed."""

    def __init__(self, name: str) -> None:
        self.folder = FIXTURES / name
        self.card: dict[str, Any] = json.loads((self.folder / "card.json").read_text())
        self.prefix = self.folder / self.card["prefix"]
        with np.load(self.folder / "expected.npz") as stored:
            self.expected = dict(stored)


@pytest.fixture
def case():
    """`case("tf115-seed-meta")`."""
    return Case


@pytest.fixture
def seed_prefix() -> Path:
    """Three layers of BasicLSTMCell(2), no graph beside them."""
    return FIXTURES / "tf115-seed-bare" / "model.ckpt"


FACTS: Mapping[str, Any] = {
    "forget_bias": 1.0,
    "activation": "tanh",
    "gate_activation": "sigmoid",
    "cell_clip": None,
    "proj_clip": None,
    "reset_after": False,
    "epsilon": 1e-12,
}


class Networks:
    """Small networks of any cell with seeded weights, no two blocks alike."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def numbers(self, *shape: int, scale: float = 0.5, dtype: Any = np.float32) -> np.ndarray:
        return (self.rng.normal(size=shape) * scale).astype(dtype)

    def cell(
        self,
        kind: type[Cell] = LSTM,
        inputs: int = 3,
        units: int = 4,
        *,
        scale: float = 1.0,
        dtype: Any = np.float32,
        projection: int = 0,
        without: tuple[str, ...] = ("peephole", "recurrent_bias"),
        **facts: Any,
    ) -> Cell:
        """`without` names blocks that are left out; other keywords are facts."""
        out = projection or units
        rows = 1 if kind in {IndyLSTM, IndyGRU} else out
        shapes = {"kernel": (inputs, units), "recurrent": (rows, units)}
        spread = scale / np.sqrt(inputs + rows)
        made: dict[str, Any] = {}
        for one in fields(kind):
            name = one.name
            if name in FACTS:
                made[name] = Fact.given(facts.pop(name, FACTS[name]), "test")
            elif name == "projection":
                stored = InMemory(name, self.numbers(units, out, scale=0.6, dtype=dtype))
                made[name] = stored if projection else None
            elif name in without:
                made[name] = None
            elif name.startswith("state_"):
                made[name] = InMemory(name, self.numbers(units, dtype=dtype))
            else:
                shape = shapes.get(name, (units,))
                size = spread if name in shapes else 0.4
                gates = [g for g in kind.GATES if name != "peephole" or g in "ifo"]
                made[name] = GateBlocks.of(
                    {g: self.numbers(*shape, scale=size, dtype=dtype) for g in gates}
                )
        assert not facts, f"{kind.__name__} has no {facts}"
        return kind(**made)

    def layers(
        self,
        kind: type[Cell] = LSTM,
        inputs: int = 3,
        units: int = 4,
        count: int = 2,
        **options: Any,
    ) -> Block:
        """Cells one above the other."""
        width = options.get("projection") or units
        sizes = [inputs, *[width] * (count - 1)]
        return Sequence(
            tuple(Recurrent(self.cell(kind, size, units, **options)) for size in sizes)
        )

    def stack(self, *args: Any, **options: Any) -> Model:
        """`layers` as a model."""
        return Model("test", self.layers(*args, **options))

    def bidirectional(self, inputs: int = 3, units: int = 4, count: int = 2) -> Model:
        """Layers of which each sees both directions of the one below."""
        sizes = [inputs, *[2 * units] * (count - 1)]
        sides = [[Recurrent(self.cell(LSTM, s, units)) for _ in range(2)] for s in sizes]
        return Model("test", Sequence(tuple(Bidirectional(f, b) for f, b in sides)))


@pytest.fixture
def networks(request) -> Networks:
    """Networks of this test alone, the same in each run."""
    return Networks(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def begun():
    """`begun(model)`: the model whose states begin with rows of its own, one of four with zeros."""

    def of(model: Model) -> Model:
        rng = np.random.default_rng(11)

        def rows(layer: Layer) -> dict[str, InMemory]:
            sizes = layer.cell.state_sizes.items()
            drawn = {s: rng.normal(size=n).astype(layer.cell.dtype) for s, n in sizes}
            spared = "c" if layer.index % 2 else ""
            return {s: InMemory(f"init_{s}", row) for s, row in drawn.items() if s != spared}

        return with_beginnings(model, rows)

    return of


class Puppet:
    """A runtime and its session, which answer what a test tells them to. Runs "onnx".

    Args:
        answer: feeds -> outputs.
        name: of the runtime.
        precision: of the session.
        absent: the reason why it cannot be opened.
        runs: ``"model"`` for a runtime of the source's side.
    """

    device = "cpu"

    def __init__(
        self,
        answer: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        *,
        name: str = "puppet",
        precision: str = "float32",
        absent: str = "",
        runs: str = "onnx",
    ) -> None:
        self.answer = answer
        self.name = name
        self.precision = precision
        self.absent = absent
        self.runs = runs
        self.fed: list[Mapping[str, Any]] = []

    def info(self) -> RuntimeInfo:
        return RuntimeInfo(self.name, available=not self.absent, version="1", reason=self.absent)

    def open(self, _subject: Any) -> Puppet:
        if self.absent:
            raise RuntimeUnavailable(self.absent)
        return self

    def run(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        self.fed.append(feeds)
        return self.answer(feeds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.fixture
def puppet():
    """`puppet(answer)`: a runtime that answers as told."""
    return Puppet


@pytest.fixture
def honest():
    """`honest(model)` answers what a float32 runtime would, near enough."""

    def of(model: Model, dtype: Any = np.float32) -> Callable[..., dict[str, Any]]:
        return lambda feeds: {k: v.astype(dtype) for k, v in forward(model, feeds).items()}

    return of


@pytest.fixture
def artifact_of():
    """`artifact_of(model)`: what a target would say it wrote; there is no file."""

    def of(
        model: Model,
        *,
        states: States = States.NONE,
        lengths: bool = False,
        dtype: Any = np.float32,
        precision: str = "float32",
        path: str = "model.onnx",
    ) -> Artifact:
        signature = signature_of(model, np.dtype(dtype), states=states, sequence_length=lengths)
        return Artifact(Path(path), "onnx", signature, precision)

    return of
