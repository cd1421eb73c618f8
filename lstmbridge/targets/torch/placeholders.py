"""Placeholders for torch's recurrent operators, for the time of tracing.

`torch.export` takes `torch.nn`'s recurrent modules apart, step by step, which fixes the number of
steps. So while a network is traced, placeholders with the signatures of the ``aten`` operators,
of which only the shapes of results are known, stand for those; afterwards each is given the
operator's own name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch._ops import OpOverload

_SPACE = "lstmbridge"
_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_library: Any = torch.library.Library  # which has no annotations


def _fake_input(
    x: Tensor, hx: Any, _parameters: Any, _biases: bool, _layers: int, *rest: Any
) -> tuple[Tensor, ...]:
    """Shapes of ``aten::gru.input`` and its like: (y, final states)."""
    bidirectional = rest[2]  # after dropout and train
    states = hx if isinstance(hx, (list, tuple)) else [hx]
    width = states[0].shape[2] * (2 if bidirectional else 1)
    return x.new_empty((*x.shape[:-1], width)), *(s.new_empty(s.shape) for s in states)


def _fake_data(data: Tensor, _sizes: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    """Shapes of ``aten::gru.data`` and its like: (packed y, final states)."""
    return _fake_input(data, *rest)


def _fake_pack(x: Tensor, lengths: Tensor, _batch_first: bool) -> tuple[Tensor, Tensor]:
    context: Any = torch.library.get_ctx()
    steps, longest = context.new_dynamic_size(), context.new_dynamic_size()
    return x.new_empty((steps, x.shape[2])), lengths.new_empty((longest,))


def _fake_pad(
    data: Tensor, sizes: Tensor, _batch_first: bool, _value: float, total: int
) -> tuple[Tensor, Tensor]:
    context: Any = torch.library.get_ctx()
    batch = context.new_dynamic_size()
    return data.new_empty((batch, total, data.shape[1])), sizes.new_empty((batch,))


@dataclass(frozen=True)
class _Defined:
    """Operators of the space `lstmbridge`, and those of ``aten`` that they stand for."""

    library: Any
    real: Mapping[OpOverload, OpOverload]


@cache
def _defined() -> _Defined:
    """Define them, once in a process: torch's registry of operators is a process's own."""
    fakes: dict[tuple[str, str], Callable[..., Any]] = {
        ("_pack_padded_sequence", "default"): _fake_pack,
        ("_pad_packed_sequence", "default"): _fake_pad,
    }
    for name in _RECURRENT:
        fakes |= {(name, "input"): _fake_input, (name, "data"): _fake_data}
    library: Any = _library(_SPACE, "DEF")
    real = {}
    for (name, overload), fake in fakes.items():
        operator = getattr(getattr(torch.ops.aten, name), overload)
        own = name if overload == "default" else f"{name}_{overload}"
        _, _, rest = str(operator._schema).partition("(")  # noqa: SLF001
        # a number of steps that is not known yet is a SymInt
        library.define(f"{own}({rest.replace('int total_length', 'SymInt total_length')}")
        torch.library.register_fake(f"{_SPACE}::{own}", fake, lib=library)
        real[_found(own)] = operator
    return _Defined(library, real)


def placeholder(name: str) -> OpOverload:
    """What stands for ``aten::<name>``, or ``aten::<name>.<overload>`` as ``name_overload``."""
    _defined()
    return _found(name)


def real_operators() -> Mapping[OpOverload, OpOverload]:
    """Placeholder -> the operator that it stands for."""
    return _defined().real


def _found(name: str) -> OpOverload:
    found: OpOverload = getattr(getattr(torch.ops, _SPACE), name).default
    return found
