"""The file of a golden pack: written whole, read with suspicion.

An .npz of plain arrays: ``<precision>/<probe>/<feed | expected | allowed>/<name>``, a JSON
manifest as bytes, and the digest of all of it. Nothing is unpickled, and no size is believed.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lstmbridge.contracts import FaultReport
from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import Array
from lstmbridge.model.facts import Basis, Fact
from lstmbridge.staging import staged
from lstmbridge.verify.probes import Probe
from lstmbridge.verify.trials import Experiment, Trial

FORMAT, VERSION = "lstmbridge golden pack", 1
MANIFEST, DIGEST = "manifest", "sha256"
_LARGEST = 1 << 30
"""Bytes of a pack when unpacked: a thousand times what the largest probes need."""
_MEMBERS = 10_000
_DAMAGED = (
    OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RuntimeError,
    NotImplementedError, RecursionError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What zipfile, json and NumPy raise for a file that is no pack, or a damaged one."""


@dataclass(frozen=True, eq=False)
class Pack:
    """What a pack holds.

    Attributes:
        sha256: of its arrays and its manifest.
        manifest: everything that is no array.
        experiments: precision -> its trials, and what they could catch.
        facts: of the network that was recorded.
    """

    sha256: str
    manifest: Mapping[str, Any]
    experiments: Mapping[str, Experiment]
    facts: Mapping[str, Fact[Any]]

    @property
    def imported(self) -> bool:
        """Whether its outputs were recorded elsewhere, not computed by the oracle."""
        return "imported" in self.manifest

    @property
    def of_whole(self) -> bool:
        """Whether it is a whole model's, under the names of its source."""
        return "whole" in self.manifest

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why some of a whole model's outputs prove nothing."""
        return tuple(map(str, self.manifest["whole"]["doubts"])) if self.of_whole else ()

    @property
    def by_tolerance(self) -> float | None:
        """The tolerance that its importer set, having no source; None: a noise floor judges."""
        said = self.manifest["imported"]["tolerance"] if self.imported else None
        return None if said is None else float(said)


def _kinds(trial: Trial) -> dict[str, Mapping[str, Array]]:
    return {"feed": trial.probe.feeds, "expected": trial.expected, "allowed": trial.allowed}


def _described(experiment: Experiment) -> dict[str, Any]:
    faults = experiment.faults
    return {
        "infinite": experiment.infinite,
        "probes": [
            {"name": t.probe.name, "chaotic": t.chaotic, "straying": dict(t.straying)}
            for t in experiment.trials
        ],
        "faults": {
            "ratios": dict(faults.ratios),
            "caught": list(faults.caught_names),
            "missed": list(faults.missed),
            "indistinguishable": list(faults.indistinguishable),
        },
    }


def _digest(entries: Mapping[str, Array]) -> str:
    digest = hashlib.sha256()
    for name in sorted(entries):
        array = np.ascontiguousarray(entries[name])
        digest.update(f"{name}\n{array.dtype.str}\n{array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def write(
    path: Path,
    manifest: Mapping[str, Any],
    experiments: Mapping[str, Experiment],
    *,
    force: bool,
) -> None:
    """Write a pack; `manifest` says what is no experiment.

    Raises:
        UsageError: the file may not be written there.
    """
    manifest = {
        **manifest,
        "format": FORMAT,
        "version": VERSION,
        "precisions": {name: _described(one) for name, one in experiments.items()},
    }
    arrays = {
        f"{precision}/{k}/{kind}/{name}": np.asarray(values)
        for precision, experiment in experiments.items()
        for k, trial in enumerate(experiment.trials)
        for kind, mapping in _kinds(trial).items()
        for name, values in mapping.items()
    }
    text = json.dumps(manifest, sort_keys=True, allow_nan=True).encode()
    entries = {**arrays, MANIFEST: np.frombuffer(text, np.uint8)}
    digest = np.frombuffer(_digest(entries).encode(), np.uint8)
    with staged(path, force=force) as stage:
        with stage.path.open("wb") as file:
            np.savez_compressed(file, **entries, **{DIGEST: digest})  # type: ignore[arg-type]
        stage.commit()


def _members(path: Path) -> dict[str, Array]:
    """The arrays; every declared size is compared with what is there before it is believed."""
    found: dict[str, Array] = {}
    with zipfile.ZipFile(path) as archive:
        listed = archive.infolist()
        if len(listed) > _MEMBERS or sum(one.file_size for one in listed) > _LARGEST:
            raise ValueError("it declares more than any pack holds")
        for one in listed:
            with archive.open(one) as member:
                content = member.read(one.file_size + 1)
            if len(content) != one.file_size or one.filename.removesuffix(".npy") in found:
                raise ValueError(f"{one.filename} is not what the list says")
            found[one.filename.removesuffix(".npy")] = _array(content)
    return found


