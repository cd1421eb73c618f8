"""The constants of a cell, each with what it rests on: the user, the source, the class."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from lstmbridge.adapters.dialects import CellClass
from lstmbridge.adapters.families import class_called, foreign_called, known_classes
from lstmbridge.adapters.sites import Site, refused
from lstmbridge.arrays.namespace import ACTIVATIONS
from lstmbridge.contracts import Hints
from lstmbridge.errors import FactConflict, UsageError
from lstmbridge.model.facts import Fact

FLAGS: Mapping[str, str] = {
    "forget_bias": "--forget-bias",
    "activation": "--activation",
    "cell_clip": "--cell-clip",
    "proj_clip": "--proj-clip",
}
"""Option of a class -> the flag that gives it."""

_CLIPS = ("cell_clip", "proj_clip")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A cell's class and constants.

    Attributes:
        cell: the class's name, read from names that leave no choice, given, or assumed.
        doubts: what the user should know about what was assumed.
    """

    row: CellClass
    cell: Fact[str]
    options: Mapping[str, Fact[Any]]
    doubts: tuple[str, ...]


def check_hints(hints: Hints) -> None:
    """Refuse statements that make no sense, whatever the source. Errors: UsageError."""
    for option, flag in FLAGS.items():
        value = getattr(hints, option)
        if isinstance(value, (int, float)) and not math.isfinite(value):
            raise UsageError(f"{flag} {value}", expected="a finite number", where=flag)
    if hints.activation is not None and hints.activation not in ACTIVATIONS:
        near = get_close_matches(hints.activation, ACTIVATIONS, n=1)
        raise UsageError(
            f"--activation {hints.activation}",
            expected=f"one of {', '.join(ACTIVATIONS)}",
            where="--activation",
            advice=f"did you mean {near[0]}?" if near else "",
        )
    if hints.cell is not None and class_called(hints.cell) is None:
        foreign = foreign_called(hints.cell)
        if foreign is not None:
            raise refused(foreign, "--cell")
        near = get_close_matches(hints.cell, known_classes(), n=1, cutoff=0.3)
        raise UsageError(
            f"--cell {hints.cell}",
            expected=f"one of {', '.join(dict.fromkeys(known_classes()))}",
            where="--cell",
            advice=f"did you mean {near[0]}?" if near else "",
        )
    if hints.layers is not None and hints.layers < 1:
        raise UsageError(f"--layers {hints.layers}", expected="1 or more", where="--layers")


def open_to(hints: Hints, sites: Iterable[Site]) -> frozenset[str]:
    """The given options (and ``cell``) that some cell has room for.

    Raises:
        FactConflict: no cell has, naming the flag and what the names say.
    """
    listed = [site for site in sites if site.row is not None]
    room: set[str] = set()
    rows = {site.scope: _row(site, hints) for site in listed}
    if hints.cell is not None:
        if not any(rows[site.scope][1] for site in listed):
            site = listed[0]
            raise FactConflict(
                f"--cell {hints.cell}, and {site.scope} holds the variables of {site.name}",
                expected=f"{' or '.join((site.name, *(site.row.shares if site.row else ())))}",
                where="--cell",
                advice="leave --cell out: the names say it",
            )
        room.add("cell")
    for option, flag in FLAGS.items():
        if getattr(hints, option) is None:
            continue
        if all(_fixed(site, rows[site.scope][0], option) for site in listed):
            raise FactConflict(
                f"{flag} {getattr(hints, option)}, and {_no_room(listed[0], option)}",
                expected="an option that the class has",
                where=listed[0].scope,
                advice=f"leave {flag} out, or name another class with --cell",
            )
        room.add(option)
    return frozenset(room)


def _no_room(site: Site, option: str) -> str:
    if option == "proj_clip" and "projection" not in (site.stored or {}):
        return f"{site.scope} has no projection"
    return f"{site.name} has no such option"


def _fixed(site: Site, row: CellClass, option: str) -> bool:
    unprojected = option == "proj_clip" and "projection" not in (site.stored or {})
    return row.options[option].fixed or unprojected


