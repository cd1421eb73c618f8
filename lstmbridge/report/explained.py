"""An explanation of a cell, as text for a person and as JSON for a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lstmbridge.gates import GateOrder
from lstmbridge.report.explain import Explanation, Lines, Said
from lstmbridge.report.layout import columns, wrapped
from lstmbridge.report.schema import headed

_INDENT = 4


def _equations(lines: Lines, indent: int = _INDENT) -> list[str]:
    width = max(len(left) for left in lines)
    said = (f"{left:<{width}} = {right}" for left, right in lines.items())
    return [line for text in said for line in wrapped(text, indent, hang=width + 3)]


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
    return columns(rows, _INDENT)


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
    return columns(rows, _INDENT)


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
    return columns(rows, _INDENT)


def _legend(e: Explanation) -> str:
    if not e.states:
        return "each step: x what goes in, inner what the block inside gives, · the matrix product"
    old = " and ".join(e.states)
    new = " and ".join(f"{state}'" for state in e.states)
    shown = [f"{gate}~ the value of {gate}" for gate in e.gates if f"{gate}~" in e.step]
    return ", ".join([f"each step: {old} old, {new} new", *shown, "· the matrix product"])


def _head(e: Explanation) -> list[str]:
    lines = wrapped(f"{e.kind}: {e.title}", hang=0)
    if e.gates:
        gates = ", ".join(
            letter if name.startswith("block") else f"{letter} ({name})"
            for letter, name in e.gates.items()
        )
        lines += wrapped(f"gates {gates}", hang=0)
        lines.append(f"state{'s' * (len(e.states) > 1)} {', '.join(e.states)}")
    return lines


def text(e: Explanation) -> str:
    """What `explain CELL` prints."""
    lines = [*_head(e), "", *wrapped(_legend(e)), *_equations(e.step)]
    for option, changed in e.options.items():
        lines += [f"  with {option}", *_equations(changed)]
    constants = [(name, f"in {', '.join(where)}") for name, where in e.constants.items()]
    parts = {
        "constants that weights do not show": columns(constants, _INDENT) if constants else [],
        "in TensorFlow 1, and what it takes unasked": _classes(e),
        "how the gates lie side by side": _orders(e.orders) if e.orders else [],
        "what becomes of it": _targets(e.targets),
    }
    for title, found in parts.items():
        lines += ["", title, *found] if found else []
    return "\n".join(lines)


def listing(
    kinds: Mapping[str, str], classes: Mapping[str, Sequence[str]], left_out: Mapping[str, str]
) -> str:
    """What `explain` prints: every kind, TensorFlow's classes that compute it, and the rest."""
    rows = [(kind, f"{title}. {', '.join(classes[kind])}") for kind, title in kinds.items()]
    lines = [*columns(rows), "", "known and not converted"]
    for name, reason in left_out.items():
        lines += wrapped(f"{name}: {reason}", _INDENT)
    return "\n".join(lines)


def body(e: Explanation) -> dict[str, Any]:
    """What `explain CELL --json` prints."""
    said = {
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
    return headed("explanation", said)
