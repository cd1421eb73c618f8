"""From a graph's outputs back to its inputs, each operation said once.

The order of operations is the program's own (`graph.execute`); here each is interpreted with
`words.Symbolic`. Both branches of a cond are said, and a choice by its predicate follows;
a branch that is known not to be taken is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import helper

from lstmbridge.errors import CannotExpress
from lstmbridge.graph.execute import Program
from lstmbridge.graph.network import BRANCHES, Op, Tensor
from lstmbridge.graph.ops import OPS
from lstmbridge.graph.scopes import SWITCHES
from lstmbridge.graph.trace import VARIABLES
from lstmbridge.targets.onnx.builder import elem_type
from lstmbridge.targets.onnx.whole.arrays import ARRAYS, Elements
from lstmbridge.targets.onnx.whole.loops import emit_loop
from lstmbridge.targets.onnx.whole.values import Sym, Value, dims_of, kind_of_value, meet, same
from lstmbridge.targets.onnx.whole.words import Symbolic

OUTSIDE = ""
MERGES = frozenset({"Merge", "RefMerge"})
HAND_ON = frozenset({"Identity", "LoopCond", "NextIteration", "PlaceholderWithDefault"})
_MOST_OUTPUTS = 16
FAILS = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
ADVICE = "give --stack-only to convert the recurrent layers alone"

Branch = tuple[str, bool]
"""A predicate's name, and which branch of it."""
NONE: frozenset[Branch] = frozenset()


@dataclass(frozen=True, slots=True)
class Absent:
    """The value of what cannot be said; it does no harm where nothing needs it."""

    reason: str
    where: str

    def error(self) -> CannotExpress:
        """For whoever needs the value."""
        return CannotExpress(self.reason, where=self.where, advice=ADVICE)


@dataclass(frozen=True, slots=True)
class Dead:
    """The value of what stands in a branch that is not taken."""


DEAD = Dead()


