"""Graphs made by hand, in the shape in which TensorFlow 1 writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstmbridge.graph.evidence import gather
from lstmbridge.graph.findings import CellQuery, Evidence
from lstmbridge.graph.graphdef import Graph, Node
from lstmbridge.sources.metagraph import graph_from_metagraph_file

UNITS, INPUTS = 4, 3


@dataclass(frozen=True)
class Constant:
    """What a Const's attribute `value` is."""

    array: np.ndarray

    @property
    def shape(self):
        return self.array.shape

    def load(self):
        return self.array


@dataclass
class Builder:
    """Adds nodes; every method returns the name of the tensor it made."""

    nodes: dict[str, Node] = field(default_factory=dict)
    frame: str = ""

    def op(self, kind: str, *inputs: str, name: str = "", **attrs: Any) -> str:
        base = name or kind.lower()
        unique, k = base, 0
        while unique in self.nodes:
            k += 1
            unique = f"{base}_{k}"
        self.nodes[unique] = Node(unique, kind, inputs, attrs)
        return unique

    def const(self, value: Any, dtype: Any = np.float32, name: str = "") -> str:
        array = np.asarray(value, dtype)
        return self.op("Const", name=name, value=Constant(array), dtype=array.dtype)

    def number(self, value: int) -> str:
        return self.const(value, np.int32)

    def variable(self, name: str, *shape: int) -> str:
        self.op("VariableV2", name=name, shape=shape)
        return self.op("Identity", name, name=f"{name}/read")

    def placeholder(self, name: str, *shape: int) -> str:
        return self.op("Placeholder", name=name, shape=shape)

    def weights(self, scope: str = "cell", inputs: int = INPUTS, units: int = UNITS):
        kernel = self.variable(f"{scope}/kernel", inputs + units, 4 * units)
        return kernel, self.variable(f"{scope}/bias", 4 * units)

    def zeros(self, units: int = UNITS) -> str:
        shape = self.const([2, units], np.int32)
        return self.op("Fill", shape, self.const(0.0))

    def cell(
        self,
        x: str,
        c: str,
        h: str,
        weights: tuple[str, str],
        *,
        order: str = "icfo",
        forget_bias: float = 1.0,
        activation: str = "Tanh",
        gate: str = "Sigmoid",
        clip: float | None = None,
        low: float | None = None,
        swapped: bool = False,
        scaled: float | None = None,
    ) -> tuple[str, str]:
        """An LSTM as BasicLSTMCell writes it, or one that departs from it. Returns (c, h)."""
        pair = (h, x) if swapped else (x, h)
        joined = self.op("ConcatV2", *pair, self.number(1))
        z = self.op(
            "BiasAdd", self.op("MatMul", joined, self.read(weights[0])), self.read(weights[1])
        )
        split = self.op("Split", self.number(1), z, num_split=4)
        at = {g: split if k == 0 else f"{split}:{k}" for k, g in enumerate(order)}
        forget = self.op("Add", at["f"], self.const(forget_bias), name="forget")
        kept = self.op("Mul", c, self.op(gate, forget))
        new = self.op("Mul", self.op(gate, at["i"]), self.op(activation, at["c"]))
        c = self.op("Add", kept, new, name="new_c")
        if clip is not None:
            c = self.op("Minimum", c, self.const(clip), name="clip")
            c = self.op("Maximum", c, self.const(-clip if low is None else low))
        h = self.op("Mul", self.op(activation, c), self.op(gate, at["o"]), name="new_h")
        if scaled is not None:
            h = self.op("Mul", h, self.const(scaled), name="scaled")
        return c, h

    def read(self, tensor: str) -> str:
        """A tensor from outside the loop that is being built, if one is."""
        if not self.frame:
            return tensor
        return self.op("Enter", tensor, frame_name=self.frame, is_constant=True)

    def layers(self, xs: list[str], cells: list[Callable[[str, str, str], tuple[str, str]]]):
        """Unrolled layers. Returns the top outputs and the last states."""
        states = [(self.zeros(), self.zeros()) for _ in cells]
        outputs = []
        for x in xs:
            below = x
            for k, cell in enumerate(cells):
                states[k] = cell(below, *states[k])
                below = states[k][1]
            outputs.append(below)
        return outputs, states

    def steps(self, x: str, count: int) -> list[str]:
        unpacked = self.op("Unpack", x, num=count, axis=1)
        return [unpacked if k == 0 else f"{unpacked}:{k}" for k in range(count)]

    def loop(
        self,
        x: str,
        step: Callable[[str, list[str]], tuple[str, list[str]]],
        initial: list[str],
        *,
        time_major: bool = False,
    ) -> str:
        """`dynamic_rnn`'s while loop: `step(x, states) -> (output, states)`. Returns outputs."""
        order = self.const([1, 0, 2], np.int32)
        whole = x if time_major else self.op("Transpose", x, order)
        length = self.number(5)
        handle = self.op("TensorArrayV3", length)
        indices = self.op("Range", self.number(0), length, self.number(1))
        filled = self.op("TensorArrayScatterV3", handle, indices, whole, f"{handle}:1")
        out_handle = self.op("TensorArrayV3", length)

        self.frame = "while_context"
        enters = [self.number(0), f"{out_handle}:1", *initial]
        entered = [self.op("Enter", t, frame_name=self.frame, is_constant=False) for t in enters]
        merges = [self.op("Merge", t, "to be filled") for t in entered]
        condition = self.op("LoopCond", self.op("Less", merges[0], self.read(length)))
        switches = [self.op("Switch", m, condition) for m in merges]
        body = [self.op("Identity", f"{s}:1") for s in switches]
        time = body[0]
        step_x = self.op("TensorArrayReadV3", self.read(handle), time, self.read(filled))
        output, states = step(step_x, body[2:])
        written = self.op(
            "TensorArrayWriteV3", self.read(out_handle), time, output, body[1], name="write"
        )
        nexts = [self.op("Add", time, self.number(1)), written, *states]
        for merge, entry, following in zip(merges, entered, nexts, strict=True):
            back = self.op("NextIteration", following)
            self.nodes[merge] = replace(self.nodes[merge], inputs=(entry, back))
        self.frame = ""
        exits = [self.op("Exit", s) for s in switches]
        gathered = self.op("TensorArrayGatherV3", out_handle, indices, exits[1])
        return gathered if time_major else self.op("Transpose", gathered, order)

    def graph(self) -> Graph:
        return Graph(dict(self.nodes), where="by hand")


