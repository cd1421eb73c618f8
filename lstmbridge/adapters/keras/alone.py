"""Recurrent layers of weights without their model: by shapes, and the order of the groups.

What weights do not say (direction, merge mode, masks, what lies between layers) is a fact of
the stack: given by a flag, or assumed to be the default of Keras' classes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from lstmbridge.adapters.facts import KERAS_FLAGS
from lstmbridge.adapters.keras.layers import Context, Leaf, block_of, both_ways, refuse_backwards
from lstmbridge.adapters.keras.stacks import RecurrentLayer, title
from lstmbridge.adapters.keras.weights import Kernels, in_folders, in_group, strangers_beside
from lstmbridge.contracts import Described, Hints, Source
from lstmbridge.errors import CannotExpress, FactConflict, NotRecognised
from lstmbridge.model.facts import Fact

_NUMBERED = re.compile(r"(?:.*/)?layer_with_weights-(\d{1,9})(?:/.*)?")
_KINDS: Mapping[int, str] = {4: "LSTM", 3: "GRU", 1: "SimpleRNN"}
_OPEN = ("go_backwards", "merge_mode", "masking", "reset_after")
"""Statements that a model in the file leaves no room for."""


def kind_of(gates: int) -> str:
    """The class whose cell has so many gates; "" where none has."""
    return _KINDS.get(gates, "")


def refuse_statements(hints: Hints, where: str) -> None:
    """Refuse statements on what a model in the file says itself. Errors: FactConflict."""
    for option in _OPEN:
        if getattr(hints, option) is not None:
            raise FactConflict(
                f"{KERAS_FLAGS[option]}, and the file has the model itself",
                expected="this statement for weights without their model only",
                where=where,
                advice=f"leave {KERAS_FLAGS[option]} out: it is read",
            )


def layers_alone(source: Source, described: Described, context: Context) -> list[RecurrentLayer]:
    """The recurrent layers that shapes and names of stored groups show.

    Raises:
        NotRecognised: a group holds more than a recurrent layer of Keras has.
        FactMissing, FactConflict: of a constant.
    """
    if described.tree:
        groups: dict[str, list[Kernels]] = {}
        for kernels in in_folders(described, source.tensors):
            top = kernels.place.removesuffix("/cell").partition("/cell/cells/")[0]
            for half in ("/forward_layer", "/backward_layer"):
                top = top.removesuffix(half)
            groups.setdefault(top, []).append(kernels)
        weighted = list(groups)
    else:
        groups = {g: in_group(names, source.tensors) for g, names in described.groups.items()}
        weighted = [g for g, names in described.groups.items() if names]
    layers: list[RecurrentLayer] = []
    last: dict[str, str] = {}
    for name, group in zip(weighted, [None, *weighted], strict=False):
        for k, pair in enumerate(_layers_in(groups[name])):
            label = name if not k else f"{name}/{k}"
            # the cells of one layer feed one another; what comes next is fed by the last
            inner = k > 0 and all("/cell/cells/" in one.place for one in pair)
            before = last[name] if inner else last.get(group or "", group)
            below = next((layer for layer in layers if layer.name == before), None)
            made = _layer(label, pair, described, source, context)
            if inner:
                same = True
            else:
                alike = not described.tree or _stem(group or "") == _stem(name)
                same = alike and not k and not _is_apart(group or "", name)
            feeds = before if same and _fits(below, made) else None
            last[name] = label
            layers.append(
                RecurrentLayer(
                    label, made.kind, made.kernels, feeds, made.block, made.problem,
                    facts=made.facts,
                )
            )  # fmt: skip
    return layers


def _fits(below: RecurrentLayer | None, above: RecurrentLayer) -> bool:
    """Whether one layer gives as many features as another takes."""
    if below is None or below.block is None or above.block is None:
        return False
    return below.block.output_size == above.block.input_size


def _is_apart(before: str, name: str) -> bool:
    """Whether a checkpoint numbers another layer with weights between two."""
    numbers = [_NUMBERED.fullmatch(text) for text in (before, name)]
    first, second = (None if found is None else int(found[1]) for found in numbers)
    return first is not None and second is not None and second != first + 1


def _stem(name: str) -> str:
    return name.rstrip("_0123456789")


def _layer(
    label: str, pair: Sequence[Kernels], described: Described, source: Source, context: Context
) -> RecurrentLayer:
    """One layer, with what had to be stated or assumed of it."""
    _refuse_strangers(label, pair, described, source)
    kinds = [_kind(kernels) for kernels in pair]
    leaves = [Leaf(kind, {}) for kind in kinds]
    both = len(pair) == 2
    facts = _facts(label, context.hints, both=both)
    kind = "Bidirectional" if both else kinds[0]
    try:
        if both:
            merge = facts[f"{label}.merge_mode"].value
            block = both_ways(label, leaves, pair, context, None if merge == "none" else merge)
        else:
            refuse_backwards(label, facts[f"{label}.go_backwards"].value)
            block = block_of(label, leaves, pair, context)
    except CannotExpress as err:
        return RecurrentLayer(label, kind, tuple(pair), None, None, err)
    return RecurrentLayer(label, kind, tuple(pair), None, block, facts=facts)


def _facts(label: str, hints: Hints, *, both: bool) -> dict[str, Fact[Any]]:
    name, default = ("merge_mode", "concat") if both else ("go_backwards", False)
    found = {name: _fact(name, default, hints), "masking": _fact("masking", False, hints)}
    return {f"{label}.{key}": fact for key, fact in found.items()}


def _fact(name: str, default: Any, hints: Hints) -> Fact[Any]:
    given = getattr(hints, name)
    if given is not None:
        return Fact.given(given, KERAS_FLAGS[name])
    return Fact.assumed(default, f"Keras' default; {KERAS_FLAGS[name]} states it")


def between(stack: Sequence[RecurrentLayer], hints: Hints) -> dict[str, Fact[Any]]:
    """That nothing lies between layers that weights alone show one after another."""
    if len(stack) < 2:
        return {}
    own = title(stack)
    stated = hints.select is not None and hints.select.strip("/") == own
    nothing: Fact[Any] = (
        Fact.given("nothing", f"--select {own}")
        if stated
        else Fact.assumed("nothing", f"the order of Keras' groups; --select {own} states it")
    )
    pairs = pairwise(stack)
    return {f"between {low.name} and {high.name}": nothing for low, high in pairs}


def _layers_in(stored: Sequence[Kernels]) -> list[list[Kernels]]:
    """Two cells called forward and backward are one layer."""
    found: list[list[Kernels]] = []
    for kernels in stored:
        back = "backward" in kernels.place.lower()
        if back and found and len(found[-1]) == 1 and "forward" in found[-1][0].place.lower():
            found[-1].append(kernels)
        else:
            found.append([kernels])
    return found


def _kind(kernels: Kernels) -> str:
    kind = _KINDS[kernels.gates]
    twice = (2 * kernels.gates * kernels.units,)
    return f"CuDNN{kind}" if kernels.gates > 1 and kernels.bias == twice else kind


def _refuse_strangers(
    label: str, pair: Sequence[Kernels], described: Described, source: Source
) -> None:
    """A cell with more weights than Keras' own has is another cell. Errors: NotRecognised."""
    for kernels in pair:
        others = strangers_beside(kernels, described, source.tensors)
        if others:
            raise NotRecognised(
                f"{label} holds {', '.join(others[:3])} beside the kernels of a "
                f"{kind_of(kernels.gates)}: it is another cell",
                expected="kernel, recurrent_kernel and bias alone",
                where=kernels.place,
                advice="its class cannot be told from weights alone: give the whole model",
            )
