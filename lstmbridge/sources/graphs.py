"""Graphs that carry their weights: frozen GraphDefs and SavedModels, as a `Source`.

A frozen graph has a Const where a variable was: those are its tensors, by node name. A
SavedModel has its variables beside the graph, as a checkpoint, and signatures in it. What a
file is, is found out by content: any bytes may parse as some message, so the parts must make
sense, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lstmbridge.contracts import SourceSignature, TensorRef
from lstmbridge.errors import SourceUnreadable
from lstmbridge.graph.graphdef import Graph
from lstmbridge.sources.bundle_v2 import open_bundle
from lstmbridge.sources.files import MappedFile, read_start, sha256_of
from lstmbridge.sources.messages import parse, parse_text
from lstmbridge.sources.metagraph import ConstTensor, graph_of_message, producer_of_message
from lstmbridge.sources.restored import keys_of_variables

FROZEN = "TensorFlow frozen graph"
SAVED_MODEL = "TensorFlow SavedModel"
SERVE = "serve"
SERVING_DEFAULT = "serving_default"
MOST_SHOWN = 6

_SAVED_FILES = ("saved_model.pb", "saved_model.pbtxt")
_BINARY = b"\x08\x0a\x12\x22"
"""With these bytes fields 1, 2 and 4 begin: what a GraphDef or a SavedModel starts with."""
_TEXT_GRAPH = re.compile(rb"\s*(#[^\n]*\n\s*)*(node|library|versions)\s*[:{<]")
_TEXT_SAVED = re.compile(rb"\s*(#[^\n]*\n\s*)*(saved_model_schema_version|meta_graphs)\s*[:{<]")
_ENTRANCES = frozenset({"Enter", "RefEnter", "RefSwitch", "Switch"})
_VARIABLES = frozenset({"AutoReloadVariable", "VarHandleOp", "Variable", "VariableV2"})


class GraphSource:
    """A graph with its weights; see `lstmbridge.contracts.Source`."""

    def __init__(
        self,
        path: Path,
        kind: str,
        graph: Graph,
        tensors: Mapping[str, TensorRef],
        *,
        mapped: Sequence[MappedFile] = (),
        signature: SourceSignature | None = None,
    ) -> None:
        self._path = path
        self._format = kind
        self._graph = graph
        self._tensors = MappingProxyType(dict(tensors))
        self._mapped = mapped
        self._signature = signature

    @property
    def path(self) -> Path:
        """The frozen graph's file, or the SavedModel's folder."""
        return self._path

    @property
    def format(self) -> str:
        """`FROZEN` or `SAVED_MODEL`."""
        return self._format

    @property
    def files(self) -> tuple[Path, ...]:
        """The graph's file, then the variables' files."""
        return (Path(self._graph.where), *(file.path for file in self._mapped))

    @property
    def tensors(self) -> Mapping[str, TensorRef]:
        """The variables by name; in a frozen graph, the constants that hold weights."""
        return self._tensors

    def graph(self) -> Graph | None:
        """The graph."""
        return self._graph

    @property
    def declares_model(self) -> bool:
        """True."""
        return True

    @property
    def signature(self) -> SourceSignature | None:
        """What a SavedModel declares of inputs and outputs; None for a frozen graph."""
        return self._signature

    @property
    def producer(self) -> str | None:
        """``"TensorFlow 1.15.5"`` where a SavedModel says it."""
        return self._graph.producer

    def sha256(self) -> str:
        """Of all `files`, in order."""
        return sha256_of(self.files)

    def close(self) -> None:
        """Let go of mapped files; arrays that were handed out stay valid."""
        for file in self._mapped:
            file.release()


def open_graph(path: Path) -> GraphSource | None:
    """The frozen graph or SavedModel at `path`; None where it is neither.

    Args:
        path: a file, or a SavedModel's folder.

    Errors: SourceUnreadable where it is one that cannot be used: broken, without its variables,
    or with several graphs of which none is meant for serving.
    """
    if path.is_dir():
        found = next((path / name for name in _SAVED_FILES if (path / name).is_file()), None)
        return None if found is None else _saved_model(found, _message(found, "SavedModel"))
    kind = _kind_of(path) if path.is_file() else ""
    if kind == "SavedModel":
        return _saved_model(path, _message(path, kind))
    return _frozen(path, _message(path, kind)) if kind else None


def _kind_of(path: Path) -> str:
    """``"GraphDef"``, ``"SavedModel"``, or "" for another file."""
    start = read_start(path, 4096)
    if not start or start[0] not in _BINARY:
        return _text_kind(start)
    if text := _text_kind(start):
        return text
    if _is_saved_model(path, start):
        return "SavedModel"
    graph = None if _is_meta_graph(path) else _try(path, "GraphDef")
    return "GraphDef" if graph is not None and _has_ops(graph) else ""


def _text_kind(start: bytes) -> str:
    if _TEXT_GRAPH.match(start):
        return "GraphDef"
    return "SavedModel" if _TEXT_SAVED.match(start) else ""


def _is_saved_model(path: Path, start: bytes) -> bool:
    if start[0] not in b"\x08\x12":
        return False
    message = _try(path, "SavedModel")
    return message is not None and any(_has_ops(m.graph_def) for m in message.meta_graphs)


def _is_meta_graph(path: Path) -> bool:
    message = _try(path, "MetaGraphDef")
    return message is not None and _has_ops(message.graph_def)


def _has_ops(graph: Any) -> bool:
    return bool(graph.node) and all(node.op for node in graph.node)


def _try(path: Path, name: str) -> Any:
    """The bytes as a message, None where they are no such thing."""
    try:
        return _message(path, name)
    except SourceUnreadable:
        return None


def _message(path: Path, name: str) -> Any:
    from lstmbridge.sources.proto import graph_pb2

    kind, file = getattr(graph_pb2, name), MappedFile(path)
    if not _text_kind(bytes(file.view()[:4096])):
        return parse(kind, file.view(), str(path))
    try:
        text = bytes(file.view()).decode()
    except UnicodeDecodeError as err:
        raise SourceUnreadable(f"the text is no UTF-8: {err}", where=str(path)) from err
    return parse_text(kind, text, str(path))


# --- frozen graphs --------------------------------------------------------------------------


def _frozen(path: Path, message: Any) -> GraphSource:
    graph = graph_of_message(message, str(path), None)
    tensors = _constants(graph)
    if not any(len(t.shape) > 1 for t in tensors.values()):
        _refuse_empty(path, graph)
    return GraphSource(path, FROZEN, graph, tensors)


def _constants(graph: Graph) -> dict[str, TensorRef]:
    """The constants that hold weights: floats, more than a single number.

    Freezing leaves the Identity that read the variable: other constants (the zeros in place of
    peepholes) have none. Where an optimizer folded those away, every constant may be a weight.
    """
    found: dict[str, TensorRef] = {}
    for node in graph.nodes.values():
        value = node.attrs.get("value") if node.op == "Const" else None
        if not isinstance(value, ConstTensor) or not value.shape:
            continue
        # bfloat16 is of kind V to NumPy
        if value.dtype.kind == "f" or value.dtype.name == "bfloat16":
            found[node.name] = replace(value, name=node.name)
    read = _read_by_identity(graph)
    variables = {name: tensor for name, tensor in found.items() if name in read}
    return variables if any(len(t.shape) > 1 for t in variables.values()) else found


def _read_by_identity(graph: Graph) -> set[str]:
    """Names that an Identity reads, directly or inside a loop or a cond."""
    entered = {
        node.name: node.inputs[0]
        for node in graph.nodes.values()
        if node.op in _ENTRANCES and node.inputs
    }
    read = set()
    for node in graph.nodes.values():
        if node.op == "Identity" and node.inputs:
            source = node.inputs[0].split(":")[0]
            read |= {source, entered.get(source, source)}
    return read


def _refuse_empty(path: Path, graph: Graph) -> None:
    variables = [node.name for node in graph.nodes.values() if node.op in _VARIABLES]
    if variables:
        raise SourceUnreadable(
            f"{path.name} is a graph without its {len(variables)} variables "
            f"({', '.join(variables[:MOST_SHOWN])})",
            expected="a frozen graph, with constants in their place",
            where=str(path),
            advice="name the checkpoint that its variables are stored in",
        )


# --- SavedModels ----------------------------------------------------------------------------


def _saved_model(path: Path, message: Any) -> GraphSource:
    meta = _served(path, message)
    graph = graph_of_message(meta.graph_def, str(path), producer_of_message(meta))
    index = path.parent / "variables" / "variables.index"
    tensors: dict[str, TensorRef] = {}
    mapped: Sequence[MappedFile] = ()
    if index.is_file():
        bundle = open_bundle(index, index.with_name("variables"))
        tensors.update(_by_graph_names(graph, bundle.tensors))
        mapped = tuple(bundle.files)
    else:
        tensors = _constants(graph)
        if not tensors or any(node.op in _VARIABLES for node in graph.nodes.values()):
            raise SourceUnreadable(
                "the SavedModel's variables are not there",
                expected="a file variables/variables.index beside it",
                where=str(path.parent),
                advice="copy the whole folder of the SavedModel",
            )
    return GraphSource(
        path.parent, SAVED_MODEL, graph, tensors, mapped=mapped, signature=_signature(meta)
    )


def _by_graph_names(graph: Graph, stored: Mapping[str, TensorRef]) -> dict[str, TensorRef]:
    """The variables by the names that the graph has for them; others by their keys."""
    keys = {n: key for n, key in keys_of_variables(graph).items() if n not in stored}
    named = {name: stored[key] for name, key in keys.items() if key in stored}
    taken = set(keys.values())
    return {**{key: t for key, t in stored.items() if key not in taken}, **named}


def _served(path: Path, message: Any) -> Any:
    """The one graph that is meant for serving."""
    metas = [meta for meta in message.meta_graphs if meta.graph_def.node]
    tags = [tuple(meta.meta_info_def.tags) for meta in metas]
    for wanted in (
        [meta for meta, tag in zip(metas, tags, strict=True) if tag == (SERVE,)],
        [meta for meta, tag in zip(metas, tags, strict=True) if SERVE in tag],
        metas,
    ):
        if len(wanted) == 1:
            return wanted[0]
    shown = "; ".join(", ".join(tag) or "no tag" for tag in tags[:MOST_SHOWN]) or "none"
    raise SourceUnreadable(
        f"the SavedModel holds {len(metas)} graphs, with the tags: {shown}",
        expected=f"one graph, or one with the tag {SERVE!r}",
        where=str(path),
        advice="export the graph that is served alone",
    )


def _signature(meta: Any) -> SourceSignature | None:
    """``serving_default``, or the only signature; None where there is none, or a choice."""
    found = {
        key: SourceSignature(
            key,
            {name: info.name for name, info in sorted(proto.inputs.items()) if info.name},
            {name: info.name for name, info in sorted(proto.outputs.items()) if info.name},
        )
        for key, proto in meta.signature_def.items()
        # TensorFlow keeps operations that initialise a model among its signatures
        if not key.startswith("__") and proto.outputs
    }
    if SERVING_DEFAULT in found:
        return found[SERVING_DEFAULT]
    return next(iter(found.values())) if len(found) == 1 else None
