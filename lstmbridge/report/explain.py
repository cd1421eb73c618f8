"""What a cell computes, how its gates are laid out, and what each target does with it.

Nothing here is a description of a cell: equations are what `model.equations` runs, with words
for numbers; orders are `gates.ORDERS`; defaults are the adapters' rows; what targets do is asked
of the capability table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import getdoc

import ml_dtypes
import numpy as np

from lstmbridge.adapters.families import class_called, foreign_called, normal
from lstmbridge.adapters.foreign import FOREIGN_CLASSES
from lstmbridge.arrays.namespace import ACTIVATIONS
from lstmbridge.errors import CannotExpress, UsageError
from lstmbridge.gates import FRAMEWORKS, GATE_NAMES, ORDERS, GateOrder
from lstmbridge.model.blocks import Layer
from lstmbridge.model.cells import Cell
from lstmbridge.model.equations import arrays_of, bind
from lstmbridge.report.around import AROUND, Around
from lstmbridge.report.samples import SAMPLES, Option, Sample, cell_of
from lstmbridge.report.symbols import Recorder, Row, Term, equations
from lstmbridge.targets.capability import CAPABILITIES, capability, express, features_of

CLASSES: Mapping[str, tuple[str, ...]] = {
    "LSTM": (
        "BasicLSTMCell",
        "LSTMCell",
        "LSTMBlockCell",
        "LSTMBlockFusedCell",
        "CudnnCompatibleLSTMCell",
        "GLSTMCell",
    ),
    "GRU": ("GRUCell", "GRUBlockCell", "GRUBlockCellV2", "CudnnCompatibleGRUCell"),
    "RNN": ("BasicRNNCell",),
    "CoupledLSTM": ("CoupledInputForgetGateLSTMCell",),
    "LayerNormLSTM": ("LayerNormBasicLSTMCell",),
    "IndyLSTM": ("IndyLSTMCell",),
    "IndyGRU": ("IndyGRUCell",),
    "UGRNN": ("UGRNNCell",),
    "Intersection": ("IntersectionRNNCell",),
    "NAS": ("NASCell",),
}
"""Kind of cell -> TensorFlow's classes that compute it."""

_LETTERS: Mapping[str, str] = {
    "kernel": "W",
    "recurrent": "U",
    "bias": "b",
    "recurrent_bias": "ub",
    "peephole": "p",
    "projection": "P",
}
"""Field -> what its blocks are called in an equation; others keep their names."""
_DTYPE = "float32"
_DTYPES = ("float16", "bfloat16", "float32", "float64")
_NEAR = 3

Lines = Mapping[str, str]
"""Left side of an equation -> its right side."""


@dataclass(frozen=True, slots=True)
class Said:
    """How a target says a cell, under conditions that are alike to it (none: plainly)."""

    target: str
    when: tuple[str, ...]
    how: str
    reason: str


@dataclass(frozen=True, slots=True)
class Default:
    """What a class takes for a constant unasked; `fixed`: whatever is asked."""

    value: object
    fixed: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """All of it, for one kind of cell.

    Attributes:
        kind: its name.
        title: what its class says of itself.
        gates: letter -> name.
        states: its states, the output's own first.
        step: the equations of one step.
        options: what may be there besides -> the equations that it changes.
        constants: what weights do not show -> where it acts.
        classes: TensorFlow's classes -> their constants.
        orders: framework -> how it lays the gates side by side; none where it lacks the cell.
        targets: what each target does with it.
    """

    kind: str
    title: str
    gates: Mapping[str, str]
    states: tuple[str, ...]
    step: Lines
    options: Mapping[str, Lines]
    constants: Mapping[str, tuple[str, ...]]
    classes: Mapping[str, Mapping[str, Default]]
    orders: Mapping[str, tuple[GateOrder, ...]]
    targets: tuple[Said, ...]


def kinds() -> dict[str, str]:
    """Every kind of cell, and of block around one, with what its class says of itself."""
    cells = {kind: _title(sample.cell) for kind, sample in SAMPLES.items()}
    return cells | {kind: _title(around.block) for kind, around in AROUND.items()}


