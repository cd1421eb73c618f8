"""The constants of a cell, each with what it rests on: the user, the source, the class."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from lstmbridge.adapters.dialects import CellClass, Option, scope_matches
from lstmbridge.adapters.families import class_called, foreign_called, known_classes
from lstmbridge.adapters.sites import Site, refused
from lstmbridge.arrays.namespace import ACTIVATIONS
from lstmbridge.contracts import Hints
from lstmbridge.errors import CannotExpress, FactConflict, UsageError
from lstmbridge.model.facts import Fact

FLAGS: Mapping[str, str] = {
    "forget_bias": "--forget-bias",
    "activation": "--activation",
    "cell_clip": "--cell-clip",
    "proj_clip": "--proj-clip",
}
"""Option of a class -> the flag that gives it."""

KERAS_FLAGS: Mapping[str, str] = {
    "gate_activation": "--gate-activation",
    "go_backwards": "--go-backwards",
    "merge_mode": "--merge-mode",
    "masking": "--masking",
    "reset_after": "--reset-after",
}
"""What weights of Keras without their model leave open -> the flag that states it."""

CLIPS = ("cell_clip", "proj_clip")
"""Options that limit a state; a limit of infinity states that there is none."""


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
        none = option in CLIPS and value == math.inf
        if isinstance(value, (int, float)) and not math.isfinite(value) and not none:
            raise UsageError(f"{flag} {value}", expected="a finite number", where=flag)
    for option, flag in KERAS_FLAGS.items():
        if getattr(hints, option) is not None:
            raise UsageError(
                f"{flag} is for the weights of Keras layers",
                expected="a Keras file without its model",
                where=flag,
                advice="leave it out: nothing of the kind is open in this source",
            )
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
            expected=f"one of {', '.join(known_classes())}",
            where="--cell",
            advice=f"did you mean {near[0]}?" if near else "",
        )
    if hints.layers is not None and hints.layers < 1:
        raise UsageError(f"--layers {hints.layers}", expected="1 or more", where="--layers")


def open_to(hints: Hints, sites: Iterable[Site], told: Container[str] = ()) -> frozenset[str]:
    """The given options (and ``cell``) that some cell has room for.

    Args:
        hints: what the user states.
        sites: every cell that is converted.
        told: the scopes of those that a graph speaks of, which is then asked (`confront`).

    Raises:
        FactConflict: no cell has, naming the flag and what the names say. A value that the class
            has by definition is no conflict.
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
        given = getattr(hints, option)
        if given is None:
            continue
        takes = [_takes(site, rows[site.scope][0], option, given, told) for site in listed]
        if "no" in takes and not {"open", "already"} & set(takes):
            raise FactConflict(
                f"{flag} {given}, and {_no_room(listed[0], option)}",
                expected="an option that the class has",
                where=listed[0].scope,
                advice=f"leave {flag} out, or name another class with --cell",
            )
        if "open" in takes:
            room.add(option)
    return frozenset(room)


def _takes(site: Site, row: CellClass, option: str, given: object, told: Container[str]) -> str:
    """``open`` where a cell takes a given value, ``already`` where it has it, else ``no``."""
    if option not in row.options:
        return "no"
    if site.scope in told or not _fixed(site, row, option):
        return "open"
    return "already" if _meant(site, row, option, given) == row.options[option].default else "no"


def _meant(site: Site, row: CellClass, option: str, given: Any) -> Any:
    """What a given value says of a class: to some, a clip that is not positive is none."""
    if option not in CLIPS or 0 < given < math.inf:
        return given
    known = row.options.get(option)
    none = given > 0 or known is None or known.off_at_zero or _fixed(site, row, option)
    return None if none else given


