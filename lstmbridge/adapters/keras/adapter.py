"""A Keras file -> its recurrent stacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from lstmbridge.adapters.keras.alone import (
    between,
    kind_of,
    layers_alone,
    refuse_statements,
)
from lstmbridge.adapters.keras.config import MODELS, UNCHANGED, LayerEntry, layers_of
from lstmbridge.adapters.keras.folders import folder_of
from lstmbridge.adapters.keras.layers import Context, Leaf, block_of, both_ways, leaves_of
from lstmbridge.adapters.keras.stacks import RecurrentLayer, selected, stacks_of, title
from lstmbridge.adapters.keras.weights import Kernels, in_folders, in_group
from lstmbridge.contracts import (
    Described,
    DescribedSource,
    DrawnModel,
    Hints,
    Ignored,
    NoMatch,
    Part,
    Recognition,
    Source,
)
from lstmbridge.errors import (
    CannotExpress,
    LstmBridgeError,
    NotRecognised,
    UsageError,
)
from lstmbridge.model.blocks import Block, Model
from lstmbridge.model.blocks import Sequence as Chain

_SHOWN = 8
_MASKING = (
    "the model masks padded steps, and the artifact steps over all that it is fed: feed rows "
    "without padding, or use --sequence-length (outputs past the end are zero there, Keras "
    "repeats the last)"
)


class KerasAdapter:
    """Recurrent layers of Keras 1, 2, 3 and tf.keras, by the file's config or its groups."""

    @property
    def name(self) -> str:
        """Short name, for messages and entry points."""
        return "keras"

    def recognise(self, source: Source, hints: Hints) -> Recognition | NoMatch:
        """Find the recurrent stacks of a Keras file. Reads no weights.

        Raises:
            NotRecognised: there is no recurrent layer, or weights that are not the config's.
            CannotExpress, FactMissing, FactConflict: see `Hints`.
            UsageError: an option that Keras files have no use for.
        """
        if not isinstance(source, DescribedSource):
            return NoMatch(str(source.path), "it lists no Keras layers")
        _refuse_options(hints)
        if source.described.config is not None:
            refuse_statements(hints, source.described.config_where)
        described = source.described
        where = described.config_where if described.config is not None else ""
        context = Context(described.version, described.tree, where, hints)
        entries = [] if described.config is None else list(layers_of(described.config))
        found = _by_config(source, described, entries, context) if entries else []
        found = found or ([] if entries else layers_alone(source, described, context))
        if not found:
            raise _nothing(source, described, entries)
        return _recognition(source, described, found, entries, hints)

    def draw(self, source: Source, hints: Hints) -> DrawnModel | None:
        """The whole model that a Keras file describes, as a graph; None for weights alone.

        Raises:
            CannotExpress: a layer that is not known, by its name.
            NotRecognised: weights or calls that do not fit the config.
            UsageError, FactMissing, FactConflict: see `recognise`.
        """
        if not isinstance(source, DescribedSource) or source.described.config is None:
            return None
        from lstmbridge.adapters.keras.whole import drawn_model

        _refuse_options(hints)
        described = source.described
        refuse_statements(hints, described.config_where)
        context = Context(described.version, described.tree, described.config_where, hints)
        return drawn_model(described, source.tensors, context, str(source.path))


def _refuse_options(hints: Hints) -> None:
    """Errors: UsageError."""
    given = {
        "--cell": hints.cell,
        "--forget-bias": hints.forget_bias,
        "--cell-clip": hints.cell_clip,
        "--proj-clip": hints.proj_clip,
        "--layers": hints.layers,
        "--residual": hints.residual,
        "--map": hints.renames or None,
        "--ema": hints.ema,
    }
    for flag, value in given.items():
        if value is not None:
            raise UsageError(
                f"{flag} says nothing of a Keras layer",
                expected="--activation, --gate-activation, --merge-mode, --go-backwards, "
                "--masking, --reset-after or --select",
                where=flag,
                advice=f"leave {flag} out: the file stores it, or its layers have no such thing",
            )