def _array(content: bytes) -> Array:
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array's header has another version")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    body = content[stream.tell() :]
    size = dtype.itemsize
    for axis in shape:
        size *= axis
    if dtype.kind not in "iufb" or size != len(body) or min(shape, default=0) < 0:
        raise ValueError("an array's header does not fit its bytes")
    flat = np.frombuffer(body, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def read(path: str | Path) -> Pack:
    """Open a pack and check it.

    Raises:
        SourceUnreadable: it is missing, truncated, no pack, or was changed after it was written.
    """
    path = Path(path)
    try:
        entries = _members(path)
        claimed = entries.pop(DIGEST).tobytes().decode()
        actual = _digest(entries)
        manifest = json.loads(entries.pop(MANIFEST).tobytes())
        known = (manifest["format"], manifest["version"]) == (FORMAT, VERSION)
    except _DAMAGED as error:
        raise _unreadable(path, f"it is damaged or no golden pack: {error}") from error
    if claimed != actual:
        raise _unreadable(path, "its contents do not have the digest that it states")
    if not known:
        raise _unreadable(path, f"it says it is {manifest['format']} {manifest['version']}")
    try:
        return _parsed(actual, manifest, entries)
    except _DAMAGED as error:
        raise _unreadable(path, f"its parts do not fit together: {error}") from error


def _unreadable(path: Path, why: str) -> SourceUnreadable:
    return SourceUnreadable(
        f"{path} cannot be used: {why}",
        expected=f"a pack of version {VERSION}, as `lstmbridge golden record` wrote it",
        where=str(path),
        advice="take it from its origin again, or record it again",
    )


def _parsed(sha256: str, manifest: dict[str, Any], entries: dict[str, Array]) -> Pack:
    experiments = {}
    for precision, said in manifest["precisions"].items():
        trials = []
        for k, probe in enumerate(said["probes"]):
            start = f"{precision}/{k}/"
            feeds, expected, allowed = (
                {
                    name.removeprefix(start + kind): entries[name]
                    for name in entries
                    if name.startswith(start + kind)
                }
                for kind in ("feed/", "expected/", "allowed/")
            )
            _check_trial(feeds, expected, allowed, of_whole="whole" in manifest)
            trials.append(
                Trial(
                    Probe(str(probe["name"]), feeds),
                    expected,
                    allowed,
                    allowed,
                    {str(name): float(x) for name, x in probe["straying"].items()},
                    bool(probe["chaotic"]),
                    precision,
                )
            )
        faults = _faults(said["faults"])
        experiments[precision] = Experiment(tuple(trials), faults, str(said["infinite"]))
    facts = {
        str(name): Fact(f["value"], Basis(f["basis"]), str(f["where"]))
        for name, f in manifest["facts"].items()
    }
    int(manifest["seed"])
    if "whole" in manifest:
        list(manifest["whole"]["doubts"])
    if "imported" in manifest and manifest["imported"]["tolerance"] is not None:
        float(manifest["imported"]["tolerance"])
    return Pack(sha256, manifest, experiments, facts)


def _check_trial(
    feeds: Mapping[str, Array],
    expected: Mapping[str, Array],
    allowed: Mapping[str, Array],
    *,
    of_whole: bool,
) -> None:
    """Refuse what no recording gives; of a whole model, rounding alone may decide some numbers."""
    if not feeds or not expected or expected.keys() != allowed.keys():
        raise ValueError("a probe lacks feeds, outputs, or what is allowed")
    for name, values in expected.items():
        limit = np.broadcast_to(allowed[name], values.shape)
        bounded = not np.isnan(limit).any() if of_whole else np.isfinite(limit).all()
        if not (np.isfinite(values).all() and bounded and (limit >= 0).all()):
            raise ValueError(f"{name} is not finite, or less than nothing is allowed")


def _faults(said: Mapping[str, Any]) -> FaultReport:
    ratios = {str(name): float(ratio) for name, ratio in said["ratios"].items()}
    caught = tuple(str(name) for name in said["caught"])
    missed = tuple(str(name) for name in said["missed"])
    weakest = min(caught, key=lambda name: ratios[name]) if caught else None
    return FaultReport(
        planted=len(caught) + len(missed),
        caught=len(caught),
        indistinguishable=tuple(str(name) for name in said["indistinguishable"]),
        missed=missed,
        weakest=None if weakest is None else (weakest, ratios[weakest]),
        caught_names=caught,
        ratios=ratios,
    )
