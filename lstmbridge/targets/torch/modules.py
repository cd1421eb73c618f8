"""The `nn.Module`s that an artifact is loaded into. Nothing here knows a file.

Batch-major outside and between the modules. Semantics of lengths: `tf.nn.dynamic_rnn`, as in
`model.forward`. How a sequence is gone through stands in `calls`: this file is the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, cast

import torch
from torch import Tensor, nn

from lstmbridge.arrays import activation
from lstmbridge.errors import UsageError
from lstmbridge.model.equations.wrappers import highway
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.targets.torch.architecture import (
    Architecture,
    Equations,
    Linear,
    Mixed,
    Native,
    Node,
    Series,
    TwoWay,
    states_of,
)
from lstmbridge.targets.torch.calls import Call
from lstmbridge.targets.torch.namespace import TorchOps
from lstmbridge.targets.torch.structure import shapes_of


class BridgeModule(nn.Module):
    """What every module of an artifact can do: be called by the artifact's names.

    The state dict's keys are those of the file. Modules are called with tensors in the dtype
    and on the device of the parameters.
    """

    node: Node
    begins: tuple[str, ...] = ()
    """The parameters, one row each, that initial states begin with where they are not fed."""

    def forward(
        self, inputs: Tensor, sequence_length: Tensor | None = None, **initial: Tensor
    ) -> dict[str, Tensor]:
        """Run whole sequences.

        Args:
            inputs: (batch, time, features).
            sequence_length: (batch,) integers from 0 to time: past its end a row's outputs are
                zero and its states hold; a row of length 0 keeps its initial state; backward
                layers reverse the valid prefix. None: all rows are full.
            initial: ``initial_<layer>_h`` (batch, width) and ``initial_<layer>_c``; where they
                are not given the module's own, zeros where it has none.

        Returns:
            ``outputs`` (batch, time, features) and the final states ``<layer>_h``,
            ``<layer>_c`` (batch, width).

        Raises:
            UsageError: a name or a shape that the network does not have.
        """
        self._check_inputs(inputs)
        self._check_states(inputs, initial)
        call = Call(_checked_lengths(inputs, sequence_length), self.starts(inputs, initial))
        return {OUTPUTS: self.apply_to(inputs, call), **call.finals}

    def starts(self, inputs: Tensor, fed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is fed, and the module's own initial states, repeated for each row."""
        own = {
            name: self.get_parameter(name).expand(inputs.shape[0], -1).contiguous()
            for name in self.begins
            if name not in fed
        }
        return {**own, **fed}

    def apply_to(self, x: Tensor, call: Call) -> Tensor:
        """`run`, with the residual connections around it."""
        y = self.run(x, call)
        for _ in range(self.node.residuals):
            y = call.mask(y + x)
        return y

    def run(self, x: Tensor, call: Call) -> Tensor:
        """X (batch, time, features) -> y; leaves the final states in `call`."""
        raise NotImplementedError

    def rehearse(self) -> None:
        """Try every layer of equations inside, for nothing, on torch's device without memory.

        Raises:
            KeyError, RuntimeError, ValueError: its arrays are not those that its equations use.
        """
        for module in self.modules():
            if isinstance(module, EquationModule):
                nothing = torch.empty((1, 1, module.node.input_size), device="meta")
                module.run(nothing, Call(None, {}))

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
        widths = {f"initial_{name}_{state}": width for name, state, width in states_of(self.node)}
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


