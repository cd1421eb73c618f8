"""What lies inside a loop beside the cells: wrappers that change what the network computes."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lstmbridge.adapters.dialects import DIRECTIONS, LOOP_SCOPES, MULTI_SCOPES, Path, Wrapper
from lstmbridge.adapters.foreign import WRAPPERS
from lstmbridge.adapters.sites import Site
from lstmbridge.adapters.stored import Stored
from lstmbridge.adapters.topology import Draft
from lstmbridge.errors import CannotExpress

_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was found around a stack's cells.

    Attributes:
        problem: a wrapper whose effect this version does not convert.
        remarks: what a user should know of the others.
    """

    problem: CannotExpress | None
    remarks: tuple[str, ...]


def look_around(draft: Draft, strays: Mapping[str, Stored]) -> Surroundings:
    """Judge the variables that lie among a stack's scopes, in order of names.

    Args:
        draft: the stack.
        strays: variables that are no cell's, and of no wrapper that a draft has around it.

    Scopes that only TensorFlow's own functions open (between a loop and a cell) hold nothing but
    cells and wrappers: what is unknown there is refused. A loop's own scope may also be one of
    the user's (``variable_scope("RNN")``): what is unknown there is said.
    """
    inner: dict[str, Stored] = {}
    beside: dict[str, Stored] = {}
    names = list(strays)
    for around, within in dict.fromkeys(_scopes(site) for site in draft.sites()):
        inner.update({name: strays[name] for name in _under(within, names)})
        start = len("/".join(around)) + 1
        beside.update({name[start:]: strays[name] for name in _under(around, names)})
    beside = {rel: s for rel, s in beside.items() if s.name not in inner}
    known = {name: w for name in inner if (w := _wrapper(tuple(name.split("/")))) is not None}
    near = {rel: w for rel in beside if (w := _adjoining(tuple(rel.split("/")))) is not None}
    named = [*known.values(), *near.values(), *_on_the_way(draft)]
    unknown = sorted(str(inner[name]) for name in inner if name not in known)
    harmful = next((w for w in named if w.effect), None)
    problem = None
    if harmful is not None:
        signs = [str(inner[n]) for n, w in known.items() if w is harmful]
        signs += [str(beside[n]) for n, w in near.items() if w is harmful]
        problem = _wrapped(draft, harmful, signs)
    elif unknown:
        problem = _unexplained(draft, unknown)
    remarks = [_fed_embedded(draft, w) for w in dict.fromkeys(named) if not w.effect]
    silent = sorted(str(s) for rel, s in beside.items() if rel not in near and rel.count("/") < 2)
    if silent and problem is None and LOOP_SCOPES.fullmatch(_scopes(next(draft.sites()))[0][-1]):
        remarks.append(
            f"{draft.scope}: {', '.join(silent[:_SHOWN])} lie in the loop's scope and are taken "
            "for layers outside of the loop"
        )
    return Surroundings(problem, tuple(remarks))


def _under(scope: Path, names: Sequence[str]) -> Iterator[str]:
    """Those of the sorted `names` that lie in `scope`; none where it is no scope."""
    prefix = "/".join(scope) + "/"
    for k in range(bisect_left(names, prefix) if scope else len(names), len(names)):
        if not names[k].startswith(prefix):
            return
        yield names[k]


def _scopes(site: Site) -> tuple[Path, Path]:
    """(the loop's scope, the outermost scope inside it that is not the cell's own)."""
    path = site.path
    above = range(len(path) - 2, -1, -1)
    loop = next((k for k in above if LOOP_SCOPES.fullmatch(path[k])), None)
    if loop is not None:
        if path[loop] in DIRECTIONS:
            return path[:loop], path[: loop + 1]
        return path[: loop + 1], path[: loop + 2] if loop + 2 < len(path) else ()
    multi = next((k for k in reversed(above) if MULTI_SCOPES.fullmatch(path[k])), None)
    if multi is not None:
        return path[:multi], path[: multi + 1]
    return path[:-1], ()


def _wrapper(path: Path) -> Wrapper | None:
    """The wrapper that a variable's whole name betrays: by the innermost scope that is one's."""
    for wrapper in WRAPPERS:
        if any(re.fullmatch(p, path[-1]) for p in wrapper.leaves):
            return wrapper
    for segment in reversed(path[:-1]):
        for wrapper in WRAPPERS:
            if any(re.fullmatch(p, segment) for p in wrapper.scopes):
                return wrapper
    return None


def _adjoining(rel: Path) -> Wrapper | None:
    """The wrapper that opened the first scope below a loop's, or left a variable right there."""
    return _wrapper((rel[0], "")) if len(rel) > 1 else _wrapper(rel)


def _on_the_way(draft: Draft) -> list[Wrapper]:
    """Wrappers whose scopes the cells lie in, and that are not converted."""
    converted = {wrap.path for wrap in draft.all_wraps()}
    scopes = {
        site.path[: cut + 1]: None
        for site in draft.sites()
        for cut in range(len(_scopes(site)[0]), len(site.path) - 1)
    }
    near = ((path, _wrapper((path[-1], ""))) for path in scopes if path not in converted)
    return [wrapper for _, wrapper in near if wrapper is not None]


def _wrapped(draft: Draft, wrapper: Wrapper, signs: list[str]) -> CannotExpress:
    shown = ", ".join(sorted(signs)[:_SHOWN]) or draft.scope
    return CannotExpress(
        f"{draft.scope} is wrapped by {wrapper.name}: {shown}",
        expected=f"a stack of cells alone: with {wrapper.name}, {wrapper.effect}",
        where=draft.scope,
        advice="--outputs NAME converts the graph in the .meta up to there as it is, wrapper and "
        "all; if these variables only read the stack's outputs, move them out of its scope with "
        "--map FILE",
    )


def _unexplained(draft: Draft, unknown: list[str]) -> CannotExpress:
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    return CannotExpress(
        f"{draft.scope} holds variables inside the loop that are no cell's: "
        f"{', '.join(unknown[:_SHOWN])}{more}",
        expected="a stack of cells alone: what such variables do to it, names do not say",
        where=draft.scope,
        advice="if they are not part of the loop, move them out of its scope with --map FILE",
    )


def _fed_embedded(draft: Draft, wrapper: Wrapper) -> str:
    return (
        f"{draft.scope} is wrapped by {wrapper.name}: the stack is converted without it, so its "
        "inputs are the embedded ones"
    )