def query(layer: str = "cell", inputs: int = INPUTS, units: int = UNITS) -> CellQuery:
    return CellQuery(
        layer=layer,
        kernel=(f"{layer}/kernel",),
        bias=f"{layer}/bias",
        input_size=inputs,
        units=units,
        output_size=units,
    )


@pytest.fixture
def build() -> Builder:
    """An empty builder."""
    return Builder()


@pytest.fixture
def ask() -> Callable[..., CellQuery]:
    """`ask("cell")`: the question about a cell of the builder's sizes."""
    return query


@pytest.fixture
def show() -> Callable[..., Evidence]:
    """`show(builder, "a", "b")`: the evidence about cells of the builder's sizes.

    Layers above the first take `UNITS` inputs.
    """

    def evidence(build: Builder, *layers: str) -> Evidence:
        names = layers or ("cell",)
        sizes = [INPUTS] + [UNITS] * (len(names) - 1)
        questions = [query(name, size) for name, size in zip(names, sizes, strict=True)]
        return gather(build.graph(), questions)

    return evidence


@pytest.fixture
def meta() -> Callable[[Any], Graph]:
    """`meta(case)`: the graph beside a fixture's checkpoint."""

    def graph(case: Any) -> Graph:
        found = sorted(Path(case.folder).glob("*.meta"))
        return graph_from_metagraph_file(found[0])

    return graph


@pytest.fixture
def queries() -> Callable[[Mapping[str, Any]], list[CellQuery]]:
    """`queries(card)`: questions about the LSTMs of a fixture, by TensorFlow's own names."""

    def of(card: Mapping[str, Any]) -> list[CellQuery]:
        shapes = {name: tuple(v["shape"]) for name, v in card["variables"].items()}
        found = []
        for name in sorted(shapes):
            scope, _, last = name.rpartition("/")
            bias = {"kernel": "bias", "weights": "biases", "Matrix": "Bias"}.get(last)
            if bias is None or scope.endswith("projection"):
                continue
            units = shapes[name][1] // 4
            projected = f"{scope}/projection/{last}"
            output = shapes[projected][1] if projected in shapes else units
            diagonals = {g: f"{scope}/w_{g}_diag" for g in "ifo"}
            found.append(
                CellQuery(
                    layer=scope,
                    kernel=(name,),
                    bias=f"{scope}/{bias}",
                    peephole={g: v for g, v in diagonals.items() if v in shapes},
                    projection=(projected,) if projected in shapes else (),
                    input_size=shapes[name][0] - output,
                    units=units,
                    output_size=output,
                )
            )
        return found

    return of
