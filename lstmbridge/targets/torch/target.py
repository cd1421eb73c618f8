"""The target ``torch``: a state dict that plain PyTorch loads, and lstmbridge too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstmbridge.contracts import Artifact, Holdings, Ledger, LedgerReport, TargetOptions
from lstmbridge.errors import SourceUnreadable, UsageError
from lstmbridge.gates import Weights
from lstmbridge.graph.whole import Whole
from lstmbridge.model.blocks import Model
from lstmbridge.targets.torch.architecture import (
    Architecture,
    Equations,
    Native,
    root_owners,
    signature,
)
from lstmbridge.targets.torch.codec import DTYPES, to_json
from lstmbridge.targets.torch.files import SUFFIXES, Content, load, replace, save, suffix_of
from lstmbridge.targets.torch.holdings import holdings_of
from lstmbridge.targets.torch.ledger import read_ledger
from lstmbridge.targets.torch.loader import ARCHITECTURE, architecture_of
from lstmbridge.targets.torch.planning import plan
from lstmbridge.targets.torch.weights import state_dict, stored_dtype
from lstmbridge.targets.torch.whole.accounts import accounts
from lstmbridge.targets.torch.whole.plan import plan_whole
from lstmbridge.targets.torch.whole.program import GRAPH, program_of, signature_of_program


class TorchTarget:
    """``--to torch``. Implements `contracts.Target`.

    The module takes initial states and lengths in any case, so `options.states` and
    `options.sequence_length` change nothing; `opset` and `ir_version` are ONNX's.
    """

    @property
    def name(self) -> str:
        """What ``--to`` takes."""
        return "torch"

    @property
    def suffixes(self) -> tuple[str, ...]:
        """``.pt`` needs PyTorch to be written; ``.safetensors`` does not."""
        return SUFFIXES

    def write(
        self, model: Model, path: Path, options: TargetOptions, metadata: Mapping[str, str]
    ) -> Artifact:
        """Write `path` and read it back.

        Raises:
            CannotExpress: by `planning.plan`, or numbers out of the dtype's range.
            UsageError: unknown suffix or dtype. RuntimeUnavailable: ``.pt`` without PyTorch.
            OSError: as the system says.
        """
        suffix_of(path)
        dtype = requested_dtype(model, options)
        architecture = plan(model, dtype)
        tensors = state_dict(model, architecture, dtype)
        strings = {**metadata, ARCHITECTURE: to_json(architecture)}
        save(path, Content(tensors, strings))
        return _artifact(path, architecture, strings)

    def write_whole(
        self, whole: Whole, path: Path, options: TargetOptions, metadata: Mapping[str, str]
    ) -> Artifact:
        """Write a whole model: its stacks as modules, the rest operation by operation.

        Raises:
            CannotExpress: an operation that is not known. UsageError: unknown suffix or dtype.
            RuntimeUnavailable: ``.pt`` without PyTorch. OSError: as the system says.
        """
        suffix_of(path)
        _refuse_dtype(options)
        content = plan_whole(whole, options)
        save(path, Content(content.tensors, {**metadata, **content.strings}))
        written = self.read(path)
        if written is None:
            raise SourceUnreadable("the file that was written is not ours", where=str(path))
        return written

    def account_for(self, artifact: Artifact, whole: Whole) -> LedgerReport:
        """What the file holds, against what `whole` asks for.

        Raises:
            As `read`; UsageError when the file is not ours.
        """
        options = TargetOptions(dtype=artifact.precision)
        right = plan_whole(whole, options)
        return accounts(_content(artifact), right, whole, artifact.path)

    def annotate(self, artifact: Artifact, metadata: Mapping[str, str]) -> Artifact:
        """Add strings to the file; tensors and architecture stay as they are.

        Raises:
            As `read`; UsageError when the file is not ours.
        """
        content = _content(artifact)
        kept = {
            key: content.strings[key] for key in (ARCHITECTURE, GRAPH) if key in content.strings
        }
        strings = {**content.strings, **metadata, **kept}
        replace(artifact.path, Content(content.tensors, strings))
        return _described(artifact.path, Content(content.tensors, strings))

    def read(self, path: Path) -> Artifact | None:
        """Describe a file; None when lstmbridge did not write it for this target.

        Raises:
            SourceUnreadable: it claims to be one and is broken. RuntimeUnavailable: a ``.pt``
            without PyTorch.
        """
        content = load(path)
        if content is None:
            return None
        return _described(path, content)

    def holdings(self, artifact: Artifact) -> Holdings:
        """See `contracts.Describing`. Errors: as `read`; UsageError when the file is not ours."""
        return holdings_of(_content(artifact), artifact.path)

    def ledger(self, artifact: Artifact, model: Model) -> Ledger:
        """The file's numbers by (layer, field, gate); see `ledger.read_ledger`.

        An LSTM's ``forget_bias`` is the forget gate's block of ``bias_hh``; a bias of zeros that
        the model does not have is left out.

        Raises:
            SourceUnreadable: the file is broken, or holds other layers than `model`.
        """
        content = _content(artifact)
        architecture = architecture_of(content, artifact.path)
        return ledger_of(content.tensors, architecture, model, artifact.path)

    def usage(self, artifact: Artifact) -> str:
        """Two lines of Python that load the artifact; without lstmbridge where that is possible.

        It is where one module of `torch.nn` says the whole stack, and states begin with zeros.
        """
        content, path = _content(artifact), repr(str(artifact.path))
        if GRAPH in content.strings:
            return f"import lstmbridge.torch\nmodule = lstmbridge.torch.load({path})"
        architecture = architecture_of(content, artifact.path)
        root = architecture.root
        if not isinstance(root, Native) or architecture.initial:
            return f"import lstmbridge.torch\nmodule = lstmbridge.torch.load({path})"
        loads = {".pt": "torch.load", ".safetensors": "safetensors.torch.load_file"}
        read = loads[artifact.path.suffix]
        name = root.form.module
        arguments = ", ".join(_arguments(root, architecture.dtype))
        return (
            f"{name.lower()} = torch.nn.{name}({arguments})\n"
            f"{name.lower()}.load_state_dict({read}({path}))"
        )


def _arguments(node: Native, dtype: str) -> list[str]:
    """What the module's class is called with."""
    stated = {
        "num_layers": node.num_layers if node.num_layers > 1 else None,
        "nonlinearity": "'relu'" if node.form.nonlinearity == "relu" else None,
        "bias": None if node.bias else "False",
        "batch_first": "True",
        "bidirectional": "True" if node.bidirectional else None,
        "proj_size": node.proj_size or None,
        "dtype": None if dtype == "float32" else f"torch.{dtype}",
    }
    sizes = [str(node.input_size), str(node.hidden_size)]
    return sizes + [f"{name}={value}" for name, value in stated.items() if value is not None]