def _no_room(site: Site, option: str) -> str:
    if option == "proj_clip" and "projection" not in (site.stored or {}):
        return f"{site.scope} has no projection"
    row = site.row
    if row is not None and option in row.options:
        return f"{site.name} has no such option: it has {_words(row.options[option].default)}"
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
            f"{site.scope} has a name of its own and the variables of {_article(site)}: "
            f"{row.name} is assumed (other cells have such variables too); --cell CLASS states it"
        )
    elif _excluded(site, row):
        cell = Fact.read(row.name, f"names of variables, {era}")
    else:
        cell = Fact.assumed(row.name, f"names that {row.name} and {row.shares[0]} share")
        if row.doubt and "cell_clip" not in room:
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
            options[option] = _given(site, row, option, getattr(hints, option))
        else:
            options[option] = _assumed(site, row, meant, era)
            if era in meant.unsure:
                doubts.append(meant.unsure[era])
    return Resolved(row, cell, options, tuple(doubts))


def _given(site: Site, row: CellClass, option: str, given: Any) -> Fact[Any]:
    meant, flag = row.options[option], FLAGS[option]
    if meant.refused and given != meant.default:
        raise CannotExpress(
            f"{flag} {given}, and {site.scope} is a {row.name}: {meant.refused}",
            expected=f"{flag} {meant.default}",
            where=flag,
            advice="there is no exact way to convert it",
        )
    value = _meant(site, row, option, given)
    if option in CLIPS and value is not None and value <= 0:
        what = "c" if option == "cell_clip" else "the projected h"
        raise UsageError(
            f"{flag} {given:g}, and {site.scope} is a {row.name}, which would set each number of "
            f"{what} to {abs(given):g} at every step",
            expected="a positive limit, or none",
            where=flag,
            advice=f"{flag} none states that nothing is clamped"
            + ("; LSTMBlockCell alone takes 0 for that" if option == "cell_clip" else ""),
        )
    return Fact.given(value, flag)


def _assumed(site: Site, row: CellClass, meant: Option, era: str) -> Fact[Any]:
    for segment in site.path[:-1]:
        for scope, value in meant.by_scope.items():
            if scope_matches(segment, (scope,)):
                return Fact.assumed(value, f"scope {segment}")
    if site.dtype in meant.by_dtype:
        return Fact.assumed(
            meant.by_dtype[site.dtype], f"default of {row.name} in {site.dtype}, {era}"
        )
    default = meant.by_era.get(era, meant.default)
    return Fact.assumed(default, f"default of {row.name}, {era}")


def confront(site: Site, hints: Hints, read: Mapping[str, Fact[Any]]) -> Resolved:
    """Class and constants of a cell that a graph has proven.

    Raises:
        FactConflict: the user states a constant that the graph shows to be another.
    """
    row, said = _row(site, hints)
    for option, flag in FLAGS.items():
        given = getattr(hints, option)
        if given is None or option not in read:
            continue
        precision = _PRECISION.get(site.dtype, 0.0)
        if not _same(_meant(site, row, option, given), read[option].value, precision):
            raise FactConflict(
                f"{flag} {given}, and the graph says {_words(read[option].value)}",
                expected="a statement that agrees with what was read",
                where=read[option].where,
                advice=f"leave {flag} out; --ignore-graph if the graph is not the checkpoint's",
            )
    where = next((f.where.rpartition(": ")[0] for f in read.values()), "") or "the graph"
    cell = Fact.given(row.name, "--cell") if said else Fact.read(row.name, f"{where}, names")
    return Resolved(row, cell, read, ())


_PRECISION = {"float16": 1e-3, "bfloat16": 1e-2, "float32": 1e-6, "float64": 1e-12}


def _same(given: object, read: object, precision: float) -> bool:
    if isinstance(given, float) and isinstance(read, float):
        return abs(given - read) <= precision * max(1.0, abs(read))
    return given == read


def _words(value: object) -> str:
    return "that there is none" if value is None else str(value)


def _article(site: Site) -> str:
    kind = site.family.kind if site.family is not None else "cell"
    return f"{'an' if kind[0] in 'AEILN' else 'a'} {kind}"


def _excluded(site: Site, row: CellClass) -> bool:
    """Can the names be of no class but `row`?"""
    stored = set(site.stored or ())
    sharing = [class_called(name) for name in row.shares]
    era = site.spelling.era if site.spelling is not None else ""
    # 0.12 called the variables of every class apart
    return "0.12" in era or not any(found and stored <= found[1].roles for found in sharing)
