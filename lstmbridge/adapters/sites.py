"""Where the cells are: variables grouped by the scope of their cell, and which class it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from lstmbridge.adapters.dialects import (
    DIRECTIONS,
    LOOP_SCOPES,
    MULTI_SCOPES,
    CellClass,
    Family,
    ForeignClass,
    Geometry,
    Path,
    Spelling,
    layer_index,
    scope_matches,
)
from lstmbridge.adapters.families import FAMILIES, class_called
from lstmbridge.adapters.foreign import FOREIGN_CLASSES, WRAPPERS
from lstmbridge.adapters.stored import Stored, under_one_another
from lstmbridge.contracts import Hints
from lstmbridge.errors import CannotExpress, LstmBridgeError, NotRecognised
from lstmbridge.gates import Weights
from lstmbridge.model.blocks import Dense

# Scopes of layers that are no cells, wherever they lie: never a cell with a name of its own.
_NO_CELL = re.compile(
    r"(?i)(.*_)?(dense|fully_connected|linear|logits?|softmax|output|out|proj(ection)?|"
    r"output_projection|attention|memory|query|conv\w*|embeddings?|highway|fc|"
    r"layer_norm|batch_norm\w*|(memory|query|attention|output|dense)_layer|gates|candidate)(_?\d+)?"
)
_LIKE_A_CELL = re.compile(r"(?i)cell|lstm|rnn|gru")


@dataclass(frozen=True, slots=True)
class Site:
    """A scope that holds one cell's variables.

    Attributes:
        path: the cell's scope.
        name: its class, as the names say.
        row: the class, where it is one that we convert.
        spelling: the era's spelling.
        stored: the variables by role.
        owned: the names of all variables in it.
        sizes: what their shapes say; None where `problem` says why not.
        own_name: the scope's name is its user's; the class is assumed.
    """

    path: Path
    name: str
    owned: frozenset[str]
    family: Family | None = None
    row: CellClass | None = None
    spelling: Spelling | None = None
    stored: Mapping[str, Stored] | None = None
    sizes: Geometry | None = None
    problem: LstmBridgeError | None = None
    own_name: bool = False

    @property
    def scope(self) -> str:
        """The cell's scope, as written."""
        return "/".join(self.path)

    @property
    def tensors(self) -> dict[str, Weights]:
        """The tensors by role."""
        return {role: stored.ref for role, stored in (self.stored or {}).items()}

    @property
    def front(self) -> Dense | None:
        """The dense layer that the cell applies to its input first."""
        make = self.family.front if self.family is not None else None
        return None if make is None else make(self.tensors)

    @property
    def dtype(self) -> str:
        """Of its weights; empty where there are none."""
        return next((tensor.dtype.name for tensor in self.tensors.values()), "")


Names = Mapping[str, Stored]
"""Variables by their names relative to a scope."""


def find_sites(weights: Mapping[str, Stored], hints: Hints) -> list[Site]:
    """Every cell among `weights`, converted or refused, in the order of names."""
    by_class: dict[Path, dict[str, Stored]] = {}
    for name, stored in weights.items():
        segments = tuple(name.split("/"))
        depth = _class_scope(segments)
        if depth is not None:
            by_class.setdefault(segments[:depth], {})["/".join(segments[depth:])] = stored
    sites = [site for path, names in by_class.items() if (site := _known(path, names))]
    taken = frozenset(name for site in sites for name in site.owned)
    for path, names in _by_scope(weights).items():
        free = {k: v for k, v in names.items() if v.name not in taken}
        site = _own_named(path, free, weights, hints) if free else None
        if site is not None:
            sites.append(site)
            taken |= site.owned
    return in_order(sites)


def in_order(sites: Iterable[Site]) -> list[Site]:
    """By scope, numbers counted as numbers."""
    return sorted(sites, key=lambda site: [_numerically(segment) for segment in site.path])


def _numerically(segment: str) -> list[tuple[int, str]]:
    """A key by which ``layer_2`` comes before ``layer_10``."""
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", segment)]


def _class_scope(segments: Path) -> int | None:
    """Length of the innermost scope on the path that is called like a class."""
    for k in range(len(segments) - 2, -1, -1):
        if any(scope_matches(segments[k], scopes) for scopes in _ALL_SCOPES):
            return k + 1
    return None


