"""Does a place in a graph compute the LSTM that it looks like? Asked by numbers.

The graph's own operations are evaluated in float64 from random x, h, c and random weights, and
must give the new c and h that `model.equations` gives. Since the weights are random, what is
proven holds for whatever weights the checkpoint has. The rows of the batch differ in size, so
that gates are seen near zero and saturated, and clips at rest and at work.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import replace

import numpy as np

from lstmbridge.arrays import Float64
from lstmbridge.errors import NotRecognised
from lstmbridge.gates import TENSORFLOW_LSTM, Array, GateBlocks, InMemory
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.findings import Application, CellFacts, CellQuery, Construct, Stated
from lstmbridge.graph.likeness import key_of
from lstmbridge.graph.lstm_found import Hypothesis
from lstmbridge.graph.network import Edge, Op, Tensor
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.variables import QueryVariables
from lstmbridge.model.cells import LSTM
from lstmbridge.model.equations import bind, no_tap
from lstmbridge.model.facts import Fact

TOLERANCE = 1e-9
"""Of the largest number in a tensor; float64 leaves about 1e-14 of room for honest rounding."""
_SIZES = (0.05, 0.3, 1.0, 1.0, 4.0)
_STEPS = 3
# what a hypothesis says of the cell, each with the node that shows it
_CLAIMS = (
    "forget_bias",
    "activation",
    "gate_activation",
    "cell_clip",
    "proj_clip",
    "peephole",
)
# input size, units and output size of a small stand-in: unlike each other and unlike 1
_SMALL = (5, 7, 3)
_SIZELESS = frozenset(
    {
        "Add",
        "AddN",
        "AddV2",
        "BiasAdd",
        "BlockLSTM",
        "ClipByValue",
        "Concat",
        "ConcatV2",
        "Elu",
        "GRUBlockCell",
        "LSTMBlockCell",
        "LeakyRelu",
        "MatMul",
        "Maximum",
        "Mean",
        "Minimum",
        "Mul",
        "Neg",
        "RealDiv",
        "Relu",
        "Relu6",
        "Rsqrt",
        "Selu",
        "Sigmoid",
        "Softplus",
        "Softsign",
        "Split",
        "Sqrt",
        "Square",
        "SquaredDifference",
        "Sub",
        "Tanh",
    }
)


class Prover:
    """Proves or refutes hypotheses about one query's cell."""

    def __init__(self, tracer: Tracer, query: CellQuery, variables: QueryVariables) -> None:
        self._tracer = tracer
        self._query = query
        inputs, units, outputs = _SMALL
        outputs = outputs if query.projection else units
        self._small = replace(query, input_size=inputs, units=units, output_size=outputs)
        self._variables = variables
        self._drawn: dict[bool, tuple[dict[str, Array], dict[Tensor, Array]]] = {}
        self._proven: set[Hashable] = set()

    def prove(self, found: Hypothesis) -> Application | Construct:
        """The application, or what departs. Errors: SourceUnreadable (a broken graph).

        A cell of operations that know no sizes is proved on a small one, which holds for
        every size; anything else on numbers of its own size.
        """
        key = self._key(found)
        if key is None or key not in self._proven:
            problem = self._attempt(found, self._small, sizeless=True)
            if problem:
                problem = self._attempt(found, self._query, sizeless=False)
            if problem:
                return Construct("own cell", found.node, self._query.layer, problem)
            self._proven.add(key)
        return self._application(found)

    def _key(self, found: Hypothesis) -> Hashable | None:
        """What is proven of `found`: its slice of the graph, and what it is held to be."""
        edges = {found.x: "x", found.h_prev: "h", **dict.fromkeys(found.c_prev, "c")}
        if found.whole:
            edges[found.node, 0] = "steps"
        _, by_tensor = self._stand_ins(sizeless=True)
        piece = key_of(self._tracer, (found.c, found.h), by_tensor, edges)
        claims = (found.whole, *(getattr(found, name)[0] for name in _CLAIMS))
        return None if piece is None else (piece, claims)

    def _stand_ins(self, *, sizeless: bool) -> tuple[dict[str, Array], dict[Tensor, Array]]:
        """Random weights by role and by the graph's variables."""
        if sizeless not in self._drawn:
            shapes = (self._small if sizeless else self._query).shapes
            self._drawn[sizeless] = self._variables.stand_ins(shapes)
        return self._drawn[sizeless]

    def _attempt(self, found: Hypothesis, sizes: CellQuery, *, sizeless: bool) -> str:
        """What departs; "" where nothing does."""
        whole, by_tensor = self._stand_ins(sizeless=sizeless)
        given = _given(sizes, found)
        edges = {found.x: given["x"], found.h_prev: given["h"]}
        edges.update(dict.fromkeys(found.c_prev, given["c"]))
        if found.whole:
            edges[found.node, 0] = np.asarray(_STEPS)
        evaluation = Evaluation(self._tracer.network, self._tracer.resolve, by_tensor, edges)
        try:
            values = {name: evaluation(t) for name, t in (("c", found.c), ("h", found.h))}
        except NotRecognised as err:
            return err.read
        ops = (self._tracer.network.op(name) for name in evaluation.computed)
        if sizeless and not all(map(is_sizeless, ops)):
            return "its operations know sizes"
        cell = _lstm(sizes, found, whole)
        first, second = (
            _departure(values, _by_equations(ops, cell, given, whole=found.whole))
            for ops in (Float64(), SingleConstants())
        )
        return second and first

    def _application(self, found: Hypothesis) -> Application | Construct:
        def read(edge: Edge) -> Tensor:
            return self._tracer.resolve(self._tracer.network.op(edge[0]).inputs[edge[1]])

        c_prev = {read(edge) for edge in found.c_prev}
        if len(c_prev) != 1:
            detail = "the peepholes see another state than the gates"
            return Construct("own cell", found.node, self._query.layer, detail)
        h = self._tracer.resolve(found.h)
        return Application(
            layer=self._query.layer,
            node=found.node,
            facts=_facts(found),
            x=read(found.x),
            previous={"h": read(found.h_prev), "c": c_prev.pop()},
            states={"h": h, "c": self._tracer.resolve(found.c)},
            output=h,
            whole=found.whole,
        )


