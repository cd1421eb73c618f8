"""Known mistakes in one block of weights, each as the numbers that it would leave behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from lstmbridge.gates import ORDERS, Array, GateOrder

Gates = Mapping[str, Array]
_MANY = 4
"""Cells of more gates are not tried in every order."""


@dataclass(frozen=True, eq=False)
class Side:
    """One cell's numbers in float64.

    Attributes:
        kind: of cell.
        blocks: block -> gate -> numbers, as the cell computes with them.
        raw: gate -> its bias without the forget bias.
        dtype: in which the weights are stored.
        reader: the framework whose order of gates a writer of these had to know; "": any.
    """

    kind: str
    blocks: Mapping[str, Gates]
    raw: Gates
    dtype: np.dtype[np.generic]
    reader: str = ""


def _same(a: Array, b: Array, side: Side, *, summed: bool) -> bool:
    """Equal as the narrower file stores them; a sum is equal within its rounding."""
    if a.shape != b.shape:
        return False
    stored = a.astype(side.dtype).astype(np.float64)
    if np.array_equal(stored, b) or np.array_equal(a, b):
        return True
    if not summed:
        return False
    unit = 2.0 ** {2: -10, 4: -23}.get(side.dtype.itemsize, -50)
    size = np.abs(a) + np.abs(b) + 2.0
    return bool((np.abs(a - b) <= unit * size).all())


def _all_same(a: Gates, b: Gates, side: Side, *, summed: bool) -> bool:
    return set(a) == set(b) and all(_same(a[g], b[g], side, summed=summed) for g in a)


def difference(a: Side, b: Side, block: str) -> str | None:
    """How `block` differs, in numbers; None where it does not."""
    mine, theirs, summed = a.blocks[block], b.blocks[block], "bias" in block
    if _all_same(mine, theirs, b, summed=summed):
        return None
    if set(mine) != set(theirs):
        return f"has the gates {', '.join(theirs)}, A's {', '.join(mine)}"
    bad = [g for g in mine if not _same(mine[g], theirs[g], b, summed=summed)]
    shapes = [g for g in bad if mine[g].shape != theirs[g].shape]
    if shapes:
        return f"has the shape {theirs[shapes[0]].shape}, A's {mine[shapes[0]].shape}"
    off = {g: np.abs(mine[g].astype(b.dtype).astype(np.float64) - theirs[g]) for g in bad}
    worst = max(bad, key=lambda g: float(np.nan_to_num(off[g], nan=np.inf).max()))
    place = np.unravel_index(int(np.argmax(off[worst])), off[worst].shape)
    wrong = sum(int(np.count_nonzero(off[g])) for g in bad)
    total = sum(one.size for one in theirs.values())
    where = _where(place)
    gates = f" of gate{'s' * (len(bad) > 1)} {', '.join(bad)}" if bad != [""] else ""
    alone = " alone" if len(bad) < len(mine) else ""
    return (
        f"differs in {wrong:,} of {total:,} numbers{gates}{alone}, most in "
        f"{f'gate {worst}, ' * bool(worst)}{where}: {theirs[worst][place]:.6g}, "
        f"in A {mine[worst][place]:.6g}"
    )


def _where(place: tuple[np.intp, ...]) -> str:
    words = ("row", "column") if len(place) == 2 else ("unit",)
    return ", ".join(f"{word} {int(k)}" for word, k in zip(words, place, strict=True))


def explanation(a: Side, b: Side, block: str) -> str:
    """The mistake that makes A's numbers B's; "" where none that is known does."""
    candidates = _of_bias(a) if block == "bias" else _of_matrix(a, block)
    for words, numbers in candidates:
        if _all_same(numbers, b.blocks[block], b, summed="bias" in block):
            return words
    if block == "bias":
        return _offset(a, b)
    return ""


def _of_matrix(a: Side, block: str) -> Iterator[tuple[str, dict[str, Array]]]:
    mine = a.blocks[block]
    yield "is zero", {g: np.zeros_like(x) for g, x in mine.items()}
    yield from _permuted(a, mine)
    if all(x.ndim == 2 and x.shape[0] == x.shape[1] for x in mine.values()):
        turned = {g: x.T for g, x in mine.items()}
        yield "is transposed", turned
        for words, numbers in _permuted(a, turned):
            yield f"is transposed, and {words}", numbers
    if block in {"kernel", "recurrent"}:
        yield from _reshaped(a, block)
        yield from _h_before_x(a, block)
    for words, factor in (("is A's with the sign turned", -1.0), ("is A's doubled", 2.0)):
        yield words, {g: x * factor for g, x in mine.items()}


def _permuted(a: Side, mine: Gates) -> Iterator[tuple[str, dict[str, Array]]]:
    """Gates under each other's names: B's `g` is A's `source[g]`."""
    gates = tuple(mine)
    if not 1 < len(gates) <= _MANY:
        return
    found = []
    for order in permutations(gates):
        source = dict(zip(gates, order, strict=True))
        moved = {g: h for g, h in source.items() if g != h}
        if moved:
            found.append((len(moved), _reading(a, source, moved), source))
    for _, words, source in sorted(found, key=lambda one: one[0]):
        yield words, {g: mine[h] for g, h in source.items()}