def _row(site: Site, hints: Hints) -> tuple[CellClass, bool]:
    """The class of a cell, and whether ``--cell`` had a say in it."""
    if site.row is None:
        raise ValueError(f"{site.scope} has no class")
    called = class_called(hints.cell) if hints.cell is not None else None
    if called is None:
        return site.row, False
    row = called[1]
    if row.name == site.row.name:
        return site.row, True
    fits = row.name in site.row.shares and set(site.stored or ()) <= row.roles
    return (row, True) if fits else (site.row, False)


def resolve(site: Site, hints: Hints, room: frozenset[str]) -> Resolved:
    """Class and constants of a cell from names and hints.

    Args:
        site: a cell without a problem.
        hints: what the user states.
        room: what `open_to` found: a given option that others have and this class has not is
            not meant for it.
    """
    row, said = _row(site, hints)
    era = site.spelling.era if site.spelling is not None else ""
    doubts: list[str] = []
    if said:
        cell = Fact.given(row.name, "--cell")
    elif site.own_name:
        cell = Fact.assumed(row.name, f"shapes; the scope {site.scope} has a name of its own")
        doubts.append(
            f"{site.scope} has a name of its own and the shapes of an LSTM: {row.name} is assumed "
            "(other cells have such shapes too); --cell CLASS states it"
        )
    elif _excluded(site, row):
        cell = Fact.read(row.name, f"names of variables, {era}")
    else:
        cell = Fact.assumed(row.name, f"names that {row.name} and {row.shares[0]} share")
        if "cell_clip" not in room:
            doubts.append(row.doubt)
    options: dict[str, Fact[Any]] = {}
    for option, meant in row.options.items():
        if _fixed(site, row, option):
            reason = (
                "no projection"
                if option == "proj_clip" and not meant.fixed
                else f"{row.name} has no such option"
            )
            options[option] = Fact.read(meant.default, reason)
        elif option in room:
            given = getattr(hints, option)
            none = option in _CLIPS and given <= 0
            options[option] = Fact.given(None if none else given, FLAGS[option])
        else:
            default = meant.by_era.get(era, meant.default)
            options[option] = Fact.assumed(default, f"default of {row.name}, {era}")
            if era in meant.unsure:
                doubts.append(meant.unsure[era])
    return Resolved(row, cell, options, tuple(doubts))


def confront(site: Site, hints: Hints, read: Mapping[str, Fact[Any]], dtype: str) -> Resolved:
    """Class and constants of a cell that a graph has proven.

    Raises:
        FactConflict: the user states a constant that the graph shows to be another.
    """
    row, said = _row(site, hints)
    for option, flag in FLAGS.items():
        given = getattr(hints, option)
        if given is None:
            continue
        meant = None if option in _CLIPS and given <= 0 else given
        if not _same(meant, read[option].value, _PRECISION.get(dtype, 0.0)):
            raise FactConflict(
                f"{flag} {given}, and the graph says {_words(read[option].value)}",
                expected="a statement that agrees with what was read",
                where=read[option].where,
                advice=f"leave {flag} out; --ignore-graph if the graph is not the checkpoint's",
            )
    where = read["forget_bias"].where.rpartition(": ")[0] or "the graph"
    cell = Fact.given(row.name, "--cell") if said else Fact.read(row.name, f"{where}, names")
    return Resolved(row, cell, read, ())


_PRECISION = {"float16": 1e-3, "bfloat16": 1e-2, "float32": 1e-6, "float64": 1e-12}


def _same(given: object, read: object, precision: float) -> bool:
    if isinstance(given, float) and isinstance(read, float):
        return abs(given - read) <= precision * max(1.0, abs(read))
    return given == read


def _words(value: object) -> str:
    return "that there is none" if value is None else str(value)


def _excluded(site: Site, row: CellClass) -> bool:
    """Can the names be of no class but `row`?"""
    stored = set(site.stored or ())
    sharing = [class_called(name) for name in row.shares]
    era = site.spelling.era if site.spelling is not None else ""
    # 0.12 called the variables of every class apart
    return "0.12" in era or not any(found and stored <= found[1].roles for found in sharing)
