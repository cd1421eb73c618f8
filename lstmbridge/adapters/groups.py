"""GLSTMCell: an LSTM in groups that do not see each other.

Seen by running 1.4.1 and 1.15.5: one kernel per group over its own part of x and h, columns
i, j, f, o; biases gate by gate over all groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lstmbridge.adapters.dialects import (
    FIRST,
    LATEST,
    CellClass,
    Family,
    Geometry,
    Option,
    Spelling,
)
from lstmbridge.adapters.fitting import misfit, misfit_of_dtypes
from lstmbridge.adapters.stored import BlockDiagonal, RowShards, Stored, pieces_of
from lstmbridge.errors import LstmBridgeError
from lstmbridge.gates import TENSORFLOW_LSTM, Cut, GateBlocks, Weights
from lstmbridge.graph.findings import FormQuery
from lstmbridge.model.cells import LSTM
from lstmbridge.model.facts import Fact

_GROUP_BIASES: Mapping[str, str] = {"i": "bias_i", "c": "bias_j", "f": "bias_f", "o": "bias_o"}
_ONLY_AFTER = (
    "GLSTMCell applies its activation to the output only, and tanh to the candidate: that is "
    "no cell of the model, unless both are tanh"
)


def measure_groups(roles: Mapping[str, Stored]) -> Geometry | LstmBridgeError:
    """Sizes of a GLSTM: all groups alike, biases and projection over all of them."""
    bias, kernel = roles["bias_i"], roles["kernel"]
    groups = pieces_of(kernel.ref)
    rows, columns = (*groups[0].shape, 0, 0)[:2]
    alike = len({group.shape for group in groups}) == 1
    if len(groups[0].shape) != 2 or columns % 4 or not alike:
        return misfit(kernel, "equal kernels [rows of x and h, 4 * units] / groups", bias)
    width = len(groups) * columns // 4
    for role in _GROUP_BIASES.values():
        if roles[role].ref.shape != (width,):
            return misfit(roles[role], f"({width},), as {len(groups)} groups ask for", kernel)
    output = width
    projection = roles.get("projection")
    if projection is not None:
        if len(projection.ref.shape) != 2 or projection.ref.shape[0] != width:
            return misfit(projection, f"({width}, output), as the groups ask for", kernel)
        output = projection.ref.shape[1]
    inputs = len(groups) * rows - output
    if inputs < 1 or output < 1 or output % len(groups):
        return misfit(kernel, f"rows for x and for {output} outputs in equal groups", bias)
    return misfit_of_dtypes(roles, kernel) or Geometry(inputs, width, output)


def build_groups(roles: Mapping[str, Weights], facts: Mapping[str, Fact[Any]]) -> LSTM:
    """A GLSTMCell as the LSTM that it is: block-diagonal kernels, the groups' units in order."""
    groups = pieces_of(roles["kernel"])
    projection = roles.get("projection")
    width = roles["bias_i"].shape[0]
    output = (width if projection is None else projection.shape[1]) // len(groups)
    columns = width // len(groups)
    rows = groups[0].shape[0]

    def blocks(start: int, stop: int) -> GateBlocks:
        return GateBlocks(
            {
                gate: BlockDiagonal(
                    f"{roles['kernel'].name}, {gate}",
                    tuple(
                        Cut(group, (slice(start, stop), slice(k * columns, (k + 1) * columns)))
                        for group in groups
                    ),
                )
                for k, gate in enumerate(TENSORFLOW_LSTM.gates)
            }
        )

    return LSTM(
        kernel=blocks(0, rows - output),
        recurrent=blocks(rows - output, rows),
        bias=GateBlocks({gate: roles[role] for gate, role in _GROUP_BIASES.items()}),
        peephole=None,
        projection=projection,
        **facts,
    )


def ask(label: str, roles: Mapping[str, Stored], sizes: Geometry) -> FormQuery:
    """The question to a graph: each group's kernel is a role of its own."""
    groups = pieces_of(roles["kernel"].ref)
    names = [f"group{k}" for k in range(len(groups))]
    others = {role: stored for role, stored in roles.items() if role != "kernel"}
    shapes = {name: group.shape for name, group in zip(names, groups, strict=True)}
    in_graph = {
        name: (variable,) for name, variable in zip(names, roles["kernel"].in_graph, strict=True)
    }

    def build(tensors: Mapping[str, Weights], facts: Mapping[str, Fact[Any]]) -> LSTM:
        kernel = RowShards("groups", tuple(tensors[name] for name in names))
        return build_groups({**tensors, "kernel": kernel}, facts)

    return FormQuery(
        layer=label,
        variables=in_graph | {role: stored.in_graph for role, stored in others.items()},
        shapes=shapes | {role: stored.ref.shape for role, stored in others.items()},
        small=None,
        sees=dict.fromkeys(names, "xh"),
        build=build,
        options={name: option.default for name, option in _OPTIONS.items()},
        open=frozenset({"forget_bias"}),
        input_size=sizes.input_size,
        output_size=sizes.output_size,
        state_sizes={"h": sizes.output_size, "c": sizes.units},
        last=frozenset({"projection"}),
        pieces=True,
    )


_OPTIONS = {
    "forget_bias": Option(1.0),
    "activation": Option("tanh", refused=_ONLY_AFTER),
    "gate_activation": Option("sigmoid", fixed=True),
    "cell_clip": Option(None, fixed=True),
    "proj_clip": Option(None, fixed=True),
}

GROUP_FAMILY = Family(
    kind="LSTM in groups",
    classes=(
        CellClass(
            "GLSTMCell",
            ("glstm_cell", "GLSTMCell"),
            frozenset({"kernel", "projection", *_GROUP_BIASES.values()}),
            _OPTIONS,
        ),
    ),
    spellings=tuple(
        Spelling(
            era,
            {
                "kernel": f"group#/{kernel}",
                **{role: role for role in _GROUP_BIASES.values()},
                "projection": f"projection/{kernel}",
            },
        )
        for era, kernel in ((LATEST, "kernel"), (FIRST, "weights"))
    ),
    needed=("kernel", *_GROUP_BIASES.values()),
    own_name="GLSTMCell",
    measure=measure_groups,
    build=build_groups,
    ask=ask,
)
