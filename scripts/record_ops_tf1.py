# /// script
# requires-python = ">=3.7,<3.8"
# dependencies = [
#     "tensorflow==1.15.5",
#     "protobuf<3.21",
#     "numpy<1.19",
# ]
# ///
"""Record what operations compute that TensorFlow 2 no longer has, as `record_ops.py` does.

The environment is the one of `make_fixtures_tf1.py`. Run::

    tf115/bin/python scripts/record_ops_tf1.py tests/graph/recorded_ops_tf1.json
"""

import json
import os
import re
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import tensorflow as tf
from tensorflow.contrib import seq2seq

R = np.random.RandomState(5)
I4 = np.int32


def beams(steps, batch, width, lengths, end):
    ids = R.randint(0, 5, (steps, batch, width)).astype(I4)
    parents = R.randint(0, width, (steps, batch, width)).astype(I4)
    return [ids, parents, np.array(lengths, I4), np.array(end, I4)]


def cases():
    """(operation, attributes, inputs, how TensorFlow 1.15 calls it)."""
    for lengths in ([4, 2, 0], [9, 4, 1]):
        yield "GatherTree", {}, beams(4, 3, 2, lengths, 3), seq2seq.gather_tree
    yield "GatherTree", {}, beams(7, 2, 5, [7, 6], 0), seq2seq.gather_tree
    yield "GatherTree", {}, beams(1, 1, 1, [1], 9), seq2seq.gather_tree
    # a graph has it, and no kernel does: the session puts sums in its place
    terms = [np.round(R.normal(size=(3, 4)), 3) for _ in range(3)]
    yield "AccumulateNV2", {}, terms, lambda *given: tf.accumulate_n(list(given))


def plain(value):
    value = np.asarray(value)
    return {
        "dtype": value.dtype.name,
        "shape": list(value.shape),
        "data": value.ravel().tolist(),
    }


def main():
    recorded = []
    for op, attrs, inputs, call in cases():
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            made = call(*[tf.constant(one) for one in inputs], **attrs)
            made = made if isinstance(made, (list, tuple)) else [made]
            outputs = session.run(list(made))
        stored = {"inputs": [plain(one) for one in inputs], "outputs": [plain(v) for v in outputs]}
        recorded.append({"op": op, "attrs": attrs, **stored})
    text = json.dumps({"tensorflow": tf.__version__, "cases": recorded}, indent=0)
    # one case a line: a changed case is a changed line
    text = re.sub(r"\n(?!\{\n\"op\"|\{\"op\")", "", text)
    with open(sys.argv[1], "w") as file:
        file.write(text + "\n")
    print(len(recorded), "cases")


if __name__ == "__main__":
    main()
