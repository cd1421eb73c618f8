"""A stack over time as a `Run`: what goes in, what comes out, how it begins."""

from __future__ import annotations

from dataclasses import dataclass

from lstmbridge.graph.findings import Application, Construct, Run
from lstmbridge.graph.glue import Gluer
from lstmbridge.graph.masks import is_counter, length_mask
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.runs import Stack
from lstmbridge.graph.sequences import Sequence, read_sequence, unwound, written_steps
from lstmbridge.graph.slices import MOVES, READS, Slice, construct_kind, slice_back
from lstmbridge.graph.strands import Strand, state_of
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.unrolled import Order, input_order, step_projection


@dataclass(eq=False)
class Describer:
    """Turns a stack into a `Run`: what goes in, what comes out, how it begins."""

    tracer: Tracer
    gluer: Gluer

    def describe(self, stack: Stack) -> Run:
        """All that can be said without looking at other runs."""
        bottom, top = stack.strands[0], stack.strands[-1]
        how = "fused" if bottom.apps[0].whole else "loop" if bottom.loop else "unrolled"
        lengths = dict.fromkeys(n for s in stack.strands for n in s.lengths)
        constructs, notes = list(stack.constructs), []
        time_major: bool | None = None
        order = Order("unknown")
        if how == "loop":
            sequence, problem = self._loop_input(bottom)
            if problem is not None:
                constructs.append(problem)
            if sequence is not None:
                time_major = sequence.time_major
                order = Order(sequence.reversed, sequence.lengths)
        elif how == "fused":
            sequence = unwound(self.tracer, bottom.apps[0].x)
            time_major, order = sequence.time_major, Order(sequence.reversed, sequence.lengths)
            fused = self._fused_lengths(bottom.apps[0])
            if fused is not None:
                lengths[fused] = None
        else:
            order = input_order(self.tracer, bottom.apps)
            projection = step_projection(self.tracer, self.gluer, bottom.apps)
            if projection is not None:
                constructs.append(projection)
        residual, out, more = self._output(stack, how)
        constructs.extend(out)
        notes.extend(more)
        if len(lengths) > 1:
            constructs.append(self._several_lengths(list(lengths), bottom))
        return Run(
            name=bottom.loop.name if bottom.loop else bottom.apps[0].node,
            how=how,
            layers=tuple(s.layer for s in stack.strands),
            residual=residual,
            steps=len(bottom.apps) if how == "unrolled" else None,
            time_major=time_major,
            lengths=next(iter(lengths), None),
            reversed=order.how,
            initial=tuple(
                {state: state_of(self.tracer, t) for state, t in s.initial.items()}
                for s in stack.strands
            ),
            constructs=tuple(dict.fromkeys(constructs)),
            notes=tuple(dict.fromkeys(notes)),
            nodes=tuple(app.node for s in (bottom, top) for app in s.apps),
        )

    def _several_lengths(self, names: list[str], bottom: Strand) -> Construct:
        return Construct(
            "masking", names[1], bottom.layer, f"layers are cut by different lengths: {names}"
        )

    def _fused_lengths(self, app: Application) -> str | None:
        """The lengths of a fused layer: its `seq_len_max` is a maximum over rows."""
        op = self.tracer.network.op(app.node)
        behind = slice_back(self.tracer, op.inputs[0], frozenset())
        return behind.first(frozenset({"Max"}))

    def _loop_input(self, bottom: Strand) -> tuple[Sequence | None, Construct | None]:
        """The sequence that a loop reads, one step per step; or what it takes instead."""
        app = bottom.apps[0]
        options = [o.tensor for o in self.tracer.alternatives(app.x)]
        if len(options) == 1 and options[0] in self.tracer.network.entries:
            _, variable = self.tracer.network.entries[options[0]]
            options = [o.tensor for o in self.tracer.alternatives(variable.following)]
        reads: dict[str, None] = {}
        for tensor in options:
            if self.tracer.is_zeros(tensor):
                continue
            behind = slice_back(self.tracer, tensor, self.gluer.outputs)
            problem = self._in_loop(app, tensor, behind)
            if problem is not None:
                return None, problem
            reads.update(
                (n, None) for n in behind.others if self.tracer.network.op(n).kind in READS
            )
        if len(reads) != 1:
            return None, self._construct(
                "computation", app, app.x[0], f"takes its input from {len(reads)} sequences"
            )
        read = self.tracer.network.op(next(iter(reads)))
        whole, problem_text = read_sequence(self.tracer, read)
        if whole is None:
            return None, self._construct("computation", app, read.name, f": {problem_text}")
        return unwound(self.tracer, whole), None

    def _in_loop(self, app: Application, tensor: Tensor, behind: Slice) -> Construct | None:
        """What the loop computes between a step of the sequence and the cell."""
        if behind.cells or any(not is_counter(self.tracer, e) for e in behind.entries):
            kind, signs = construct_kind(behind.ops.values())
            kind = kind if kind in {"attention", "embedding"} else "feedback"
            node = behind.first(signs) or tensor[0]
            return self._construct(kind, app, node, "has inputs that depend on the step before")
        node = next((n for n, k in behind.ops.items() if k not in MOVES), None)
        if node is None and self.tracer.network.op(tensor[0]).kind in READS:
            return None
        kind, signs = construct_kind(behind.ops.values())
        node = behind.first(signs) or node or tensor[0]
        return self._construct(kind, app, node, f"has a {kind} in front of it, in each step")

    def _construct(self, kind: str, app: Application, node: str, detail: str) -> Construct:
        return Construct(kind, node, app.layer, f"{app.layer} {detail}")

    def _output(
        self, stack: Stack, how: str
    ) -> tuple[tuple[bool, ...], list[Construct], list[Construct]]:
        """(residual per layer, constructs, notes) with what leaves the topmost layer."""
        top = stack.strands[-1]
        if how == "loop":
            return self._loop_output(stack)
        residual = list(stack.residual)
        if how == "unrolled":
            residual[-1] = self._added_after(top.apps[len(top.apps) // 2])
        return tuple(residual), [], []

    def _added_after(self, app: Application) -> bool:
        """Whether an unrolled cell's output is added to its input (ResidualWrapper)."""
        for name, position in self.tracer.uses(app.h):
            op = self.tracer.network.op(name)
            if op.kind in {"Add", "AddV2"} and len(op.inputs) == 2:
                other = self.tracer.resolve(op.inputs[1 - position])
                if other == self.tracer.resolve(app.x):
                    return True
        return False

    def _loop_output(
        self, stack: Stack
    ) -> tuple[tuple[bool, ...], list[Construct], list[Construct]]:
        top = stack.strands[-1]
        own = {app.node for s in stack.strands for app in s.apps}
        residual, constructs, notes = list(stack.residual), [], []
        plain = False
        loop = top.loop
        for write, value, _ in written_steps(self.tracer, loop) if loop else ():
            glue = self.gluer.explain(value, top.layer)
            behind = glue.behind
            mine = glue.cell is not None and glue.cell.node in own
            if glue.cell is None and behind is not None:
                mine = any(self.gluer.outputs[c][0].node in own for c in behind.cells)
            if not mine:
                continue
            if glue.problem is not None:
                constructs.append(glue.problem)
            elif glue.cell is not None and glue.cell.node == top.apps[0].node:
                plain = True
                residual[-1] = glue.residual
                masked = self._masked_output(glue.choices, top, write.name)
                if masked is not None:
                    constructs.append(masked)
        if not plain and not constructs:
            notes.append(
                self._construct("output", top.apps[0], top.apps[0].h[0], "is not written by step")
            )
        return tuple(residual), constructs, notes

    def _masked_output(
        self, choices: tuple[str, ...], top: Strand, write: str
    ) -> Construct | None:
        """Zeros past the lengths are `dynamic_rnn`'s; any other choice is named."""
        for name in dict.fromkeys(choices):
            op = self.tracer.network.op(name)
            mask = length_mask(self.tracer, op, lambda t: is_counter(self.tracer, t))
            if mask is None or not self.tracer.is_zeros(mask.past):
                return self._construct(
                    "masking", top.apps[0], name, f"has outputs that {name!r} chooses ({write})"
                )
            if mask.lengths not in top.lengths:
                return self._construct(
                    "masking", top.apps[0], name, "has outputs and states of different lengths"
                )
        return None
