"""How cells are put together, as far as the scopes prove it.

``multi_rnn_cell/cell_k`` is a stack, ``fw`` beside ``bw`` a bidirectional layer, ``cell_k`` over
such pairs a stack of bidirectional layers; wrappers that left variables lie around those. Whatever
scopes of the user's own lie between are no proof, and what they hold stays apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from lstmbridge.adapters.dialects import (
    BIDIRECTIONAL_SCOPES,
    DIRECTIONS,
    LOOP_SCOPES,
    MULTI_SCOPES,
    STACKED_BIDIRECTIONAL_SCOPES,
    Path,
    Sizes,
    layer_index,
)
from lstmbridge.adapters.sites import Site, is_wrapper
from lstmbridge.adapters.wrapped import Wrap
from lstmbridge.errors import LstmBridgeError, NotRecognised


@dataclass(frozen=True, slots=True)
class Draft:
    """A block that is not yet a model's: `cell`, else `pair` (fw, bw), else `stack`.

    Attributes:
        path: the scope that holds it.
        wraps: what lies around it, innermost first.
        problems: why it cannot be a block.
        remarks: what was taken from scopes that are not TensorFlow's own.
    """

    path: Path
    cell: Site | None = None
    pair: tuple[Draft, Draft] | None = None
    stack: tuple[Draft, ...] = ()
    wraps: tuple[Wrap, ...] = ()
    problems: tuple[LstmBridgeError, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Draft, ...]:
        """The drafts that it is made of."""
        return self.pair or self.stack

    def sites(self) -> Iterator[Site]:
        """Its cells, from input to output, forward before backward."""
        if self.cell is not None:
            yield self.cell
        for part in self.parts:
            yield from part.sites()

    def leaves(self) -> Iterator[Draft]:
        """The drafts of single cells, in the same order."""
        if self.cell is not None:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def all_wraps(self) -> Iterator[Wrap]:
        """What lies around it and around all that it is made of."""
        yield from self.wraps
        for part in self.parts:
            yield from part.all_wraps()

    def all_problems(self) -> Iterator[LstmBridgeError]:
        """Of itself and of all that it is made of."""
        yield from self.problems
        if self.cell is not None and self.cell.problem is not None:
            yield self.cell.problem
        for part in self.parts:
            yield from part.all_problems()

    def all_remarks(self, *, of_pairs: bool = True) -> Iterator[str]:
        """Of itself and of all that it is made of; those of pairs only where they are wanted."""
        if of_pairs or self.pair is None:
            yield from self.remarks
        for part in self.parts:
            yield from part.all_remarks(of_pairs=of_pairs)

    def sizes(self) -> Sizes | None:
        """(input, output) size with its wrappers; None where a problem hides it."""
        sizes = self._inner_sizes()
        for wrap in self.wraps:
            sizes = None if sizes is None else wrap.measure(sizes)
        return sizes

    def _inner_sizes(self) -> Sizes | None:
        if self.cell is not None:
            own = self.cell.sizes
            return None if own is None else (own.input_size, own.output_size)
        inner = [part.sizes() for part in self.parts]
        known = [size for size in inner if size is not None]
        if len(known) != len(inner):
            return None
        if self.pair is not None:
            return known[0][0], known[0][1] + known[1][1]
        return known[0][0], known[-1][1]

    @property
    def scope(self) -> str:
        """The scope, as written."""
        return "/".join(self.path)


@dataclass(slots=True)
class _Scope:
    """A scope in the tree of scopes."""

    path: Path
    site: Site | None = None
    wraps: list[Wrap] = field(default_factory=list)
    children: dict[str, _Scope] = field(default_factory=dict)

    def at(self, path: Path) -> _Scope:
        """The scope `path` below this one."""
        scope = self
        for segment in path:
            scope = scope.children.setdefault(segment, _Scope((*scope.path, segment)))
        return scope


def assemble(sites: list[Site], wraps: Iterable[Wrap] = ()) -> list[Draft]:
    """The largest blocks that the scopes prove, in the order of names.

    A wrap that lies around no block, or around more than one, is in none of them.
    """
    root = _Scope(())
    for site in sites:
        root.at(site.path).site = site
    for wrap in wraps:
        root.at(wrap.path).wraps.append(wrap)
    return _blocks(root)


def _blocks(scope: _Scope) -> list[Draft]:
    found = [] if scope.site is None else [Draft(scope.path, cell=scope.site)]
    every = {name: _blocks(child) for name, child in scope.children.items()}
    inside = {name: drafts for name, drafts in every.items() if drafts}
    beside = [w for name in every if name not in inside for w in scope.children[name].wraps]
    pair = _pair(scope, inside)
    stack = _stack(scope, inside)
    for draft, used in (pair, stack):
        if draft is not None:
            found.append(draft)
        for name in used:
            inside.pop(name, None)
    for drafts in inside.values():
        found += drafts
    own = [w for w in scope.wraps if not w.scoped]
    around = [w for w in scope.wraps if w.scoped]
    # beside a cell's scope lie the projections of up to 1.1, which knew no highway: together
    # with one, nothing says which is the inner one
    return _wrapped(scope, found, [*own, *around] if not (own and beside) else [], beside)


def _wrapped(
    scope: _Scope, found: list[Draft], own: list[Wrap], beside: list[Wrap]
) -> list[Draft]:
    """`found` with the wrappers of `scope` around it, where it is one cell or one stack."""
    wraps = [*(w for w in beside if w.scoped), *own]
    if len(found) != 1 or not wraps or not _wrappable(found[0], scope.path):
        return found
    draft = found[0]
    for wrap in wraps:
        sizes = draft.sizes()
        draft = replace(draft, wraps=(*draft.wraps, wrap))
        if sizes is not None and wrap.measure(sizes) is None:
            draft = replace(draft, problems=(*draft.problems, _does_not_fit(wrap, draft, sizes)))
        elif not wrap.scoped and not _is_tensorflows(scope.path):
            draft = replace(draft, remarks=(*draft.remarks, _taken_for_wrapper(wrap, draft)))
    return [draft]


def _wrappable(draft: Draft, below: Path) -> bool:
    pairs = draft.pair is not None or any(part.pair is not None for part in draft.parts)
    return not pairs and _straight(draft, below)


def _is_tensorflows(path: Path) -> bool:
    """Is it a scope in which a function of TensorFlow's own applies a cell?"""
    last = path[-1] if path else ""
    return bool(LOOP_SCOPES.fullmatch(last) or is_wrapper(last)) or layer_index(last) is not None


