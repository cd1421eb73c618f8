"""Which recurrent layers of a Keras file feed one another, and which of them is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lstmbridge.adapters.keras.weights import Kernels
from lstmbridge.errors import LstmBridgeError, UsageError
from lstmbridge.model.blocks import Block
from lstmbridge.model.facts import Fact

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class RecurrentLayer:
    """A recurrent layer, or why it is none.

    Attributes:
        feeds: the layers that its input comes from, past those that change nothing; None where
            it stands by itself.
        facts: what holds for the layer beyond its cells, ``"both.merge_mode"``.
    """

    name: str
    kind: str
    kernels: tuple[Kernels, ...]
    feeds: str | None
    block: Block | None
    problem: LstmBridgeError | None = None
    sequences: bool = True
    facts: Mapping[str, Fact[Any]] = field(default_factory=dict)


def stacks_of(layers: Sequence[RecurrentLayer]) -> list[list[RecurrentLayer]]:
    """Layers that feed one another, and give sequences to the next, are one stack."""
    stacks: list[list[RecurrentLayer]] = []
    for layer in layers:
        below = next((s for s in stacks if s[-1].name == layer.feeds and s[-1].sequences), None)
        if below is None:
            stacks.append([layer])
        else:
            below.append(layer)
    return stacks


def selected(
    stacks: Sequence[list[RecurrentLayer]], found: Sequence[RecurrentLayer], select: str
) -> list[list[RecurrentLayer]]:
    """The stack, or the one layer in one, that ``--select`` means. Errors: UsageError."""
    wanted = select.strip("/")
    for stack in stacks:
        if wanted == title(stack):
            return [stack]
        for layer in stack:
            if wanted == layer.name:
                return [stack if layer is stack[0] and len(stack) == 1 else [layer]]
    refused = next((layer for layer in found if layer.name == wanted), None)
    if refused is not None and refused.problem is not None:
        raise refused.problem
    names = ", ".join([title(stack) for stack in stacks][:_SHOWN])
    raise UsageError(
        f"--select {select}: no recurrent layer is called so",
        expected=f"one of {names}",
        where="--select",
    )


def title(stack: Sequence[RecurrentLayer]) -> str:
    """What a stack is called: its one layer, or the first and the last."""
    return stack[0].name if len(stack) == 1 else f"{stack[0].name}..{stack[-1].name}"
