"""Every number of the source is in the artifact once, bit for bit, and no other."""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from lstmbridge.contracts import LedgerReport
from lstmbridge.gates import GateBlocks, InMemory
from lstmbridge.model.blocks import Dense, Model, Recurrent, Sequence
from lstmbridge.model.cells import GRU, LSTM, NAS, LayerNormLSTM
from lstmbridge.model.facts import Fact
from lstmbridge.model.folding import projected_gate
from lstmbridge.verify.ledger import check_ledger, merged_ledgers


def faithful(model, dtype=np.float32):
    """The ledger of an artifact that holds everything."""
    ledger = {}
    for layer in model.layers:
        for field, stored in layer.cell.blocks.items():
            if isinstance(stored, GateBlocks):
                for gate in stored:
                    ledger[layer.name, field, gate] = np.array(stored[gate].astype(dtype))
            else:
                ledger[layer.name, field, ""] = np.array(stored.load().astype(dtype))
        bias = layer.cell.facts.get("forget_bias")
        if bias is not None:
            ledger[layer.name, "forget_bias", ""] = np.full(layer.cell.units, bias.value, dtype)
    return ledger


@pytest.mark.parametrize("kind", [LSTM, GRU, LayerNormLSTM, NAS])
def test_a_faithful_artifact_has_every_number_and_no_complaint(networks, kind):
    model = networks.stack(kind, without=("recurrent_bias",))
    ledger = faithful(model)
    report = check_ledger(model, ledger)
    assert report == LedgerReport(compared=sum(a.size for a in ledger.values()))


def test_one_last_bit_is_seen_and_named(networks):
    model = networks.stack()
    ledger = faithful(model)
    block = ledger["layer1", "recurrent", "f"]
    block[2, 3] = np.nextafter(block[2, 3], np.float32(9))
    report = check_ledger(model, ledger)
    assert len(report.different) == 1
    assert "layer1 recurrent[f]" in report.different[0]
    assert "(2, 3)" in report.different[0]
    assert "1 of 16" in report.different[0]


def test_minus_zero_is_not_zero(networks):
    model = networks.stack(count=1)
    ledger = faithful(model)
    kernel = GateBlocks.of(
        {g: np.where(model.layers[0].cell.kernel[g] > 9, 1, np.float32(0.0)) for g in "ifco"}
    )
    model = Model("", Recurrent(replace(model.layers[0].cell, kernel=kernel)))
    for gate in "ifco":
        ledger["layer0", "kernel", gate] = np.full((3, 4), -0.0, np.float32)
    assert len(check_ledger(model, ledger).different) == 4


def test_a_transposed_block_is_a_different_block(networks):
    model = networks.stack(count=1)
    ledger = faithful(model)
    ledger["layer0", "recurrent", "i"] = ledger["layer0", "recurrent", "i"].T
    ledger["layer0", "kernel", "i"] = ledger["layer0", "kernel", "i"].T
    report = check_ledger(model, ledger)
    assert any("recurrent[i]: " in line and "numbers differ" in line for line in report.different)
    assert any("kernel[i]: shape (4, 3)" in line for line in report.different)


def test_gates_that_changed_places_are_seen(networks):
    model = networks.stack(count=1)
    ledger = faithful(model)
    f, o = ("layer0", "kernel", "f"), ("layer0", "kernel", "o")
    ledger[f], ledger[o] = ledger[o], ledger[f]
    assert len(check_ledger(model, ledger).different) == 2


def test_what_is_missing_and_what_is_too_much_is_named(networks):
    model = networks.stack(count=1)
    ledger = faithful(model)
    del ledger["layer0", "kernel", "c"]
    ledger["layer1", "kernel", "c"] = np.zeros((3, 4), np.float32)
    report = check_ledger(model, ledger)
    assert report.missing == ("layer0 kernel[c]",)
    assert report.extra == ("layer1 kernel[c]",)


def test_a_bias_of_zeros_need_not_be_stored_and_any_other_must(networks):
    cell = networks.cell()
    zeros = GateBlocks.of({g: np.zeros(4, np.float32) for g in "ifco"})
    silent = Model("", Recurrent(replace(cell, bias=zeros, forget_bias=Fact.given(0.0, ""))))
    ledger = {k: v for k, v in faithful(silent).items() if k[1] in {"kernel", "recurrent"}}
    assert check_ledger(silent, ledger) == LedgerReport(4 * (3 * 4 + 4 * 4))
    loud = check_ledger(Model("", Recurrent(cell)), {**faithful(silent)})
    assert len(loud.different) == 5