def _does_not_fit(wrap: Wrap, draft: Draft, sizes: Sizes) -> NotRecognised:
    return NotRecognised(
        f"{wrap} have the names of {wrap.wrapper.name}, and do not fit around {draft.scope}, "
        f"which takes {sizes[0]} features and gives {sizes[1]}",
        expected="shapes that fit",
        where="/".join(wrap.path),
        advice="the checkpoint may be pieced together; --map FILE renames variables",
    )


def _taken_for_wrapper(wrap: Wrap, draft: Draft) -> str:
    return (
        f"{wrap} are taken for {wrap.wrapper.name} around {draft.scope}: their names and shapes "
        "fit, and the scope is not one of TensorFlow's own"
    )


def _straight(draft: Draft, below: Path) -> bool:
    """Does nothing but a cell's own scopes lie between `below` and the draft?"""
    between = draft.path[len(below) :]
    if draft.cell is not None:
        between = between[:-1]
    return not any(LOOP_SCOPES.fullmatch(segment) for segment in between)


_Used = tuple["Draft | None", list[str]]


def _pair(scope: _Scope, inside: Mapping[str, list[Draft]]) -> _Used:
    """fw and bw under `scope`, and the names of the children that went into it."""
    names = {DIRECTIONS[name]: name for name in inside if name in DIRECTIONS}
    if not names:
        return None, []
    last = scope.path[-1] if scope.path else ""
    own = not BIDIRECTIONAL_SCOPES.fullmatch(last)
    if len(names) == 2:
        halves = [inside[names["fw"]], inside[names["bw"]]]
        below = [(*scope.path, names["fw"]), (*scope.path, names["bw"])]
        single = all(
            len(half) == 1 and _straight(half[0], path)
            for half, path in zip(halves, below, strict=True)
        )
        if single:
            return _checked_pair(scope, halves[0][0], halves[1][0], own=own), list(names.values())
    if own:
        return None, []
    missing = ", ".join(sorted({"fw", "bw"} - set(names)))
    there = [draft for name in names.values() for draft in inside[name]]
    problem = NotRecognised(
        f"{'/'.join(scope.path)} is one direction of a bidirectional network: {missing} is missing"
        if missing
        else f"{'/'.join(scope.path)} holds {len(there)} cells in no order that its scopes tell",
        expected="one cell or one multi_rnn_cell under fw, and one under bw",
        where=", ".join(draft.scope for draft in there),
        advice="if the other direction has another name, give --map FILE; if both directions run "
        "one cell, --map it to a scope of its own and convert it as one direction",
    )
    return Draft(scope.path, stack=tuple(there), problems=(problem,)), list(names.values())


