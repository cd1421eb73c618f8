"""The ONNX target: what ``--to onnx`` does. Importing this loads no onnx."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lstmbridge.contracts import Artifact, Holdings, Ledger, LedgerReport, TargetOptions
from lstmbridge.errors import CannotExpress, SourceUnreadable, UsageError
from lstmbridge.graph.whole import Whole
from lstmbridge.model.blocks import Model

DEFAULT_OPSET = 17
PREFIX_WRITER = "lstmbridge.version"
"""Metadata by which our own files are known."""
OPSETS = (11, 28)
"""The opsets that are tested, each with ONNX Runtime; 11 is the first with every operator used."""
LOWEST_IR = 4
"""Before it, initializers had to be inputs as well."""
PRECISIONS = ("float16", "float32", "float64")


class OnnxTarget:
    """Model -> ``.onnx``. Implements `contracts.Target`; stateless."""

    @property
    def name(self) -> str:
        """What ``--to`` takes."""
        return "onnx"

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The file's suffix."""
        return (".onnx",)

    def write(
        self, model: Model, path: Path, options: TargetOptions, metadata: Mapping[str, str]
    ) -> Artifact:
        """Write `path` and, where the weights exceed protobuf's 2 GiB, a file beside it.

        The model names its data file by `path`'s own name: whoever writes to a temporary place
        first does so in a temporary folder, under the final name.

        Raises:
            CannotExpress: a layer, or a weight's range, has no exact form.
            UsageError: an opset, IR version or dtype that is not served.
        """
        from lstmbridge.targets.onnx.network import plan_graph
        from lstmbridge.targets.onnx.writing import title_of, write_model

        dtype = precision_of(model, options)
        versions = _versions(options)
        plan = plan_graph(model, dtype, versions[0], options)
        written = write_model(plan, title_of(model), path, versions, metadata)
        return Artifact(
            path=path,
            target=self.name,
            signature=plan.signature,
            precision=dtype.name,
            expressions=plan.expressions,
            metadata=dict(metadata),
            beside=written.beside,
            sha256=written.sha256,
        )

    def write_whole(
        self, whole: Whole, path: Path, options: TargetOptions, metadata: Mapping[str, str]
    ) -> Artifact:
        """Write a whole model: as `write`, its ports under their own names.

        Raises:
            CannotExpress: an operation that an output needs has no exact form.
            UsageError: an opset, IR version or dtype that is not served.
        """
        from lstmbridge.targets.onnx.whole.plan import plan_whole
        from lstmbridge.targets.onnx.writing import Title, write_model
        from lstmbridge.targets.wholes import precision_of_whole

        _check_dtype(options)
        versions = _versions(options)
        plan = plan_whole(whole, versions[0], options)
        title = Title("model", f"a whole model with {len(whole.places)} recurrent stacks")
        written = write_model(plan, title, path, versions, metadata)
        return Artifact(
            path=path,
            target=self.name,
            signature=plan.signature,
            precision=precision_of_whole(whole, options).name,
            expressions=plan.expressions,
            metadata=dict(metadata),
            beside=written.beside,
            sha256=written.sha256,
        )

    def account_for(self, artifact: Artifact, whole: Whole) -> LedgerReport:
        """What the file holds, against the layout that `whole` asks for.

        Raises:
            SourceUnreadable: the file is not ONNX.
        """
        from lstmbridge.targets.onnx.reading import open_onnx
        from lstmbridge.targets.onnx.whole.accounts import accounts
        from lstmbridge.targets.onnx.whole.plan import plan_whole

        file = open_onnx(artifact.path)
        if file is None:
            raise SourceUnreadable(
                f"{artifact.path.name} is no ONNX file",
                expected="the file that this target wrote",
                where=str(artifact.path),
            )
        versions = [o.version for o in file.proto.opset_import if o.domain in {"", "ai.onnx"}]
        options = TargetOptions(opset=versions[0] if versions else None, dtype=artifact.precision)
        if PREFIX_WRITER not in {one.key for one in file.proto.metadata_props}:
            return LedgerReport(0, unreadable="lstmbridge did not write it")
        return accounts(file, plan_whole(whole, options.opset or DEFAULT_OPSET, options))

    def read(self, path: Path) -> Artifact | None:
        """Describe an ONNX file; None when `path` is not one. Weights are not read.

        Raises:
            SourceUnreadable: it is called ``.onnx`` and is cut off, or is no such file.
        """
        from lstmbridge.targets.onnx.reading import artifact_of, open_onnx

        file = open_onnx(path)
        return None if file is None else artifact_of(file)

    def holdings(self, artifact: Artifact) -> Holdings:
        """See `contracts.Describing`. Errors: SourceUnreadable when the file is not ONNX."""
        from lstmbridge.targets.onnx.holdings import holdings_of
        from lstmbridge.targets.onnx.reading import open_onnx

        file = open_onnx(artifact.path)
        return Holdings((), {}, 0, 0) if file is None else holdings_of(file)

    def ledger(self, artifact: Artifact, model: Model) -> Ledger:
        """The weights that the file's nodes hold, by (layer, block, gate).

        Blocks that were made by algebra are among them: `model.folding.derived_blocks`.

        Raises:
            SourceUnreadable: the file is not ONNX, or its weights have impossible shapes.
        """
        from lstmbridge.targets.onnx.ledger import LedgerReader
        from lstmbridge.targets.onnx.reading import open_onnx

        file = open_onnx(artifact.path)
        if file is None:
            raise SourceUnreadable(
                f"{artifact.path.name} is no ONNX file",
                expected="the file that this target wrote",
                where=str(artifact.path),
            )
        try:
            return LedgerReader(file).read(model)
        except (IndexError, TypeError, ValueError) as error:
            raise SourceUnreadable(
                f"the recurrent nodes of {artifact.path.name} do not hold together: {error}",
                expected="nodes with the inputs that ONNX asks for",
                where=str(artifact.path),
            ) from error

    def annotate(self, artifact: Artifact, metadata: Mapping[str, str]) -> Artifact:
        """Add `metadata` to the file; the bytes that were verified stay as they are."""
        from lstmbridge.targets.onnx.annotate import append_metadata

        append_metadata(artifact.path, metadata)
        noted = {**artifact.metadata, **metadata}
        return replace(artifact, metadata=noted, sha256=None)

    def usage(self, artifact: Artifact) -> str:
        """How to run the artifact with ONNX Runtime alone; "" where states must be fed."""
        from lstmbridge.targets.onnx.annotate import loading_code

        needed = [spec.name for spec in artifact.signature.inputs if not spec.optional]
        return loading_code(artifact.path) if needed == ["inputs"] else ""


