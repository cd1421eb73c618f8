"""Recorded outputs of a TensorFlow that is gone are a golden pack too."""

from __future__ import annotations

import numpy as np
import pytest

import lstmbridge
from lstmbridge import golden
from lstmbridge.contracts import Hints, Outcome, States
from lstmbridge.errors import FactConflict, FactMissing, SourceUnreadable, UsageError
from lstmbridge.golden.importing import import_recorded
from lstmbridge.golden.updating import update
from lstmbridge.verify import VerifyOptions

OLD = "TensorFlow 1.15.5"
ORT = ["onnxruntime-cpu"]


@pytest.fixture
def old(case):
    """A checkpoint with what its TensorFlow computed."""
    return case("tf115-seed-bare")


@pytest.fixture
def recorded(old, tmp_path):
    """`recorded(x="inputs")`: the recording with other names, or other numbers."""

    def write(change=lambda arrays: arrays, **names: str):
        arrays = {names.get(n, n): a for n, a in old.expected.items()}
        np.savez(tmp_path / "recorded.npz", **change(arrays))
        return tmp_path / "recorded.npz"

    return write


@pytest.fixture
def artifact(old, tmp_path):
    """`artifact(forget_bias=0.0)`: an ONNX file of it."""

    def make(**hints):
        path = tmp_path / "m.onnx"
        done = lstmbridge.convert(
            old.prefix, to="onnx", output=path, hints=Hints(**hints), force=True
        )
        return done.path

    return make


def test_a_recording_with_its_source_judges_by_the_noise_floor(old, recorded, artifact, tmp_path):
    pack = import_recorded(recorded(), tmp_path / "p.npz", producer=OLD, source=old.prefix)
    assert pack.imported
    assert pack.by_tolerance is None
    assert pack.manifest["source"]["producer"] == OLD
    found = golden.replay(artifact(), tmp_path / "p.npz", runtimes=ORT)
    assert found.outcome is Outcome.PASS, found.reasons
    assert found.faults.caught == found.faults.planted > 20
    wrong = golden.replay(artifact(forget_bias=0.0), pack, runtimes=ORT)
    assert wrong.outcome is Outcome.FAIL


def test_expected_are_the_recorded_numbers_not_ours(old, recorded, tmp_path):
    pack = import_recorded(recorded(), tmp_path / "p.npz", producer=OLD, source=old.prefix)
    (trial,) = pack.experiments["float32"].trials
    assert np.array_equal(trial.expected["outputs"], old.expected["outputs"].astype(np.float64))


def test_without_a_source_somebody_says_what_may_differ(recorded, artifact, tmp_path):
    with pytest.raises(FactMissing, match="by how much an artifact may differ"):
        import_recorded(recorded(), tmp_path / "p.npz", producer=OLD)
    assert not (tmp_path / "p.npz").exists()
    pack = import_recorded(recorded(), tmp_path / "p.npz", producer=OLD, tolerance=1e-5)
    found = golden.replay(artifact(), pack, runtimes=ORT)
    assert found.outcome is Outcome.PASS, found.reasons
    assert found.tolerance == 1e-5
    assert any("imported without its source" in line for line in found.not_run)
    assert golden.replay(artifact(forget_bias=0.0), pack, runtimes=ORT).outcome is Outcome.FAIL


def test_a_recording_that_the_source_contradicts_is_refused(old, recorded, tmp_path):
    def shift(arrays):
        return {**arrays, "outputs": arrays["outputs"] + np.float32(0.01)}

    with pytest.raises(FactConflict, match="what was recorded is not what"):
        import_recorded(recorded(shift), tmp_path / "p.npz", producer=OLD, source=old.prefix)
    assert not (tmp_path / "p.npz").exists()


def test_names_are_mapped_and_layouts_recognised(old, recorded, artifact, tmp_path):
    def turn(arrays):
        turned = {n: arrays[n].swapaxes(0, 1) for n in ("x", "y")}
        return {**{n: a for n, a in arrays.items() if n.startswith("layer")}, **turned}

    path = recorded(turn, inputs="x", outputs="y")
    names = {"x": "inputs", "y": "outputs"}
    for more in ({"source": old.prefix}, {"tolerance": 1e-5}):
        pack = import_recorded(
            path, tmp_path / "p.npz", producer=OLD, renames=names, force=True, **more
        )
        assert any("time-major" in line for line in pack.manifest["imported"]["matched"])
        assert golden.replay(artifact(), pack, runtimes=ORT).outcome is Outcome.PASS