_ALL_SCOPES = tuple(
    [row.scopes for family in FAMILIES for row in family.classes]
    + [row.scopes for row in FOREIGN_CLASSES]
)


def _known(path: Path, names: Names) -> Site | None:
    owned = frozenset(s.name for s in names.values())
    scope = "/".join(path)
    for foreign in FOREIGN_CLASSES:
        if scope_matches(path[-1], foreign.scopes) and any(s in names for s in foreign.signs):
            return Site(path, foreign.name, owned, problem=refused(foreign, scope))
    sites = [
        site
        for family in FAMILIES
        for row in family.classes
        if scope_matches(path[-1], row.scopes)
        and (site := _spelled(path, names, family, row)) is not None
    ]
    # classes that lie in scopes of one name are told apart by their variables
    return min(sites, key=lambda s: (s.problem is not None, -len(s.stored or ())), default=None)


def refused(foreign: ForeignClass, scope: str) -> CannotExpress:
    """A class that we know by name and do not convert."""
    kinds = ", ".join(dict.fromkeys(family.kind for family in FAMILIES))
    return CannotExpress(
        f"{scope or 'the checkpoint'} holds the variables of {foreign.name}: {foreign.reason}",
        expected=f"a cell that this version converts: {kinds}",
        where=scope,
        advice="--outputs NAME converts the graph in the .meta up to there as it is, whatever its "
        "cells are; if another stack in the checkpoint is what you want, name it with --select",
    )


def spelled_roles(names: Names, spelling: Spelling, scope: str) -> dict[str, Stored]:
    """The variables that `spelling` knows, by role; row shards put together."""
    found: dict[str, Stored] = {}
    for role, word in spelling.roles.items():
        if "#" not in word:
            if word in names:
                found[role] = names[word]
            continue
        shards: list[Stored] = []
        while (name := word.replace("#", str(len(shards)))) in names:
            shards.append(names[name])
        name = word.replace("_#", "").replace("#", "")
        whole = under_one_another(f"{scope}/{name}", shards) if shards else None
        if whole is not None:
            found[role] = whole
    return found


def _spelled(path: Path, names: Names, family: Family, row: CellClass) -> Site | None:
    """The cell at `path` in the spelling that fits best; None where no variable is a cell's."""
    scope = "/".join(path)
    tried = [(spelled_roles(names, spelling, scope), spelling) for spelling in family.spellings]
    roles, spelling = max(
        tried, key=lambda x: (sum(role in x[0] for role in family.needed), len(x[0]))
    )
    if not roles:
        return None
    owned = frozenset(s.name for s in names.values())
    problem: LstmBridgeError | None = _faults(scope, names, roles, family, row)
    sizes = None
    if problem is None:
        measured = family.measure(roles)
        if isinstance(measured, LstmBridgeError):
            problem = measured
        else:
            sizes = measured
    return Site(path, row.name, owned, family, row, spelling, roles, sizes, problem)


def _faults(
    scope: str, names: Names, roles: Mapping[str, Stored], family: Family, row: CellClass
) -> NotRecognised | None:
    """What is missing in the cell's scope, or lies there and is none of its class's."""
    missing = [role for role in family.needed if role not in roles]
    used = {name for stored in roles.values() for name in stored.sources}
    strange = sorted(str(s) for s in names.values() if s.sources[0] not in used) + sorted(
        str(roles[role]) for role in roles if role not in row.roles
    )
    if not missing and not strange:
        return None
    there = ", ".join(sorted(str(s) for s in names.values()))
    what = f"it lacks a {' and a '.join(missing)}" if missing else ""
    too = f"{row.name} has no {', '.join(strange)}" if strange and not missing else ""
    return NotRecognised(
        f"{scope} is called like {row.name}, but {what or too}",
        expected=f"{', '.join(family.needed)}, as one release of TensorFlow spells them",
        where=f"{scope}: {there}",
        advice="a class of the model's own, perhaps; if variables were renamed, give --map FILE",
    )


