"""Run a network, loops and all, from fed tensors to wanted ones: in NumPy or by other words.

`evaluate` looks at pieces without loops, for proofs; this runs the whole path. The order of one
step is found once and repeated, so that a loop costs its arithmetic. Conds are run as
TensorFlow runs them: what stands in a branch that is not taken is dead, and a Merge takes what
is alive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.held import constant, joins_constants
from lstmbridge.graph.network import BRANCHES, Loop, LoopVariable, Op, Tensor
from lstmbridge.graph.ops import OPS, Definition
from lstmbridge.graph.ops_arrays import Steps
from lstmbridge.graph.ops_lists import CONTAINERS
from lstmbridge.graph.ordered import Sorter, Step
from lstmbridge.graph.scopes import SWITCHES, Scopes
from lstmbridge.graph.trace import VARIABLES, Tracer
from lstmbridge.graph.words import GraphFloat64, Words

MOST_STEPS = 100_000
"""Of one loop. A condition may never become false."""
_MERGES = frozenset({"Merge", "RefMerge"})
HAND_ON = frozenset({"Identity", "LoopCond", "NextIteration", "PlaceholderWithDefault"})
_MOST_OUTPUTS = 16
_DEAD: Sequence[Any] = (None,) * _MOST_OUTPUTS
_FAILS = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)

Values = dict[str, Sequence[Any] | dict[int, Any]]
OUTSIDE = ""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The value of what cannot be computed; what reads it is as unavailable as it is.

    It does no harm in a branch of a cond that is not taken.

    Attributes:
        op: the operation to blame.
    """

    op: Op

    def error(self) -> NotRecognised:
        """For whoever needs the value."""
        return NotRecognised(
            f"it depends on the {self.op.kind} {self.op.name!r}", where=self.op.name
        )


@dataclass(frozen=True, slots=True)
class LoopReads:
    """What a loop needs for one of its variables.

    Attributes:
        variables: of the loop.
        outside: what it reads from where it stands, by the scope that computes it.
    """

    variables: tuple[LoopVariable, ...]
    outside: Mapping[str, Sequence[Tensor]]


@dataclass(frozen=True, eq=False)
class Program:
    """A network that is ready to be run, with the numbers of its variables.

    Attributes:
        weights: a variable's name and operation -> its numbers in float64.
        words: what the operations' definitions are run by; constants and variables become its
            own by its word `constant`.
        defines: an operation's name -> what it does instead of what its type says:
            (words, operation, its inputs' values) -> its outputs' values.
    """

    scopes: Scopes
    weights: Callable[[Op], Array]
    words: Words[Any] = field(default_factory=GraphFloat64)
    defines: Mapping[str, Definition] = field(default_factory=dict)
    _orders: dict[tuple[str, frozenset[Tensor], frozenset[Tensor]], tuple[Step, ...]] = field(
        default_factory=dict, init=False
    )
    _constants: dict[str, Sequence[Any]] = field(default_factory=dict, init=False)
    _loops: dict[Tensor, LoopReads] = field(default_factory=dict, init=False)
    _spoken: dict[str, Program] = field(default_factory=dict, init=False)

    @property
    def tracer(self) -> Tracer:
        """What sees through operations that hand their input on."""
        return self.scopes.tracer

    def run(
        self,
        fed: Mapping[Tensor, Array],
        wanted: Iterable[Tensor],
        starts: Mapping[Tensor, Array] | None = None,
        most: int = MOST_STEPS,
    ) -> dict[Tensor, Array]:
        """The values of `wanted`.

        Args:
            fed: values in place of tensors; float64, int64 or bool.
            wanted: tensors outside of loops, or the entry of a loop variable: its value after
                the last step.
            starts: entries of loop variables -> what they begin with.
            most: steps that any loop may take.

        Errors: NotRecognised, naming the operation that is not defined here, or that cannot be
        computed from what is fed; SourceUnreadable for a cycle or a missing node.
        """
        run = Run(self, self.guarded(fed), dict(starts or {}), most)
        return run.values(list(wanted))

    def guarded(self, fed: Mapping[Tensor, Any]) -> dict[Tensor, Any]:
        """What is fed, at the tensors by which a run looks values up."""
        return {self.tracer.guarded(tensor): value for tensor, value in fed.items()}

    def order(
        self, scope: str, wanted: Iterable[Tensor], given: Iterable[Tensor]
    ) -> tuple[Step, ...]:
        """The operations of one scope that `wanted` needs, each after what it reads."""
        # of a frozen set this is the set itself
        key = (scope, frozenset(wanted), frozenset(given))
        if key not in self._orders:
            self._orders[key] = tuple(Sorter(self, scope, key[2]).sort(key[1]))
        return self._orders[key]

    def loop_reads(self, loop: Loop, variable: LoopVariable) -> LoopReads:
        """What one variable of a loop needs. Errors: as `Scopes.outside`."""
        if variable.entry not in self._loops:
            scopes: dict[str, list[Tensor]] = {}
            for tensor in self.scopes.outside(loop, variable):
                scopes.setdefault(self.place(tensor)[0], []).append(tensor)
            needed = self.scopes.needed(loop, [variable])
            self._loops[variable.entry] = LoopReads(needed, scopes)
        return self._loops[variable.entry]

    def place(self, tensor: Tensor) -> tuple[str, Tensor]:
        """(the scope that computes a tensor, the tensor itself), seen through what hands on."""
        at = self.tracer.guarded(tensor)
        entry = self.tracer.network.entries.get(at)
        if entry is not None:
            return entry[0].name, at
        home = self.scopes.home(at[0])
        return (OUTSIDE if home is None else home.name), at


