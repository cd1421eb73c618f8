"""The graph's vocabulary as a builder of ONNX nodes."""

from __future__ import annotations

from lstmbridge.targets.onnx.whole.words_scan import Scanning


class Symbolic(Scanning):
    """Implements `graph.words.Words` for values of `values`."""
