"""Layers as pictures: every cell, any width, eighty columns."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstmbridge import api
from lstmbridge.contracts import Hints, Inspection, Part, Recognition
from lstmbridge.gates import (
    TENSORFLOW_GRU_CANDIDATE,
    TENSORFLOW_GRU_GATES,
    TENSORFLOW_LSTM,
    TENSORFLOW_NAS,
    GateBlocks,
    InMemory,
)
from lstmbridge.model.blocks import Dense, Highway, Model, Recurrent, Residual, Sequence
from lstmbridge.model.cells import GRU, LSTM, NAS
from lstmbridge.model.facts import Fact
from lstmbridge.report import jsonable, terminal
from lstmbridge.report.layout import columns, wrapped
from lstmbridge.report.picture import INDENT, common_scope, draw, plain
from lstmbridge.report.samples import SAMPLES


def tensor(name: str, *shape: int) -> InMemory:
    return InMemory(f"rnn/cell/{name}", np.broadcast_to(np.float32(0), shape))


def fact(value: Any) -> Fact[Any]:
    return Fact.given(value, "test")


def lstm(inputs: int, units: int) -> LSTM:
    kernel = tensor("kernel", inputs + units, 4 * units)
    return LSTM(
        kernel=GateBlocks.from_fused(kernel, TENSORFLOW_LSTM, slice(0, inputs)),
        recurrent=GateBlocks.from_fused(kernel, TENSORFLOW_LSTM, slice(inputs, inputs + units)),
        bias=GateBlocks.from_fused(tensor("bias", 4 * units), TENSORFLOW_LSTM),
        forget_bias=fact(1.0), activation=fact("tanh"), gate_activation=fact("sigmoid"),
        cell_clip=fact(None), proj_clip=fact(None),
    )  # fmt: skip


def gru(inputs: int, units: int) -> GRU:
    gates = tensor("gates/kernel", inputs + units, 2 * units)
    candidate = tensor("candidate/kernel", inputs + units, units)

    def both(first: Any, second: Any, rows: slice | None = None) -> GateBlocks:
        a = GateBlocks.from_fused(first, TENSORFLOW_GRU_GATES, rows)
        b = GateBlocks.from_fused(second, TENSORFLOW_GRU_CANDIDATE, rows)
        return GateBlocks({**{g: a.cut(g) for g in a.gates}, **{g: b.cut(g) for g in b.gates}})

    return GRU(
        kernel=both(gates, candidate, slice(0, inputs)),
        recurrent=both(gates, candidate, slice(inputs, inputs + units)),
        bias=both(tensor("gates/bias", 2 * units), tensor("candidate/bias", units)),
        reset_after=fact(False), activation=fact("tanh"), gate_activation=fact("sigmoid"),
    )  # fmt: skip


def nas(inputs: int, units: int) -> NAS:
    return NAS(
        GateBlocks.from_fused(tensor("kernel", inputs, 8 * units), TENSORFLOW_NAS),
        GateBlocks.from_fused(tensor("recurrent_kernel", units, 8 * units), TENSORFLOW_NAS),
    )


def shown(model: Model, **variables: tuple[str, ...]) -> str:
    part = Part(model.name, model, variables, "a dialect")
    found = Recognition((part,), (), (), ())
    return terminal.inspection(Inspection("model.ckpt", "V2", None, (), None, found))


def fits(lines: list[str]) -> bool:
    return all(len(line) <= 80 and line == line.rstrip() for line in lines)


def test_the_fused_kernel_is_drawn_with_its_rows_and_columns() -> None:
    assert draw(lstm(5, 2)) == [
        "kernel\N{NO-BREAK SPACE}(7, 8) and bias\N{NO-BREAK SPACE}(8,); float32, columns by gate:",
        "                W_i       W_c (TF j)      W_f          W_o",
        "                0:2          2:4          4:6          6:8",
        "           ┌────────────┬────────────┬────────────┬────────────┐",
        "x rows 0:5 │   (5, 2)   │   (5, 2)   │   (5, 2)   │   (5, 2)   │",
        "           ├────────────┼────────────┼────────────┼────────────┤",
        "h rows 5:7 │   (2, 2)   │   (2, 2)   │   (2, 2)   │   (2, 2)   │",
        "           ├────────────┼────────────┼────────────┼────────────┤",
        "bias       │    (2,)    │    (2,)    │    (2,)    │    (2,)    │",
        "           └────────────┴────────────┴────────────┴────────────┘",
    ]


def test_tensors_that_are_stored_apart_are_drawn_apart() -> None:
    text = "\n".join(draw(gru(4, 3))).replace("\N{NO-BREAK SPACE}", " ")
    first, second = re.split("\n(?=candidate)", text)
    assert first.startswith("gates/kernel (7, 6) and gates/bias (6,); float32, columns by gate:")
    assert "W_r       W_z (TF u)" in first
    assert second.startswith("candidate/kernel (7, 3) and candidate/bias (3,); float32:")
    assert "W_c" in second
    assert "W_c" not in first


def test_gates_of_which_each_has_a_tensor_of_its_own_share_one_table() -> None:
    blocks = {field: GateBlocks({g: tensor(field + g, 3, 3) for g in "ifco"}) for field in "xh"}
    cell = LSTM(
        kernel=blocks["x"], recurrent=blocks["h"], bias=None,
        forget_bias=fact(1.0), activation=fact("tanh"), gate_activation=fact("sigmoid"),
        cell_clip=fact(None), proj_clip=fact(None),
    )  # fmt: skip
    lines = draw(cell)
    assert lines[0] == "kernel in 4 tensors and recurrent in 4 tensors; float32, columns by gate:"
    assert sum("┌" in line for line in lines) == 1


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_field_of_every_cell_is_shown(kind: str, numbers: Any) -> None:
    for option in ("", *SAMPLES[kind].options):
        cell = numbers(kind, option)
        text = "\n".join(draw(cell))
        for gate in cell.GATES:
            assert f"W_{gate}" in text
        for field in cell.blocks:
            assert {"kernel": "\nx", "recurrent": "\nh"}.get(field, field) in text
        assert fits([" " * INDENT + line for line in draw(cell)[1:]])


@pytest.mark.parametrize("make", [lstm, gru, nas])
@pytest.mark.parametrize(("inputs", "units"), [(1, 1), (128, 1024), (4096, 2048), (10000, 8192)])
def test_a_picture_of_any_size_fits_a_narrow_terminal(make: Any, inputs: int, units: int) -> None:
    assert fits(shown(Model("rnn", Recurrent(make(inputs, units)))).splitlines())


def test_twelve_layers_that_are_alike_are_drawn_once() -> None:
    layers = (lstm(3, 2), *(lstm(2, 2) for _ in range(11)))
    text = shown(Model("rnn", Sequence(tuple(Recurrent(cell) for cell in layers))))
    assert "layer1 to layer11: kernel (4, 8)" in text
    assert text.count("┌") == 2
    assert fits(text.splitlines())


def test_blocks_around_cells_stand_in_their_place() -> None:
    square = tensor("carry_w", 3, 3)
    highway = Highway(Recurrent(lstm(3, 3)), square, tensor("carry_b", 3))
    dense = Dense(tensor("in/kernel", 5, 3), tensor("in/bias", 3), fact("linear"))
    model = Model("rnn", Sequence((dense, Recurrent(gru(3, 3)), highway)))
    rows = [line.split()[:2] for line in shown(model).splitlines()[4:8]]
    assert rows == [
        ["dense0", "Dense"],
        ["layer0", "GRU"],
        ["layer1", "LSTM"],
        ["highway0", "Highway"],
    ]
    found = jsonable.part(Part("rnn", model, {}, "a dialect"))
    assert found["order"] == ["dense0", "layer0", "layer1", "highway0"]
    assert found["attachments"][0]["arrays"] == {"kernel": [5, 3], "bias": [3]}
    assert found["attachments"][1]["variables"] == ["rnn/cell/carry_w", "rnn/cell/carry_b"]


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_json_of_a_layer_holds_the_shape_of_every_block(kind: str, numbers: Any) -> None:
    for option in ("", *SAMPLES[kind].options):
        cell = numbers(kind, option)
        part = Part("rnn", Model("rnn", Recurrent(cell)), {"layer0": ("a", "b")}, "a dialect")
        (layer,) = json.loads(json.dumps(jsonable.part(part)))["layers"]
        assert layer["cell"] == kind
        assert layer["states"] == cell.state_sizes
        assert list(layer["gates"]) == list(cell.kernel.gates)
        told = {field for gate in layer["gates"].values() for field, s in gate.items() if s}
        assert told | set(layer["arrays"]) == set(cell.blocks)
        assert all({"kernel", "recurrent", "bias"} <= set(g) for g in layer["gates"].values())


def test_variables_with_one_reason_stand_together(case: Any) -> None:
    prefix = case("tf115-adam-average").prefix
    text = terminal.inspection(api.inspect(prefix), verbose=True)
    assert text.count("optimizer slot (Adam)\n") == 1
    assert "/kernel/Adam_1  (7, 8)" in text
    short = terminal.inspection(api.inspect(prefix, Hints()))
    assert "... 9 more with --verbose" in short
    assert text.count("moving average; --ema takes it\n") == 1


def test_signs_have_a_plain_form() -> None:
    assert plain("┌─┐ 3 → 4 x·W").isascii()


def test_words_that_are_glued_stay_on_one_line() -> None:
    glued = "x" * 70 + " kernel\N{NO-BREAK SPACE}(7, 8)"
    assert wrapped(glued) == ["x" * 70, "    kernel (7, 8)"]


def test_the_last_column_wraps_within_itself() -> None:
    lines = columns([("a", "word " * 30), ("long", "")])
    assert all(line.startswith("      word") for line in lines[1:-1])
    assert lines[0].startswith("a     word")
    assert lines[-1] == "long"


def test_facts_of_layers_that_agree_are_said_once_with_the_first_place() -> None:
    def layer(k: int, clip: float | None) -> Recurrent:
        cell = lstm(2, 2)
        where = f"meta: cell_{k}/Const_{k}"
        return Recurrent(replace(cell, forget_bias=Fact.read(0.5, where), cell_clip=fact(clip)))

    model = Model("rnn", Sequence((layer(0, None), layer(1, None), layer(2, 3.0))))
    lines = [line.strip() for line in shown(model).splitlines()]
    assert "forget_bias = 0.5  (read: meta: cell_0/Const_0, ...)" in lines
    assert "cell_clip = none in layer0, layer1  (given: test)" in lines
    assert "cell_clip = 3.0 in layer2  (given: test)" in lines
    assert "activation = tanh  (given: test)" in lines


def test_a_residual_is_shown_behind_what_it_goes_around() -> None:
    wrapped_layers = Sequence((Recurrent(lstm(2, 2)), Recurrent(gru(2, 2))))
    model = Model("rnn", Sequence((Recurrent(lstm(3, 2)), Residual(wrapped_layers))))
    rows = [line.split() for line in shown(model).splitlines()[4:8]]
    assert [row[0] for row in rows] == ["layer0", "layer1", "layer2", "residual"]
    assert " ".join(rows[3][-5:]) == "adds the input of layer1"


@pytest.mark.parametrize(
    ("names", "scope"),
    [
        (("a/b/kernel", "a/b/bias"), "a/b"),
        (("a/b/gates/kernel", "a/b/candidate/kernel"), "a/b"),
        (("/a/kernel", "b/kernel"), ""),
        (("kernel",), ""),
        ((), ""),
    ],
)
def test_the_common_scope_of_any_names(names: tuple[str, ...], scope: str) -> None:
    assert common_scope(names) == scope
