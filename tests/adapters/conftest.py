"""A source made of shapes: what adapters see of a checkpoint, without any numbers."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from lstmbridge.adapters import recognise
from lstmbridge.contracts import Hints, Recognition
from lstmbridge.graph.graphdef import Graph
from lstmbridge.model.blocks import Bidirectional, Block, Dense, Highway, Residual, Sequence
from lstmbridge.sources.metagraph import graph_from_graphdef_bytes

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class FakeTensor:
    """A named shape. Loading it counts its elements up from 0."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.float32))
    location: str = "nowhere"
    may_load: bool = False

    def load(self):
        if not self.may_load:
            raise AssertionError(f"an adapter read the numbers of {self.name}")
        return np.arange(np.prod(self.shape), dtype=self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class FakeSource:
    """A `Source` with tensors only."""

    tensors: Mapping[str, FakeTensor]
    shown_graph: Graph | None = None
    path: Path = Path("model.ckpt")
    format: str = "fake"
    files: tuple[Path, ...] = ()
    producer: str | None = None
    declares_model: bool = False

    def graph(self):
        return self.shown_graph

    def sha256(self):
        return ""

    def close(self):
        pass


def make_source(shapes: Mapping[str, tuple[int, ...]], *, dtypes=None, may_load=False, **more):
    dtypes = dtypes or {}
    tensors = {
        name: FakeTensor(
            name, tuple(shape), np.dtype(dtypes.get(name, np.float32)), may_load=may_load
        )
        for name, shape in shapes.items()
    }
    return FakeSource(tensors, **more)


@pytest.fixture(scope="session")
def source() -> Callable[..., FakeSource]:
    return make_source


@pytest.fixture(scope="session")
def see() -> Callable[..., Recognition]:
    """Recognise a dict of shapes under hints given as keywords."""

    def look(shapes: Mapping[str, tuple[int, ...]], **hints) -> Recognition:
        return recognise(make_source(shapes), Hints(**hints))

    return look


@pytest.fixture(scope="session")
def lstm() -> Callable[..., Shapes]:
    """Shapes of one LSTM cell, from its scope, input size and units."""

    def cell(
        scope: str,
        inputs: int,
        units: int,
        *,
        proj: int = 0,
        peep: bool = False,
        bias: str = "bias",
    ) -> Shapes:
        output = proj or units
        prefix = f"{scope}/" if scope else ""
        shapes = {
            f"{prefix}kernel": (inputs + output, 4 * units),
            f"{prefix}bias": (4 * units,),
        }
        if peep:
            shapes.update({f"{prefix}w_{g}_diag": (units,) for g in "ifo"})
        if proj:
            shapes[f"{prefix}projection/kernel"] = (units, proj)
        return shapes

    return cell


@pytest.fixture(scope="session")
def stack(lstm) -> Callable[..., Shapes]:
    """Shapes of a MultiRNNCell, from its scope, cells' scope, input size and units."""

    def layers(scope: str, cell: str, inputs: int, units: list[int]) -> Shapes:
        shapes: Shapes = {}
        for k, width in enumerate(units):
            shapes.update(lstm(f"{scope}/cell_{k}/{cell}", inputs, width))
            inputs = width
        return shapes

    return layers


def recorded_graph(net: Mapping) -> Graph:
    data = zlib.decompress(base64.b64decode(net["graph"]))
    return graph_from_graphdef_bytes(data, "net.pb")


@pytest.fixture(scope="session")
def graph_of() -> Callable[..., Graph]:
    """The graph of a recorded net."""
    return recorded_graph


@pytest.fixture(scope="session")
def look() -> Callable[..., Recognition]:
    """Recognise a recorded net: its variables' shapes, and its graph."""

    def recognition(net: Mapping, **hints) -> Recognition:
        shapes = {name: tuple(shape) for name, shape in net["variables"].items()}
        return recognise(make_source(shapes, shown_graph=recorded_graph(net)), Hints(**hints))

    return recognition


@pytest.fixture(scope="session")
def structure() -> Callable[[Block], str]:
    """A block in words: ``LSTM, residual(GRU)``."""

    def say(block: Block) -> str:
        if isinstance(block, Sequence):
            return ", ".join(map(say, block.blocks))
        if isinstance(block, Bidirectional):
            return f"({say(block.forward)} | {say(block.backward)})"
        if isinstance(block, Residual | Highway):
            return f"{type(block).__name__.lower()}({say(block.inner)})"
        return "dense" if isinstance(block, Dense) else type(block.cell).__name__

    return say
