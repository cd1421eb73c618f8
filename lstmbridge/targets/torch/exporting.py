"""Module -> `torch.export.ExportedProgram`, with any batch and any number of steps.

What torch has an operator for is that operator (`placeholders` says by what detour); what it has
none for is a `scan` over the cell's equations. The program names nothing of lstmbridge.
"""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lstmbridge.errors import CannotExpress, LstmBridgeError, RuntimeUnavailable
from lstmbridge.model.cells import Cell
from lstmbridge.model.equations import bind, no_tap
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH, Signature
from lstmbridge.targets.torch.calls import Call, Finals, held
from lstmbridge.targets.torch.namespace import TorchOps
from lstmbridge.targets.torch.placeholders import placeholder, real_operators

if TYPE_CHECKING:
    from lstmbridge.targets.torch.modules import BridgeModule, NativeModule

_EXAMPLE = {"batch": 3, "time": 4}
"""Sizes of the tensors that are traced; neither 0 nor 1, which torch takes for special."""
_LENGTHS = f"{SEQUENCE_LENGTH} must lie between 0 and the number of steps of {INPUTS}"
_NOTES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")
"""What torch notes at each node about the code that was traced: paths of this machine."""


@dataclass
class TracedCall(Call):
    """A `Call` without a choice that depends on numbers, for `torch.export`."""

    def native(
        self, module: NativeModule, x: Tensor, states: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """See `Call.native`: one operator, or one between packing and padding."""
        node = module.node
        shared = (node.bias, node.num_layers, 0.0, False, node.bidirectional)
        names = [f"{name}{suffix}" for suffix in node.suffixes for name in _parameters(module)]
        parameters = [module.get_parameter(name) for name in names]
        operator = node.mode.lower()
        if self.lengths is None:
            hidden = states if len(states) > 1 else states[0]
            y, *finals = placeholder(f"{operator}_input")(x, hidden, parameters, *shared, True)
            return y, finals

        def run(data: Tensor, sizes: Tensor, starts: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            hidden = starts if len(starts) > 1 else starts[0]
            y, *ends = placeholder(f"{operator}_data")(data, sizes, hidden, parameters, *shared)
            return y, ends

        return _packed(run, x, self.lengths, states)

    def steps(
        self, cell: Cell, weights: Mapping[str, Tensor], x: Tensor, states: Mapping[str, Tensor]
    ) -> tuple[Tensor, Finals]:
        """See `Call.steps`: torch's `scan`. There is at least one step."""
        ops = TorchOps(x.dtype, x.device)
        parts = [bind(ops, cell, weights).input_product(x.transpose(0, 1))]
        alive = self.alive(x.shape[1])
        if alive is not None:
            parts.append(alive.transpose(0, 1)[..., None])

        def step(*operands: Tensor) -> list[Tensor]:
            # all that a scan sees is handed to it: states, what goes by the step, weights
            left = iter(operands)
            state = {name: next(left) for name in states}
            z, *now = (next(left) for _ in parts)
            bound = bind(TorchOps(x.dtype, x.device), cell, dict(zip(weights, left, strict=True)))
            output, new = bound.step(z, state, no_tap)
            if now:
                output, new = held(now[0], output, new, state)
            # and what it gives are tensors of their own
            return [*(new[name] for name in states), output.clone()]

        *finals, y = _scan()(step, list(states.values()), parts, tuple(weights.values()))
        return y.transpose(0, 1), dict(zip(states, finals, strict=True))


def _parameters(module: NativeModule) -> list[str]:
    """The parameters of one layer in torch's order."""
    names = ["weight_ih", "weight_hh"]
    names += ["bias_ih", "bias_hh"] if module.node.bias else []
    return names + (["weight_hr"] if module.node.proj_size else [])


def _packed(
    run: Callable[[Tensor, Tensor, list[Tensor]], tuple[Tensor, list[Tensor]]],
    x: Tensor,
    lengths: Tensor,
    states: list[Tensor],
) -> tuple[Tensor, list[Tensor]]:
    """Run an operator on packed rows. Those of length 0, which packing refuses, are given one.

    One more row and step, which nobody sees, make sure that there is something to pack.
    """
    batch, time = x.shape[:2]
    pad = torch.nn.functional.pad
    some = lengths > 0
    ordered, order = torch.sort(pad(lengths, (0, 1)).clamp(min=1), descending=True)
    back = torch.argsort(order)
    rows = pad(x, (0, 0, 0, 1, 0, 1)).index_select(0, order)
    starts = [pad(state, (0, 0, 0, 1)).index_select(1, order) for state in states]
    data, sizes = placeholder("_pack_padded_sequence")(rows, ordered.cpu(), True)
    packed, ends = run(data, sizes, starts)
    y, _ = placeholder("_pad_packed_sequence")(packed, sizes, True, 0.0, time + 1)
    y = y.index_select(0, back)[:batch, :time]
    finals = [end.index_select(1, back)[:, :batch] for end in ends]
    return torch.where(some[:, None, None], y, y.new_zeros(())), [
        torch.where(some[None, :, None], final, state)
        for final, state in zip(finals, states, strict=True)
    ]


def _scan() -> Callable[..., list[Tensor]]:
    try:
        from torch._higher_order_ops.scan import scan_op
    except ImportError as error:
        raise RuntimeUnavailable(
            f"PyTorch {torch.__version__} has no scan to say this network with",
            expected="PyTorch 2.9 or later",
            advice="pip install --upgrade torch, or convert --to torch",
        ) from error
    found: Callable[..., list[Tensor]] = scan_op
    return found


def save_exported(module: BridgeModule, signature: Signature, path: Path) -> None:
    """Trace `module` and write its program to `path`, a name that ends in ``.pt2``.

    Raises:
        CannotExpress: PyTorch's exporter declined. OSError: as the system says.
    """
    try:
        program = exported(module, signature)
    except LstmBridgeError:
        raise
    except Exception as error:  # the exporter raises anything
        raise CannotExpress(
            f"PyTorch {torch.__version__} cannot export the network: "
            f"{' '.join(str(error).split())[:400]}",
            expected="a network that torch.export can trace",
            advice="convert --to torch",
        ) from error
    try:
        torch.export.save(program, path)
    except RuntimeError as error:  # torch's zip writer hides the system's own error
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise OSError(f"{path}: {error}") from error


def exported(module: BridgeModule, signature: Signature) -> Any:
    """The program of `module`, called with and giving tensors by the names of `signature`."""
    real = real_operators()
    with _traceable(module, signature.input_names()), _quiet(), torch.no_grad():
        program: Any = torch.export.export(
            module,
            (),
            _examples(signature),
            dynamic_shapes=_dynamic(signature),
            strict=False,
        )
    program._example_inputs = None  # noqa: SLF001 - else they are stored, pickled
    for graph_module in program.graph_module.modules():
        if not isinstance(graph_module, torch.fx.GraphModule):
            continue
        for node in graph_module.graph.nodes:
            if node.op == "call_function":
                node.target = real.get(node.target, node.target)
            for note in _NOTES:
                node.meta.pop(note, None)
        graph_module.recompile()
    return program


def _examples(signature: Signature) -> dict[str, Tensor]:
    found = {}
    for spec in signature.inputs:
        shape = [_EXAMPLE[axis] if isinstance(axis, str) else axis for axis in spec.shape]
        if spec.name == SEQUENCE_LENGTH:
            found[spec.name] = torch.ones(shape, dtype=torch.int32)
        else:
            found[spec.name] = torch.zeros(shape, dtype=getattr(torch, str(spec.dtype)))
    return found


def _dynamic(signature: Signature) -> dict[str, dict[int, Any]]:
    axes = {"batch": torch.export.Dim("batch", min=0), "time": torch.export.Dim("time", min=1)}
    return {
        spec.name: {k: axes[axis] for k, axis in enumerate(spec.shape) if isinstance(axis, str)}
        for spec in signature.inputs
    }


@contextlib.contextmanager
def _traceable(module: BridgeModule, names: tuple[str, ...]) -> Iterator[None]:
    """While this lasts, `module` has no choice in it that depends on numbers."""

    def forward(**feeds: Tensor) -> dict[str, Tensor]:
        inputs, lengths = feeds.pop(INPUTS), feeds.pop(SEQUENCE_LENGTH, None)
        if lengths is not None:
            lengths = lengths.to(torch.int64)
            valid = ((lengths >= 0) & (lengths <= inputs.shape[1])).all()
            torch._assert_async(valid, _LENGTHS)  # noqa: SLF001 - the documented one is this one
        call = TracedCall(lengths, module.starts(inputs, feeds))
        return {OUTPUTS: module.apply_to(inputs, call), **call.finals}

    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    module.forward = forward  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        del module.forward


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing that torch warns about while it traces can be acted on by a user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
