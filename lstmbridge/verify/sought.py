"""Probes that are sought: rows bred until one planted fault stands out, or is given up.

Seeded probes meet a rare event by chance only: a clip that is reached when one gate is wide open
and another all but shut, a recurrent weight that is felt when h is as large as it can be. So for
each fault that nothing else shows, many rows of every strength are run, right and wrong; those
that show it best beget the next ones. Where nothing shows it at all, those beget that drive some
output furthest: what is not reached yet is reached from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from lstmbridge.arrays import SMALLEST_NORMAL, UNIT_ROUNDING
from lstmbridge.contracts import Outputs
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.verify.amplitude import lively_amplitude
from lstmbridge.verify.faults import Fault
from lstmbridge.verify.noise import WINDOW, StoredRounding, run_model
from lstmbridge.verify.numbers import size_of
from lstmbridge.verify.probes import MIDDLE_STEPS, InputSpecs, Probe, frozen, within

_ROWS, _STEPS, _ROUNDS = 96, MIDDLE_STEPS, 4
_BLIND_ROUNDS = 3
"""Generations in which no row shows a fault: what they do not reach is given up."""
_PARENTS = 16
_ERRING, _ERRING_MUCH = 3, 16
"""Perturbed runs of each row behind a guess at its noise; and behind the last choice."""
_MOST_WORK = 4e9
"""Multiplications that a search may cost; larger networks are searched by fewer rows, or not."""
_FEWEST_ROWS = 24
_ENOUGH = 1000.0
"""Times its guessed noise: what stands out by so much is caught by any margin."""
_KEPT, _TRIED = 6, 3

Rows = dict[str, Array]
"""What is fed, by input name; the first axis are candidates."""


@dataclass(eq=False)
class Generation:
    """Candidates, and what the right network makes of them.

    Attributes:
        rows: what is fed.
        right: the oracle's outputs.
        furthest: by output and row: its largest number.
        calm: rows that do not explode; single roundings decide where they do.
        erring: outputs of perturbed runs, once they were asked for.
    """

    rows: Rows
    right: Outputs
    furthest: Array
    calm: Array
    erring: Outputs | None = None


@dataclass(frozen=True, eq=False)
class Search:
    """What all searches of one experiment share.

    Attributes:
        specs: what the artifact can be fed.
        seed: of everything that is drawn.
        precision: whose noise a fault must stand out from.
        explosion: outputs may be so many times as large as inputs.
    """

    model: Model
    specs: InputSpecs
    seed: int
    precision: str
    explosion: float
    _common: list[Generation] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Candidates at a time; 0: the network is too large to be searched."""
        each = size_of(self.model) * self._steps * _ROUNDS * (_ERRING + 2)
        rows = int(min(_ROWS, _MOST_WORK // max(each, 1)))
        return rows if rows >= _FEWEST_ROWS else 0

    @property
    def _steps(self) -> int:
        time = next(spec.shape[1] for spec in self.specs if spec.name == INPUTS)
        return time if isinstance(time, int) else _STEPS

    def probes(self, fault: Fault) -> Iterator[Probe]:
        """Rows that show `fault`, a probe each, the best first; none where nothing shows it."""
        if not self.rows:
            return
        for k in range(_BLIND_ROUNDS):
            generation = self._generation(k)
            shown = self._shown_by(fault, generation, _ERRING)
            if shown.any():
                yield from self._refined(fault, generation, shown)
                return

    def _generation(self, number: int) -> Generation:
        """One of those that drive outputs as far as they go: the same for every fault."""
        while len(self._common) <= number:
            random = np.random.default_rng([self.seed, 400, len(self._common)])
            if not self._common:
                rows = self._first(random)
            else:
                last = self._common[-1]
                each = max(1, _PARENTS // len(last.furthest))
                best = np.argsort(-last.furthest, axis=1, kind="stable")[:, :each]
                rows = self._bred(last.rows, np.unique(best), random)
            self._common.append(self._made(rows))
        return self._common[number]

    def _made(self, rows: Rows) -> Generation:
        with np.errstate(over="ignore", invalid="ignore"):
            right = run_model(self.model, rows)
            sizes = np.asarray([_largest(a) for a in right.values()])
        calm = sizes.max(axis=0) <= self.explosion * (1.0 + _largest(rows[INPUTS]))
        return Generation(rows, right, np.where(calm, sizes, 0.0), calm)

    def _refined(self, fault: Fault, generation: Generation, shown: Array) -> Iterator[Probe]:
        """From the first rows that show it to those that show it best."""
        random = np.random.default_rng([self.seed, 401])
        kept: list[Rows] = []
        for _ in range(_ROUNDS):
            best = _best(shown)
            kept.append(_chosen(generation.rows, best[:_KEPT]))
            if shown.max() > _ENOUGH:
                break
            rows = self._bred(generation.rows, best[:_PARENTS], random)
            generation = self._made(rows)
            shown = self._shown_by(fault, generation, _ERRING)
        # what stood out by chance, of few runs, does not do so again
        final = self._made({n: np.concatenate([some[n] for some in kept]) for n in kept[0]})
        shown = self._shown_by(fault, final, _ERRING_MUCH)
        for top in _best(shown)[:_TRIED]:
            yield self._probe(fault, _chosen(final.rows, top[None]))

    def _first(self, random: np.random.Generator) -> Rows:
        """Rows of every strength; a third of them hold still."""
        count, steps = self.rows, self._steps
        lively = lively_amplitude(self.model, self.seed)
        loud = np.exp(random.uniform(np.log(1e-2), np.log(1e3), (count, 1, 1)))
        drawn: Rows = {}
        for spec in self.specs:
            if spec.name == INPUTS:
                x = random.uniform(-1.0, 1.0, (count, steps, int(spec.shape[2])))
                x[::3] = x[::3, :1]
                drawn[spec.name] = x * lively * loud
            elif spec.name == SEQUENCE_LENGTH:
                lengths = random.integers(1, steps + 1, count)
                drawn[spec.name] = np.where(random.random(count) < 0.5, steps, lengths)
            else:
                size = random.choice([0.0, 1.0, 1.6, 8.0, 64.0], (count, 1))
                drawn[spec.name] = random.uniform(-1, 1, (count, int(spec.shape[1]))) * size
        return self._stored(drawn)

    def _stored(self, drawn: Rows) -> Rows:
        dtypes = {spec.name: spec.dtype for spec in self.specs}
        return {
            name: within(values, dtypes[name]).astype(dtypes[name])
            for name, values in drawn.items()
        }

    def _shown_by(self, fault: Fault, made: Generation, runs: int) -> Array:
        """By row: how far the fault stands out of the noise; 0: not at all, or it explodes."""
        with np.errstate(over="ignore", invalid="ignore"):
            wrong = fault.run(made.rows)
            if all(np.array_equal(wrong[n], made.right[n], equal_nan=True) for n in made.right):
                return np.zeros(len(made.calm))
            if made.erring is None:
                tiled = {name: np.concatenate([a] * runs) for name, a in made.rows.items()}
                ops = StoredRounding(self.precision, runs)
                made.erring = run_model(self.model, tiled, ops)
            shown = [self._shown(n, made.right, wrong, made.erring) for n in made.right]
        return np.where(made.calm, np.max(shown, axis=0), 0.0)

    def _shown(self, name: str, right: Outputs, wrong: Outputs, erring: Outputs) -> Array:
        values = right[name]
        noise = np.abs(erring[name].reshape(-1, *values.shape) - values).max(axis=(0, -1))
        off = np.abs(wrong[name] - values).max(axis=-1)
        if name == OUTPUTS:
            padded = np.pad(noise, ((0, 0), (WINDOW, WINDOW)))
            noise = np.max(
                [padded[:, k : k + off.shape[1]] for k in range(2 * WINDOW + 1)], axis=0
            )
        stored = UNIT_ROUNDING[self.precision] * np.abs(values).max(axis=-1)
        ratio = off / (noise + stored + SMALLEST_NORMAL[self.precision])
        ratio = ratio.reshape(len(values), -1).max(axis=-1)
        return np.where(np.isfinite(ratio), ratio, 0.0)

    def _bred(self, rows: Rows, parents: Array, random: np.random.Generator) -> Rows:
        """The parents themselves, and children: of two, at another strength, partly redrawn."""
        count = self.rows
        kept = len(parents)
        mothers = np.concatenate([parents, random.choice(parents, count - kept)])
        fathers = np.concatenate([parents, random.choice(parents, count - kept)])
        children: Rows = {}
        for name, values in rows.items():
            one, other = values[mothers], values[fathers]
            if name != SEQUENCE_LENGTH:
                one, other = one.astype(np.float64), other.astype(np.float64)
                mixed = np.where(random.random(one.shape) < 0.15, other, one)
                flat = (count,) + (1,) * (one.ndim - 1)
                mixed = mixed * np.exp(random.normal(0.0, 0.7, flat))
                each = np.exp(random.normal(0.0, 0.4, one.shape))
                each = each * np.where(random.random(one.shape) < 0.08, -1.0, 1.0)
                still = random.random(flat) < 0.3
                mixed = np.where(still, mixed, mixed * each)
                mixed[:kept] = one[:kept]
                one = mixed
            children[name] = one
        return self._stored(children)

    def _probe(self, fault: Fault, row: Mapping[str, Array]) -> Probe:
        batch = next(spec.shape[0] for spec in self.specs if spec.name == INPUTS)
        copies = batch if isinstance(batch, int) else 1
        feeds = {name: frozen(np.repeat(values, copies, axis=0)) for name, values in row.items()}
        probe = Probe("", feeds)
        return replace(probe, name=f"{probe.batch} x {probe.steps}, sought for: {fault.name}")


def _largest(values: Array) -> Array:
    """Of each row; infinite where it is not finite."""
    sizes = np.abs(np.asarray(values, np.float64)).max(axis=tuple(range(1, values.ndim)))
    return np.asarray(np.nan_to_num(sizes, nan=np.inf, posinf=np.inf))


def _chosen(rows: Rows, which: Array) -> Rows:
    return {name: values[which] for name, values in rows.items()}


def _best(shown: Array) -> Array:
    """Rows that show anything, the best first."""
    order = np.argsort(-shown, kind="stable")
    return np.asarray(order[shown[order] > 0.0])
