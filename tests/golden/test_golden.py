"""Golden packs: an artifact is proved with no source at hand, and no damaged pack is believed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import lstmbridge
from lstmbridge import golden
from lstmbridge.cli import main
from lstmbridge.contracts import Hints, Outcome, States, TargetOptions
from lstmbridge.errors import SourceUnreadable, UsageError
from lstmbridge.golden.pack import DIGEST, MANIFEST

ORT = ["onnxruntime-cpu"]


@pytest.fixture
def pack(seed_prefix: Path, tmp_path: Path) -> Path:
    golden.record(seed_prefix, tmp_path / "p.npz")
    return tmp_path / "p.npz"


@pytest.fixture
def converted(seed_prefix: Path, tmp_path: Path):
    """`converted(name, ...)`: an artifact of the source."""

    def make(name: str = "m.onnx", **more) -> Path:
        target = "torch" if name.endswith(".pt") else "onnx"
        done = lstmbridge.convert(seed_prefix, to=target, output=tmp_path / name, **more)
        assert done.path is not None
        return done.path

    return make


def entries(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def test_an_honest_artifact_passes_and_the_source_is_not_needed(pack: Path, converted) -> None:
    found = golden.replay(converted(), pack, runtimes=ORT, require=ORT)
    assert found.outcome is Outcome.PASS
    assert found.comparisons > 0
    assert found.faults.planted == found.faults.caught > 0
    assert any("weights were not compared" in line for line in found.not_run)
    assert found.facts["layer0.forget_bias"].value == 1.0


@pytest.mark.torch
def test_one_pack_serves_every_target(pack: Path, converted) -> None:
    found = golden.replay(converted("m.pt"), pack, require=["torch"])
    assert found.outcome is Outcome.PASS, found.reasons


def test_a_float16_artifact_has_what_float16_may_differ_by(pack: Path, converted) -> None:
    half = converted(options=TargetOptions(dtype="float16"))
    assert golden.replay(half, pack, runtimes=ORT).outcome is Outcome.PASS


def test_a_wrong_artifact_fails(pack: Path, converted) -> None:
    wrong = converted(hints=Hints(forget_bias=0.25))
    found = golden.replay(wrong, pack, runtimes=ORT)
    assert found.outcome is Outcome.FAIL
    assert "outputs differs" in found.reasons[0]


def test_states_and_lengths_are_fed_where_they_were_recorded(
    seed_prefix: Path, tmp_path: Path, pack: Path, converted
) -> None:
    fed = TargetOptions(states=States.REQUIRED, sequence_length=True)
    artifact = converted(options=fed)
    with pytest.raises(UsageError, match="does not fit the artifact"):
        golden.replay(artifact, pack)
    other = tmp_path / "fed.npz"
    golden.record(seed_prefix, other, states=States.REQUIRED, sequence_length=True)
    assert golden.replay(artifact, other, runtimes=ORT).outcome is Outcome.PASS


def test_outputs_are_matched_both_ways(pack: Path, converted, tmp_path: Path) -> None:
    def without(name: str) -> None:
        found = golden.read(pack)
        for one in found.experiments.values():
            for trial in one.trials:
                del trial.expected[name]  # type: ignore[attr-defined]
        verdict = golden.replay(converted(), found, runtimes=ORT)
        assert verdict.outcome is Outcome.FAIL
        assert "no such output" in verdict.reasons[0]

    without("layer1_c")


def test_a_runtime_that_is_required_and_absent_is_no_pass(pack: Path, converted) -> None:
    found = golden.replay(converted(), pack, require=["onnxruntime-cuda"])
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "onnxruntime-cuda is required" in " ".join(found.reasons)


def rewrite(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """A pack whose digest is right, whatever is in it."""
    from lstmbridge.golden.pack import _digest

    arrays.pop(DIGEST, None)
    digest = np.frombuffer(_digest(arrays).encode(), np.uint8)
    np.savez(path, **arrays, **{DIGEST: digest})


def test_nothing_compared_is_inconclusive(pack: Path, converted) -> None:
    arrays = entries(pack)
    manifest = json.loads(arrays[MANIFEST].tobytes())
    for said in manifest["precisions"].values():
        said["probes"] = []
    rewrite(pack, {MANIFEST: np.frombuffer(json.dumps(manifest).encode(), np.uint8)})
    found = golden.replay(converted(), pack, runtimes=ORT)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "nothing was compared" in found.reasons
    assert found.comparisons == 0


def test_a_precision_that_was_not_recorded_is_inconclusive(pack: Path, converted) -> None:
    arrays = entries(pack)
    manifest = json.loads(arrays[MANIFEST].tobytes())
    del manifest["precisions"]["float32"]
    arrays[MANIFEST] = np.frombuffer(json.dumps(manifest).encode(), np.uint8)
    rewrite(pack, arrays)
    found = golden.replay(converted(), pack, runtimes=ORT)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "the pack holds float16; this runs in float32" in " ".join(found.reasons)


@pytest.mark.parametrize("kind", ["feed/inputs", "expected/outputs", "allowed/outputs"])
def test_one_changed_bit_is_found(pack: Path, kind: str) -> None:
    arrays = entries(pack)
    name = next(name for name in arrays if name.endswith(kind))
    changed = arrays[name].copy()
    changed.view(np.uint8).reshape(-1)[-1] ^= 1
    np.savez(pack, **{**arrays, name: changed})
    with pytest.raises(SourceUnreadable, match="digest"):
        golden.read(pack)


def test_a_truncated_pack_is_refused_wherever_it_ends(pack: Path) -> None:
    whole = pack.read_bytes()
    for size in range(0, len(whole), max(1, len(whole) // 40)):
        pack.write_bytes(whole[:size])
        with pytest.raises(SourceUnreadable):
            golden.read(pack)


def test_flipped_bytes_are_refused_or_change_nothing(pack: Path) -> None:
    whole, before = pack.read_bytes(), golden.read(pack).sha256
    rng = np.random.default_rng(5)
    for at in rng.integers(0, len(whole), 60):
        broken = bytearray(whole)
        broken[at] ^= 1 << int(rng.integers(8))
        pack.write_bytes(bytes(broken))
        try:
            assert golden.read(pack).sha256 == before
        except SourceUnreadable:
            continue


def test_pickles_are_never_opened(pack: Path) -> None:
    np.savez(pack, **entries(pack), evil=np.array([{"a": 1}], dtype=object))
    with pytest.raises(SourceUnreadable, match="header does not fit"):
        golden.read(pack)


@pytest.mark.parametrize("manifest", [b"", b"{", b"[]", b"{}", b'{"format": "x", "version": 1}'])
def test_a_manifest_of_nonsense_is_refused(pack: Path, manifest: bytes) -> None:
    rewrite(pack, {**entries(pack), MANIFEST: np.frombuffer(manifest, np.uint8)})
    with pytest.raises(SourceUnreadable):
        golden.read(pack)


def test_allowing_everything_is_refused(pack: Path) -> None:
    arrays = entries(pack)
    for name in arrays:
        if "/allowed/" in name:
            arrays[name] = np.full_like(arrays[name], np.inf)
    rewrite(pack, arrays)
    with pytest.raises(SourceUnreadable, match="is not finite"):
        golden.read(pack)


def test_the_same_source_gives_the_same_pack(seed_prefix: Path, pack: Path) -> None:
    again = golden.record(seed_prefix, pack.with_name("again.npz"))
    assert again.sha256 == golden.read(pack).sha256


def test_the_commands_record_replay_and_exit_as_verify_does(
    seed_prefix: Path, tmp_path: Path, converted
) -> None:
    run = CliRunner().invoke
    pack, answer, xml = (str(tmp_path / name) for name in ("p.npz", "a.json", "a.xml"))
    record = ["golden", "record", str(seed_prefix), "-o", pack]
    done = run(main, record)
    assert done.exit_code == 0, done.output
    assert run(main, record).exit_code == 2
    good, bad = str(converted()), str(converted("w.onnx", hints=Hints(forget_bias=0.25)))
    replay = ["golden", "replay", good, pack, "--runtimes", *ORT]
    done = run(main, [*replay, "--json", answer, "--junit", xml])
    assert done.exit_code == 0, done.output
    body = json.loads(Path(answer).read_text())
    assert body["verdict"] == "pass"
    assert body["artifact"][0]["path"] == good
    assert 'failures="0"' in Path(xml).read_text()
    done = run(main, ["golden", "replay", bad, pack, "--html", str(tmp_path / "a.html")])
    assert done.exit_code == 1, done.output
    Path(pack).write_bytes(b"PK")
    done = run(main, replay)
    assert done.exit_code == 4
    assert "golden record" in done.output
