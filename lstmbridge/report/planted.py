"""The planted faults of a verdict in HTML: by kind, each at its distance from the truth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lstmbridge.contracts import FaultReport
from lstmbridge.report.drawing import Scale, said, scale_of, svg
from lstmbridge.report.page import folded, items, table
from lstmbridge.report.summary import times

_AXIS, _TALL, _MARGIN = 250, 20, 7
_NAMED = 6
"""So many are listed where they stand; more are folded."""

_OPERATIONS = "around the stacks: embeddings and look-ups"
_SHAPES = "around the stacks: shapes and order"
_HEADS = "around the stacks: arithmetic, heads"
_WEIGHTS = "around the stacks: weights"
_AROUND = (
    (_OPERATIONS, r"Gather\w* "),
    (_SHAPES, r"(ConcatV2|Reverse\w*|Select\w*|Transpose|Pack|Tile|Squeeze|Reshape) "),
    (_WEIGHTS, r"weight "),
    (_HEADS, r"[A-Z]\w* \S+ (left out|operands exchanged|taken for|branches exchanged)"),
)
_INSIDE = (
    ("bias", r"bias"),
    ("activations", r"activation"),
    ("kernels", r"kernel transposed|\[h; x\]|kernel.*(dropped|reversed)"),
    ("gates", r"gate"),
    ("states and time", r"state|time|carried|reset|initial|length|final|past the end|\bh and c\b"),
    ("layers and directions", r"layer|direction|residual|highway"),
)
"""Kind of fault -> how its name begins, or what is in it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Faults of one kind: name -> distance, the faintest first."""

    name: str
    ratios: Mapping[str, float]


def kinds(ratios: Mapping[str, float]) -> tuple[Kind, ...]:
    """The planted faults, by what they are; the kind with the faintest first."""
    found: dict[str, dict[str, float]] = {}
    for name, ratio in sorted(ratios.items(), key=lambda item: item[1]):
        found.setdefault(_kind_of(name), {})[name] = ratio
    return tuple(Kind(name, some) for name, some in found.items())


def _kind_of(name: str) -> str:
    around = next((kind for kind, pattern in _AROUND if re.match(pattern, name)), "")
    stack, colon, _ = name.partition(": ")
    if around or colon:
        return around or f"stack {stack}"
    return next((kind for kind, pattern in _INSIDE if re.search(pattern, name)), "others")


def planted(faults: FaultReport) -> str:
    """All of a verdict's faults, as HTML."""
    if not faults.planted and not faults.indistinguishable:
        return "<p>None was planted: this verdict says nothing of what it would have seen.</p>"
    line = f"{faults.caught:,} of {faults.planted:,} wrong networks would have been caught"
    if faults.weakest is not None:
        line += f"; the faintest, {faults.weakest[0]}, at {times(faults.weakest[1])}"
    parts = [
        f"<p>{said(line)} what is allowed.</p>" if faults.weakest else f"<p>{said(line)}.</p>"
    ]
    if faults.missed:
        parts.append(f'<p class="fail">Not separable from rounding:</p>{items(faults.missed)}')
    if faults.ratios:
        parts.append(_pictures(faults))
    if faults.indistinguishable:
        title = f"{len(faults.indistinguishable)} change nothing on these weights"
        body = items(faults.indistinguishable)
        parts.append(folded(title, body, shown=len(faults.indistinguishable) <= _NAMED))
    return "".join(parts)


def _pictures(faults: FaultReport) -> str:
    scale = scale_of([1.0, 10.0, *faults.ratios.values()], _AXIS - 2 * _MARGIN)
    missed = frozenset(faults.missed)
    rows = [
        (
            said(kind.name),
            f"{sum(name not in missed for name in kind.ratios)} of {len(kind.ratios)}",
            strip(kind.ratios, missed, scale),
            said(f"{next(iter(kind.ratios))}, {times(next(iter(kind.ratios.values())))}"),
        )
        for kind in kinds(faults.ratios)
    ]
    axis = f"1 to 1e{scale.high} x allowed"
    told = (
        '<p class="soft">Each dot is a fault. The bar on the left is what is allowed; the further '
        "to the right, the further above it (logarithmic).</p>"
    )
    named = [
        (said(name), times(ratio), "not seen" if name in missed else "")
        for name, ratio in sorted(faults.ratios.items(), key=lambda item: item[1])
    ]
    every = table(("fault", "x allowed", ""), named, numbers=(1,))
    body = table(("kind", "caught", axis, "the faintest"), rows, kind="faults")
    return told + body + folded(f"All {len(named):,} by name, the faintest first", every)


def strip(ratios: Mapping[str, float], missed: Iterable[str], scale: Scale) -> str:
    """Faults as dots on one axis, from what is allowed (the bar) upwards."""
    unseen = frozenset(missed)
    start = _MARGIN + scale.at(1.0)
    middle = _TALL / 2
    body = [
        f'<line class="grid" x1="{start:.1f}" x2="{_AXIS}" y1="{middle}" y2="{middle}"/>',
        f'<line class="limit" x1="{start:.1f}" x2="{start:.1f}" y1="2" y2="{_TALL - 2}"/>',
    ]
    for name, ratio in ratios.items():
        style = "over" if name in unseen else "dot"
        body.append(
            f'<circle class="{style}" cx="{_MARGIN + scale.at(ratio):.1f}" cy="{middle}" r="4">'
            f"<title>{said(name)}: {said(times(ratio))} what is allowed</title></circle>"
        )
    title = f"{len(ratios)} faults, {times(min(ratios.values()))} what is allowed and more"
    return svg(_AXIS, _TALL, "".join(body), title)
