"""The modules of the recognised stacks in a whole graph, and how the graph calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lstmbridge.gates import Weights
from lstmbridge.targets.torch.architecture import root_owners, states_of
from lstmbridge.targets.torch.calls import Call
from lstmbridge.targets.torch.files import tensor_of
from lstmbridge.targets.torch.modules import BridgeModule, build
from lstmbridge.targets.torch.whole.stack import Stack
from lstmbridge.targets.torch.whole.words import TorchWords


def module_of_stack(stack: Stack, tensors: Mapping[str, Weights]) -> BridgeModule:
    """The stack's module with its tensors in it, on the CPU.

    Args:
        stack: what the file says of it.
        tensors: all tensors of the file.

    Errors: KeyError, RuntimeError, TypeError, ValueError where they are not its own.
    """
    own = {
        key.removeprefix(stack.prefix): weights
        for key, weights in tensors.items()
        if key.startswith(stack.prefix)
    }
    if sum(1 for _ in root_owners(stack.architecture)) > len(own):
        raise ValueError(f"{len(own)} tensors cannot serve the stack {stack.name!r}")
    with torch.device("meta"):  # nothing is allocated, and no random number is drawn
        module = build(stack.architecture)
        module.rehearse()
    module = module.to_empty(device="cpu")
    module.load_state_dict({key: tensor_of(weights.load()) for key, weights in own.items()})
    return module


def run_stack(
    stack: Stack, module: BridgeModule, w: TorchWords, args: Sequence[object]
) -> list[Tensor]:
    """What the stack gives, of what it reads; see `Stack` for the order of both.

    Lengths above the steps are the steps: what reads past the end of a sequence is TensorFlow's
    `dynamic_rnn`, which stops there.
    """
    fed = [w.tensor(arg) for arg in args]
    read = stack.steps or 1
    x = torch.stack(fed[:read], dim=1) if stack.steps else fed[0]
    x = x.transpose(0, 1) if stack.time_major and not stack.steps else x
    rest, rows = fed[read:], x.shape[0]
    lengths = _lengths(rest.pop(0), x) if stack.lengths else None
    widths = {f"initial_{n}_{s}": size for n, s, size in states_of(stack.architecture.root)}
    initial = {
        name: value.expand(rows, widths[name]).contiguous()
        for name, value in zip(stack.initial, rest, strict=True)
    }
    call = Call(lengths, initial)
    y = module.apply_to(x, call)
    turned = y.transpose(0, 1) if stack.outputs_time_major and not stack.step_outputs else y
    outputs = torch.split(turned, list(stack.widths), dim=-1) if stack.widths else ()
    if stack.step_outputs:
        directions = outputs or (y,)
        count = stack.step_outputs // len(directions)
        outputs = tuple(part[:, k] for part in directions for k in range(count))
    return [*outputs, *(call.finals[name] for name in stack.finals)]


def _lengths(lengths: Tensor, x: Tensor) -> Tensor | None:
    """(batch,) lengths; None where all rows are full."""
    rows, steps = x.shape[:2]
    held = lengths.to(x.device, torch.int64).reshape(-1).expand(rows).clamp(0, steps)
    return None if rows and int(held.min()) == steps else held