@dataclass
class Run:
    """One run: what is given, and what is computed, by scope.

    Attributes:
        cut: tensors behind which nothing is computed; those that are given.
        instead: whether more than these is given.
        trail: the operations outside of loops, in the order in which they were computed.
        scopes: values by scope and operation; of a loop, those of its last step.
        finals: entries of loop variables -> what they are after the last step.
    """

    program: Program
    given: Mapping[Tensor, Any]
    starts: Mapping[Tensor, Array] = field(default_factory=dict)
    most: int = MOST_STEPS
    cut: frozenset[Tensor] = frozenset()
    trail: list[Step] = field(default_factory=list)
    scopes: dict[str, Values] = field(default_factory=lambda: {OUTSIDE: {}})
    finals: dict[Tensor, Any] = field(default_factory=dict)
    instead: bool = field(init=False, default=False)
    _entries: dict[Tensor, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """What is given cuts."""
        self.cut = self.cut or frozenset(self.given)
        self.instead = len(self.given) > len(self.cut)

    def values(self, asked: Sequence[Tensor]) -> dict[Tensor, Array]:
        """Values of tensors outside of loops, or of entries after the last step."""
        entries = self.program.tracer.network.entries
        plain = [tensor for tensor in asked if tensor not in entries]
        with np.errstate(all="ignore"):
            self._compute(OUTSIDE, plain)
            found = {tensor: self._value(tensor) for tensor in plain}
            found |= {t: self.after(*entries[t]) for t in asked if t in entries}
        return found

    def _value(self, tensor: Tensor) -> Array:
        value = self._look(*self.program.place(tensor))
        if isinstance(value, Unavailable):
            raise value.error()
        if value is None or isinstance(value, Steps):
            raise NotRecognised(f"{tensor[0]!r} has no value in this run", where=tensor[0])
        found: Array = value
        return found

    def _look(self, scope: str, at: Tensor) -> Any:
        if at in self.given:
            return self.given[at]
        if at in self._entries:
            return self._entries[at]
        outputs = self.scopes.get(scope, {}).get(at[0])
        if outputs is None:
            raise NotRecognised(
                f"{at[0]!r} is read outside of the loop {scope!r} that computes it", where=at[0]
            )
        if isinstance(outputs, dict) and at[1] in outputs:
            return outputs[at[1]]
        if isinstance(outputs, dict) or at[1] >= len(outputs):
            raise NotRecognised(
                f"{at[0]!r} has {len(outputs)} outputs, number {at[1]} is read", where=at[0]
            )
        return outputs[at[1]]

    def _compute(self, scope: str, wanted: Sequence[Tensor]) -> None:
        values = self.scopes[scope]
        for step in self.program.order(scope, wanted, self.cut):
            if step.leaves is not None:
                known = values.setdefault(step.op.name, {})
                if not isinstance(known, dict) or step.output in known:
                    continue
                known[step.output] = self.after(*step.leaves)
            elif step.op.name in values:
                continue
            else:
                values[step.op.name] = self._do(step)
            if scope == OUTSIDE:
                self.trail.append(step)

    def _do(self, step: Step) -> Sequence[Any]:
        """The common case at once: an operation of tensors that are there."""
        define, program = step.define, self.program
        if define is None or step.op.name in program.defines:
            return self._do_any(step)
        args = self._arguments(step)
        for value in args:
            if value is None:
                return _DEAD
            if value.__class__ is Unavailable:
                return [value] * _MOST_OUTPUTS
        words = program.words
        try:
            return [*map(words.own, define(words, step.op, args))]
        except _FAILS as err:
            raise _uncomputable(step.op, err) from err

    def _arguments(self, step: Step) -> list[Any]:
        if step.computed and not self.instead:
            scopes = self.scopes
            try:
                return [scopes[scope][name][output] for scope, (name, output) in step.args]
            except LookupError:
                # said by whoever looks for it
                pass
        return [self._look(*place) for place in step.args]

    def _do_any(self, step: Step) -> Sequence[Any]:
        op = step.op
        if op.kind in VARIABLES:
            return self._variable(op)
        known = self.program._constants  # noqa: SLF001 - one module's two halves
        # words of other arrays may say where a constant is kept: a join of theirs is not kept
        own = step.pivots or op.name in self.program.defines
        numbers = isinstance(self.program.words, GraphFloat64)
        once = (
            numbers
            and not own
            and joins_constants(op, (at for _, at in step.args), self.given, known)
        )
        if once and op.name in known:
            return known[op.name]
        args = [self._look(*place) for place in step.args]
        try:
            outputs = self._outputs(step, args)
        except _FAILS as err:
            raise _uncomputable(op, err) from err
        if once:
            known[op.name] = outputs
        return outputs

    def _outputs(self, step: Step, args: Sequence[Any]) -> Sequence[Any]:
        op = step.op
        if op.kind in _MERGES:
            alive = [(value, k) for k, value in enumerate(args) if value is not None]
            return [alive[0][0], np.asarray(alive[0][1])] if alive else _DEAD
        if op.kind == BRANCHES and not isinstance(args[0], Unavailable):
            return [args[1] if self._truth(args[0]) else args[2]]
        around = [self._look(*place) for place in step.pivots]
        if any(value is None for value in (*args, *around)):
            return _DEAD
        if op.kind in SWITCHES and not isinstance(args[1], Unavailable):
            taken = self._truth(args[1])
            return [None, args[0]] if taken else [args[0], None]
        absent = next((v for v in (*args, *around) if isinstance(v, Unavailable)), None)
        if absent is not None:
            return [absent] * _MOST_OUTPUTS
        return self._defined(op, args)

    def _truth(self, predicate: Any) -> bool:
        return bool(np.ravel(self.program.words.static(predicate))[0])

    def _defined(self, op: Op, args: Sequence[Any]) -> Sequence[Any]:
        if op.name in self.program.defines:
            return self.program.defines[op.name](self.program.words, op, args)
        if op.kind in HAND_ON:
            return args
        if op.kind in CONTAINERS:
            return CONTAINERS[op.kind](self.program.words, op, args)
        if op.kind == "Const":
            return constant(self.program.words, op, self.program._constants)  # noqa: SLF001
        if op.kind not in OPS:
            return [Unavailable(op)] * _MOST_OUTPUTS
        return [*map(self.program.words.own, OPS[op.kind](self.program.words, op, args))]

    def _variable(self, op: Op) -> Sequence[Any]:
        known = self.program._constants  # noqa: SLF001 - one module's two halves
        if op.name not in known:
            numbers, dtype = np.asarray(self.program.weights(op)), op.attrs.get("dtype")
            if dtype is not None and np.dtype(dtype).kind in "iub":
                numbers = numbers.astype(bool if np.dtype(dtype).kind == "b" else np.int64)
            floats = numbers.dtype.kind == "f"
            known[op.name] = [self.program.words.constant(numbers) if floats else numbers]
        return known[op.name]

    def after(self, loop: Loop, variable: LoopVariable) -> Any:
        """A loop variable after the last step; the loop is run where it has not been."""
        if variable.entry in self.finals:
            return self.finals[variable.entry]
        reads = self.program.loop_reads(loop, variable)
        for scope, tensors in reads.outside.items():
            if scope != loop.name:
                self._compute(scope, tensors)
        state = {
            v.entry: self.starts[v.entry]
            if v.entry in self.starts
            else self._look(*self.program.place(v.initial))
            for v in reads.variables
        }
        state = self._iterate(loop, reads.variables, state)
        if set(reads.outside) <= {OUTSIDE}:
            # what reads from another loop is run anew in each of its steps
            self.finals.update(state)
        return state[variable.entry]

    def _is_true(self, condition: Tensor, value: Any) -> bool:
        if isinstance(value, Unavailable):
            raise value.error()
        if value is not None and not isinstance(value, Steps):
            truths = self.program.words.static(value)
            if truths.size == 1:
                return bool(truths.reshape(-1)[0])
        raise NotRecognised(
            f"the condition {condition[0]!r} of a loop is no single truth", where=condition[0]
        )

    def _iterate(
        self, loop: Loop, needed: Sequence[LoopVariable], state: dict[Tensor, Any]
    ) -> dict[Tensor, Any]:
        condition = self.program.scopes.condition(loop)
        following = [v.following for v in needed]
        for _ in range(self.most + 1):
            self.scopes[loop.name] = {}
            self._entries.update(state)
            self._compute(loop.name, [condition])
            again = self._look(*self.program.place(condition))
            if not self._is_true(condition, again):
                return state
            self._compute(loop.name, following)
            state = {v.entry: self._look(*self.program.place(v.following)) for v in needed}
        raise NotRecognised(
            f"the loop {loop.name!r} has not ended after {self.most} steps", where=loop.name
        )


def _uncomputable(op: Op, err: Exception) -> NotRecognised:
    return NotRecognised(f"the {op.kind} {op.name!r} cannot be computed: {err}", where=op.name)
