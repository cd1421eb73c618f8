"""The `nn.Module`s that an artifact is loaded into. Nothing here knows a file.

Batch-major outside and between the modules. Semantics of lengths: `tf.nn.dynamic_rnn`, as in
`model.forward`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lstmbridge.errors import UsageError
from lstmbridge.model.equations import bind, no_tap
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.targets.torch.architecture import (
    Architecture,
    Equations,
    Native,
    Node,
    Series,
    TwoWay,
    leaves,
    state_sizes,
)
from lstmbridge.targets.torch.namespace import TorchOps
from lstmbridge.targets.torch.structure import cell_of, shapes_of


@dataclass
class Call:
    """One call of `forward`: the lengths, what was fed, and the final states so far."""

    lengths: Tensor | None
    initial: Mapping[str, Tensor]
    finals: dict[str, Tensor] = field(default_factory=dict)

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


class BridgeModule(nn.Module):
    """What every module of an artifact can do: be called by the artifact's names.

    The state dict's keys are those of the file. Modules are called with tensors in the dtype
    and on the device of the parameters.
    """

    node: Node

    def forward(
        self, inputs: Tensor, sequence_length: Tensor | None = None, **initial: Tensor
    ) -> dict[str, Tensor]:
        """Run whole sequences.

        Args:
            inputs: (batch, time, features).
            sequence_length: (batch,) integers from 0 to time: past its end a row's outputs are
                zero and its states hold; a row of length 0 keeps its initial state; backward
                layers reverse the valid prefix. None: all rows are full.
            initial: ``initial_<layer>_h`` (batch, width) and ``initial_<layer>_c``; zeros where
                they are not given.

        Returns:
            ``outputs`` (batch, time, features) and the final states ``<layer>_h``,
            ``<layer>_c`` (batch, width).

        Raises:
            UsageError: a name or a shape that the network does not have.
        """
        self._check_inputs(inputs)
        self._check_states(inputs, initial)
        call = Call(_checked_lengths(inputs, sequence_length), initial)
        return {OUTPUTS: self.apply_to(inputs, call), **call.finals}

    def apply_to(self, x: Tensor, call: Call) -> Tensor:
        """`run`, with the residual connections around it."""
        y = self.run(x, call)
        for _ in range(self.node.residuals):
            y = call.mask(y + x)
        return y

    def run(self, x: Tensor, call: Call) -> Tensor:
        """X (batch, time, features) -> y; leaves the final states in `call`."""
        raise NotImplementedError

    def _check_inputs(self, inputs: Tensor) -> None:
        dtype = next(self.parameters()).dtype
        if inputs.dtype != dtype and not torch.is_autocast_enabled():
            raise UsageError(
                f"{INPUTS} has dtype {inputs.dtype}",
                expected=f"{dtype}, that of the weights",
                where=INPUTS,
                advice=f"cast one of them: {INPUTS}.to({dtype}) or module.to({inputs.dtype})",
            )
        if inputs.ndim != 3 or inputs.shape[2] != self.node.input_size:
            raise UsageError(
                f"{INPUTS} has shape {tuple(inputs.shape)}",
                expected=f"(batch, time, {self.node.input_size})",
                where=INPUTS,
            )

    def _check_states(self, inputs: Tensor, initial: Mapping[str, Tensor]) -> None:
        widths: dict[str, int] = {}
        for _, leaf in leaves(self.node):
            for name, h, c in state_sizes(leaf):
                widths |= {f"initial_{name}_h": h, f"initial_{name}_c": c}
        for name, state in initial.items():
            if name not in widths:
                raise UsageError(
                    f"there is no input {name}",
                    expected=f"one of {', '.join(widths)}",
                    where=name,
                )
            if tuple(state.shape) != (inputs.shape[0], widths[name]):
                raise UsageError(
                    f"{name} has shape {tuple(state.shape)}",
                    expected=f"({inputs.shape[0]}, {widths[name]})",
                    where=name,
                )


def _checked_lengths(inputs: Tensor, lengths: Tensor | None) -> Tensor | None:
    if lengths is None:
        return None
    batch, time = inputs.shape[:2]
    if tuple(lengths.shape) != (batch,) or lengths.is_floating_point():
        raise UsageError(
            f"{SEQUENCE_LENGTH} has shape {tuple(lengths.shape)} and dtype {lengths.dtype}",
            expected=f"({batch},) integers",
            where=SEQUENCE_LENGTH,
        )
    lengths = lengths.to(inputs.device, torch.int64)
    if batch and not 0 <= int(lengths.min()) <= int(lengths.max()) <= time:
        raise UsageError(
            f"{SEQUENCE_LENGTH} runs from {int(lengths.min())} to {int(lengths.max())}",
            expected=f"lengths from 0 to {time}, the steps of {INPUTS}",
            where=SEQUENCE_LENGTH,
        )
    return None if batch and int(lengths.min()) == time else lengths


class NativeLSTM(BridgeModule, nn.LSTM):  # type: ignore[misc]  # `forward` takes our names
    """One `torch.nn.LSTM`, its parameters under that module's own keys."""

    def __init__(self, node: Native, dtype: torch.dtype) -> None:
        nn.LSTM.__init__(
            self,
            node.input_size,
            node.hidden_size,
            node.num_layers,
            bias=node.bias,
            batch_first=True,
            bidirectional=node.bidirectional,
            proj_size=node.proj_size,
            dtype=dtype,
        )
        self.node: Native = node

    def run(self, x: Tensor, call: Call) -> Tensor:
        """See `BridgeModule.run`."""
        sizes = state_sizes(self.node)
        h = torch.stack([call.start(name, "h", x, width) for name, width, _ in sizes])
        c = torch.stack([call.start(name, "c", x, width) for name, _, width in sizes])
        if x.shape[0] and x.shape[1]:
            y, h, c = self._some(x, h, c, call.lengths)
        else:
            y = x.new_zeros((*x.shape[:2], self.node.output_size))
        for k, (name, _, _) in enumerate(sizes):
            call.finals |= {f"{name}_h": h[k], f"{name}_c": c[k]}
        return y

    def _some(
        self, x: Tensor, h: Tensor, c: Tensor, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """At least one row and step. Rows of length 0, which packing refuses, are left out."""
        if lengths is None:
            y, (h, c) = nn.LSTM.forward(self, x, (h, c))
            return y, h, c
        rows = torch.nonzero(lengths)[:, 0]
        y = x.new_zeros((*x.shape[:2], self.node.output_size))
        if not len(rows):
            return y, h, c
        packed = pack_padded_sequence(
            x[rows], lengths[rows].cpu(), batch_first=True, enforce_sorted=False
        )
        states = (h[:, rows].contiguous(), c[:, rows].contiguous())
        packed_y, (new_h, new_c) = nn.LSTM.forward(self, packed, states)
        some, _ = pad_packed_sequence(packed_y, batch_first=True, total_length=x.shape[1])
        return (
            y.index_copy(0, rows, some),
            h.index_copy(1, rows, new_h),
            c.index_copy(1, rows, new_c),
        )


class EquationLSTM(BridgeModule):
    """One layer that `torch.nn.LSTM` cannot express: its step is `model.equations`."""

    def __init__(self, node: Equations, dtype: torch.dtype) -> None:
        super().__init__()
        self.node: Equations = node
        self._cell = cell_of(node)
        for name, shape in shapes_of(node).items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, dtype=dtype)))

    def run(self, x: Tensor, call: Call) -> Tensor:
        """See `BridgeModule.run`."""
        node = self.node
        state = {
            name: call.start(node.name, name, x, width)
            for name, width in self._cell.state_sizes.items()
        }
        ops = TorchOps(x.dtype, x.device)
        bound = bind(ops, self._cell, dict(self.named_parameters()))
        alive = call.alive(x.shape[1])
        outputs = []
        for t, z in enumerate(bound.input_product(x.transpose(0, 1)).unbind(0)):
            output, new = bound.step(z, state, no_tap)
            if alive is not None:
                now = alive[:, t, None]
                output = torch.where(now, output, output.new_zeros(()))
                new = {name: torch.where(now, new[name], old) for name, old in state.items()}
            outputs.append(output)
            state = new
        call.finals |= {f"{node.name}_{name}": value for name, value in state.items()}
        if not outputs:
            return x.new_zeros((x.shape[0], 0, node.output_size))
        return torch.stack(outputs, dim=1)