def _reading(a: Side, source: Mapping[str, str], moved: Mapping[str, str]) -> str:
    if len(moved) == 2:
        words = f"gates {' and '.join(sorted(moved))} are exchanged"
    else:
        said = ", ".join(f"{g} holds A's {h}" for g, h in sorted(moved.items()))
        words = f"gates are permuted ({said})"
    return words + _orders(a, source)


def _orders(a: Side, source: Mapping[str, str]) -> str:
    """Which framework's order, taken for which other's, does this."""
    known: list[tuple[str, GateOrder]] = [
        (framework, order)
        for framework, orders in ORDERS.get(a.kind, {}).items()
        for order in orders
        if set(order.gates) == set(source)
    ]
    readers = sorted(known, key=lambda one: one[0] != a.reader)
    for other, read in readers:
        for framework, order in known:
            pairs = dict(zip(read.gates, order.gates, strict=True))
            if framework != other and pairs == dict(source):
                theirs, mine = ", ".join(order.letters), ", ".join(read.letters)
                return f": {framework}'s order ({theirs}) was read as {other}'s ({mine})"
    return ""


def _reshaped(a: Side, block: str) -> Iterator[tuple[str, dict[str, Array]]]:
    """The fused matrix reshaped to its transposed shape, which moves every number."""
    mine = a.blocks[block]
    if any(x.ndim != 2 for x in mine.values()):
        return
    orders = [x for xs in ORDERS.get(a.kind, {}).values() for x in xs if set(x.gates) == set(mine)]
    for order in orders:
        fused = np.concatenate([mine[g] for g in order.gates], axis=1)
        rows = fused.reshape(fused.shape[::-1])
        for read in orders:
            parts = np.split(rows, len(read.gates), axis=0)
            yield (
                "was reshaped where it had to be transposed",
                {g: part.T for g, part in zip(read.gates, parts, strict=True)},
            )


def _h_before_x(a: Side, block: str) -> Iterator[tuple[str, dict[str, Array]]]:
    kernel, recurrent = a.blocks.get("kernel"), a.blocks.get("recurrent")
    if kernel is None or recurrent is None or set(kernel) != set(recurrent):
        return
    rows = {g: np.concatenate([kernel[g], recurrent[g]]) for g in kernel}
    h = next(iter(recurrent.values())).shape[0]
    words = "is cut as [h; x] from a kernel that holds [x; h]"
    if block == "recurrent":
        yield words, {g: x[:h] for g, x in rows.items()}
    else:
        yield words, {g: x[h:] for g, x in rows.items()}


def _of_bias(a: Side) -> Iterator[tuple[str, dict[str, Array]]]:
    """Biases with the forget bias lost, doubled or misplaced, in any order of gates."""
    raw, gates = a.raw, tuple(a.raw)
    yield from _permuted(a, a.blocks["bias"])
    added = {g: a.blocks["bias"][g] - raw[g] for g in gates}
    has = any(np.any(x) for x in added.values())
    plain = [("", dict(raw))]
    for words, numbers in _permuted(a, raw):
        plain.append((words, numbers))
    for words, numbers in plain:
        joined = f"{words}, and " if words else ""
        if words:
            yield words, {g: numbers[g] + added[g] for g in gates}
        if has:
            yield f"{joined}lacks the forget bias", numbers
            twice = {g: numbers[g] + 2.0 * added[g] for g in gates}
            yield f"{joined}has the forget bias twice", twice
            value = max((float(np.abs(x).max()) for x in added.values()), default=0.0)
            right = [g for g in gates if np.any(added[g])]
            for g in gates:
                if g not in right:
                    where = f"{joined}has the forget bias on gate {g}"
                    yield where, {k: numbers[k] + value * (k == g) for k in gates}
        yield f"{joined}is doubled", {g: 2.0 * numbers[g] + added[g] for g in gates}
        if has:
            yield (
                f"{joined}is doubled, and the forget bias with it",
                {g: 2.0 * (numbers[g] + added[g]) for g in gates},
            )
    zeros = {g: np.zeros_like(x) for g, x in raw.items()}
    yield "is lost", {g: zeros[g] + added[g] for g in gates}
    yield "is lost, and the forget bias with it" if has else "is lost", zeros


def _offset(a: Side, b: Side) -> str:
    """One number added to a whole gate: a forget bias that A's file keeps in its bias."""
    said = []
    for g, mine in a.blocks["bias"].items():
        off = b.blocks["bias"][g] - mine
        if not _same(mine, b.blocks["bias"][g], b, summed=True):
            if not np.allclose(off, off[0], rtol=0.0, atol=1e-6):
                return ""
            said.append(f"{off[0]:+.6g} on gate {g}")
    hint = ", a forget bias" if len(said) == 1 and " f" in said[0][-2:] else ""
    return f"is A's {' and '.join(said)}{hint}" if said else ""
