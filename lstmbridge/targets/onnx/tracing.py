"""What each value of a foreign graph is: which axis is time, which state of which layer.

Values are followed forward from the graph's inputs, each with labels on its axes. What an
operator does to an axis is what ONNX says it does; a value that meets any other operator is
lost, and nothing is guessed about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import onnx

from lstmbridge.gates import Array
from lstmbridge.targets.onnx.constants import Constants

TIME, BATCH, DIRECTION, FEATURES, STACK = "time", "batch", "direction", "features", "stack"
Y, INPUT = "y", "input"

Place = tuple[int, int]
"""(stage, direction): a stage is a layer, or both directions of one."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What is known of a value.

    Attributes:
        what: `INPUT`, `Y`, or the name of a state: ``"h"``, ``"c"``.
        axes: a label for each axis.
        name: of an input: its own.
        rows: of an input: which part of its first axis, (start, stop); None: all of it.
        places: of all else: whose it is, in order along the stacked or joined axis.
        residual: its layer's input was added to it.
    """

    what: str
    axes: tuple[str, ...]
    name: str = ""
    rows: tuple[int, int] | None = None
    places: tuple[Place, ...] = ()
    residual: bool = False


Flows = dict[str, Flow]
Rule = Callable[[onnx.NodeProto, Flow, Constants], "Flow | None"]


def input_flow(name: str, rank: int) -> Flow:
    """An input whose axes nobody has named yet."""
    return Flow(INPUT, tuple(str(k) for k in range(rank)), name=name)


def attribute(node: onnx.NodeProto, name: str) -> object:
    """An attribute's value; None where it is not there."""
    found = next((one for one in node.attribute if one.name == name), None)
    return None if found is None else onnx.helper.get_attribute_value(found)


def _listed(
    node: onnx.NodeProto, name: str, place: int, constants: Constants
) -> tuple[int, ...] | None:
    """Integers that older opsets have as an attribute and newer ones as an input."""
    said = attribute(node, name)
    if isinstance(said, list | tuple):
        return tuple(int(n) for n in said)
    return constants.ints(node.input[place]) if len(node.input) > place else None


def follow(node: onnx.NodeProto, flows: Flows, constants: Constants) -> None:
    """Say what the outputs of `node` are, where its input is known and the operator too."""
    known = [flows[one] for one in node.input if one in flows]
    if not known:
        return
    if node.op_type == "Concat" and len(known) == len(node.input):
        joined = _concat(node, known)
        flows.update({node.output[0]: joined} if joined else {})
    elif node.op_type == "Where":
        # a row of length 0 keeps what it was fed; all others are the layer's
        flows.update({node.output[0]: flows[node.input[1]]} if node.input[1] in flows else {})
    elif node.op_type == "Split" and node.input[0] in flows:
        flows.update(_split(node, known[0], constants))
    elif node.op_type in _RULES and node.input[0] in flows:
        after = _RULES[node.op_type](node, known[0], constants)
        flows.update({node.output[0]: after} if after else {})


def _same(_node: onnx.NodeProto, flow: Flow, _constants: Constants) -> Flow:
    return flow


def _transpose(node: onnx.NodeProto, flow: Flow, _constants: Constants) -> Flow | None:
    said = attribute(node, "perm")
    order = list(said) if isinstance(said, list | tuple) else list(range(len(flow.axes)))[::-1]
    if sorted(order) != list(range(len(flow.axes))):
        return None
    return replace(flow, axes=tuple(flow.axes[k] for k in order))


def _squeeze(node: onnx.NodeProto, flow: Flow, constants: Constants) -> Flow | None:
    axes = _listed(node, "axes", 1, constants)
    if axes is None:
        return None
    gone = {k % len(flow.axes) for k in axes}
    removed = {flow.axes[k] for k in gone}
    if flow.what != INPUT and (removed != {DIRECTION} or len(flow.places) > 1):
        return None
    return replace(flow, axes=tuple(x for k, x in enumerate(flow.axes) if k not in gone))


