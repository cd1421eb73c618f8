"""A state dict of any tool as a network: the keys of `torch.nn`'s recurrent modules.

A file of tensors holds no code: that modules stand in a row, as their keys do, is what this
reads; a constant that no key shows (relu in place of tanh) is assumed, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstmbridge.contracts import Understanding
from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import PYTORCH_GRU, PYTORCH_LSTM, PYTORCH_RNN, Array, GateBlocks, InMemory
from lstmbridge.model.blocks import Bidirectional, Block, Model, Recurrent, Sequence
from lstmbridge.model.cells import GRU, LSTM, RNN, Cell
from lstmbridge.model.facts import Fact
from lstmbridge.targets.torch.architecture import Native, Series
from lstmbridge.targets.torch.files import array_of, format_of, import_torch, load
from lstmbridge.targets.torch.loader import architecture_of

KIND = "PyTorch state dict"
_KEY = re.compile(
    r"^(?:(?P<module>.*)\.)?(?P<what>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)"
    r"(?:_l(?P<layer>\d+))?(?P<reverse>_reverse)?$"
)
_NESTED = ("state_dict", "model_state_dict", "model", "net")
"""Under which names training scripts keep a state dict among other things."""
_ORDERS = {4: PYTORCH_LSTM, 3: PYTORCH_GRU, 1: PYTORCH_RNN}
"""Rows of weight_ih for each unit -> how the gates lie."""
_REFUSALS = (
    ValueError, TypeError, KeyError, RuntimeError, AttributeError, OSError, EOFError, IndexError,
)  # fmt: skip

Tensors = Mapping[str, Array]
Place = tuple[str, int, bool]
"""(module, layer, backward)."""


def understand(path: Path) -> Understanding | None:
    """What the state dict in `path` says of its network; None where it is no such file.

    Raises:
        SourceUnreadable: it has the form of one and is broken, or holds more than tensors.
        RuntimeUnavailable: a ``.pt`` without PyTorch.
    """
    kind = format_of(path)
    if kind is None:
        return None
    try:
        content = load(path)
    except SourceUnreadable:
        if kind != ".pt":
            raise
        content = None  # what is wrong with it is said where any tool's file is read
    if content is not None:
        left = _unsaid(content, path)
        if left:
            return Understanding(None, KIND, left=(left,))
        return read({key: stored.load() for key, stored in content.tensors.items()}, path)
    return read(_pickled(path) if kind == ".pt" else _safe(path), path)


def _unsaid(content: Any, path: Path) -> str:
    """What of a file of ours its keys do not say; "" where they say all."""
    root = architecture_of(content, path).root
    nodes = root.nodes if isinstance(root, Series) else (root,)
    if all(isinstance(node, Native) and not node.residuals for node in nodes):
        return ""
    return "its layers are not all plain modules of torch.nn: their keys do not say all"


def _pickled(path: Path) -> Tensors:
    torch = import_torch("to read a .pt file")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever hostile bytes make the unpickler raise
        raise SourceUnreadable(
            f"the file does not read as tensors alone: {str(error).splitlines()[0][:200]}",
            expected="a state dict: pickles of whole modules run code, and are not opened",
            where=str(path),
            advice="save it anew: torch.save(module.state_dict(), ...)",
        ) from error
    try:
        for name in _NESTED:
            if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
                found = found[name]
                break
        return {
            str(key): array_of(value)
            for key, value in found.items()
            if isinstance(value, torch.Tensor) and value.is_contiguous()
        }
    except _REFUSALS as error:
        raise SourceUnreadable(
            f"the file holds no state dict: {error}", where=str(path)
        ) from error


def _safe(path: Path) -> Tensors:
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, *_REFUSALS) as error:
        raise SourceUnreadable(
            f"the file does not read as safetensors: {error}", where=str(path)
        ) from error


def read(tensors: Tensors, path: Path) -> Understanding:
    """The network that the keys make."""
    places: dict[Place, dict[str, Array]] = {}
    other = []
    for key, array in tensors.items():
        match = _KEY.match(key)
        if match is None or array.dtype.kind not in "fV":
            other.append(f"{key} {tuple(array.shape)} is no tensor of a recurrent module")
            continue
        place = (match["module"] or "", int(match["layer"] or 0), bool(match["reverse"]))
        places.setdefault(place, {})[match["what"]] = array
    left, cells = list(other), dict[Place, Cell]()
    for place, found in places.items():
        cell = _cell_or_why(found, f"{path.name}: {_said(place)}")
        if isinstance(cell, str):
            left.append(f"{_said(place)} is not read: {cell}")
        else:
            cells[place] = cell
    if not places:
        left.append("it holds no key of torch.nn.LSTM, GRU or RNN (weight_ih_l0, ...)")
    model = _model(cells, left) if len(cells) == len(places) and cells else None
    if model is None:
        return Understanding(None, KIND, left=tuple(left))
    order = [_said(place) for place in _in_order(cells)]
    return Understanding(
        model=model,
        kind=KIND,
        accounted=sum(array.size for found in places.values() for array in found.values()),
        layers=tuple((x.name, where) for x, where in zip(model.layers, order, strict=True)),
        left=tuple(left),
    )


def _said(place: Place) -> str:
    module, layer, backward = place
    return f"{module or 'the module'}, _l{layer}{'_reverse' if backward else ''}"


def _in_order(cells: Mapping[Place, Cell]) -> Iterator[Place]:
    """Modules as they stand in the file, layers by number, forward before backward."""
    modules = list(dict.fromkeys(module for module, _, _ in cells))
    yield from sorted(cells, key=lambda place: (modules.index(place[0]), *place[1:]))


def _model(cells: Mapping[Place, Cell], left: list[str]) -> Model | None:
    blocks: list[Block] = []
    order = list(_in_order(cells))
    for place in order:
        module, layer, backward = place
        if backward:
            continue
        twin = cells.get((module, layer, True))
        one = Recurrent(cells[place])
        blocks.append(one if twin is None else Bidirectional(one, Recurrent(twin)))
    modules = dict.fromkeys(module for module, _, _ in cells)
    if len(modules) > 1:
        left.append(f"that {', '.join(modules)} stand in a row is taken from their order alone")
    try:
        return Model("", Sequence(tuple(blocks)) if len(blocks) > 1 else blocks[0])
    except (ValueError, IndexError) as error:
        left.append(f"its layers do not stand in a row: {error}")
        return None


def _cell_or_why(found: Tensors, where: str) -> Cell | str:
    try:
        return _cell(found, where)
    except (ValueError, KeyError) as error:
        return str(error)


def _cell(found: Tensors, where: str) -> Cell:
    w, r = found["weight_ih"], found["weight_hh"]
    hr = found.get("weight_hr")
    for name, array in found.items():
        axes = 1 if name.startswith("bias") else 2
        if array.ndim != axes or 0 in array.shape:
            raise ValueError(f"{name} has the shape {array.shape}, not of {axes} axes")
    units = r.shape[1] if hr is None else hr.shape[1]
    gates, rest = divmod(w.shape[0], units)
    if rest or gates not in _ORDERS or r.shape[0] != w.shape[0]:
        raise ValueError(f"weight_ih {w.shape} and weight_hh {r.shape} do not fit one module")
    order = _ORDERS[gates].gates

    def blocks(name: str) -> GateBlocks:
        fused = found.get(name)
        if fused is None:
            fused = np.zeros(w.shape[0], w.dtype)
        if fused.shape[0] != w.shape[0]:
            raise ValueError(f"{name} has {fused.shape[0]} rows, weight_ih {w.shape[0]}")
        return GateBlocks.of(
            {g: fused[k * units : (k + 1) * units].T for k, g in enumerate(order)}
        )

    return _made(gates, {name: blocks(name) for name in _NAMES}, hr, where)


_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _made(gates: int, each: dict[str, GateBlocks], hr: Array | None, where: str) -> Cell:
    kernel, recurrent, bias, late = (each[name] for name in _NAMES)
    tanh = Fact.read("tanh", where)
    if gates == 1:
        # torch.nn.RNN may have relu: no key says so
        return RNN(kernel, recurrent, _sum(bias, late), Fact.assumed("tanh", "torch.nn.RNN"))
    sigmoid = Fact.read("sigmoid", where)
    if gates == 3:
        return GRU(kernel, recurrent, bias, Fact.read(True, where), tanh, sigmoid, late)
    added = late["f"]
    apart = not any(np.any(late[g]) for g in late if g != "f") and not np.any(added != added[0])
    return LSTM(
        kernel,
        recurrent,
        bias if apart else _sum(bias, late),
        forget_bias=Fact.read(float(added[0]) if apart else 0.0, where),
        activation=tanh,
        gate_activation=sigmoid,
        cell_clip=Fact.read(None, where),
        proj_clip=Fact.read(None, where),
        projection=None if hr is None else InMemory("weight_hr", hr.T),
    )


def _sum(a: GateBlocks, b: GateBlocks) -> GateBlocks:
    if not any(np.any(b[gate]) for gate in b):
        return a
    return GateBlocks.of({g: a[g].astype(np.float64) + b[g].astype(np.float64) for g in a})
