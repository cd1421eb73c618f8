"""Groups of stored arrays -> the recurrent kernels in them, whichever Keras named them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lstmbridge.contracts import Described, TensorRef

_ROLE = re.compile(r"(?:^|.*[/_])(?P<role>recurrent_kernel|kernel|bias)(?:_\d+)?(?::0)?")
_PARTED = re.compile(r"(?P<stem>.*)_(?P<role>[WUb])_(?P<gate>[ifcozrh])(?::0)?")
_OLD = re.compile(r"(?P<stem>.*)_(?P<role>[WUb])(?::0)?")
_OLD_ROLES: Mapping[str, str] = {"W": "kernel", "U": "recurrent", "b": "bias"}
_ROLES: Mapping[str, str] = {
    "kernel": "kernel",
    "recurrent_kernel": "recurrent",
    "bias": "bias",
}
_TREE = ("kernel", "recurrent", "bias")


@dataclass(frozen=True, slots=True)
class Kernels:
    """The arrays of one recurrent cell.

    Attributes:
        place: the scope, group or folder that they lie in.
        roles: ``kernel``, ``recurrent``, ``bias``; with Keras 1's parted gates ``kernel i``, ...
    """

    place: str
    roles: Mapping[str, TensorRef]

    @property
    def parted(self) -> bool:
        """Whether each gate has arrays of its own (Keras 1)."""
        return any(" " in role for role in self.roles)

    @property
    def gates(self) -> int:
        """Gates of the cell by its shapes; 0 where they do not fit together."""
        if self.parted:
            return sum(role.startswith("recurrent ") for role in self.roles)
        kernel, recurrent = self.roles["kernel"].shape, self.roles["recurrent"].shape
        if len(kernel) != 2 or len(recurrent) != 2 or not recurrent[0]:
            return 0
        gates, rest = divmod(recurrent[1], recurrent[0])
        return gates if not rest and kernel[1] == recurrent[1] else 0

    @property
    def units(self) -> int:
        """Width of the state."""
        return next(r.shape[0] for n, r in self.roles.items() if n.startswith("recurrent"))

    @property
    def bias(self) -> tuple[int, ...] | None:
        """Shape of the fused bias; None where there is none, or gates are apart."""
        return self.roles["bias"].shape if "bias" in self.roles else None

    @property
    def input_size(self) -> int:
        """Features of x."""
        return next(r.shape[0] for n, r in self.roles.items() if n.startswith("kernel"))

    @property
    def names(self) -> tuple[str, ...]:
        """The arrays' names in the source."""
        return tuple(ref.name for ref in self.roles.values())


def in_group(names: Sequence[str], tensors: Mapping[str, TensorRef]) -> list[Kernels]:
    """The recurrent cells among the weights of one group, in the order in which they lie there."""
    sets: list[tuple[str, dict[str, TensorRef]]] = []
    for name in names:
        place, role = _role(name)
        if not role:
            continue
        whole = role.partition(" ")[0]
        fresh = role in sets[-1][1] if sets else True
        other = bool(sets) and sets[-1][0] != place
        if fresh or other or (whole == "kernel" and " " not in role):
            sets.append((place, {}))
        sets[-1][1][role] = tensors[name]
    return [Kernels(place, roles) for place, roles in sets if _is_recurrent(roles)]


def is_parted(name: str) -> bool:
    """Whether a stored name is that of one gate's array (Keras 1): ``lstm_1_W_i``."""
    return _PARTED.fullmatch(name.rpartition("/")[2]) is not None


def _role(name: str) -> tuple[str, str]:
    last = name.rpartition("/")[2]
    if parted := _PARTED.fullmatch(last):
        return parted["stem"], f"{_OLD_ROLES[parted['role']]} {parted['gate']}"
    if plain := _ROLE.fullmatch(last):
        return name.rpartition("/")[0], _ROLES[plain["role"]]
    if old := _OLD.fullmatch(last):
        return old["stem"], _OLD_ROLES[old["role"]]
    return name, ""


def _is_recurrent(roles: Mapping[str, TensorRef]) -> bool:
    parted = {role for role in roles if role.startswith("recurrent ")}
    if parted:
        return all(f"kernel {role[-1]}" in roles for role in parted)
    if not {"kernel", "recurrent"} <= set(roles):
        return False
    return Kernels("", roles).gates in {1, 3, 4}


def in_folders(
    described: Described, tensors: Mapping[str, TensorRef], under: str = ""
) -> list[Kernels]:
    """The recurrent cells in Keras 3's folders below `under`; forward before backward."""
    found = []
    for folder in sorted(described.groups, key=_natural):
        if under and folder != under and not folder.startswith(f"{under}/"):
            continue
        refs = [tensors[name] for name in described.groups[folder]]
        if len(refs) in {2, 3}:
            roles = dict(zip(_TREE, refs, strict=False))
            kernels = Kernels(folder, roles)
            if _is_recurrent(roles) and _fits(roles) and (under or _is_a_cells(kernels)):
                found.append(kernels)
    return found


def _is_a_cells(kernels: Kernels) -> bool:
    """Two square matrices may be anything: a SimpleRNN's lie in its cell's folder."""
    return kernels.gates > 1 or "cell" in kernels.place.split("/")


def strangers_beside(
    kernels: Kernels, described: Described, tensors: Mapping[str, TensorRef]
) -> list[str]:
    """Numbers that lie in the same place as a cell's kernels, and are none of them."""
    names = [name for group in described.groups.values() for name in group]
    last = kernels.place.rpartition("/")[2]
    mark = f"{last}_" if kernels.parted or (not described.tree and _is_old(kernels)) else ""
    scope = kernels.place.rpartition("/")[0] if mark else kernels.place
    return [
        name
        for name in names
        if name not in kernels.names
        and tensors[name].dtype.kind == "f"
        and _within(name, scope, tree=described.tree)
        and name.rpartition("/")[2].startswith(mark)
    ]


def _is_old(kernels: Kernels) -> bool:
    """Keras 1 named its arrays ``lstm_1_W``: their place is no folder."""
    return any(_OLD.fullmatch(name.rpartition("/")[2]) for name in kernels.names)


def _within(name: str, scope: str, *, tree: bool) -> bool:
    folder = name.rpartition("/")[0]
    inside = f"{scope}/vars"
    return folder in {scope, inside} or (not tree and folder.startswith(f"{scope}/"))


def _fits(roles: Mapping[str, TensorRef]) -> bool:
    kernels = Kernels("", roles)
    width = roles["kernel"].shape[1]
    return kernels.bias in {None, (width,), (2, width)}


def _natural(folder: str) -> list[tuple[int, int, str]]:
    """lstm_2 before lstm_10, forward_layer before backward_layer."""
    turned = folder.replace("forward_layer", "a_layer").replace("backward_layer", "b_layer")
    pieces: Iterable[str] = re.split(r"(\d+)", turned)
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in pieces]