def ledger_of(
    stored: Mapping[str, Weights], architecture: Architecture, model: Model, path: Path
) -> Ledger:
    """`ledger.read_ledger` of the tensors of a file.

    Raises:
        SourceUnreadable: they are not those of the layers.
    """
    forget = {
        owner.name: owner.skeleton.constants["forget_bias"]
        for _, owner in root_owners(architecture)
        if isinstance(owner, Equations) and "forget_bias" in owner.skeleton.constants
    }
    try:
        tensors = {key: weights.load() for key, weights in stored.items()}
        return read_ledger(tensors, {k: float(v or 0.0) for k, v in forget.items()}, model)
    except (KeyError, ValueError, IndexError) as error:
        raise SourceUnreadable(
            f"the tensors are not those of its layers: {error!r}",
            expected="the keys and shapes that lstmbridge writes",
            where=str(path),
            advice="convert the checkpoint again",
        ) from error


def requested_dtype(model: Model, options: TargetOptions) -> np.dtype[Any]:
    """The dtype of an artifact's tensors.

    Raises:
        UsageError: the one asked for is unknown.
    """
    _refuse_dtype(options)
    return stored_dtype(model) if options.dtype is None else numpy_dtype(options.dtype)


def _refuse_dtype(options: TargetOptions) -> None:
    if options.dtype is not None and options.dtype not in DTYPES:
        raise UsageError(
            f"there is no dtype {options.dtype!r}",
            expected=f"one of {', '.join(DTYPES)}",
            where="--dtype",
        )


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The dtype that a file calls `name`."""
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def _content(artifact: Artifact) -> Content:
    content = load(artifact.path)
    if content is None:
        raise UsageError(
            f"{artifact.path.name} was not written by lstmbridge --to torch",
            where=str(artifact.path),
        )
    return content


def _described(path: Path, content: Content) -> Artifact:
    if GRAPH not in content.strings:
        return _artifact(path, architecture_of(content, path), content.strings)
    program = program_of(content.strings[GRAPH], str(path))
    return Artifact(
        path=path,
        target="torch",
        signature=signature_of_program(program),
        precision=program.precision,
        expressions=program.expressions,
        metadata=dict(content.strings),
    )


def _artifact(path: Path, architecture: Architecture, strings: Mapping[str, str]) -> Artifact:
    return Artifact(
        path=path,
        target="torch",
        signature=signature(architecture, numpy_dtype(architecture.dtype)),
        precision=architecture.dtype,
        expressions=architecture.expressions,
        metadata=dict(strings),
    )