def _checked_pair(scope: _Scope, forward: Draft, backward: Draft, *, own: bool) -> Draft:
    draft = Draft(scope.path, pair=(forward, backward))
    sizes = [forward.sizes(), backward.sizes()]
    if all(sizes) and sizes[0][0] != sizes[1][0]:  # type: ignore[index]
        first, second = next(forward.sites()), next(backward.sites())
        problem = NotRecognised(
            f"the two directions take inputs of different sizes: {_kernel(first)} and "
            f"{_kernel(second)}",
            expected="one input for both directions",
            where=draft.scope,
            advice="the checkpoint may be pieced together; --map FILE renames variables",
        )
        draft = replace(draft, problems=(problem,))
    layered = scope.path and layer_index(scope.path[-1]) is not None
    if own and not layered:
        remark = (
            f"fw and bw under {draft.scope or 'no scope'} are taken for the two directions of one "
            "bidirectional network (the backward one reads the reversed sequence)"
        )
        draft = replace(draft, remarks=(remark,))
    return draft


def _stack(scope: _Scope, inside: Mapping[str, list[Draft]]) -> _Used:
    """cell_0, cell_1, ... under `scope`, and the names of the children that went into it."""
    numbered = sorted((index, name) for name in inside if (index := layer_index(name)) is not None)
    if not numbered:
        return None, []
    last = scope.path[-1] if scope.path else ""
    multi = MULTI_SCOPES.fullmatch(last) is not None
    if layer_index(last) is not None and len(numbered) == 1 and len(inside) == 1:
        return None, []  # cell_0/cell_0: one release wrote the scope twice
    joined = all(
        len(inside[name]) == 1 and _straight_layer(inside[name][0], (*scope.path, name))
        for _, name in numbered
    )
    if multi and len(inside) != len(numbered):
        extra = sorted(set(inside) - {name for _, name in numbered})
        return _broken(scope, inside, f"{extra[0]} lies among the layers", list(inside))
    return _joined(scope, inside, numbered, multi=multi) if joined else (None, [])


def _joined(
    scope: _Scope,
    inside: Mapping[str, list[Draft]],
    numbered: list[tuple[int, str]],
    *,
    multi: bool,
) -> _Used:
    names = [name for _, name in numbered]
    drafts = tuple(inside[name][0] for name in names)
    last = scope.path[-1] if scope.path else ""
    paired = all(draft.pair is not None for draft in drafts)
    certain = multi or (paired and STACKED_BIDIRECTIONAL_SCOPES.fullmatch(last) is not None)
    gap = next((k for k, (index, _) in enumerate(numbered) if index != k), None)
    if gap is not None:
        if certain:
            return _broken(scope, {n: inside[n] for n in names}, f"cell_{gap} is missing", names)
        return None, []
    torn = _tear(drafts, scope)
    if torn is not None and not certain:
        return None, []
    remarks = () if certain else (_taken_for_stack(scope, paired=paired),)
    problems = () if torn is None else (torn,)
    return Draft(scope.path, stack=drafts, problems=problems, remarks=remarks), names


def _straight_layer(draft: Draft, below: Path) -> bool:
    if draft.pair is None:
        return _straight(draft, below)
    between = draft.path[len(below) :]
    return not between or (len(between) == 1 and bool(BIDIRECTIONAL_SCOPES.fullmatch(between[0])))


def _taken_for_stack(scope: _Scope, *, paired: bool) -> str:
    what = "bidirectional layers" if paired else "layers"
    return (
        f"cell_0, cell_1, ... under {'/'.join(scope.path) or 'no scope'} are taken for {what} of "
        "one stack: their sizes chain, and the scope is not one of TensorFlow's own"
    )


def _broken(scope: _Scope, inside: Mapping[str, list[Draft]], what: str, used: list[str]) -> _Used:
    problem = NotRecognised(
        f"the stack {'/'.join(scope.path)} is not whole: {what}",
        expected="cell_0, cell_1, ... without gaps and nothing else",
        where=", ".join(sorted(inside)),
        advice="the checkpoint may be partial; --map FILE renames variables",
    )
    drafts = tuple(draft for drafts in inside.values() for draft in drafts)
    return Draft(scope.path, stack=drafts, problems=(problem,)), used


def _tear(drafts: tuple[Draft, ...], scope: _Scope) -> NotRecognised | None:
    """The first place where a layer does not take what the one below gives."""
    for below, above in pairwise(drafts):
        low, high = below.sizes(), above.sizes()
        if low is not None and high is not None and low[1] != high[0]:
            under, over = list(below.sites())[-1], next(above.sites())
            return NotRecognised(
                f"the layers do not chain: {_kernel(under)} gives {low[1]} features, "
                f"{_kernel(over)} takes {high[0]}",
                expected=f"an upper layer that takes {low[1]} features",
                where="/".join(scope.path),
                advice="the checkpoint may be pieced together, or something lies between the "
                "layers (skip connections, a projection)",
            )
    return None


def _kernel(site: Site) -> str:
    return str(next(iter((site.stored or {}).values()), site.scope))