class NativeModule(BridgeModule):
    """One of `torch.nn`'s recurrent modules, its parameters under that module's own keys."""

    plain: ClassVar[Any]
    """The class itself, whose `forward` does the work."""

    def __init__(self, node: Native, dtype: torch.dtype) -> None:
        own: dict[str, Any] = {}
        if node.form.nonlinearity:
            own["nonlinearity"] = node.form.nonlinearity
        if node.proj_size:
            own["proj_size"] = node.proj_size
        self.plain.__init__(
            self,
            node.input_size,
            node.hidden_size,
            node.num_layers,
            bias=node.bias,
            batch_first=True,
            bidirectional=node.bidirectional,
            dtype=dtype,
            **own,
        )
        self.node: Native = node

    def run(self, x: Tensor, call: Call) -> Tensor:
        """See `BridgeModule.run`."""
        node = self.node
        states = [
            torch.stack([call.start(name, state, x, width) for name in node.names])
            for state, width in node.state_sizes.items()
        ]
        y, finals = call.native(self, x, states)
        for state, final in zip(node.state_sizes, finals, strict=True):
            call.finals |= {f"{name}_{state}": final[k] for k, name in enumerate(node.names)}
        return y


class NativeLSTM(NativeModule, nn.LSTM):  # type: ignore[misc]  # `forward` takes our names
    """One `torch.nn.LSTM`."""

    plain = nn.LSTM


class NativeGRU(NativeModule, nn.GRU):  # type: ignore[misc]
    """One `torch.nn.GRU`."""

    plain = nn.GRU


class NativeRNN(NativeModule, nn.RNN):  # type: ignore[misc]
    """One `torch.nn.RNN`."""

    plain = nn.RNN


class EquationModule(BridgeModule):
    """One layer that `torch.nn` has no module for: its step is `model.equations`."""

    def __init__(self, node: Equations, dtype: torch.dtype) -> None:
        super().__init__()
        self.node: Equations = node
        for name, shape in shapes_of(node.cell).items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, dtype=dtype)))

    def run(self, x: Tensor, call: Call) -> Tensor:
        """See `BridgeModule.run`."""
        node = self.node
        states = {s: call.start(node.name, s, x, width) for s, width in node.state_sizes.items()}
        y, finals = call.steps(node.cell, dict(self.named_parameters()), x, states)
        call.finals |= {f"{node.name}_{state}": final for state, final in finals.items()}
        return y


class LinearModule(BridgeModule, nn.Linear):  # type: ignore[misc]
    """A dense layer at each step, with `torch.nn.Linear`'s keys."""

    def __init__(self, node: Linear, dtype: torch.dtype) -> None:
        nn.Linear.__init__(self, node.input_size, node.output_size, bias=node.bias, dtype=dtype)
        self.node: Linear = node

    def run(self, x: Tensor, call: Call) -> Tensor:
        """See `BridgeModule.run`; zero past the end."""
        y = nn.Linear.forward(self, x)
        return call.mask(activation(TorchOps(y.dtype, y.device), self.node.activation, y))


class MixedModule(BridgeModule):
    """A highway around a module, whose keys begin with ``inner.``."""

    def __init__(self, node: Mixed, dtype: torch.dtype) -> None:
        super().__init__()
        self.node: Mixed = node
        for name, shape in node.shapes().items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, dtype=dtype)))
        self.inner = build_node(node.inner, dtype)

    def run(self, x: Tensor, call: Call) -> Tensor:
        """See `BridgeModule.run`; zero past the end."""
        inner = self.inner.apply_to(x, call)
        own = dict(self.named_parameters(recurse=False))
        return call.mask(highway(TorchOps(x.dtype, x.device), x, inner, own))


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


_NATIVE: Mapping[str, _Maker] = {"LSTM": NativeLSTM, "GRU": NativeGRU, "RNN": NativeRNN}
_MAKERS: Mapping[type, _Maker] = {
    Native: lambda node, dtype: _NATIVE[node.form.module](node, dtype),
    Equations: EquationModule,
    Linear: LinearModule,
    Mixed: MixedModule,
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
    module = Stack(root, dtype) if isinstance(root, Series) else build_node(root, dtype)
    for name, width in architecture.initial.items():
        module.register_parameter(name, nn.Parameter(torch.empty(width, dtype=dtype)))
    module.begins = tuple(architecture.initial)
    return module