class SeriesModule(BridgeModule, nn.ModuleList):
    """Modules one after another, keys ``0.``, ``1.``, ..."""

    def __init__(self, node: Series, dtype: torch.dtype) -> None:
        nn.ModuleList.__init__(self, [build_node(child, dtype) for child in node.nodes])
        self.node: Series = node

    def run(self, x: Tensor, call: Call) -> Tensor:
        """See `BridgeModule.run`."""
        for module in self:
            x = cast(BridgeModule, module).apply_to(x, call)
        return x


class TwoWayModule(BridgeModule):
    """Two modules over one input, the second in reversed time; outputs side by side."""

    def __init__(self, node: TwoWay, dtype: torch.dtype) -> None:
        super().__init__()
        self.node: TwoWay = node
        self.forward_layers = build_node(node.forward, dtype)
        self.backward_layers = build_node(node.backward, dtype)

    def run(self, x: Tensor, call: Call) -> Tensor:
        """See `BridgeModule.run`."""
        forward = self.forward_layers.apply_to(x, call)
        backward = self.backward_layers.apply_to(call.reverse(x), call)
        return torch.cat([forward, call.reverse(backward)], dim=-1)


class Stack(BridgeModule):
    """A root that is a series: keys ``layers.0.``, ``layers.1.``, ..."""

    def __init__(self, node: Series, dtype: torch.dtype) -> None:
        super().__init__()
        self.node: Series = node
        self.layers = SeriesModule(node, dtype)

    def run(self, x: Tensor, call: Call) -> Tensor:
        """See `BridgeModule.run`."""
        return self.layers.run(x, call)


class _Maker(Protocol):
    def __call__(self, node: Any, dtype: torch.dtype) -> BridgeModule: ...


_MAKERS: Mapping[type, _Maker] = {
    Native: NativeLSTM,
    Equations: EquationLSTM,
    Series: SeriesModule,
    TwoWay: TwoWayModule,
}


def build_node(node: Node, dtype: torch.dtype) -> BridgeModule:
    """The module for a node; its parameters hold no meaningful numbers yet."""
    return _MAKERS[type(node)](node, dtype)


def build(architecture: Architecture) -> BridgeModule:
    """The root module for `architecture`, on torch's default device."""
    dtype: torch.dtype = getattr(torch, architecture.dtype)
    root = architecture.root
    return Stack(root, dtype) if isinstance(root, Series) else build_node(root, dtype)
