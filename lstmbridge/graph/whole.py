"""A whole model in a graph: what is fed, what is asked for, and the stacks that were recognised.

This is what a source that declares a model (or a checkpoint with `--outputs`) is converted from:
targets walk the graph from `outputs` back to `inputs`, op by op, and write native operators
where a `Place` says that a recurrent stack stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lstmbridge.gates import Array
from lstmbridge.graph.execute import MOST_STEPS, Program
from lstmbridge.graph.network import Tensor
from lstmbridge.model.blocks import Bidirectional, Model, Sequence
from lstmbridge.model.signature import OUTPUTS


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the whole model.

    Attributes:
        name: what the artifact calls it: the signature's key, or the operation's name.
        tensor: where it is in the graph.
        shape: None for an axis of any length; None altogether where the rank is not known.
        dtype: as the graph declares it (bfloat16 as `ml_dtypes.bfloat16`).
    """

    name: str
    tensor: Tensor
    shape: tuple[int | None, ...] | None
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """A tensor that inference fixes: a keep probability, a training switch, ``--set``.

    Attributes:
        name: the placeholder's operation.
        why: in words: ``"given by --set"``, ``"feeds only dropout"``, ``"its default"``.
        given: the user said so.
    """

    name: str
    tensor: Tensor
    value: Array
    why: str
    given: bool = False


@dataclass(frozen=True, eq=False)
class Place:
    """Where a recognised stack stands in the graph, and what it is.

    Attributes:
        name: the stack's scope.
        model: its layers; feeding it `source` gives `outputs`, proved beforehand.
        source: the sequence it reads; (time, batch, features) where `time_major`.
        lengths: (batch,) lengths that end rows, or None.
        initial: (layer, state) -> the tensor of its initial value, (batch, width).
        outputs: the sequence it gives, one tensor for each direction; (time, batch, features)
            where `outputs_time_major`. Empty where no tensor is all of it.
        finals: (layer, state) -> the tensors that hold its last value.
        step_sources: of unrolled steps: what each of them reads, (batch, features), in their
            order; `source` is then the first.
        step_outputs: of unrolled steps: what each of them gives, direction after direction,
            each in the order of time; `outputs` is then empty.
        nodes: the operations by which it was found.
    """

    name: str
    model: Model
    source: Tensor
    time_major: bool
    lengths: Tensor | None
    initial: Mapping[tuple[str, str], Tensor]
    outputs: tuple[Tensor, ...]
    outputs_time_major: bool
    finals: Mapping[tuple[str, str], tuple[Tensor, ...]]
    step_sources: tuple[Tensor, ...] = ()
    step_outputs: tuple[Tensor, ...] = ()
    nodes: frozenset[str] = frozenset()

    @property
    def widths(self) -> tuple[int, ...]:
        """How wide the outputs of each direction are."""
        block = self.model.root
        while isinstance(block, Sequence):
            block = block.blocks[-1]
        if isinstance(block, Bidirectional):
            return block.forward.output_size, block.backward.output_size
        return (block.output_size,)

    @property
    def takes(self) -> tuple[Tensor, ...]:
        """Every tensor that it reads."""
        lengths = () if self.lengths is None else (self.lengths,)
        return (*(self.step_sources or (self.source,)), *lengths, *self.initial.values())

    @property
    def gives(self) -> tuple[Tensor, ...]:
        """Every tensor that it gives."""
        finals = (t for tensors in self.finals.values() for t in tensors)
        return (*self.outputs, *self.step_outputs, *finals)

    def handed_on(self, made: Mapping[str, Array]) -> Iterator[tuple[Tensor, Array]]:
        """What the model gives, at each tensor where the graph reads it.

        Args:
            made: by the model's output names, as `model.forward` gives them.
        """
        widths = self.widths
        parts = np.split(made[OUTPUTS], list(np.cumsum(widths))[:-1], axis=-1)
        steps = len(self.step_outputs) // len(widths)
        for k, tensor in enumerate(self.step_outputs):
            yield tensor, parts[k // steps][:, k % steps]
        whole = parts if len(self.outputs) > 1 else [made[OUTPUTS]][: len(self.outputs)]
        for tensor, part in zip(self.outputs, whole, strict=True):
            yield tensor, part.transpose(1, 0, 2) if self.outputs_time_major else part
        for layer in self.model.layers:
            for state in layer.cell.state_sizes:
                for tensor in self.finals.get((layer.name, state), ()):
                    yield tensor, made[layer.state_name(state)]


@dataclass(frozen=True, eq=False)
class Whole:
    """A whole model, ready to be run and to be converted.

    Attributes:
        program: the graph with the numbers of its variables.
        settings: what inference fixes, each with its reason: facts of the model.
        places: the recurrent stacks that were recognised and proved.
        notes: stacks on the way that were recognised and are no places, each with the reason;
            they are a part of the graph like any other.
        most: steps that any loop may take.
    """

    program: Program
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    settings: tuple[Setting, ...] = ()
    places: tuple[Place, ...] = field(default=())
    notes: tuple[str, ...] = ()
    most: int = MOST_STEPS

    def fed(self, feeds: Mapping[str, Array]) -> dict[Tensor, Array]:
        """`feeds` by the ports' names, and what inference fixes, at their tensors."""
        fixed = {setting.tensor: setting.value for setting in self.settings}
        return fixed | {port.tensor: feeds[port.name] for port in self.inputs}

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name, in float64 (int64, bool). Errors: as `Program.run`."""
        return self.go_on(feeds, {})

    def go_on(self, feeds: Mapping[str, Array], given: Mapping[Tensor, Array]) -> dict[str, Array]:
        """`run`, with the values of some tensors on the way given in place of computed."""
        fed = {**self.fed(feeds), **given}
        got = self.program.run(fed, [port.tensor for port in self.outputs], most=self.most)
        return {port.name: got[port.tensor] for port in self.outputs}
