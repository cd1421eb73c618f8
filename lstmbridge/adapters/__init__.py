"""Named tensors (+ graph + hints) -> Model. Spellings and layouts are data; reads no weights."""

from lstmbridge.adapters.adapter import TensorFlow1Adapter, recognise

__all__ = ["TensorFlow1Adapter", "recognise"]
