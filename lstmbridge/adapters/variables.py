"""A source's variables, sorted: what may be a weight, and what never is.

Optimizer slots and averages lie beside the weights under the same names plus a segment; they
have the weights' shapes, so they are taken out before anything looks for a layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from lstmbridge.adapters.foreign import AVERAGE, OPTIMIZER_SLOTS
from lstmbridge.adapters.stored import Stored
from lstmbridge.contracts import Hints, Ignored, Source, TensorRef
from lstmbridge.errors import FactConflict, FactMissing, NotRecognised, UsageError

_SLOT = re.compile(r"(" + "|".join(map(re.escape, OPTIMIZER_SLOTS)) + r")(_\d+)?")
_AVERAGE = re.compile(AVERAGE + r"(_\d+)?")
_OWN_AVERAGE = re.compile(r"(?i)(.*_)?(\w*average|ema|avg|shadow|moving)(_.*|\d+)?")
_OPTIMIZER_SCOPE = re.compile(r"(?i)(optimizers?|optimize_?loss)(_\d+)?")
# Long enough that nobody calls a scope so; with one more segment behind it, a variable's slot.
_VARIABLES = re.compile(
    r"(recurrent_)?kernel|bias|weights|biases|Matrix|Bias|gamma|beta|[wW]_[ifoIFO]_diag"
)
_OBJECT_BASED = ".ATTRIBUTES/VARIABLE_VALUE"
_NEAR = 5
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Variables:
    """What the dialects look at.

    Attributes:
        weights: by the name the dialects know, in the order of names.
        ignored: slots, averages, raw weights whose averages were asked for.
        averaged: the names among `weights` that are averages (``--ema``).
        averages: the names of weights that have an average which is not used.
    """

    weights: Mapping[str, Stored]
    ignored: tuple[Ignored, ...]
    averaged: frozenset[str]
    averages: frozenset[str]


def sort_variables(source: Source, hints: Hints) -> Variables:
    """Sort the variables of `source`.

    Raises:
        NotRecognised: an object-based (Keras, `tf.train.Checkpoint`) checkpoint.
        UsageError: ``--map`` names a variable that is not there, or makes two names one.
        FactMissing: ``--ema`` and no averages. FactConflict: several averages of one variable.
    """
    tensors = source.tensors
    _refuse_object_based(tensors, source)
    plain: dict[str, Stored] = {}
    shadows: dict[str, dict[str, str]] = {}
    ignored: list[Ignored] = []
    for name in sorted(tensors):
        reason = _too_deep(name) or ("" if name in hints.renames else _slot(name, tensors))
        shadow = None if reason else _shadow(name, tensors)
        if shadow is not None:
            base, tag = shadow
            shadows.setdefault(base, {})[tag] = name
        elif reason:
            ignored.append(Ignored(name, tensors[name].shape, reason))
        else:
            plain[name] = Stored(name, tensors[name], (name,), (name,))
    if hints.ema:
        averaged = _take_averages(plain, shadows, tensors, ignored)
    else:
        averaged = frozenset()
        ignored += [
            Ignored(name, tensors[name].shape, f"moving average of {base}; --ema takes it")
            for base, tags in shadows.items()
            for name in tags.values()
        ]
    new_of_old = _renames(hints.renames, plain)
    weights = {
        new: Stored(new, s.ref, s.sources, s.in_graph)
        for new, s in sorted((new_of_old.get(old, old), s) for old, s in plain.items())
    }
    return Variables(
        weights,
        tuple(ignored),
        frozenset(new_of_old.get(name, name) for name in averaged),
        frozenset() if hints.ema is not None else frozenset(new_of_old.get(n, n) for n in shadows),
    )


def _refuse_object_based(tensors: Mapping[str, TensorRef], source: Source) -> None:
    keyed = [name for name in tensors if name.endswith(_OBJECT_BASED)]
    if keyed:
        raise NotRecognised(
            f"an object-based checkpoint (Keras or tf.train.Checkpoint): {min(keyed)}",
            expected="a checkpoint of tf.train.Saver, whose keys are variables' names",
            where=str(source.path),
            advice="this version converts TensorFlow 1 checkpoints of tf.train.Saver only",
        )


def _too_deep(name: str) -> str:
    deep = name.count("/") > _DEEPEST
    return f"it lies more than {_DEEPEST} scopes deep, where no cell does" if deep else ""


def _slot(name: str, tensors: Mapping[str, TensorRef]) -> str:
    """Why `name` is an optimizer's, or empty.

    A slot is called so by its last segment. A scope of such a name is the user's own, unless what
    lies in it mirrors other variables, or lies under one.
    """
    segments = name.split("/")
    base, last = "/".join(segments[:-1]), segments[-1]
    if base and _SLOT.fullmatch(last):
        return f"optimizer slot ({last}) of {base}"
    for k, segment in enumerate(segments[:-1]):
        if _AVERAGE.fullmatch(segment) and not _AVERAGE.fullmatch(last):
            if _belongs(segments, k, tensors):
                return "bookkeeping of a moving average"
        elif (_SLOT.fullmatch(segment) or _OPTIMIZER_SCOPE.fullmatch(segment)) and (
            owner := _belongs(segments, k, tensors)
        ):
            return f"optimizer slot of {owner}: it lies in an optimizer's scope"
    if _AVERAGE.fullmatch(last):
        return ""
    if _companion(segments, tensors) and not _OWN_AVERAGE.fullmatch(last):
        return f"optimizer slot ({last}) of {base}"
    return ""


def _belongs(segments: list[str], k: int, tensors: Mapping[str, TensorRef]) -> str:
    """The variable to which the scope `segments[k]` was added: before it, behind or around it."""
    before, behind = segments[:k], segments[k + 1 :]
    owners = ("/".join(path) for path in (behind, [*before, *behind], before))
    return next((owner for owner in owners if owner in tensors), "")


def _companion(segments: list[str], tensors: Mapping[str, TensorRef]) -> bool:
    """Does it lie under the name of a variable?"""
    if len(segments) < 2:
        return False
    below = _VARIABLES.fullmatch(segments[-2]) and not _VARIABLES.fullmatch(segments[-1])
    return bool(below) or "/".join(segments[:-1]) in tensors


def _shadow(name: str, tensors: Mapping[str, TensorRef]) -> tuple[str, str] | None:
    """(the variable, the average's name) where `name` is a moving average."""
    segments = name.split("/")
    base, last = "/".join(segments[:-1]), segments[-1]
    own = _companion(segments, tensors) and _OWN_AVERAGE.fullmatch(last)
    if not base or not (own or _AVERAGE.fullmatch(last)):
        return None
    # an average made inside a scope carries that scope in front of the variable's whole name
    suffixes = ("/".join(segments[k:-1]) for k in range(len(segments) - 1))
    return next((s for s in suffixes if s in tensors), base), last


def _take_averages(
    plain: dict[str, Stored],
    shadows: Mapping[str, Mapping[str, str]],
    tensors: Mapping[str, TensorRef],
    ignored: list[Ignored],
) -> frozenset[str]:
    if not shadows:
        raise FactMissing(
            "--ema, and no moving averages are stored",
            expected=f"variables called .../{AVERAGE}",
            where="the source's variables",
            advice="leave --ema out",
        )
    for base, tags in shadows.items():
        if len(tags) > 1 and AVERAGE not in tags:
            raise FactConflict(
                f"{base} has several averages: {', '.join(sorted(tags.values()))}",
                expected=f"one, or one called {AVERAGE}",
                where="--ema",
                advice="name the one you mean with --map FILE, and leave --ema out",
            )
        chosen = tags.get(AVERAGE, next(iter(tags.values())))
        if base in plain:
            ignored.append(
                Ignored(base, tensors[base].shape, f"raw weights; --ema takes {chosen}")
            )
        ignored += [
            Ignored(other, tensors[other].shape, "another moving average")
            for other in tags.values()
            if other != chosen
        ]
        plain[base] = Stored(base, tensors[chosen], (chosen,), (base,))
    return frozenset(shadows)


def _renames(asked: Mapping[str, str], plain: Mapping[str, Stored]) -> dict[str, str]:
    """Old name -> new name; a scope renames all that lies in it."""
    new_of_old: dict[str, str] = {}
    for asked_old, asked_new in asked.items():
        old, new = asked_old.strip("/"), asked_new.strip("/")
        inside = [name for name in plain if name.startswith(f"{old}/")]
        if old in plain:
            new_of_old[old] = new
        elif inside:
            for name in inside:
                new_of_old.setdefault(name, f"{new}/{name[len(old) + 1 :]}".lstrip("/"))
        else:
            raise UsageError(
                f"--map renames {old!r}, and no variable or scope is called so",
                expected="a name that the source has",
                where="--map",
                advice=f"the nearest: {nearest(old, plain.values()) or 'none'}",
            )
    taken: dict[str, str] = {}
    for name in plain:
        new = new_of_old.get(name, name)
        if new in taken:
            raise UsageError(
                f"--map gives {taken[new]} and {name} the same name, {new}",
                expected="each variable a name of its own",
                where="--map",
                advice="give one of them another name",
            )
        taken[new] = name
    return new_of_old


def nearest(name: str, stored: Iterable[Stored]) -> str:
    """The variables whose names are nearest to `name`, with shapes."""
    by_name = {s.name: s for s in stored}
    close = get_close_matches(name, by_name, n=_NEAR, cutoff=0.4)
    return ", ".join(str(by_name[x]) for x in close)
