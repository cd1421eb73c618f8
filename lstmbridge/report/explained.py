"""An explanation of a cell, as text for a person and as JSON for a program."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from lstmbridge.gates import GateOrder
from lstmbridge.report.explain import Explanation, Lines, Said
from lstmbridge.report.picture import WIDTH

_INDENT = 4


def _columns(rows: Sequence[tuple[str, ...]], indent: int = _INDENT) -> list[str]:
    """Rows under one another; the last column wraps within itself."""
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)][:-1]
    room = WIDTH - indent - sum(widths)
    lines = []
    for *first, last in rows:
        head = "".join(text.ljust(width) for text, width in zip(first, widths, strict=True))
        for number, piece in enumerate(textwrap.wrap(last, room) or [""]):
            front = head if number == 0 else " " * len(head)
            lines.append(f"{' ' * indent}{front}{piece}".rstrip())
    return lines


def _equations(lines: Lines, indent: int = _INDENT) -> list[str]:
    width = max(len(left) for left in lines)
    return [
        line
        for left, right in lines.items()
        for line in textwrap.wrap(
            f"{left:<{width}} = {right}",
            WIDTH,
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent + width + 3),
            break_long_words=False,
        )
    ]


def _value(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _classes(e: Explanation) -> list[str]:
    rows = []
    for name, constants in e.classes.items():
        said = (
            f"{fact} {_value(default.value)}{' always' if default.fixed else ''}"
            for fact, default in constants.items()
        )
        rows.append((name, ", ".join(said)))
    return _columns(rows)


def _orders(orders: Mapping[str, Sequence[GateOrder]]) -> list[str]:
    """A framework's own letters; in brackets ours, where it has others."""
    rows = []
    for framework, own in orders.items():
        for number, order in enumerate(own):
            letters = ", ".join(order.letters)
            ours = f"  ({order})" if order.letters != order.gates else ""
            rows.append(("" if number else framework, letters + ours, order.tensors))
        if not own:
            rows.append((framework, "has no such cell", ""))
    return _columns(rows)


def _conditions(when: Sequence[str]) -> str:
    """``activation relu, elu``: values of one constant after its name, said once."""
    words: list[str] = []
    before = ""
    for condition in when:
        constant, _, value = condition.rpartition(" ")
        words.append(value if constant and constant == before else condition)
        before = constant
    return ", ".join(words)


def _targets(said: Sequence[Said]) -> list[str]:
    rows = []
    for number, s in enumerate(said):
        new = number == 0 or said[number - 1].target != s.target
        when = f"with {_conditions(s.when)}: " if s.when else ""
        reason = f", {s.reason}" if s.reason else ""
        rows.append((s.target if new else "", f"{when}{s.how}{reason}"))
    return _columns(rows)


def _legend(e: Explanation) -> str:
    old = " and ".join(e.states)
    new = " and ".join(f"{state}'" for state in e.states)
    shown = [f"{gate}~ the value of {gate}" for gate in e.gates if f"{gate}~" in e.step]
    return ", ".join([f"each step: {old} old, {new} new", *shown, "· the matrix product"])


def text(e: Explanation) -> str:
    """What `explain CELL` prints."""
    gates = ", ".join(
        letter if name.startswith("block") else f"{letter} ({name})"
        for letter, name in e.gates.items()
    )
    lines = [
        *textwrap.wrap(f"{e.kind}: {e.title}", WIDTH),
        *textwrap.wrap(f"gates {gates}", WIDTH),
        f"state{'s' * (len(e.states) > 1)} {', '.join(e.states)}",
        "",
        _legend(e),
        *_equations(e.step),
    ]
    for option, changed in e.options.items():
        lines += [f"  with {option}", *_equations(changed)]
    if e.constants:
        lines += ["", "constants that weights do not show"]
        rows = [(name, f"in {', '.join(where)}") for name, where in e.constants.items()]
        lines += _columns(rows)
    lines += ["", "in TensorFlow 1, and what it takes unasked", *_classes(e)]
    lines += ["", "how the gates lie side by side", *_orders(e.orders)]
    lines += ["", "what becomes of it", *_targets(e.targets)]
    return "\n".join(lines)


def listing(kinds: Mapping[str, str], classes: Mapping[str, Sequence[str]]) -> str:
    """What `explain` prints: every cell, and TensorFlow's classes that compute it."""
    rows = [
        (kind, f"{title}. {', '.join(classes.get(kind, ()))}") for kind, title in kinds.items()
    ]
    return "\n".join(_columns(rows, indent=0))


def body(e: Explanation) -> dict[str, Any]:
    """What `explain CELL --json` prints."""
    return {
        "cell": e.kind,
        "title": e.title,
        "gates": dict(e.gates),
        "states": list(e.states),
        "equations": dict(e.step),
        "options": {name: dict(lines) for name, lines in e.options.items()},
        "constants": {name: list(where) for name, where in e.constants.items()},
        "classes": {
            name: {fact: {"default": d.value, "fixed": d.fixed} for fact, d in constants.items()}
            for name, constants in e.classes.items()
        },
        "orders": {
            framework: [
                {
                    "name": order.name,
                    "tensors": order.tensors,
                    "gates": list(order.gates),
                    "letters": list(order.letters),
                }
                for order in own
            ]
            for framework, own in e.orders.items()
        },
        "targets": [
            {"target": s.target, "with": list(s.when), "how": s.how, "reason": s.reason}
            for s in e.targets
        ],
    }
