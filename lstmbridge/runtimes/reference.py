"""onnx's own reference evaluator: slow, plain NumPy, and blind to much of its own operators.

Seen in its source and by running onnx 1.16 to 1.23: LSTM, GRU and RNN take the attributes and
the input of `_BLIND`, and compute as if they were not there; before 1.23 a direction other than
forward, too. An artifact that uses one is declined by its name: an answer would be wrong
without a word. A sequence of no steps is an error inside of it.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
from typing_extensions import Self

from lstmbridge.contracts import Artifact, Feeds, Outputs, RuntimeInfo
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model
from lstmbridge.runtimes.onnxruntime import decline_empty, onnx_artifact

NAME = "onnx-reference"
_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
_LENGTHS = 4
_BLIND = ("clip", "input_forget", "activations", "activation_alpha", "activation_beta")
_DEFAULTS: Mapping[str, tuple[bytes, ...]] = {
    "LSTM": (b"Sigmoid", b"Tanh", b"Tanh"),
    "GRU": (b"Sigmoid", b"Tanh"),
    "RNN": (b"Tanh",),
}
_BOTH_WAYS_SINCE = (1, 23)


def blind_spots(model: Any, release: tuple[int, ...]) -> list[str]:
    """What of a ModelProto the evaluator of `release` would pass over, node by node."""
    import onnx

    found = []
    for node in _nodes(model.graph):
        if node.op_type not in _RECURRENT or node.domain not in {"", "ai.onnx"}:
            continue
        values = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        ignored = [name for name in _BLIND if _matters(node.op_type, name, values.get(name))]
        if len(node.input) > _LENGTHS and node.input[_LENGTHS]:
            ignored.append("sequence_lens")
        direction = values.get("direction", b"forward")
        if direction != b"forward" and release < _BOTH_WAYS_SINCE:
            ignored.append(f"direction {direction.decode()}")
        if ignored:
            label = node.name or node.output[0]
            found.append(f"{', '.join(ignored)} of the {node.op_type} node {label!r}")
    return found


def _nodes(graph: Any) -> Iterator[Any]:
    """Every node, those of bodies too."""
    graphs = [graph]
    while graphs:
        for node in graphs.pop().node:
            yield node
            graphs += [one.g for one in node.attribute if one.HasField("g")]


def _matters(kind: str, name: str, value: Any) -> bool:
    """Whether an attribute says anything but what holds without it."""
    if value is None:
        return False
    if name == "input_forget":
        return bool(value)
    if name == "activations":
        default = _DEFAULTS[kind]
        return tuple(value) not in {default, default * 2}
    return name == "clip" or bool(value)


class Reference:
    """`onnx.reference.ReferenceEvaluator`. Implements `contracts.Runtime`."""

    name = NAME
    runs = "onnx"
    on_request = True

    def info(self) -> RuntimeInfo:
        """Always here: it comes with onnx."""
        version = importlib.metadata.version("onnx")
        return RuntimeInfo(self.name, available=True, version=version)

    def open(self, subject: Artifact | Model) -> ReferenceSession:
        """Load the artifact.

        Raises:
            RuntimeUnavailable: the evaluator would pass over something that the file says.
        """
        artifact = onnx_artifact(subject, self.name)
        with _translated(f"load {artifact.path.name}"):
            import onnx
            from onnx.reference import ReferenceEvaluator

            model = onnx.load(str(artifact.path))
            blind = blind_spots(model, _release(onnx.__version__))
            if blind:
                raise RuntimeUnavailable(
                    f"onnx's reference evaluator passes over the {'; '.join(blind)}",
                    expected="an artifact that it reads as it is written",
                    where=self.name,
                    advice="use another runtime: lstmbridge runtimes",
                )
            evaluator = ReferenceEvaluator(model)
        return ReferenceSession(evaluator, artifact)


class ReferenceSession:
    """A loaded artifact. Implements `contracts.Session`."""

    device = "cpu"

    def __init__(self, evaluator: Any, artifact: Artifact) -> None:
        self._run: Callable[..., list[Array]] = evaluator.run
        self._dtypes = {spec.name: spec.dtype for spec in artifact.signature.inputs}
        self._outputs = list(artifact.signature.output_names())
        self.precision = artifact.precision

    def run(self, feeds: Feeds) -> Outputs:
        """One probe.

        Raises:
            RuntimeUnavailable: an empty axis, a name that the artifact does not have, or the
                evaluator declined.
        """
        decline_empty(feeds, NAME)
        unknown = feeds.keys() - self._dtypes.keys()
        if unknown:
            raise RuntimeUnavailable(
                f"{min(unknown)!r} was fed",
                expected=f"one of the artifact's inputs: {', '.join(self._dtypes)}",
                where=NAME,
            )
        cast = {name: np.asarray(a, self._dtypes[name]) for name, a in feeds.items()}
        # its sigmoid overflows on its way to an exact 0
        with _translated("run the model"), np.errstate(all="ignore"):
            results = self._run(self._outputs, cast)
        return dict(zip(self._outputs, results, strict=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """What the evaluator raises, of any class, becomes `RuntimeUnavailable`."""
    try:
        yield
    except RuntimeUnavailable:
        raise
    except Exception as error:  # plain NumPy code: it raises whatever NumPy raises
        text = " ".join(str(error).split())[:400]
        raise RuntimeUnavailable(
            f"onnx's reference evaluator declined to {what}: {text}", where=NAME
        ) from error
