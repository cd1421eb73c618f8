"""ONNX: one native `LSTM` node per layer where the operator can say it, else a `Scan`.

`OnnxTarget` is light to import; the modules that build and read graphs import onnx.
"""

from lstmbridge.targets.onnx.target import OnnxTarget

__all__ = ["OnnxTarget"]
