"""One call of a module: lengths, initial and final states, and how sequences are gone through.

`Call` is eager PyTorch. What is traced for an exported program goes through sequences in another
way (`exporting`); the network, in `modules`, is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from lstmbridge.model.equations import Step, no_tap

Finals = dict[str, Tensor]


@dataclass
class Call:
    """The lengths, what was fed, and the final states so far."""

    lengths: Tensor | None
    initial: Mapping[str, Tensor]
    finals: Finals = field(default_factory=dict)

    def start(self, layer: str, state: str, x: Tensor, width: int) -> Tensor:
        """The initial state (batch, width) of a layer: as fed, or zeros."""
        fed = self.initial.get(f"initial_{layer}_{state}")
        return x.new_zeros((x.shape[0], width)) if fed is None else fed

    def alive(self, steps: int) -> Tensor | None:
        """(batch, steps): is the step within the row's length? None where all are."""
        if self.lengths is None:
            return None
        return torch.arange(steps, device=self.lengths.device) < self.lengths[:, None]

    def mask(self, x: Tensor) -> Tensor:
        """X (batch, time, features) with zeros past the end of each row."""
        alive = self.alive(x.shape[1])
        return x if alive is None else torch.where(alive[..., None], x, x.new_zeros(()))

    def reverse(self, x: Tensor) -> Tensor:
        """X (batch, time, features), each row reversed up to its length."""
        if self.lengths is None:
            return x.flip(1)
        steps = torch.arange(x.shape[1], device=x.device)
        back = self.lengths[:, None] - 1 - steps
        source = torch.where(back >= 0, back, steps)
        return torch.gather(x, 1, source[..., None].expand(-1, -1, x.shape[2]))

    def native(self, module: Any, x: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Run one of `torch.nn`'s recurrent modules.

        Args:
            module: a `modules.NativeModule`.
            x: (batch, time, features).
            states: (layers, batch, width) each, in torch's order.

        Returns:
            y (batch, time, features) and the final states.
        """
        if not x.shape[0] or not x.shape[1]:
            return x.new_zeros((*x.shape[:2], module.node.output_size)), states
        if self.lengths is None:
            return _run(module, x, states)
        # rows of length 0, which packing refuses, are left out
        rows = torch.nonzero(self.lengths)[:, 0]
        y = x.new_zeros((*x.shape[:2], module.node.output_size))
        if not len(rows):
            return y, states
        packed = pack_padded_sequence(
            x[rows], self.lengths[rows].cpu(), batch_first=True, enforce_sorted=False
        )
        packed_y, finals = _run(module, packed, [s[:, rows].contiguous() for s in states])
        some, _ = pad_packed_sequence(packed_y, batch_first=True, total_length=x.shape[1])
        new = [s.index_copy(1, rows, f) for s, f in zip(states, finals, strict=True)]
        return y.index_copy(0, rows, some), new

    def steps(
        self, bound: Step[Tensor], x: Tensor, states: Mapping[str, Tensor], output_size: int
    ) -> tuple[Tensor, Finals]:
        """Run the equations of a cell, one step after another.

        Args:
            bound: the cell's equations.
            x: (batch, time, features).
            states: (batch, width) each, by name.
            output_size: features of y.

        Returns:
            y (batch, time, features) and the final states.
        """
        state, outputs = dict(states), []
        alive = self.alive(x.shape[1])
        for t, z in enumerate(bound.input_product(x.transpose(0, 1)).unbind(0)):
            output, new = bound.step(z, state, no_tap)
            if alive is not None:
                output, new = held(alive[:, t, None], output, new, state)
            outputs.append(output)
            state = new
        y = torch.stack(outputs, dim=1) if outputs else x.new_zeros((len(x), 0, output_size))
        return y, state


def held(
    now: Tensor, output: Tensor, new: Mapping[str, Tensor], old: Mapping[str, Tensor]
) -> tuple[Tensor, Finals]:
    """Output zero and states as they were for rows that are past their end.

    `now` (batch, 1) is False for those.
    """
    kept = {name: torch.where(now, new[name], before) for name, before in old.items()}
    return torch.where(now, output, output.new_zeros(())), kept


def _run(
    module: Any, x: Tensor | PackedSequence, states: list[Tensor]
) -> tuple[Any, list[Tensor]]:
    """`forward` of torch's own module, which takes one state bare and two as a pair."""
    y, finals = module.plain.forward(module, x, states[0] if len(states) == 1 else tuple(states))
    return y, [finals] if isinstance(finals, Tensor) else list(finals)
