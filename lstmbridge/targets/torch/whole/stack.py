"""A recognised stack in a whole graph, as a file states it. No torch in here.

The modules that say it are those of a stack alone (`architecture`); beside them stands how the
graph feeds and reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lstmbridge.graph.whole import Place
from lstmbridge.targets.torch import codec
from lstmbridge.targets.torch.architecture import Architecture, states_of

PREFIX = "stack/"
"""Keys of a stack's tensors begin with this and its scope. No module's attribute has a slash."""


@dataclass(frozen=True)
class Stack:
    """One stack.

    The operation that stands for it reads, in this order: its sequence, or each of its steps; its
    lengths; its initial states. It gives its outputs, or each step's, and its last states.

    Attributes:
        name: its scope in the source's graph.
        key: its module's name; the keys of its tensors are those of the module after this and a
            point.
        architecture: its modules; their layers are called as the model's.
        steps: of unrolled steps: how many it reads, each (batch, features); else 0.
        time_major: how its sequence lies.
        lengths: whether it reads lengths, (batch,).
        initial: the states that it reads, by the modules' names, each as wide as (batch, width).
        widths: of its output sequences, which lie side by side in the modules' output; of
            unrolled steps: of its directions, where it has two.
        outputs_time_major: how they lie.
        step_outputs: how many of its steps' outputs it gives, direction after direction.
        finals: the last states that it gives, by the modules' names.
    """

    name: str
    key: str
    architecture: Architecture
    steps: int
    time_major: bool
    lengths: bool
    initial: tuple[str, ...]
    widths: tuple[int, ...]
    outputs_time_major: bool
    step_outputs: int
    finals: tuple[str, ...]

    @property
    def prefix(self) -> str:
        """What the keys of its tensors begin with."""
        return f"{self.key}."


def stack_of(place: Place, key: str, architecture: Architecture) -> Stack:
    """How a place is fed and read.

    Errors: ValueError where its outputs are not those of its directions.
    """
    layers = {layer.name: layer for layer in place.model.layers}
    widths = place.widths
    if place.step_outputs:
        widths = widths if len(widths) > 1 else ()
    elif len(place.outputs) < 2:
        widths = (sum(widths),)[: len(place.outputs)]
    elif len(place.outputs) != len(widths):
        raise ValueError(f"{len(place.outputs)} outputs of {len(widths)} directions")
    return Stack(
        name=place.name,
        key=key,
        architecture=architecture,
        steps=len(place.step_sources),
        time_major=place.time_major,
        lengths=place.lengths is not None,
        initial=tuple(layers[name].initial_name(state) for name, state in place.initial),
        widths=widths,
        outputs_time_major=place.outputs_time_major,
        step_outputs=len(place.step_outputs),
        finals=tuple(
            layers[name].state_name(state)
            for (name, state), tensors in place.finals.items()
            for _ in tensors
        ),
    )


def to_body(stack: Stack) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "name": stack.name,
        "key": stack.key,
        "modules": codec.to_json(stack.architecture),
        "steps": stack.steps,
        "time_major": stack.time_major,
        "lengths": stack.lengths,
        "initial": list(stack.initial),
        "widths": list(stack.widths),
        "outputs_time_major": stack.outputs_time_major,
        "step_outputs": stack.step_outputs,
        "finals": list(stack.finals),
    }


def stack_from(body: Mapping[str, Any], where: str) -> Stack:
    """What a file states, checked.

    Errors: ValueError, TypeError, KeyError, SourceUnreadable for anything else.
    """
    stack = Stack(
        name=codec.text(body["name"]),
        key=codec.text(body["key"]),
        architecture=codec.from_json(codec.text(body["modules"]), where),
        steps=codec.count(body["steps"]),
        time_major=codec.flag(body["time_major"]),
        lengths=codec.flag(body["lengths"]),
        initial=tuple(map(codec.text, body["initial"])),
        widths=tuple(map(codec.size, body["widths"])),
        outputs_time_major=codec.flag(body["outputs_time_major"]),
        step_outputs=codec.count(body["step_outputs"]),
        finals=tuple(map(codec.text, body["finals"])),
    )
    root = stack.architecture.root
    states = {f"{name}_{state}" for name, state, _ in states_of(root)}
    fed = {name.removeprefix("initial_") for name in stack.initial}
    if not (fed | set(stack.finals)) <= states or len(fed) < len(stack.initial):
        raise ValueError(f"the stack {stack.name!r} has other states")
    if stack.widths and sum(stack.widths) != root.output_size:
        raise ValueError(f"the stack {stack.name!r} gives {root.output_size} features")
    if not stack.key.startswith(PREFIX) or "." in stack.key:
        raise ValueError(f"{stack.key!r} is no name of a stack's module")
    return stack
