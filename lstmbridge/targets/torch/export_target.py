"""The target ``torch-export``: one self-contained program that `torch.export.load` runs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lstmbridge.contracts import Artifact, Holdings, Ledger, Signature, States, TargetOptions
from lstmbridge.errors import CannotExpress, SourceUnreadable, UsageError
from lstmbridge.model.blocks import Model
from lstmbridge.targets.torch import archive
from lstmbridge.targets.torch.architecture import Architecture, signature
from lstmbridge.targets.torch.codec import to_json
from lstmbridge.targets.torch.files import Content, import_torch
from lstmbridge.targets.torch.holdings import holdings_of
from lstmbridge.targets.torch.loader import ARCHITECTURE, architecture_of, filled
from lstmbridge.targets.torch.planning import plan
from lstmbridge.targets.torch.target import ledger_of, numpy_dtype, requested_dtype
from lstmbridge.targets.torch.weights import state_dict

NAME = "torch-export"
_OPTIONS = "lstmbridge.torch-export"
"""Under which name the options that shaped the signature stand among a file's strings."""


class TorchExportTarget:
    """``--to torch-export``. Implements `contracts.Target`.

    Batch and time are dynamic (a program runs at least one step). An exported program takes
    exactly the inputs that it was traced with, so initial states are there or they are not;
    `opset` and `ir_version` are ONNX's.
    """

    @property
    def name(self) -> str:
        """What ``--to`` takes."""
        return NAME

    @property
    def suffixes(self) -> tuple[str, ...]:
        """PyTorch's own."""
        return (archive.SUFFIX,)

    def write(
        self, model: Model, path: Path, options: TargetOptions, metadata: Mapping[str, str]
    ) -> Artifact:
        """Trace the network, write `path` and describe it.

        Raises:
            CannotExpress: by `planning.plan`; optional states; a network that cannot be traced.
            UsageError: unknown suffix or dtype. RuntimeUnavailable: no PyTorch, or one that is
            too old. OSError: as the system says.
        """
        if path.suffix != archive.SUFFIX:
            raise UsageError(
                f"{path.name} ends in {path.suffix or 'nothing'}",
                expected=f"a name that ends in {archive.SUFFIX}",
                where=str(path),
                advice=f"call it {path.with_suffix(archive.SUFFIX).name}",
            )
        if options.states is States.OPTIONAL:
            raise CannotExpress(
                "an exported program has no optional inputs",
                expected="initial states that are always fed, or never",
                where="--states optional",
                advice="--states required, or --states none; --to torch has optional ones",
            )
        dtype = requested_dtype(model, options)
        architecture = plan(model, dtype, NAME, fed=options.states is States.REQUIRED)
        strings = {
            **metadata,
            ARCHITECTURE: to_json(architecture),
            _OPTIONS: json.dumps(
                {"states": options.states.value, "sequence_length": options.sequence_length}
            ),
        }
        import_torch("to export a program", "2.9")
        from lstmbridge.targets.torch.exporting import save_exported

        module = filled(architecture, state_dict(model, architecture, dtype))
        path.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.stem[:40]}.", dir=path.parent) as folder:
            raw = Path(folder) / f"raw{archive.SUFFIX}"
            save_exported(module, _signature(architecture, strings, path), raw)
            archive.rewrite(raw, path, strings)
        return _artifact(path, architecture, strings)

    def annotate(self, artifact: Artifact, metadata: Mapping[str, str]) -> Artifact:
        """Add strings to the file; program, weights and architecture stay as they are.

        Raises:
            As `read`; UsageError when the file is not ours.
        """
        content = _content(artifact)
        kept = {name: content.strings[name] for name in (ARCHITECTURE, _OPTIONS)}
        strings = {**content.strings, **metadata, **kept}
        aside = artifact.path.with_name(f".{artifact.path.stem}.new{archive.SUFFIX}")
        try:
            archive.rewrite(artifact.path, aside, strings)
            aside.replace(artifact.path)
        finally:
            aside.unlink(missing_ok=True)
        return _artifact(artifact.path, architecture_of(content, artifact.path), strings)

    def read(self, path: Path) -> Artifact | None:
        """Describe a file; None when lstmbridge did not write it for this target. Runs no code.

        Raises:
            SourceUnreadable: it claims to be one and is broken.
        """
        content = archive.read(path)
        if content is None:
            return None
        return _artifact(path, architecture_of(content, path), content.strings)

    def holdings(self, artifact: Artifact) -> Holdings:
        """See `contracts.Describing`. Errors: as `read`; UsageError when the file is not ours."""
        return holdings_of(_content(artifact), artifact.path)

    def ledger(self, artifact: Artifact, model: Model) -> Ledger:
        """The file's numbers by (layer, field, gate); as `TorchTarget.ledger`.

        Raises:
            SourceUnreadable: the file is broken, or holds other layers than `model`.
        """
        content = _content(artifact)
        architecture = architecture_of(content, artifact.path)
        return ledger_of(content.tensors, architecture, model, artifact.path)

    def usage(self, artifact: Artifact) -> str:
        """Two lines of Python that load and run the artifact without lstmbridge."""
        feeds = ", ".join(f"{name}={name}" for name in artifact.signature.input_names())
        return (
            f"program = torch.export.load({str(artifact.path)!r}).module()\n"
            f"outputs = program({feeds})"
        )


def _content(artifact: Artifact) -> Content:
    content = archive.read(artifact.path)
    if content is None:
        raise UsageError(
            f"{artifact.path.name} was not written by lstmbridge --to {NAME}",
            where=str(artifact.path),
        )
    return content


def _signature(architecture: Architecture, strings: Mapping[str, str], path: Path) -> Signature:
    try:
        options = json.loads(strings[_OPTIONS])
        lengths = bool(options["sequence_length"])
        states = States(options["states"])
    except (ValueError, TypeError, KeyError) as error:
        raise SourceUnreadable(
            f"the file does not say what the program takes: {error!r}",
            expected=f"an entry {_OPTIONS} as lstmbridge writes it",
            where=str(path),
            advice="convert the checkpoint again",
        ) from error
    dtype = numpy_dtype(architecture.dtype)
    return signature(architecture, dtype, states=states, lengths=lengths)


def _artifact(path: Path, architecture: Architecture, strings: Mapping[str, str]) -> Artifact:
    return Artifact(
        path=path,
        target=NAME,
        signature=_signature(architecture, strings, path),
        precision=architecture.dtype,
        expressions=architecture.expressions,
        metadata=dict(strings),
    )
