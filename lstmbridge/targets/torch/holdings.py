"""What a torch artifact holds: its recurrent layers by module, and the rest. No torch in here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

from lstmbridge.contracts import HeldLayer, Holdings
from lstmbridge.graph.pruned import STACK
from lstmbridge.targets.torch.architecture import (
    Architecture,
    Equations,
    Linear,
    Native,
    Owner,
    root_owners,
)
from lstmbridge.targets.torch.files import Content
from lstmbridge.targets.torch.loader import architecture_of
from lstmbridge.targets.torch.whole.program import GRAPH, WEIGHT, program_of
from lstmbridge.targets.torch.whole.stack import Stack

_NO_OPERATIONS = frozenset({STACK, WEIGHT, "Const", "_LoopInput", "_LoopExit", "_Return"})
Said = Mapping[str, str | float | bool]


def holdings_of(content: Content, path: Path) -> Holdings:
    """Told from the file's strings and the shapes of its tensors. Errors: SourceUnreadable."""
    tensors = content.tensors.values()
    if GRAPH in content.strings:
        program = program_of(content.strings[GRAPH], str(path))
        layers = [x for stack in program.stacks.values() for x in _of_stack(stack)]
        kinds = (op.kind for op in program.network.ops.values())
        operations = Counter(kind for kind in kinds if kind not in _NO_OPERATIONS)
        operations.update(x for s in program.stacks.values() for x in _others(s.architecture))
    else:
        architecture = architecture_of(content, path)
        layers = list(_layers(architecture, "", {}))
        operations = Counter(_others(architecture))
    numbers = sum(prod(one.shape) for one in tensors)
    return Holdings(tuple(layers), dict(operations.most_common()), len(tensors), numbers)


def _of_stack(stack: Stack) -> Iterator[HeldLayer]:
    facts: dict[str, str | float | bool] = {}
    if stack.lengths:
        facts["lengths"] = True
    if stack.initial:
        facts["initial states"] = True
    if stack.steps:
        facts["unrolled steps"] = stack.steps
    return _layers(stack.architecture, f"{stack.name}/", facts)


def _layers(architecture: Architecture, before: str, facts: Said) -> Iterator[HeldLayer]:
    for prefix, owner in root_owners(architecture):
        if isinstance(owner, Native):
            yield from _native(owner, _ways(owner, prefix), before, facts)
        elif isinstance(owner, Equations):
            cell = owner.cell
            said = {k: v for k, v in owner.skeleton.constants.items() if v is not None}
            yield HeldLayer(
                name=f"{before}{owner.name}",
                cell=cell.KIND,
                said_by="its equations",
                direction=_way(prefix),
                input_size=cell.input_size,
                units=cell.units,
                output_size=cell.output_size,
                facts={**_with(owner, facts), **said},
            )


def _way(prefix: str) -> str:
    return "backward" if "backward_layers." in prefix else "forward"


def _ways(owner: Native, prefix: str) -> tuple[str, ...]:
    """Of each of a module's layers: torch has the two directions of one side by side."""
    return ("forward", "backward") if owner.bidirectional else (_way(prefix),)


def _native(owner: Native, ways: tuple[str, ...], before: str, facts: Said) -> Iterator[HeldLayer]:
    width = owner.proj_size or owner.hidden_size
    more = {"activation": owner.form.nonlinearity} if owner.form.nonlinearity else {}
    for k, name in enumerate(owner.names):
        yield HeldLayer(
            name=f"{before}{name}",
            cell=owner.form.module,
            said_by=f"torch.nn.{owner.form.module}",
            direction=ways[k % len(ways)],
            input_size=owner.input_size if k < len(ways) else width * len(ways),
            units=owner.hidden_size,
            output_size=width,
            facts={**_with(owner, facts), **more},
        )


def _with(owner: Owner, facts: Said) -> Said:
    return {**facts, "residual": True} if owner.residuals else facts


def _others(architecture: Architecture) -> Iterator[str]:
    """Modules that are no recurrent layers."""
    for _, owner in root_owners(architecture):
        if isinstance(owner, Linear):
            yield "torch.nn.Linear"
        elif not isinstance(owner, Native | Equations):
            yield "highway"