def _unsqueeze(node: onnx.NodeProto, flow: Flow, constants: Constants) -> Flow | None:
    axes = _listed(node, "axes", 1, constants)
    if axes is None or len(axes) != 1:
        return None
    at = axes[0] % (len(flow.axes) + 1)
    return replace(flow, axes=(*flow.axes[:at], STACK, *flow.axes[at:]))


def _reshape(node: onnx.NodeProto, flow: Flow, constants: Constants) -> Flow | None:
    """Directions laid side by side, or a single one dropped; all else is not followed."""
    shape = constants.ints(node.input[1]) if len(node.input) > 1 else None
    if shape is None or flow.what != Y or len(flow.axes) != 4 or len(shape) != 3:
        return None
    if len(flow.places) == 1:
        return replace(flow, axes=tuple(x for x in flow.axes if x != DIRECTION))
    if flow.axes[2:] != (DIRECTION, FEATURES):
        return None  # this mixes rows with directions
    return replace(flow, axes=(*flow.axes[:2], FEATURES))


def _gather(node: onnx.NodeProto, flow: Flow, constants: Constants) -> Flow | None:
    index: Array | None = constants[node.input[1]]
    axis = int(attribute(node, "axis") or 0) % len(flow.axes)  # type: ignore[call-overload]
    if index is None or index.ndim or index.dtype.kind not in "iu":
        return None
    at, label = int(index), flow.axes[axis]
    rest = tuple(x for k, x in enumerate(flow.axes) if k != axis)
    if flow.what == INPUT and axis == 0 and at >= 0 and flow.rows is None:
        return replace(flow, axes=rest, rows=(at, at + 1))
    if label in {DIRECTION, STACK} and -len(flow.places) <= at < len(flow.places):
        return replace(flow, axes=rest, places=(flow.places[at],))
    if label == TIME and at == -1 and flow.what == Y and len(flow.places) == 1 and len(rest) == 2:
        # with no lengths, the last step's output is the last h
        return replace(flow, what="h", axes=rest)
    return None


def _slice(node: onnx.NodeProto, flow: Flow, constants: Constants) -> Flow | None:
    """A part of a first axis that stacks layers, or of the directions."""
    starts = _listed(node, "starts", 1, constants)
    ends = _listed(node, "ends", 2, constants)
    axes = _listed(node, "axes", 3, constants) or (0,)
    if starts is None or ends is None or not len(starts) == len(ends) == len(axes) == 1:
        return None
    if flow.axes[axes[0] % len(flow.axes)] == DIRECTION and flow.what != INPUT:
        kept = flow.places[starts[0] : ends[0]]
        return replace(flow, places=kept) if kept else None
    if axes != (0,):
        return None
    if flow.what == INPUT and flow.rows is None and 0 <= starts[0] < ends[0]:
        return replace(flow, rows=(starts[0], ends[0]))
    return None


def _split(node: onnx.NodeProto, flow: Flow, constants: Constants) -> Flows:
    """Each output a part of the first axis, of the width that is said; else one row each."""
    axis = attribute(node, "axis") or 0
    widths = _listed(node, "split", 1, constants) or (1,) * len(node.output)
    if flow.what != INPUT or flow.rows is not None or axis or len(widths) != len(node.output):
        return {}
    starts = [sum(widths[:k]) for k in range(len(widths))]
    return {
        out: replace(flow, rows=(start, start + width))
        for out, start, width in zip(node.output, starts, widths, strict=True)
    }


def _concat(node: onnx.NodeProto, known: list[Flow]) -> Flow | None:
    """Directions side by side, or states one above the other."""
    first = known[0]
    axis = int(attribute(node, "axis") or 0) % len(first.axes)  # type: ignore[call-overload]
    if any(one.what != first.what or one.axes != first.axes for one in known):
        return None
    wanted = {Y: {FEATURES}, INPUT: set()}.get(first.what, {DIRECTION, STACK})
    if first.axes[axis] not in wanted:
        return None
    return replace(first, places=tuple(place for one in known for place in one.places))


_RULES: Mapping[str, Rule] = {
    "Identity": _same,
    "Cast": _same,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Gather": _gather,
    "Slice": _slice,
}