def precision_of(model: Model, options: TargetOptions) -> np.dtype[Any]:
    """In which precision the artifact computes.

    The widest of the layers' stored dtypes; bfloat16 is widened, exactly, to float32.

    Raises:
        UsageError: `options.dtype` is none of `PRECISIONS`.
    """
    _check_dtype(options)
    if options.dtype is not None:
        return np.dtype(options.dtype)
    stored = {layer.cell.dtype.name for layer in model.layers}
    wanted = {"float32" if name not in PRECISIONS else name for name in stored}
    return np.dtype(max(wanted, key=PRECISIONS.index))


def _check_dtype(options: TargetOptions) -> None:
    if options.dtype is not None and options.dtype not in PRECISIONS:
        raise UsageError(
            f"dtype {options.dtype!r} was asked for",
            expected=" or ".join(PRECISIONS),
            where="--dtype",
        )


def _versions(options: TargetOptions) -> tuple[int, int]:
    """(opset, IR version). The IR version is the opset's own unless it is given."""
    import onnx
    from onnx import helper

    opset = DEFAULT_OPSET if options.opset is None else options.opset
    low, high = OPSETS
    if not low <= opset <= high:
        raise CannotExpress(
            f"opset {opset} was asked for",
            expected=f"an opset from {low} to {high}, the ones that are tested",
            where="--opset",
            advice=f"leave --opset away for {DEFAULT_OPSET}, which current runtimes load",
        )
    try:
        own = helper.find_min_ir_version_for([helper.make_opsetid("", opset)])
    except ValueError as error:
        raise UsageError(
            f"the installed onnx {onnx.__version__} does not know opset {opset}",
            expected="an onnx release that does",
            where="--opset",
            advice="pip install --upgrade onnx",
        ) from error
    chosen = own if options.ir_version is None else options.ir_version
    if not LOWEST_IR <= chosen <= onnx.IR_VERSION:
        raise UsageError(
            f"IR version {chosen} was asked for",
            expected=f"{LOWEST_IR} to {onnx.IR_VERSION}",
            where="--ir-version",
        )
    return opset, chosen


__all__ = ["OnnxTarget", "precision_of"]
