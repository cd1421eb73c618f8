"""What is added to an ONNX file after it was verified, without touching a byte that was.

Protobuf merges repeated fields of concatenated messages: a `ModelProto` that holds nothing but
``metadata_props``, appended to the file, adds those entries and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx


def append_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Append `metadata` to the ModelProto at `path`, sorted by key."""
    addition = onnx.ModelProto()
    for key, value in sorted(metadata.items()):
        addition.metadata_props.add(key=key, value=value)
    with path.open("ab") as file:
        file.write(addition.SerializeToString(deterministic=True))


def loading_code(path: Path) -> str:
    """How to run the artifact with ONNX Runtime and nothing of ours."""
    return (
        "import onnxruntime\n"
        f'session = onnxruntime.InferenceSession("{path.name}")\n'
        'outputs, *states = session.run(None, {"inputs": x})'
    )
