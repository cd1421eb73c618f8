"""An ONNX file of any tool as a network: its native nodes in a row, and what its ports carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx

from lstmbridge.contracts import BATCH_MAJOR, TIME_MAJOR, Port, Understanding
from lstmbridge.errors import SourceUnreadable
from lstmbridge.model.blocks import Bidirectional, Block, Model, Recurrent, Residual
from lstmbridge.model.blocks import Sequence as InARow
from lstmbridge.model.cells import Cell
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.targets.onnx.constants import Constants
from lstmbridge.targets.onnx.nodes import READ, NotRead, ReadNode, name_of, read_node
from lstmbridge.targets.onnx.operators import LENGTHS, OPERATORS, STATES
from lstmbridge.targets.onnx.reading import OnnxFile, open_onnx
from lstmbridge.targets.onnx.tracing import (
    BATCH,
    DIRECTION,
    FEATURES,
    INPUT,
    STACK,
    TIME,
    Flow,
    Flows,
    Place,
    Y,
    follow,
    input_flow,
)

KIND = "ONNX file"
_LAYOUTS: Mapping[tuple[str, ...], str] = {
    (TIME, BATCH, FEATURES): TIME_MAJOR,
    (TIME, DIRECTION, BATCH, FEATURES): TIME_MAJOR,
    (BATCH, TIME, FEATURES): BATCH_MAJOR,
    (BATCH, TIME, DIRECTION, FEATURES): BATCH_MAJOR,
}
_BODIES = frozenset({"Scan", "Loop", "If"})


def understand(path: Path) -> Understanding | None:
    """What `path` says of its network; None where it is no ONNX file.

    Raises:
        SourceUnreadable: it claims to be one and is broken.
    """
    file = open_onnx(path)
    try:
        return None if file is None else _Reader(file).read()
    except (IndexError, TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise SourceUnreadable(
            f"the graph of {path.name} does not hold together: {error}",
            expected="nodes with the inputs and attributes that ONNX asks for",
            where=str(path),
        ) from error


@dataclass
class _Stage:
    """One layer, or both directions of one."""

    cells: dict[str, Cell] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    x: Flow | None = None
    residual: bool = False

    @property
    def directions(self) -> tuple[str, ...]:
        return tuple(sorted(self.cells, reverse=True))  # fw, bw

    def block(self) -> Block:
        block: Block = Recurrent(next(iter(self.cells.values())))
        if len(self.cells) == 2:
            block = Bidirectional(Recurrent(self.cells["fw"]), Recurrent(self.cells["bw"]))
        return Residual(block) if self.residual else block


class _Reader:
    """One file, read node after node."""

    def __init__(self, file: OnnxFile) -> None:
        self._file = file
        self._graph = file.proto.graph
        self._constants = Constants(file)
        self._stages: list[_Stage] = []
        self._by_input: dict[str, int] = {}
        self._flows: Flows = {}
        self._wanted: dict[str, list[tuple[Flow, str, int]]] = {}
        self._left: list[str] = []
        self._numbers = 0
        self._sound = True

    def read(self) -> Understanding:
        stored = {one.name for one in self._graph.initializer}
        for one in self._graph.input:
            if one.name not in stored or one.name.startswith("initial_"):
                rank = len(one.type.tensor_type.shape.dim)
                self._flows[one.name] = input_flow(one.name, rank)
        for node in self._graph.node:
            if node.op_type in READ and node.domain in {"", "ai.onnx"}:
                self._recurrent(node)
            elif node.op_type == "Add" and self._residual(node):
                continue
            else:
                follow(node, self._flows, self._constants)
        self._unread()
        model = self._model()
        return Understanding(
            model=model,
            kind=KIND,
            ports=tuple(self._ports(model)) if model is not None else (),
            accounted=self._numbers if model is not None else 0,
            layers=self._layers(model),
            left=tuple(dict.fromkeys(self._left)),
        )

    def _lose(self, reason: str) -> None:
        self._left.append(reason)
        self._sound = False

    # --- nodes ----------------------------------------------------------------------------

    def _recurrent(self, node: onnx.NodeProto) -> None:
        try:
            found = read_node(node, self._constants)
        except NotRead as error:
            self._lose(f"{name_of(node)} is not read: {error}")
            return
        k = self._stage_of(node, found)
        if k is None:
            return
        self._numbers += found.numbers
        stage = self._stages[k]
        for direction, cell in zip(found.directions, found.cells, strict=True):
            stage.cells[direction] = cell
            stage.names[direction] = name_of(node)
        places = tuple((k, {"fw": 0, "bw": 1}[one]) for one in found.directions)
        self._outputs(node, places, batch_first=found.batch_first)
        self._states(node, places)

    def _stage_of(self, node: onnx.NodeProto, found: ReadNode) -> int | None:
        """Which stage it is, by what it reads: the input, or what the stage before gives."""
        x = self._flows.get(node.input[0])
        if x is None or len(x.axes) != 3:
            self._lose(f"what {name_of(node)} reads was not followed: {node.input[0]!r}")
            return None
        k = self._by_input.get(node.input[0], len(self._stages))
        if k < len(self._stages):
            if len(found.directions) != 1 or found.directions[0] in self._stages[k].cells:
                self._lose(f"{name_of(node)} stands beside another node, not after it")
                return None
            return k
        time, batch = (1, 0) if found.batch_first else (0, 1)
        if x.what == INPUT and not k:
            ok = x.axes[2] == "2" and x.rows is None
        else:
            ok = x.what == Y and self._all_of(x, k - 1)
            ok = ok and (x.axes[time], x.axes[batch], x.axes[2]) == (TIME, BATCH, FEATURES)
        if not ok:
            self._lose(f"{name_of(node)} does not read what the layer before it gives")
            return None
        if not k:
            layout = TIME_MAJOR if x.axes[time] == "0" else BATCH_MAJOR
            self._wanted[x.name] = [(x, layout, 0)]
        self._by_input[node.input[0]] = k
        self._stages.append(_Stage(x=x))
        return k

    def _residual(self, node: onnx.NodeProto) -> bool:
        """Whether the node adds a layer's input to its output; then that is followed."""
        known = [self._flows[one] for one in node.input if one in self._flows]
        for y, x in (known, known[::-1]) if len(known) == 2 else ():
            k = y.places[0][0] if y.what == Y and y.places else -1
            if self._all_of(y, k) and x == self._stages[k].x:
                self._stages[k].residual = True
                self._flows[node.output[0]] = replace(y, residual=True)
                return True
        return False

    def _all_of(self, flow: Flow, k: int) -> bool:
        """Whether it is the whole output of stage `k`, forward before backward."""
        if k < 0 or any(stage != k for stage, _ in flow.places):
            return False
        if flow.residual != self._stages[k].residual:
            return False
        wanted = [0, 1] if len(self._stages[k].cells) == 2 else [flow.places[0][1]]
        return [d for _, d in flow.places] == wanted

    def _outputs(
        self, node: onnx.NodeProto, places: tuple[Place, ...], *, batch_first: bool
    ) -> None:
        y = (BATCH, TIME, DIRECTION) if batch_first else (TIME, DIRECTION, BATCH)
        h = (BATCH, DIRECTION) if batch_first else (DIRECTION, BATCH)
        names = [*node.output, "", "", ""]
        flows = [Flow(Y, (*y, FEATURES), places=places)]
        states = OPERATORS[node.op_type].states
        flows += [Flow(state, (*h, FEATURES), places=places) for state in states]
        self._flows.update({n: f for n, f in zip(names, flows, strict=False) if n})

    def _states(self, node: onnx.NodeProto, places: tuple[Place, ...]) -> None:
        """What the node is fed beside its input: lengths and initial states."""
        inputs = [*node.input, *[""] * 8]
        fed = {SEQUENCE_LENGTH: inputs[LENGTHS]}
        for at, state in enumerate(OPERATORS[node.op_type].states, STATES):
            fed[state] = inputs[at]
        for what, name in fed.items():
            flow = self._flows.get(name)
            if not name or (what != SEQUENCE_LENGTH and self._constants.is_zero(name)):
                continue
            if flow is None or flow.what != INPUT:
                word = "lengths" if what == SEQUENCE_LENGTH else f"initial {what}"
                self._left.append(f"the {word} of {name_of(node)} are computed in the graph")
                continue
            for index, (k, d) in enumerate(places):
                row = index + (flow.rows[0] if flow.rows else 0)
                self._wanted.setdefault(flow.name, []).append((flow, f"{what} {k} {d}", row))

    # --- the whole ------------------------------------------------------------------------

    def _unread(self) -> None:
        """Nodes that hold numbers or loops of their own."""
        used = {name for node in self._graph.node if node.op_type in READ for name in node.input}
        for node in self._graph.node:
            if node.op_type in _BODIES:
                self._left.append(f"{name_of(node)} has a body of its own, which is not read")
        sizes = {one.name: self._size(one) for one in self._graph.initializer}
        for node in self._graph.node:
            if node.op_type not in READ and node.op_type not in {"Gather", "Slice"}:
                for name in node.input:
                    value = sizes.get(name, 0)
                    plain = not value or name in used or self._constants.is_zero(name)
                    if not plain and not self._constants_for(node):
                        self._left.append(
                            f"{name_of(node)} holds {value:,} numbers ({name!r}) that no "
                            "recurrent layer uses"
                        )

    def _constants_for(self, node: onnx.NodeProto) -> bool:
        """Whether the node only prepares constants."""
        return all(self._constants[out] is not None for out in node.output if out)

    def _size(self, tensor: onnx.TensorProto) -> int:
        size = 1
        for n in tensor.dims:
            size *= n
        floats = {1, 10, 11, 16}  # float32, float16, float64, bfloat16
        return size if tensor.data_type in floats else 0

    def _model(self) -> Model | None:
        if not self._stages:
            self._left.append("it holds no LSTM, GRU or RNN node that is read")
            return None
        if not self._sound:
            return None
        if any(stage.directions == ("bw",) for stage in self._stages):
            self._left.append("a layer runs backward with no forward one beside it")
            return None
        try:
            blocks = tuple(stage.block() for stage in self._stages)
            root: Block = InARow(blocks) if len(blocks) > 1 else blocks[0]
            return Model(self._graph.name, root)
        except ValueError as error:
            self._left.append(f"its layers do not fit together: {error}")
            return None

    def _layer_names(self, model: Model) -> dict[Place, str]:
        places = [
            (k, d)
            for k, stage in enumerate(self._stages)
            for d in range(len(stage.cells))
        ]  # fmt: skip
        return {
            place: layer.name for place, layer in zip(places, model.layers, strict=True)
        }  # forward before backward, as the model has them

    def _layers(self, model: Model | None) -> tuple[tuple[str, str], ...]:
        if model is None:
            return ()
        where = [stage.names[d] for stage in self._stages for d in stage.directions]
        return tuple((x.name, name) for x, name in zip(model.layers, where, strict=True))

    # --- ports ----------------------------------------------------------------------------

    def _ports(self, model: Model) -> Iterator[Port]:
        names = self._layer_names(model)
        for name, wants in self._wanted.items():
            yield self._input(name, wants, names)
        for one in self._graph.output:
            flow = self._flows.get(one.name)
            lost = flow is None or flow.what == INPUT
            port = None if flow is None or lost else self._output(one.name, flow, names)
            if port is None:
                self._left.append(f"the output {one.name!r} was not followed to a layer")
            else:
                yield port

    def _input(
        self, name: str, wants: Sequence[tuple[Flow, str, int]], names: dict[Place, str]
    ) -> Port:
        flow, what, _ = wants[0]
        if what in {TIME_MAJOR, BATCH_MAJOR}:
            return Port(name, (INPUTS,), layout=what, why="its axes, followed through the graph")
        if what.startswith(SEQUENCE_LENGTH):
            return Port(name, (SEQUENCE_LENGTH,), why="it is what the node reads as lengths")
        rows: dict[int, str] = {}
        for _, text, row in wants:
            state, k, d = text.split()
            rows[row] = f"initial_{names[int(k), int(d)]}_{state}"
        ours = tuple(rows.get(row, "") for row in range(max(rows) + 1))
        # a state of two axes was given the third by the graph
        stacked = len([x for x in flow.axes if x != STACK]) == 3 or flow.rows is not None
        return Port(name, ours, stacked=stacked, why="followed to the layer that it starts")

    def _output(self, name: str, flow: Flow, names: dict[Place, str]) -> Port | None:
        axes = tuple(x for x in flow.axes if x != STACK)
        if flow.what == Y:
            if not self._all_of(flow, len(self._stages) - 1):
                return None
            layout = _LAYOUTS.get(axes)
            if layout is None:
                return None
            return Port(name, (OUTPUTS,), layout=layout, why="followed from the top layer")
        ours = tuple(f"{names[place]}_{flow.what}" for place in flow.places)
        if flow.axes == (BATCH, FEATURES):
            return Port(name, ours, why="followed from the layer that gives it")
        if flow.axes in {(DIRECTION, BATCH, FEATURES), (STACK, BATCH, FEATURES)}:
            return Port(name, ours, stacked=True, why="followed from the layers that give it")
        return None