def classes_of(kind: str) -> tuple[str, ...]:
    """TensorFlow's classes that compute `kind`."""
    return CLASSES[kind] if kind in CLASSES else AROUND[kind].classes


def not_converted() -> dict[str, str]:
    """Classes that are known by name and not converted, and why."""
    return {row.name: row.reason for row in FOREIGN_CLASSES}


def kind_called(name: str) -> str:
    """The kind that a user calls `name`: its own name, or that of a class of TensorFlow's.

    Raises:
        CannotExpress: the class is known and not converted; it says why.
        UsageError: nothing is called so; it says what is called nearly so.
    """
    classes = {own: kind for kind in kinds() for own in classes_of(kind)}
    spelled = {normal(own): kind for own, kind in (classes | {k: k for k in kinds()}).items()}
    alias = class_called(name)
    found = spelled.get(normal(name if alias is None else alias[1].name))
    if found is not None:
        return found
    foreign = foreign_called(name)
    if foreign is not None:
        raise CannotExpress(f"{foreign.name} is not converted: {foreign.reason}", where="explain")
    shown = {known.lower(): known for known in (*kinds(), *classes)}
    near = [shown[n] for n in get_close_matches(name.lower(), shown, _NEAR, 0.5)]
    raise UsageError(
        f"there is no cell called {name!r}",
        expected=f"one of {', '.join(kinds())}, or a class of TensorFlow's",
        where="explain",
        advice=f"did you mean {' or '.join(near)}?" if near else "lstmbridge explain lists them",
    )


def explain(name: str) -> Explanation:
    """Explain the cell, or the block around one, that a user calls `name`.

    Raises:
        CannotExpress: the class is known and not converted.
        UsageError: there is none.
    """
    kind = kind_called(name)
    return _explain_cell(SAMPLES[kind]) if kind in SAMPLES else _explain_around(kind, AROUND[kind])


def _explain_cell(sample: Sample) -> Explanation:
    kind = sample.cell.KIND
    step = step_of(cell_of(sample))
    options = {o: _changed(step, step_of(cell_of(sample, x))) for o, x in sample.options.items()}
    return Explanation(
        kind=kind,
        title=_title(sample.cell),
        gates={gate: GATE_NAMES[gate] for gate in sample.cell.GATES},
        states=sample.cell.STATES,
        step=step,
        options=options,
        constants={fact: _acts(sample, step, options, fact) for fact in sample.facts},
        classes={own: _constants_of(own, sample) for own in CLASSES[kind]},
        orders={framework: ORDERS[kind].get(framework, ()) for framework in FRAMEWORKS},
        targets=tuple(said for target in CAPABILITIES for said in _targets(target, sample)),
    )


def _explain_around(kind: str, around: Around) -> Explanation:
    step = around.step(around.fields)
    rules = {target: capability(target, around.feature) for target in CAPABILITIES}
    return Explanation(
        kind=kind,
        title=_title(around.block),
        gates={},
        states=(),
        step=step,
        options={
            name: _changed(step, around.step((*around.fields, *more)))
            for name, more in around.options.items()
        },
        constants=around.constants,
        classes={own: {} for own in around.classes},
        orders={},
        targets=tuple(Said(target, (), rule.how, rule.reason) for target, rule in rules.items()),
    )


def step_of(cell: Cell) -> dict[str, str]:
    """The equations of one step of `cell`, as `model.equations` runs them.

    ``h'`` is the new state; ``c~`` is the value of a gate whose letter is also a state's.
    """
    ops = Recorder()
    bound = bind(ops, cell, dict(_arrays(ops, cell)))
    named: dict[str, Term] = {}

    def tap(gate: str, value: Row) -> None:
        (named[f"{gate}~" if gate in cell.STATES else gate],) = value.pieces

    product = bound.input_product(ops.name("x", width=cell.input_size))
    old = {state: ops.name(state, width=size) for state, size in cell.state_sizes.items()}
    output, new = bound.step(product, old, tap)
    states = {f"{state}'": value.pieces[0] for state, value in new.items()}
    gates = {name: term for name, term in named.items() if term not in states.values()}
    return equations(gates | states, {"output": output.pieces[0]})


