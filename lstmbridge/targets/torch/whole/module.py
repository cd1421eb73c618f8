"""The `nn.Module` of a whole graph: named tensors in, named tensors out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lstmbridge.errors import LstmBridgeError, NotRecognised, SourceUnreadable, UsageError
from lstmbridge.gates import Array, Weights
from lstmbridge.graph.execute import Program as Runnable
from lstmbridge.graph.network import Op
from lstmbridge.graph.network import Tensor as Place
from lstmbridge.graph.ops import Definition
from lstmbridge.graph.pruned import Resolved
from lstmbridge.graph.scopes import Scopes
from lstmbridge.model.signature import TensorSpec
from lstmbridge.targets.torch.files import tensor_of
from lstmbridge.targets.torch.modules import BridgeModule
from lstmbridge.targets.torch.whole.program import WEIGHT, Program
from lstmbridge.targets.torch.whole.stack import Stack
from lstmbridge.targets.torch.whole.stacks import module_of_stack, run_stack
from lstmbridge.targets.torch.whole.words import TorchWords


class _Words(TorchWords):
    """The words of one dtype and device, the module's tensors by their keys, and its stacks."""

    weights: Mapping[str, Tensor]
    stacks: Mapping[str, tuple[Stack, BridgeModule]]


def _weight(w: Any, op: Op, _args: Sequence[Any]) -> Sequence[Any]:
    return [w.weights[op.attrs["key"]]]


def _stack(w: Any, op: Op, args: Sequence[Any]) -> Sequence[Any]:
    stack, module = w.stacks[op.name]
    return run_stack(stack, module, w, args)


def _no_variable(op: Op) -> Array:
    raise NotRecognised(f"the file has no tensor for {op.name!r}", where=op.name)


class WholeModule(nn.Module):
    """Runs a graph under PyTorch; its parameters are called as the graph's variables are.

    Recognised stacks are modules of `torch.nn`, or of equations where that has none: `stacks` has
    them by their scopes. All else is run operation by operation. It follows ``.to(device)``,
    ``.half()``, ``.double()``; floats are fed in the dtype of its parameters, and given in it.
    """

    def __init__(
        self,
        program: Program,
        tensors: Mapping[str, Tensor],
        stacks: Mapping[str, BridgeModule],
    ) -> None:
        super().__init__()
        self._program = program
        for name, module in stacks.items():
            self.add_module(program.stacks[name].key, module)
        for key, tensor in tensors.items():
            if tensor.is_floating_point():
                self.register_parameter(key, nn.Parameter(tensor))
            else:
                self.register_buffer(key, tensor)
        network = program.network
        fed = {at for _, at in program.inputs} | {at for at, _ in program.fixed}
        self._scopes = Scopes(Resolved(network, frozenset(fed)))
        self._defines: dict[str, Definition] = {
            op.name: _weight for op in network.ops.values() if op.kind == WEIGHT
        }
        self._defines.update(dict.fromkeys(program.stacks, _stack))
        self._ready: dict[tuple[torch.dtype, torch.device], Runnable] = {}

    @property
    def stacks(self) -> dict[str, nn.Module]:
        """The recurrent stacks by their scopes."""
        return {one.name: self.get_submodule(one.key) for one in self._program.stacks.values()}

    def forward(self, *given: Mapping[str, Tensor], **feeds: Tensor) -> dict[str, Tensor]:
        """All outputs by name, of all inputs by name: as keywords, or as one mapping.

        Raises:
            UsageError: a name, a dtype or a number of axes that the model does not have.
            NotRecognised: an operation cannot be computed from what is fed.
        """
        for mapping in given:
            feeds = {**mapping, **feeds}
        names = [spec.name for spec, _ in self._program.inputs]
        if set(feeds) != set(names):
            wrong = sorted(set(feeds) ^ set(names))
            raise UsageError(
                f"inputs that are missing or not there: {', '.join(wrong)}",
                expected=", ".join(names),
                where=wrong[0],
            )
        words, run = self._runnable(feeds)
        fed: dict[Place, Any] = dict(self._program.fixed)
        fed |= {at: _fed(spec, feeds[spec.name], words) for spec, at in self._program.inputs}
        got = run.run(fed, [at for _, at in self._program.outputs])
        return {
            spec.name: _given(spec, words.tensor(got[at])) for spec, at in self._program.outputs
        }

    def _runnable(self, feeds: Mapping[str, Tensor]) -> tuple[_Words, Runnable]:
        own = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        floats = [tensor for tensor in own.values() if tensor.is_floating_point()]
        dtype = floats[0].dtype if floats else getattr(torch, self._program.precision)
        known = (tensor.device for tensor in (*own.values(), *feeds.values()))
        device = next(known, torch.device("cpu"))
        if (dtype, device) not in self._ready:
            self._ready[dtype, device] = Runnable(
                self._scopes, _no_variable, _Words(dtype, device), self._defines
            )
        run = self._ready[dtype, device]
        words = run.words
        if not isinstance(words, _Words):
            raise TypeError(f"{words} are no words of PyTorch")
        words.weights = own
        words.stacks = {
            name: (one, cast(BridgeModule, self.get_submodule(one.key)))
            for name, one in self._program.stacks.items()
        }
        return words, run