def _by_config(
    source: Source, described: Described, entries: Sequence[LayerEntry], context: Context
) -> list[RecurrentLayer]:
    """The recurrent layers that the config lists, each with its weights."""
    wanted: dict[str, list[tuple[LayerEntry, list[Leaf]]]] = {}
    problems: dict[str, LstmBridgeError] = {}
    for entry in entries:
        try:
            leaves = leaves_of(entry)
        except CannotExpress as err:
            problems[entry.name] = err
            continue
        if leaves:
            wanted.setdefault(entry.path[0], []).append((entry, leaves))
    kernels = _assigned(source, described, wanted)
    through = {e.name: e for e in entries}
    layers = [
        RecurrentLayer(e.name, e.kind, (), None, None, problems[e.name])
        for e in entries
        if e.name in problems
    ]
    for group in wanted.values():
        for entry, leaves in group:
            own = kernels[entry.name]
            try:
                if len(own) != len(leaves):
                    raise _unlike(entry, len(leaves), len(own))
                block: Block | None = (
                    both_ways(
                        entry.name, leaves, own, context, entry.config.get("merge_mode", "concat")
                    )
                    if entry.kind == "Bidirectional"
                    else block_of(entry.name, leaves, own, context)
                )
                problem = None
            except (CannotExpress, NotRecognised) as err:
                block, problem = None, err
            last = leaves[0].config if entry.kind == "Bidirectional" else entry.config
            layers.append(
                RecurrentLayer(
                    entry.name, entry.kind, own, _source_of(entry, through), block, problem,
                    bool(last.get("return_sequences", True)),
                )
            )  # fmt: skip
    order = {entry.name: k for k, entry in enumerate(entries)}
    return sorted(layers, key=lambda layer: order[layer.name])


def _unlike(entry: LayerEntry, asked: int, stored: int) -> NotRecognised:
    return NotRecognised(
        f"{entry.name} ({entry.kind}) has {asked} cells by its config, and {stored} are stored",
        expected="the weights of this model",
        where=entry.name,
    )


def _assigned(
    source: Source,
    described: Described,
    wanted: Mapping[str, list[tuple[LayerEntry, list[Leaf]]]],
) -> dict[str, tuple[Kernels, ...]]:
    """Layer -> its kernels. In a group of several layers they are stored in the layers' order."""
    found: dict[str, tuple[Kernels, ...]] = {}
    for top, group in wanted.items():
        if described.tree:
            for entry, _ in group:
                folder = folder_of(described, entry)
                found[entry.name] = tuple(in_folders(described, source.tensors, folder))
            continue
        stored = in_group(described.groups.get(top, ()), source.tensors)
        trained = sorted(group, key=lambda pair: not pair[0].config.get("trainable", True))
        for entry, leaves in trained:
            named = [k for k in stored if len(group) > 1 and entry.path[-1] in k.place.split("/")]
            own = named if len(named) == len(leaves) else stored[: len(leaves)]
            found[entry.name] = tuple(own)
            stored = [k for k in stored if all(k is not o for o in own)]
    return found


def _source_of(entry: LayerEntry, through: Mapping[str, LayerEntry]) -> str | None:
    """What a layer is fed by, past layers that hand on what they are given."""
    scope, feeds = entry.path[:-1], entry.feeds
    for _ in range(len(through) + 1):
        if feeds is None or len(feeds) != 1:
            return None
        before = through.get("/".join((*scope, feeds[0])))
        if before is None:
            return None
        idle = before.kind == "Activation" and before.config.get("activation") == "linear"
        if before.kind not in UNCHANGED and not idle:
            return before.name
        feeds = before.feeds
    return None


