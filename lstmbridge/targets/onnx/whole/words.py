"""The graph's vocabulary as a builder of ONNX nodes."""

from __future__ import annotations

from lstmbridge.targets.onnx.whole.words_windows import Windows


class Symbolic(Windows):
    """Implements `graph.words.Words` for values of `values`."""