def test_outputs_that_were_not_recorded_are_said_not_failed(old, recorded, artifact, tmp_path):
    def some(arrays):
        return {n: arrays[n] for n in ("inputs", "outputs", "layer0_c")}

    pack = import_recorded(recorded(some), tmp_path / "p.npz", producer=OLD, source=old.prefix)
    found = golden.replay(artifact(), pack, runtimes=ORT)
    assert found.outcome is Outcome.PASS, found.reasons
    assert any(
        line.startswith("outputs that were not recorded: layer0_h") for line in found.not_run
    )


def test_tampering_with_an_imported_pack_is_found(old, recorded, tmp_path):
    path = tmp_path / "p.npz"
    import_recorded(recorded(), path, producer=OLD, source=old.prefix)
    with np.load(path) as archive:
        arrays = {n: archive[n] for n in archive.files}
    name = next(n for n in arrays if n.endswith("allowed/outputs"))
    arrays[name] = arrays[name] * 1000
    np.savez_compressed(path, **arrays)
    with pytest.raises(SourceUnreadable, match="digest"):
        golden.read(path)


def test_what_makes_no_sense_is_refused(recorded, tmp_path):
    for more in (
        {"producer": " "},
        {"producer": OLD, "tolerance": 0.0},
        {"producer": OLD, "tolerance": np.nan},
    ):
        with pytest.raises(UsageError):
            import_recorded(recorded(), tmp_path / "p.npz", **more)
    with pytest.raises(UsageError, match="there is no z"):
        import_recorded(
            recorded(), tmp_path / "p.npz", producer=OLD, tolerance=1.0, renames={"z": "inputs"}
        )

    def sick(arrays):
        arrays["outputs"][0, 0, 0] = np.nan
        return arrays

    with pytest.raises(UsageError, match="not finite"):
        import_recorded(recorded(sick), tmp_path / "p.npz", producer=OLD, tolerance=1.0)


class TestUpdate:
    @pytest.fixture
    def pack(self, old, tmp_path):
        golden.record(
            old.prefix, tmp_path / "g.npz", options=VerifyOptions(batch=2, steps=6, seed=3)
        )
        return tmp_path / "g.npz"

    def test_an_unchanged_source_changes_nothing(self, pack, old):
        before = pack.read_bytes()
        done = update(pack, old.prefix, accept=True)
        assert done.changes == ()
        assert not done.written
        assert pack.read_bytes() == before

    def test_what_changes_is_shown_and_nothing_is_written_unasked(self, pack, old):
        before = pack.read_bytes()
        done = update(pack, old.prefix, hints=Hints(forget_bias=0.0))
        assert not done.written
        assert pack.read_bytes() == before
        assert "fact layer0.forget_bias: 1.0 -> 0.0" in done.changes
        assert any("times what was allowed" in one and "outputs" in one for one in done.changes)

    def test_an_accepted_update_is_written_and_then_says_so(self, pack, old):
        hints = Hints(forget_bias=0.0)
        done = update(pack, old.prefix, hints=hints, accept=True)
        assert done.written
        assert golden.read(pack).sha256 == done.new.sha256
        assert update(pack, old.prefix, hints=hints).changes == ()

    def test_it_is_recorded_as_it_was(self, old, tmp_path):
        path = tmp_path / "s.npz"
        golden.record(old.prefix, path, states=States.REQUIRED, sequence_length=True)
        assert update(path, old.prefix).changes == ()

    def test_an_imported_pack_is_imported_again_not_updated(self, recorded, old, tmp_path):
        import_recorded(recorded(), tmp_path / "p.npz", producer=OLD, source=old.prefix)
        with pytest.raises(UsageError, match="was imported"):
            update(tmp_path / "p.npz", old.prefix)