def test_a_bias_that_the_source_has_not_may_be_zeros_in_the_artifact_and_nothing_else(networks):
    model = networks.stack(count=1, without=("bias", "peephole"))
    ledger = faithful(model)
    for gate in "ifco":
        ledger["layer0", "bias", gate] = np.zeros(4, np.float32)
    assert not check_ledger(model, ledger).different
    ledger["layer0", "bias", "o"][1] = 1e-30
    assert "layer0 bias[o]" in check_ledger(model, ledger).different[0]


def test_a_forget_bias_may_stand_under_its_gate_and_must_be_right(networks):
    model = networks.stack(count=1)
    ledger = faithful(model)
    ledger["layer0", "forget_bias", "f"] = ledger.pop(("layer0", "forget_bias", ""))
    assert check_ledger(model, ledger).extra == check_ledger(model, ledger).different == ()
    ledger["layer0", "forget_bias", "i"] = np.zeros(4, np.float32)
    assert "forget_bias[i]" in check_ledger(model, ledger).different[0]


def test_a_forget_bias_added_to_the_stored_bias_is_not_bit_exact(networks):
    model = networks.stack(count=1)
    ledger = faithful(model)
    ledger["layer0", "bias", "f"] += ledger.pop(("layer0", "forget_bias", ""))
    report = check_ledger(model, ledger)
    assert report.different
    assert report.missing == ("layer0 forget_bias",)


@pytest.mark.parametrize(
    ("stored", "artifact"),
    [(np.float64, np.float32), (np.float32, np.float16), (ml_dtypes.bfloat16, np.float32)],
)
def test_another_dtype_holds_the_nearest_numbers(networks, stored, artifact):
    model = networks.stack(count=1, dtype=stored)
    ledger = faithful(model, artifact)
    assert not check_ledger(model, ledger).different
    ledger["layer0", "kernel", "i"] = np.nextafter(
        ledger["layer0", "kernel", "i"], np.asarray(9, artifact)
    )
    assert len(check_ledger(model, ledger).different) == 1


class TestFoldedProjection:
    @pytest.fixture
    def model(self, networks):
        return networks.stack(count=1, units=5, projection=2)

    @pytest.fixture
    def ledger(self, model):
        ledger = faithful(model)
        for gate in "ifco":
            del ledger["layer0", "recurrent", gate]
            folded = projected_gate(model.layers[0].cell, gate).astype(np.float32)
            ledger["layer0", "recurrent_folded", gate] = folded
        return ledger

    def test_it_stands_for_the_recurrent_block(self, model, ledger):
        report = check_ledger(model, ledger)
        assert (report.different, report.missing, report.extra) == ((), (), ())

    def test_it_may_stand_beside_the_recurrent_block_and_both_are_compared(self, model, ledger):
        both = {**faithful(model), **ledger}
        assert check_ledger(model, both).extra == ()
        both["layer0", "recurrent", "c"] = -both["layer0", "recurrent", "c"]
        assert len(check_ledger(model, both).different) == 1

    @pytest.mark.parametrize(("ulps", "found"), [(1, 0), (3, 1)])
    def test_it_may_be_off_by_one_ulp_and_no_more(self, model, ledger, ulps, found):
        block = ledger["layer0", "recurrent_folded", "i"]
        for _ in range(ulps):
            block = np.nextafter(block, np.float32(np.inf))
        ledger["layer0", "recurrent_folded", "i"] = block
        assert len(check_ledger(model, ledger).different) == found

    def test_without_a_projection_there_is_nothing_to_fold(self, networks):
        model = networks.stack(count=1)
        ledger = faithful(model)
        ledger["layer0", "recurrent_folded", "i"] = np.zeros((4, 4), np.float32)
        assert check_ledger(model, ledger).extra == ("layer0 recurrent_folded[i]",)


def test_dense_layers_are_accounted_for(networks):
    kernel, bias = networks.numbers(4, 2), networks.numbers(2)
    dense = Dense(InMemory("k", kernel), InMemory("b", bias), Fact.given("linear", ""))
    model = Model("", Sequence((Recurrent(networks.cell()), dense)))
    ledger = faithful(model)
    assert check_ledger(model, ledger).missing == ("dense0 kernel", "dense0 bias")
    ledger |= {("dense0", "kernel", ""): kernel, ("dense0", "bias", ""): bias}
    assert check_ledger(model, ledger).missing == ()


def test_reports_of_several_artifacts_are_one_report_that_names_them():
    one, two = LedgerReport(3, different=("x",)), LedgerReport(4, missing=("y",))
    both = merged_ledgers({"a": one, "b": two})
    assert (both.compared, both.different, both.missing) == (7, ("a: x",), ("b: y",))
    assert merged_ledgers({"a": one}) is one
    assert merged_ledgers({}) is None