@dataclass
class Walk:
    """One walk.

    Attributes:
        given: values of tensors that are fed or fixed, and of places that were said.
        places: says the recurrent stacks, when a tensor of theirs is asked for.
        entries: loop variables in the step that is being said.
        finals: loop variables after the last step, by the scope that the loop stands in.
        loops: the names of loops that were said.
    """

    program: Program
    words: Symbolic
    given: dict[Tensor, Any]
    places: Mapping[Tensor, Any] = field(default_factory=dict)
    entries: dict[Tensor, Any] = field(default_factory=dict)
    finals: dict[str, dict[Tensor, Any]] = field(default_factory=dict)
    loops: set[str] = field(default_factory=set)
    scopes: dict[str, dict[str, Sequence[Any]]] = field(default_factory=lambda: {OUTSIDE: {}})
    _branches: dict[tuple[str, str], frozenset[Branch]] = field(default_factory=dict)
    _cut: dict[Tensor, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """What the walk does not look behind."""
        self._cut = dict.fromkeys((*self.given, *self.places))

    def values(self, wanted: Sequence[Tensor]) -> list[Value]:
        """The values of tensors outside of loops. Errors: CannotExpress."""
        self.compute(OUTSIDE, wanted)
        return [self.value(tensor) for tensor in wanted]

    def value(self, tensor: Tensor) -> Value:
        """A value that must be there. Errors: CannotExpress."""
        found = self.look(*self.program.place(tensor))
        if isinstance(found, Absent):
            raise found.error()
        if not isinstance(found, Sym | np.ndarray):
            raise CannotExpress(
                f"{tensor[0]!r} has no value that is a tensor", where=tensor[0], advice=ADVICE
            )
        return found

    def compute(self, scope: str, wanted: Iterable[Tensor]) -> None:
        """Say everything that `wanted` needs, of one scope."""
        values = self.scopes[scope]
        steps = self.program.order(scope, wanted, self._cut)
        finals = self.finals.setdefault(scope, {})
        leaves = [step.leaves for step in steps if step.leaves is not None]
        for step in steps:
            if step.leaves is not None:
                loop, variable = step.leaves
                if variable.entry not in finals:
                    finals |= emit_loop(self, loop, [v for one, v in leaves if one is loop])
                # a While has an output for each of its variables
                left = [Absent(f"{step.op.name!r} has no such output", step.op.name)]
                left = list(values.get(step.op.name, ())) + left * (step.output + 1)
                left[step.output] = finals[variable.entry]
                values[step.op.name] = left
                continue
            if step.op.name in values:
                continue
            values[step.op.name] = self._do(scope, step)

    def forget(self, scope: str) -> None:
        """Begin a step of a loop anew."""
        self.scopes[scope], self.finals[scope] = {}, {}
        self._branches = {key: tags for key, tags in self._branches.items() if key[0] != scope}

    def look(self, scope: str, at: Tensor) -> Any:
        """The value of a tensor of a scope that has been said."""
        if at in self.given:
            return self.given[at]
        if at in self.places:
            self.places[at].emit(self)
            return self.given[at]
        if at in self.entries:
            return self.entries[at]
        outputs = self.scopes.get(scope, {}).get(at[0])
        if outputs is None or at[1] >= len(outputs):
            return Absent(f"{at[0]!r} is read where it has no value", at[0])
        return outputs[at[1]]

    def _tags(self, places: Iterable[tuple[str, Tensor]]) -> frozenset[Branch]:
        found = NONE
        for scope, (name, output) in places:
            found |= self._branches.get((scope, f"{name}:{output}"), NONE)
            found |= self._branches.get((scope, name), NONE)
        return found

    def _do(self, scope: str, step: Any) -> Sequence[Any]:
        op: Op = step.op
        args = [self.look(*place) for place in step.args]
        self.words.emitter.at = op.name
        if op.kind in MERGES:
            return self._merge(scope, step, args)
        around = [self.look(*place) for place in step.pivots]
        tags = self._tags((*step.args, *step.pivots))
        if any(arg is DEAD for arg in (*args, *around)) and op.kind != BRANCHES:
            return [DEAD] * _MOST_OUTPUTS
        if op.kind in SWITCHES:
            return self._switch(scope, op, args, tags)
        if tags:
            self._branches[scope, op.name] = tags
        try:
            return self._defined(op, args)
        except FAILS as err:
            reason = f"the {op.kind} {op.name!r} cannot be said in ONNX: {err}"
            return [Absent(reason, op.name)] * _MOST_OUTPUTS

    def _defined(self, op: Op, args: Sequence[Any]) -> Sequence[Any]:
        if op.kind == BRANCHES:
            return [self._choice(args[0], args[1], args[2])]
        if op.kind in HAND_ON:
            return args
        absent = next((arg for arg in args if isinstance(arg, Absent)), None)
        define = self._definition(op)
        if absent is None and define is None:
            absent = Absent(f"lstmbridge does not know the {op.kind} {op.name!r}", op.name)
        if absent is not None or define is None:
            return [absent] * _MOST_OUTPUTS
        if op.kind not in ARRAYS and any(isinstance(arg, Elements) for arg in args):
            raise TypeError("it takes a TensorArray for a tensor")
        outputs: Sequence[Any] = define(self.words, op, args)
        return outputs

    def _definition(self, op: Op) -> Any:
        """What an operation does; a program may say it for single ones."""
        own: Mapping[str, Any] = getattr(self.program, "defines", {})
        if op.name in own:
            return own[op.name]
        if op.kind in VARIABLES:
            return lambda _w, op, _args: [self._variable(op)]
        if op.kind == "Const" and _is_text(op):
            return lambda _w, op, _args: [np.asarray(op.attrs["value"].load())]
        return ARRAYS.get(op.kind, OPS.get(op.kind))

    def _variable(self, op: Op) -> Value:
        numbers = np.asarray(self.program.weights(op))
        dtype = op.attrs.get("dtype")
        if dtype is not None and np.dtype(dtype).kind in "iub":
            numbers = numbers.astype(bool if np.dtype(dtype).kind == "b" else np.int64)
        self.words.emitter.label(numbers, op.name)
        return numbers

    # -- conds ----------------------------------------------------------------------------------

    def _switch(
        self, scope: str, op: Op, args: Sequence[Any], tags: frozenset[Branch]
    ) -> Sequence[Any]:
        value, predicate = args[0], args[1]
        if isinstance(predicate, Absent):
            return [predicate, predicate]
        if not isinstance(predicate, Sym):
            taken = bool(np.ravel(predicate)[0])
            if tags:
                self._branches[scope, op.name] = tags
            return [DEAD, value] if taken else [value, DEAD]
        for output in (0, 1):
            branch = (self.words.emitter.name(predicate), bool(output))
            self._branches[scope, f"{op.name}:{output}"] = tags | {branch}
        return [value, value]

    def _merge(self, scope: str, step: Any, args: Sequence[Any]) -> Sequence[Any]:
        """The value of the branch that is taken, and which input it came in by."""
        op: Op = step.op
        alive = [(k, value) for k, value in enumerate(args) if value is not DEAD]
        if not alive:
            return [DEAD, DEAD]
        tags = [self._tags([step.args[k]]) for k, _ in alive]
        if len(alive) == 1:
            if tags[0]:
                self._branches[scope, op.name] = tags[0]
            return [alive[0][1], np.asarray(alive[0][0])]
        predicates = {name for name, way in tags[0] if (name, not way) in tags[1]}
        if len(alive) != 2 or len(predicates) != 1:
            reason = f"the {op.kind} {op.name!r} joins what no predicate tells apart"
            return [Absent(reason, op.name)] * 2
        predicate = predicates.pop()
        first_if_true = (predicate, True) in tags[0]
        shared = (tags[0] & tags[1]) - {(predicate, True), (predicate, False)}
        if shared:
            self._branches[scope, op.name] = shared
        values = [value for _, value in alive]
        then, other = values if first_if_true else values[::-1]
        condition = Sym(predicate, "bool", ())
        try:
            which = self.words.cast(condition, "int")
            if first_if_true:
                which = self.words.sub(np.asarray(1), which)
            return [self._choice(condition, then, other), which]
        except FAILS as err:
            return [Absent(f"the {op.kind} {op.name!r} cannot be said: {err}", op.name)] * 2

    def _choice(self, predicate: Any, then: Any, other: Any) -> Any:
        """One of two values; where their shapes may differ, no broadcasting must hide it."""
        if isinstance(predicate, Absent):
            return predicate
        if not isinstance(predicate, Sym):
            return then if bool(np.ravel(predicate)[0]) else other
        for one in (then, other):
            if isinstance(one, Absent | Dead | Elements):
                return (
                    one
                    if isinstance(one, Absent)
                    else Absent(
                        "a cond chooses between what are no tensors", self.words.emitter.at
                    )
                )
        if then is other:
            return then
        if len(dims_of(then)) != len(dims_of(other)):
            raise ValueError("its branches have different numbers of axes")
        return self._if(predicate, then, other)

    def _if(self, predicate: Sym, then: Value, other: Value) -> Sym:
        """`If`; what only one of the values needs moves into it later (`branches`)."""
        emitter = self.words.emitter
        kind, names = kind_of_value(then), [emitter.name(one) for one in (then, other)]
        graphs = []
        for name in names:
            result = emitter.graph.unique(f"{emitter.at}/branch")
            info = helper.make_tensor_value_info(result, elem_type(emitter.dtype(kind)), None)
            node = helper.make_node("Identity", [name], [result], name=result)
            graphs.append(helper.make_graph([node], f"{emitter.at}/branch", [], [info]))
        scalar = self.words.reshape(predicate, ()) if predicate.dims else predicate
        a, b = dims_of(then), dims_of(other)
        chosen = emitter.emit(
            "If", [scalar], kind, meet(a, b), then_branch=graphs[0], else_branch=graphs[1]
        )
        if kind != "bool" and all(map(same, a, b)):
            emitter.alike.add(chosen.name)
        return chosen


def _is_text(op: Op) -> bool:
    dtype = getattr(op.attrs.get("value"), "dtype", None)
    return dtype is not None and np.dtype(dtype).kind in "OSU"


__all__ = ["Absent", "Walk"]