def is_sizeless(op: Op) -> bool:
    """Whether an operation does the same to arrays of any width."""
    if op.kind == "Const":
        return math.prod(getattr(op.attrs.get("value"), "shape", (2,))) <= 1
    return op.kind in _SIZELESS


def _given(query: CellQuery, found: Hypothesis) -> dict[str, Array]:
    draw = np.random.default_rng(21)
    clips = [limit for limit in (found.cell_clip[0], found.proj_clip[0]) if limit is not None]
    sizes = np.array([*_SIZES, *(2.0 * clip for clip in clips)])[:, None]
    batch = len(sizes)
    lead = (_STEPS,) if found.whole else ()
    return {
        "x": draw.normal(size=(*lead, batch, query.input_size)) * sizes,
        "h": draw.normal(size=(batch, query.output_size)),
        "c": draw.normal(size=(batch, query.units)) * sizes,
    }


def _departure(values: Mapping[str, Array], wanted: Mapping[str, Array]) -> str:
    for name, value in values.items():
        if value.shape != wanted[name].shape:
            return f"its new {name} has the shape {value.shape}, an LSTM's is {wanted[name].shape}"
        worst = float(np.max(np.abs(value - wanted[name])))
        # a NaN must not pass
        if not worst <= TOLERANCE * max(1.0, float(np.max(np.abs(wanted[name])))):
            return f"its new {name} departs from the LSTM it looks like, by {worst:.2g}"
    return ""


class SingleConstants(Float64):
    """Float64 whose constants are of float32, as a float32 graph's are: 0.2 of a hard sigmoid."""

    def constant(self, value: Array | float) -> Array:
        """Rounded to float32 where it is one number."""
        return super().constant(np.float32(value) if isinstance(value, float) else value)


def _by_equations(
    ops: Float64, cell: LSTM, given: dict[str, Array], *, whole: bool
) -> dict[str, Array]:
    bound = bind(ops, cell)
    state = {"h": given["h"], "c": given["c"]}
    if not whole:
        return bound.step(bound.input_product(given["x"]), state, no_tap)[1]
    steps: dict[str, list[Array]] = {"h": [], "c": []}
    for z in bound.input_product(given["x"]):
        _, state = bound.step(z, state, no_tap)
        for name, values in steps.items():
            values.append(state[name])
    return {name: np.stack(values) for name, values in steps.items()}


def _lstm(query: CellQuery, found: Hypothesis, weights: dict[str, Array]) -> LSTM:
    kernel = InMemory("kernel", weights["kernel"])
    rows = query.input_size
    peephole = None
    if found.peephole[0] and query.peephole:
        peephole = GateBlocks.of({g: weights[f"peephole {g}"] for g in query.peephole})
    order = TENSORFLOW_LSTM
    return LSTM(
        kernel=GateBlocks.from_fused(kernel, order, slice(0, rows)),
        recurrent=GateBlocks.from_fused(kernel, order, slice(rows, kernel.shape[0])),
        bias=GateBlocks.from_fused(InMemory("bias", weights["bias"]), order)
        if "bias" in weights
        else None,
        forget_bias=Fact.read(found.forget_bias[0], found.forget_bias[1]),
        activation=Fact.read(found.activation[0], found.activation[1]),
        gate_activation=Fact.read(found.gate_activation[0], found.gate_activation[1]),
        cell_clip=Fact.read(found.cell_clip[0], found.cell_clip[1]),
        proj_clip=Fact.read(found.proj_clip[0], found.proj_clip[1]),
        peephole=peephole,
        projection=InMemory("projection", weights["projection"])
        if "projection" in weights
        else None,
    )


def _facts(found: Hypothesis) -> CellFacts:
    return CellFacts(
        forget_bias=Stated(shortest(found.forget_bias[0]), found.forget_bias[1]),
        activation=Stated(*found.activation),
        gate_activation=Stated(*found.gate_activation),
        cell_clip=_shortest_stated(found.cell_clip),
        proj_clip=_shortest_stated(found.proj_clip),
        peephole=Stated(*found.peephole),
    )


def _shortest_stated(found: tuple[float | None, str]) -> Stated[float | None]:
    value, where = found
    return Stated(None if value is None else shortest(value), where)


def shortest(value: float) -> float:
    """The shortest decimal that is this number in float32: a graph's 0.30000001192 is 0.3.

    Numbers that float32 does not hold (of a float64 graph) are left as they are.
    """
    single = np.float32(value)
    return float(str(single)) if float(single) == value else value