def _arrays(ops: Recorder, cell: Cell) -> Iterator[tuple[str, Row]]:
    """The arrays that equations ask for, as names: ``W_i``, ``W_f``, ..."""
    for array, (field, gates) in arrays_of(cell).items():
        letter = _LETTERS.get(field, field)
        names = [f"{letter}_{gate}" for gate in gates] or [letter]
        yield array, ops.name(*names, width=cell.blocks[field].shape[-1])


def _title(kind: type[object]) -> str:
    """The first sentence of the class's own description."""
    text = " ".join((getdoc(kind) or "").split("\n\n")[0].split())
    return text.replace("`", "").rstrip(".")


def _changed(before: Lines, after: Lines) -> dict[str, str]:
    return {left: right for left, right in after.items() if before.get(left) != right}


def _acts(sample: Sample, step: Lines, options: Mapping[str, Lines], fact: str) -> tuple[str, ...]:
    """The left sides of the equations in which a constant acts."""
    value = sample.facts[fact]
    if isinstance(value, str):
        other = next(name for name in ACTIVATIONS if name not in {value, *_words(step)})
        return tuple(_changed(step, step_of(cell_of(sample, Option(facts={fact: other})))))
    if isinstance(value, bool):
        return tuple(options.get(fact, ()))
    lines = {**{k: v for option in options.values() for k, v in option.items()}, **step}
    named = options.get(fact, lines) if value is None else lines
    return tuple(left for left, right in named.items() if fact in _words({left: right}))


def _words(lines: Lines) -> set[str]:
    return {word for right in lines.values() for word in re.findall(r"\w+", right)}


def _constants_of(name: str, sample: Sample) -> dict[str, Default]:
    """What a class of TensorFlow's takes unasked, where that is not simply the definition."""
    found = class_called(name)
    own = {} if found is None else found[1].options
    return {
        fact: Default(option.default, option.fixed)
        for fact, option in own.items()
        if fact in sample.facts and (not option.fixed or option.default != sample.facts[fact])
    }


def _conditions(sample: Sample) -> Iterator[tuple[str, str, Cell, str]]:
    """What a target may say differently: what is special, its value, a cell with it, a dtype."""
    for dtype in _DTYPES:
        if dtype != _DTYPE:
            yield dtype, dtype, cell_of(sample), dtype
    for name, option in sample.options.items():
        yield name, "", cell_of(sample, option), _DTYPE
    for fact, value in sample.facts.items():
        for other in ACTIVATIONS if isinstance(value, str) else ():
            if other != value:
                cell = cell_of(sample, Option(facts={fact: other}))
                yield f"{fact} {other}", other, cell, _DTYPE


def _targets(target: str, sample: Sample) -> Iterator[Said]:
    """How `target` says the plain cell, then whatever it says otherwise, alike things together."""
    plain = _ask(target, cell_of(sample), _DTYPE)
    yield Said(target, (), *plain)
    alike: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name, value, cell, dtype in _conditions(sample):
        how, reason = _ask(target, cell, dtype)
        if (how, reason) != plain and not how == plain[0] == "stepped":
            last = rf"\b{value}\b(?!.*\b{value}\b)"
            common = re.sub(last, "these", reason) if value else reason
            alike.setdefault((how, common), []).append((name, reason))
    for (how, common), found in alike.items():
        reasons = {reason for _, reason in found}
        yield Said(
            target,
            tuple(name for name, _ in found),
            how,
            common if len(reasons) > 1 else reasons.pop(),
        )


def _ask(target: str, cell: Cell, dtype: str) -> tuple[str, str]:
    layer = Layer("layer0", cell, 0, "")
    try:
        named = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
        said = express(target, layer, features_of(cell, named))
    except CannotExpress as error:
        return "refused", error.read
    return said.how, said.detail
