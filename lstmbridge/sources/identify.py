"""What a file seems to be, by its content. Used to say what was given instead of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lstmbridge.sources.files import MappedFile, read_start

_MAGICS: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras .h5)"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"\x80\x02", "a pickle or an old PyTorch file"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"GGUF", "a GGUF file"),
    (b"\x7fELF", "a program"),
    (b"version https://git-lfs", "a Git LFS pointer: the real file was not fetched"),
)
_ZIP_MEMBERS: tuple[tuple[str, str], ...] = (
    ("config.json", "a Keras file (.keras)"),
    ("data.pkl", "a PyTorch file (.pt)"),
    (".npy", "a NumPy archive (.npz)"),
    ("saved_model.pb", "a zip archive with a SavedModel in it"),
    (".index", "a zip archive with a checkpoint in it"),
    ("checkpoint", "a zip archive with a checkpoint in it"),
)


def _has_ops(graph: Any) -> bool:
    """Whether a GraphDef has nodes, and each of them is an operation."""
    return bool(graph.node) and all(node.op for node in graph.node)


_MESSAGES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    (
        "MetaGraphDef",
        lambda message: _has_ops(message.graph_def),
        "a graph (.meta) without its variables",
    ),
    ("GraphDef", _has_ops, "a graph (a frozen .pb)"),
    (
        "SavedModel",
        lambda message: any(_has_ops(meta.graph_def) for meta in message.meta_graphs),
        "the graph of a SavedModel (saved_model.pb)",
    ),
    (
        "OnnxModel",
        lambda message: bool(message.ir_version and message.graph and message.opset_import),
        "an ONNX model",
    ),
)
"""Any bytes may parse as some message: what counts is that the parts make sense."""
MOST_MEMBERS = 10_000
LARGEST_PROTOBUF = 64 << 20
"""Guessing parses no more than this."""


def describe(path: Path) -> str:
    """What `path` seems to be, as words for a message. Errors: SourceUnreadable."""
    start = read_start(path, 64)
    if not start:
        return "an empty file"
    for magic, words in _MAGICS:
        if start.startswith(magic):
            return words
    if start.startswith(b"PK\x03\x04"):
        return _describe_zip(path)
    # text comes last: a message may begin with a line break and a brace
    return (
        _describe_start(start)
        or _describe_protobuf(path)
        or _describe_text(start)
        or "of no format that we know"
    )


def _describe_start(start: bytes) -> str | None:
    """Formats whose mark is not in the very first bytes."""
    looks = (
        (
            start.startswith(b"\x00\x00") and start.find(b"\x0a", 2, 8) > 0,
            "the beginning of a checkpoint whose end is missing",
        ),
        (start[4:8] == b"TFL3", "a TensorFlow Lite model"),
        (start[5:9] == b"\x00\x00\x00{", "a safetensors file"),
    )
    return next((words for fits, words in looks if fits), None)


def _describe_text(start: bytes) -> str | None:
    if start.lstrip()[:1] in {b"<", b"{"} and b"\x00" not in start:
        return "a text file (JSON, XML or a web page saved in its place)"
    return None


def _describe_zip(path: Path) -> str:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()[:MOST_MEMBERS]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a damaged zip archive"
    for ending, words in _ZIP_MEMBERS:
        if any(name.endswith(ending) for name in names):
            return words
    return "a zip archive"


def _describe_protobuf(path: Path) -> str | None:
    """A GraphDef, MetaGraphDef, SavedModel or ONNX model; None where it is no such thing."""
    from google.protobuf.message import DecodeError

    from lstmbridge.sources.proto import graph_pb2

    file = MappedFile(path)
    if file.size > LARGEST_PROTOBUF:
        return None
    data = bytes(file.view())
    for name, is_such, words in _MESSAGES:
        try:
            message = getattr(graph_pb2, name).FromString(data)
        except (DecodeError, UnicodeDecodeError, RuntimeError):
            continue
        if is_such(message):
            return words
    return None