def _recognition(
    source: Source,
    described: Described,
    found: Sequence[RecurrentLayer],
    entries: Sequence[LayerEntry],
    hints: Hints,
) -> Recognition:
    good = [layer for layer in found if layer.block is not None]
    stacks = stacks_of(good)
    wanted = stacks if hints.select is None else selected(stacks, found, hints.select)
    if not wanted:
        raise next(layer.problem for layer in found if layer.problem is not None)
    parts = tuple(_part(described, stack, hints) for stack in wanted)
    taken = {name for part in parts for names in part.variables.values() for name in names}
    kinds = {entry.name: entry.kind for entry in entries}
    refusals = tuple(
        NoMatch(layer.name, layer.problem.read) for layer in found if layer.problem is not None
    )
    return Recognition(
        parts=parts,
        ignored=tuple(
            Ignored(name, ref.shape, _why(name, described, kinds))
            for name, ref in source.tensors.items()
            if name not in taken
        ),
        refusals=refusals,
        warnings=_warnings(described, wanted, entries, refusals, hints),
    )


def _part(described: Described, stack: Sequence[RecurrentLayer], hints: Hints) -> Part:
    blocks: list[Block] = []
    for layer in stack:
        block = layer.block
        if isinstance(block, Chain):
            blocks += block.blocks
        elif block is not None:
            blocks.append(block)
    root = blocks[0] if len(blocks) == 1 else Chain(tuple(blocks))
    facts = {name: fact for layer in stack for name, fact in layer.facts.items()}
    if described.config is None:
        facts |= between(stack, hints)
    model = Model(title(stack), root, facts)
    pairs = [k for layer in stack for k in layer.kernels]
    # `Model.layers` walks in the order in which kernels lie here
    variables = {
        layer.name: kernels.names for layer, kernels in zip(model.layers, pairs, strict=True)
    }
    kinds = dict.fromkeys(
        f"Bidirectional {_inner(layer)}" if layer.kind == "Bidirectional" else layer.kind
        for layer in stack
    )
    version = f"Keras {described.version}" if described.version else "Keras"
    return Part(title(stack), model, variables, f"{' and '.join(kinds)} ({version})")


def _inner(layer: RecurrentLayer) -> str:
    return kind_of(layer.kernels[0].gates)


def _why(name: str, described: Described, kinds: Mapping[str, str]) -> str:
    group = name.split("/", maxsplit=1)[0]
    kind = kinds.get(group, "")
    if described.tree or not kind:
        return "it is no part of a recurrent layer that was converted"
    return f"{group} is a {kind} layer; the recurrent stack alone is converted"


def _warnings(
    described: Described,
    stacks: Sequence[Sequence[RecurrentLayer]],
    entries: Sequence[LayerEntry],
    refusals: Sequence[NoMatch],
    hints: Hints,
) -> tuple[str, ...]:
    said = [f"{r.where} is not converted: {r.reason}" for r in refusals]
    if described.config is None:
        said += [
            f"no config says what lies between {' and '.join(s.name for s in stack)}: they are "
            f"taken one after another; --select {stack[-1].name} takes one alone"
            for stack in stacks
            if len(stack) > 1
        ]
    masking = bool(hints.masking) or any(
        e.kind == "Masking" or (e.kind == "Embedding" and e.config.get("mask_zero"))
        for e in entries
    )
    return tuple((*said, _MASKING) if masking else said)


def _nothing(source: Source, described: Described, entries: Sequence[LayerEntry]) -> NotRecognised:
    kinds = Counter(entry.kind for entry in entries if entry.kind not in MODELS)
    named = [f"{kind} x {n}" if n > 1 else kind for kind, n in kinds.most_common(_SHOWN)]
    listed = ", ".join(named) or ", ".join(list(described.groups)[:_SHOWN])
    if not described.groups or not source.tensors:
        return NotRecognised("the file holds no weights", where=str(source.path))
    return NotRecognised(
        f"the model has no recurrent layer: its layers are {listed}",
        expected="LSTM, GRU, SimpleRNN, CuDNNLSTM, CuDNNGRU, RNN or Bidirectional layers",
        where=str(source.path),
        advice="there is nothing recurrent to convert",
    )
