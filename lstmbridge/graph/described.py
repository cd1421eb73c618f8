"""A stack over time as a `Run`: what goes in, what comes out, how it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstmbridge.graph.beginnings import beginning_of
from lstmbridge.graph.findings import Application, Construct, Run, outer_sizes
from lstmbridge.graph.gates_found import ACTIVATION_OPS, ADDS
from lstmbridge.graph.glue import Glue, Gluer
from lstmbridge.graph.masks import Clock, is_counter, mask_of
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.runs import Stack
from lstmbridge.graph.sequences import TimeTensor, read_sequence, unwound, written_steps
from lstmbridge.graph.slices import MOVES, PHRASES, READS, Slice, construct_kind, slice_back
from lstmbridge.graph.step_reads import keeps_one, sliced_step
from lstmbridge.graph.strands import Strand
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.unrolled import UNKNOWN, Order, input_order, step_projection

_MIXES = frozenset({"Add", "AddV2", "Mul", "Sub"})
_COMPUTES = frozenset(
    {
        *ACTIVATION_OPS,
        *("AddN", "AddV2", "Add", "ClipByValue", "Exp", "Maximum", "Minimum", "Mul", "Neg"),
        *("RealDiv", "Softmax", "Sqrt", "Square", "Sub"),
    }
)
_MOST_AFTER = 32
_FURTHEST_AFTER = 256


@dataclass(frozen=True)
class _Input:
    """What a stack is fed."""

    sequence: TimeTensor | None = None
    order: Order = UNKNOWN
    lengths: str | None = None
    sliced: tuple[Tensor, bool] | None = None
    constructs: tuple[Construct, ...] = ()
    notes: tuple[Construct, ...] = ()


@dataclass(frozen=True)
class _Output:
    """What leaves a stack."""

    residual: bool = False
    further: tuple[int, ...] = ()
    wholes: tuple[Tensor, ...] = ()
    constructs: tuple[Construct, ...] = ()
    notes: tuple[Construct, ...] = ()
    ends: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Described:
    """A run, and the tensors that tie it to others.

    Attributes:
        source: what it is fed, over time; None where that is no such tensor.
        outputs: its outputs over all steps, time-major.
        sliced: the sequence that a loop takes its steps from by slices, and whether it is
            time-major.
        ends: of unrolled steps: each one's output, what residuals add to it included.
    """

    run: Run
    stack: Stack
    source: TimeTensor | None
    outputs: tuple[Tensor, ...]
    sliced: tuple[Tensor, bool] | None = None
    ends: tuple[Tensor, ...] = ()


@dataclass(eq=False)
class Describer:
    """Says all about a stack that can be said without looking at other runs."""

    tracer: Tracer
    gluer: Gluer

    def describe(self, stack: Stack) -> Described:
        """The run that a stack is."""
        bottom = stack.strands[0]
        how = "fused" if bottom.apps[0].whole else "loop" if bottom.loop else "unrolled"
        fed = self._input(stack, how)
        out = self._output(stack, how)
        constructs = [
            *(c for s in stack.strands for c in s.problems),
            *fed.constructs,
            *out.constructs,
        ]
        lengths = dict.fromkeys(n for s in stack.strands for n in s.lengths)
        if fed.lengths is not None:
            lengths[fed.lengths] = None
        spans = _spans((*stack.further[:-1], out.further))
        if spans is None:
            detail = f"has residuals around it that cross (in {bottom.layer} and above)"
            app = stack.strands[-1].apps[0]
            constructs.append(self._construct("residual", app, app.output[0], detail))
        if len(lengths) > 1:
            detail = f"layers are cut by different lengths: {', '.join(lengths)}"
            constructs.append(Construct("masking", list(lengths)[1], bottom.layer, detail))
        run = Run(
            name=bottom.loop.name if bottom.loop else bottom.apps[0].node,
            how=how,
            layers=tuple(s.layer for s in stack.strands),
            residual=(*stack.residual[:-1], out.residual),
            steps=len(bottom.apps) if how == "unrolled" else None,
            time_major=None if fed.sequence is None else fed.sequence.time_major,
            lengths=next(iter(lengths), None),
            reversed=fed.order.how,
            initial=tuple(
                {state: beginning_of(self.gluer, s, state) for state in s.initial}
                for s in stack.strands
            ),
            between=stack.footing.between,
            constructs=tuple(dict.fromkeys(constructs)),
            notes=(*fed.notes, *out.notes),
            nodes=tuple(app.node for s in stack.strands for app in s.apps),
            spans=spans or (),
        )
        return Described(run, stack, fed.sequence, out.wholes, fed.sliced, out.ends)

    def _input(self, stack: Stack, how: str) -> _Input:
        bottom = stack.strands[0]
        app = bottom.apps[0]
        if how == "fused":
            sequence = unwound(self.tracer, app.x)
            order = Order(sequence.reversed, sequence.lengths)
            return _Input(sequence, order, self._fused_lengths(app))
        if how == "unrolled":
            return self._unrolled_input(stack, bottom.apps)
        if stack.footing.feeders and not stack.feedback:
            return _Input()
        return self._loop_input(bottom)

    def _unrolled_input(self, stack: Stack, apps: Sequence[Application]) -> _Input:
        order = input_order(self.tracer, apps)
        if stack.feedback:
            return _Input(order=order, constructs=(self._feedback(stack),))
        if stack.footing.feeders:
            turned = "full" if stack.footing.turned else "no"
            return _Input(order=Order(turned) if stack.footing.pair else order)
        projection = step_projection(self.tracer, self.gluer, apps)
        return _Input(order=order, constructs=() if projection is None else (projection,))

    def _feedback(self, stack: Stack) -> Construct:
        app = stack.strands[0].apps[-1]
        behind = slice_back(self.tracer, app.x, self.gluer.outputs)
        return self._dependent(app, app.x, behind)

    def _dependent(self, app: Application, tensor: Tensor, behind: Slice) -> Construct:
        kind, signs = construct_kind(behind.ops.values())
        node = behind.first(signs) or tensor[0]
        kind = kind if kind == "attention" else "feedback"
        return self._construct(kind, app, node, "has inputs that depend on the step before")

    def _fused_lengths(self, app: Application) -> str | None:
        """The lengths of a fused layer: its `seq_len_max` is a maximum over rows."""
        op = self.tracer.network.op(app.node)
        behind = slice_back(self.tracer, op.inputs[0], frozenset())
        longest = behind.first(frozenset({"Max"}))
        if longest is None:
            return None
        return self.tracer.op(self.tracer.network.source(self.tracer.network.op(longest), 0)).name

    def _loop_input(self, bottom: Strand) -> _Input:
        """The sequence that a loop reads, one step per step; or what it takes instead."""
        app = bottom.apps[0]
        ahead: Tensor | None = None
        options = self.tracer.options(app.x).tensors
        if len(options) == 1 and options[0] in self.tracer.network.entries:
            # a decoder hands the next step's input on from step to step
            ahead = options[0]
            _, variable = self.tracer.network.entries[ahead]
            options = self.tracer.options(variable.following).tensors
        width = outer_sizes(self.gluer.queries[app.layer])[0]
        cut = sliced_step(self.tracer, options[0], width) if len(options) == 1 else None
        if cut is not None and ahead is None:
            sequence = _of_axis(unwound(self.tracer, cut[0]), time_major=cut[1])
            return _Input(sequence, Order(sequence.reversed, sequence.lengths), sliced=cut)
        reads: dict[str, None] = {}
        for tensor in options:
            if self.tracer.is_zeros(tensor):
                continue
            behind = slice_back(self.tracer, tensor, self.gluer.outputs)
            problem = self._in_loop(app, tensor, behind)
            if problem is not None:
                return _Input(constructs=(problem,))
            reads.update(
                (n, None) for n in behind.others if self.tracer.network.op(n).kind in READS
            )
        if len(reads) != 1:
            detail = f"takes its input from {len(reads)} sequences"
            return _Input(constructs=(self._construct("computation", app, app.x[0], detail),))
        read = self.tracer.network.op(next(iter(reads)))
        whole, problem_text = read_sequence(self.tracer, read, ahead)
        if whole is None:
            return _Input(
                constructs=(self._construct("computation", app, read.name, problem_text),)
            )
        sequence = unwound(self.tracer, whole)
        return _Input(sequence, Order(sequence.reversed, sequence.lengths))

    def _in_loop(self, app: Application, tensor: Tensor, behind: Slice) -> Construct | None:
        """What the loop computes between a step of the sequence and the cell."""
        if behind.cells or any(not is_counter(self.tracer, e) for e in behind.entries):
            return self._dependent(app, tensor, behind)
        node = next((n for n, k in behind.ops.items() if k not in MOVES), None)
        if node is None and self.tracer.network.op(tensor[0]).kind in READS:
            return None
        kind, signs = construct_kind(behind.ops.values())
        node = behind.first(signs) or node or tensor[0]
        detail = f"has {PHRASES[kind]} in front of it, in each step"
        return self._construct(kind, app, node, detail)

    def _construct(self, kind: str, app: Application, node: str, detail: str) -> Construct:
        return Construct(kind, node, app.layer, f"{app.layer} {detail}")

    def _output(self, stack: Stack, how: str) -> _Output:
        top = stack.strands[-1].apps
        if how == "fused":
            return _Output(wholes=(top[0].output,))
        if how == "loop":
            return self._loop_output(stack)
        app = top[len(top) // 2]
        added, end = self._added_after(app)
        found = self._mixed_after(app, end)
        if found is None and not (added.residual or added.further):
            found = self._unread(top)
            note = self._computed_after(app) if found is None else None
        else:
            note = None
        return _Output(
            added.residual,
            added.further,
            ends=tuple(self._added_after(a)[1] if end != app.output else a.output for a in top),
            constructs=() if found is None else (found,),
            notes=() if note is None else (note,),
        )

    def _unread(self, apps: Sequence[Application]) -> Construct | None:
        """An output that is none of the states, and that nothing reads in any step."""
        if any(a.output in a.states.values() or any(self.tracer.uses(a.output)) for a in apps):
            return None
        app = apps[0]
        return self._construct("computation", app, app.output[0], "has outputs that nothing reads")

    def _computed_after(self, app: Application) -> Construct | None:
        """What each unrolled step computes of its output: no part of the stack, but to be said."""
        for name, _ in self.tracer.uses(app.output):
            kind = self.tracer.network.op(name).kind
            if kind in _COMPUTES and not self._leads_to_a_cell(name):
                detail = f"has a {kind} of its output after it, in each step; it is left out"
                return self._construct("computation", app, name, detail)
        return None

    def _leads_to_a_cell(self, name: str) -> bool:
        queue, seen = [name], {name}
        while queue and len(seen) < _FURTHEST_AFTER:
            tensor = (queue.pop(), 0)
            if tensor in self.gluer.outputs:
                return True
            fresh = [reader for reader, _ in self.tracer.uses(tensor) if reader not in seen]
            seen.update(fresh)
            queue.extend(fresh)
        return bool(queue)

    def _mixed_after(self, app: Application, start: Tensor) -> Construct | None:
        """A wrapper's arithmetic of an unrolled cell's output with what it was fed."""
        queue, seen = [start], {start[0]}
        known = {app.x, *self.gluer.outputs}
        while queue and len(seen) < _MOST_AFTER:
            for name, position in self.tracer.uses(queue.pop()):
                op = self.tracer.network.op(name)
                if name in seen or op.kind not in _MIXES or len(op.inputs) != 2:
                    continue
                seen.add(name)
                if (name, 0) not in self.gluer.outputs:
                    queue.append((name, 0))
                other = slice_back(self.tracer, op.inputs[1 - position], known)
                if app.x in other.cells:
                    kind, _ = construct_kind([op.kind, *other.ops.values()])
                    detail = f"has {PHRASES[kind]} of its output and its input after it"
                    return self._construct(kind, app, name, detail)
        return None

    def _added_after(self, app: Application) -> tuple[Glue, Tensor]:
        """What residuals make of an unrolled cell's output: the furthest sum, and where it is."""
        best, end = Glue(app), app.output
        queue, seen = [app.output], {app.output[0]}
        while queue and len(seen) < _MOST_AFTER:
            for name, _ in self.tracer.uses(queue.pop()):
                op = self.tracer.network.op(name)
                if name in seen or op.kind not in ADDS or len(op.inputs) != 2:
                    continue
                seen.add(name)
                glue = self.gluer.explain((name, 0), app.layer)
                if glue.cell is app and (glue.residual or glue.further):
                    queue.append((name, 0))
                    if _terms(glue) > _terms(best):
                        best, end = glue, (name, 0)
        return best, end

    def _loop_output(self, stack: Stack) -> _Output:
        """What a loop writes step by step: its topmost layer's output, or something else.

        Where the output itself is written, what is written beside it changes nothing.
        """
        top = stack.strands[-1]
        own = {app.node for s in stack.strands for app in s.apps}
        plain: dict[Tensor, None] = {}
        residual: set[tuple[bool, tuple[int, ...]]] = set()
        others: dict[Construct, None] = {}
        masks: list[Construct] = []
        last = False
        for write, value, wholes in written_steps(self.tracer, top.loop) if top.loop else ():
            if keeps_one(self.tracer, write):
                last = True
                continue
            glue = self.gluer.explain(value, top.layer)
            if glue.cell is not None and glue.cell.node == top.apps[0].node:
                plain.update(dict.fromkeys(wholes))
                residual.add((glue.residual, glue.further))
                masks += self._mask_problems(value, top)
                if not is_counter(self.tracer, self.tracer.resolve(write.inputs[1])):
                    detail = "has outputs that are written at other steps than their own"
                    masks.append(self._construct("output", top.apps[0], write.name, detail))
            elif glue.problem is not None and glue.behind is not None:
                cells = {self.gluer.outputs[c][0].node for c in glue.behind.cells}
                if cells & own:
                    others[glue.problem] = None
            elif glue.behind is not None and self._states(stack) & set(glue.behind.entries):
                others[self._stale(top, value)] = None
        if not residual:
            none = self._construct(
                "output", top.apps[0], top.apps[0].output[0], "is written nowhere"
            )
            return _Output(constructs=tuple(others), notes=() if others or last else (none,))
        if len(residual) > 1:
            masks.append(
                self._construct(
                    "residual", top.apps[0], top.apps[0].output[0], "leaves in two forms"
                )
            )
        added, further = next(iter(residual))
        return _Output(added, further, tuple(plain), tuple(masks), tuple(others))

    def _states(self, stack: Stack) -> set[Tensor]:
        apps = [app for s in stack.strands for app in s.apps]
        return {self.gluer.carrier(t) for app in apps for t in app.previous.values()}

    def _stale(self, top: Strand, value: Tensor) -> Construct:
        node = self.tracer.resolve(value)[0]
        return self._construct("state", top.apps[0], node, "gives the state of the step before")

    def _mask_problems(self, value: Tensor, top: Strand) -> list[Construct]:
        """Zeros past the lengths are `dynamic_rnn`'s; any other choice is named."""
        options = self.gluer.options(value)
        real = [t for t in options.tensors if not self.tracer.is_zeros(t)]
        if not options.choices or len(real) != 1:
            return []
        width = outer_sizes(self.gluer.queries[top.layer])[1]
        made = np.random.default_rng(6).normal(size=(3, width))
        mask = mask_of(
            self.tracer, value, options, made=(real[0], made), old=None, clock=Clock(value)
        )
        detail = mask.problem
        if not detail and mask.lengths and mask.lengths not in top.lengths:
            detail = "has outputs and states of different lengths"
        if not detail:
            return []
        return [self._construct("masking", top.apps[0], options.choices[0], detail)]


def _of_axis(found: TimeTensor, *, time_major: bool) -> TimeTensor:
    """What is found in front of a tensor that is time-major, or in front of one that is not."""
    if time_major:
        return found
    if found.reversed != "no":
        return TimeTensor(found.tensor, not found.time_major, "unknown")
    return TimeTensor(found.tensor, not found.time_major, "no")


def _terms(glue: Glue) -> int:
    return glue.residual + len(glue.further)


def _spans(further: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...] | None:
    """Residuals around several layers as (first, last), innermost first; None where they cross."""
    spans = [(k - below, k) for k, more in enumerate(further) for below in sorted(more)]
    crossing = any(a < c <= b < d for a, b in spans for c, d in spans)
    return None if crossing or any(first < 0 for first, _ in spans) else tuple(spans)