def _fed(spec: TensorSpec, tensor: Tensor, words: TorchWords) -> Tensor:
    kind = {"i": "int", "u": "int", "b": "bool"}.get(spec.dtype.kind, "float")
    if not isinstance(tensor, Tensor) or words.kind(tensor) != kind:
        raise UsageError(
            f"{spec.name} is {getattr(tensor, 'dtype', type(tensor).__name__)}",
            expected=f"a tensor of {spec.dtype.name}",
            where=spec.name,
        )
    if kind == "float" and tensor.dtype != words.dtype:
        raise UsageError(
            f"{spec.name} has dtype {tensor.dtype}",
            expected=f"{words.dtype}, that of the weights",
            where=spec.name,
            advice=f"cast one of them: .to({words.dtype}) or module.to({tensor.dtype})",
        )
    # TensorFlow before 1.1 wrote an unknown shape as no axes
    if spec.shape and "..." not in spec.shape and tensor.ndim != len(spec.shape):
        raise UsageError(
            f"{spec.name} has shape {tuple(tensor.shape)}",
            expected=f"({', '.join(map(str, spec.shape))})",
            where=spec.name,
        )
    return tensor.to(torch.int64) if kind == "int" else tensor


def _given(spec: TensorSpec, tensor: Tensor) -> Tensor:
    """An output in the graph's own dtype; floats stay in the module's."""
    if spec.dtype.kind not in "iub" or tensor.is_floating_point():
        return tensor
    return tensor.to(getattr(torch, spec.dtype.name))


def module_of(program: Program, tensors: Mapping[str, Weights], path: Path) -> WholeModule:
    """The module of a file.

    Raises:
        SourceUnreadable: its tensors or its graph are not what lstmbridge writes.
    """
    try:
        _check(program, tensors)
        loaded = {key: tensor_of(tensors[key].load()) for key in program.keys}
        stacks = {name: module_of_stack(one, tensors) for name, one in program.stacks.items()}
        return WholeModule(program, loaded, stacks).eval()
    except (KeyError, TypeError, ValueError, LookupError, RuntimeError, LstmBridgeError) as error:
        raise SourceUnreadable(
            f"no module can be built from the file's graph: {error}",
            expected="what lstmbridge writes",
            where=str(path),
            advice="convert the model again",
        ) from error


def _check(program: Program, tensors: Mapping[str, Weights]) -> None:
    prefixes = tuple(stack.prefix for stack in program.stacks.values())
    others = [key for key in tensors if not key.startswith(prefixes)]
    if sorted(program.keys) != sorted(others):
        raise ValueError("its tensors are not those of its graph")
    floats = {np.dtype(w.dtype).name for w in tensors.values() if w.dtype.kind not in "iub"}
    if floats - {program.precision}:
        raise ValueError(f"tensors of {', '.join(sorted(floats))}")