def _own_named(
    path: Path, names: Names, weights: Mapping[str, Stored], hints: Hints
) -> Site | None:
    """A cell whose scope is called by its user, where only a cell can lie and the shapes fit."""
    scope = "/".join(path)
    structural = _is_place_of_a_cell(path)
    pointed_at = hints.cell is not None and (hints.select or "").strip("/") == scope
    if (_NO_CELL.fullmatch(path[-1]) or is_wrapper(path[-1])) and not pointed_at:
        return None
    if not structural and not pointed_at:
        return None
    called = class_called(hints.cell) if hints.cell else None
    inside = _within(path, weights)
    for family, row in _candidates(called):
        site = _spelled(path, inside, family, row)
        if site is not None and (site.problem is None or pointed_at):
            return replace(site, own_name=True)
    for foreign in FOREIGN_CLASSES:
        if any(mark in names for mark in foreign.marks):
            owned = frozenset(s.name for s in names.values())
            return Site(path, foreign.name, owned, problem=refused(foreign, scope), own_name=True)
    return None


def _candidates(
    called: tuple[Family, CellClass] | None = None, *, every: bool = False
) -> Iterator[tuple[Family, CellClass]]:
    """What a cell under a name of its own may be: what its user calls it, then by its shapes.

    `every`: those too of which shapes prove nothing.
    """
    if called is not None:
        yield called
    for family in FAMILIES:
        row = family.class_called(family.own_name) or (family.classes[0] if every else None)
        if row is not None:
            yield family, row


def _within(path: Path, weights: Mapping[str, Stored]) -> dict[str, Stored]:
    prefix = "/".join(path) + "/"
    return {name[len(prefix) :]: s for name, s in weights.items() if name.startswith(prefix)}


def _is_place_of_a_cell(path: Path) -> bool:
    """Is `path` where TensorFlow's own functions put a cell: in a layer, a direction, a loop?"""
    above = list(path[:-1])
    while above and is_wrapper(above[-1]):
        above.pop()
    if not above:
        return False
    if layer_index(above[-1]) is not None:
        while above and layer_index(above[-1]) is not None:
            above.pop()
        return bool(above) and MULTI_SCOPES.fullmatch(above[-1]) is not None
    if above[-1] in DIRECTIONS:
        return True
    # people call scopes of their own "rnn" too, and put other layers there
    return bool(LOOP_SCOPES.fullmatch(above[-1]) and _LIKE_A_CELL.search(path[-1]))


def is_wrapper(segment: str) -> bool:
    """Is it a scope that a wrapper around a cell opens?"""
    return any(re.fullmatch(p, segment) for w in WRAPPERS for p in w.scopes)


def strays(sites: Iterable[Site], weights: Mapping[str, Stored]) -> dict[str, Stored]:
    """The variables that are no cell's."""
    taken = {name for site in sites for name in site.owned}
    return {name: s for name, s in weights.items() if name not in taken}


def lookalikes(weights: Mapping[str, Stored], *, every: bool = False) -> list[Site]:
    """Scopes that lie nowhere in particular, or have names of their own, and would fit as a cell.

    By names and shapes alone they are no cells; a graph can prove that they are.

    Args:
        weights: variables that are no cell's by their names.
        every: all that each scope may be, for a graph to tell; else the one that shapes suggest.
    """
    found = []
    for path, names in _by_scope(weights).items():
        if is_wrapper(path[-1]):
            continue
        sites = (_spelled(path, names, *candidate) for candidate in _candidates(every=every))
        fits = [site for site in sites if site is not None and site.problem is None]
        found += [replace(site, own_name=True) for site in (fits if every else fits[:1])]
    return found


def is_called_otherwise(site: Site) -> bool:
    """Is its scope called like a layer that is no cell (``dense``, ``logits``)?"""
    return _NO_CELL.fullmatch(site.path[-1]) is not None


def _by_scope(weights: Mapping[str, Stored]) -> dict[Path, dict[str, Stored]]:
    """The variables by the scopes that may be their cell's: one to three above them."""
    groups: dict[Path, dict[str, Stored]] = {}
    for name, stored in weights.items():
        segments = tuple(name.split("/"))
        for cut in range(max(1, len(segments) - 3), len(segments)):
            groups.setdefault(segments[:cut], {})["/".join(segments[cut:])] = stored
    return groups
