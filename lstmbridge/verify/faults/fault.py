"""What a planted fault is, and the tools to plant one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from lstmbridge.arrays.numpy64 import Float64
from lstmbridge.contracts import Feeds
from lstmbridge.gates import Array, Weights
from lstmbridge.model.blocks import (
    Bidirectional,
    Block,
    Highway,
    Layer,
    Model,
    Recurrent,
    Residual,
    Sequence,
)
from lstmbridge.model.cells import Cell
from lstmbridge.model.forward import Wrap
from lstmbridge.verify.noise import Runner, run_model


@dataclass(frozen=True, eq=False)
class Fault:
    """One wrong network.

    Attributes:
        name: what went wrong: ``"gates i and f exchanged"``.
        explains: the end of a sentence that begins "equals the source": ``"with i and f
            exchanged"``.
        run: runs it.
        needs: names of inputs without which it cannot show; empty: none.
        idle: on these weights it is none (a bias of zeros dropped); it need not be run.
    """

    name: str
    explains: str
    run: Runner
    needs: tuple[str, ...] = ()
    idle: bool = False


@dataclass(frozen=True, eq=False)
class ModelRun:
    """Runs `model`; `wrap_in` an interpreter gives the wrap of its steps, None: the model's own.

    A value, like the next two, so that an experiment can make the same mistake elsewhere: by
    converting the wrong model, or by mishandling what a real session is fed and gives.
    """

    model: Model
    wrap_in: Callable[[Float64], Wrap] | None = None

    def __call__(self, feeds: Feeds, ops: Float64 | None = None) -> dict[str, Array]:
        """See `Runner`."""
        ops = ops or Float64()
        wrap = self.wrap_in(ops) if self.wrap_in else None
        return run_model(self.model, feeds, ops=ops, wrap=wrap)


@dataclass(frozen=True, eq=False)
class FeedsChanged:
    """Runs `model` on other feeds."""

    model: Model
    change: Callable[[Feeds], Feeds]

    def __call__(self, feeds: Feeds, ops: Float64 | None = None) -> dict[str, Array]:
        """See `Runner`."""
        return run_model(self.model, self.change(feeds), ops=ops)


@dataclass(frozen=True, eq=False)
class OutputsChanged:
    """Runs `model` and hands its outputs out wrongly."""

    model: Model
    change: Callable[[Mapping[str, Array], Feeds], dict[str, Array]]

    def __call__(self, feeds: Feeds, ops: Float64 | None = None) -> dict[str, Array]:
        """See `Runner`."""
        return self.change(run_model(self.model, feeds, ops=ops), feeds)


def runs(model: Model, wrap_in: Callable[[Float64], Wrap] | None = None) -> Runner:
    """See `ModelRun`."""
    return ModelRun(model, wrap_in)


def feeds_changed(model: Model, change: Callable[[Feeds], Feeds]) -> Runner:
    """See `FeedsChanged`."""
    return FeedsChanged(model, change)


def outputs_changed(
    model: Model, change: Callable[[Mapping[str, Array], Feeds], dict[str, Array]]
) -> Runner:
    """See `OutputsChanged`."""
    return OutputsChanged(model, change)


def with_cells(model: Model, cell_of: Callable[[Layer], Cell]) -> Model:
    """The model with another cell at each layer's place; the structure stays."""
    return _with_layers(model, lambda block, layer: replace(block, cell=cell_of(layer)))


def with_beginnings(model: Model, initial_of: Callable[[Layer], Mapping[str, Weights]]) -> Model:
    """The model whose layers' states begin with other rows."""
    return _with_layers(model, lambda block, layer: replace(block, initial=initial_of(layer)))


def _with_layers(model: Model, change: Callable[[Recurrent, Layer], Recurrent]) -> Model:
    layers = iter(model.layers)

    def rebuild(block: Block) -> Block:
        if isinstance(block, Recurrent):
            return change(block, next(layers))
        return _rebuilt(block, rebuild)

    return replace(model, root=rebuild(model.root))


def with_blocks(model: Model, change: Callable[[Block], Block]) -> Model:
    """The model with `change` applied to every block, innermost first."""

    def rebuild(block: Block) -> Block:
        return change(_rebuilt(block, rebuild))

    return replace(model, root=rebuild(model.root))


def _rebuilt(block: Block, rebuild: Callable[[Block], Block]) -> Block:
    """The block with its children rebuilt."""
    if isinstance(block, Residual | Highway):
        return replace(block, inner=rebuild(block.inner))
    if isinstance(block, Bidirectional):
        return Bidirectional(rebuild(block.forward), rebuild(block.backward))
    if isinstance(block, Sequence):
        return Sequence(tuple(rebuild(child) for child in block.blocks))
    return block
