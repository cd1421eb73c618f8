"""Runs a network in whatever TensorFlow another Python has: 0.12 to 2.x, Python 3.6 and later.

Started by `lstmbridge.runtimes.foreign`, by its path, in a Python where lstmbridge is not
installed: nothing of lstmbridge is imported here, and nothing newer than Python 3.6 is used.
Protocol: see `lstmbridge.runtimes.process`. Requests:

- the first: ``graph`` (a file of the source, and its kind), or ``network`` (cells to rebuild), and
  ``weights`` (an .npz); the answer says TensorFlow's version and what was done;
- each further one: ``feeds`` (an .npz), ``fetches`` (names), ``outputs`` (where they go).

An error ends the process, after it was reported.
"""

import contextlib
import importlib
import json
import os
import sys
from types import TracebackType
from typing import IO, Any, Callable, Dict, List, Optional, Type

import numpy as np

tf_session = importlib.import_module("tf_session")  # beside this file, wherever that is


def main() -> None:
    """Answer requests until there are no more."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def report(
        kind: Type[BaseException], error: BaseException, trace: Optional[TracebackType]
    ) -> None:
        text = " ".join(str(error).split())[:400]
        read = (
            text
            if isinstance(error, tf_session.Declined)
            else "{}: {}".format(kind.__name__, text)
        )
        say(channel, {"error": {"read": "TensorFlow declined: " + read}})
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = report
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the reference is the CPU's float32
    network: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        if network is None:
            network = opened(request)
            say(channel, network.about)
        else:
            outputs = network.run(unpack(request["feeds"], request["said"]), request["fetches"])
            say(channel, {"said": pack(request["outputs"], outputs)})


def say(channel: IO[str], answer: Dict[str, Any]) -> None:
    """One line of JSON."""
    channel.write(json.dumps(answer) + "\n")
    channel.flush()


def unpack(path: str, said: Dict[str, Any]) -> Dict[str, Any]:
    """The arrays of a file that lstmbridge wrote, by name."""
    with np.load(path) as archive:
        return {name: archive["a{}".format(k)] for k, name in enumerate(said["names"])}


def pack(path: str, arrays: Dict[str, Any]) -> Dict[str, List[str]]:
    """Write arrays; bfloat16, which NumPy cannot store, as float32, which holds all of it."""
    narrow = [name for name, array in arrays.items() if "bfloat16" in str(array.dtype)]
    stored = {
        "a{}".format(k): array.astype(np.float32) if name in narrow else array
        for k, (name, array) in enumerate(arrays.items())
    }
    np.savez(path, **stored)
    return {"names": list(arrays), "bfloat16": narrow}


def opened(request: Dict[str, Any]) -> Any:
    """The network of the first request: the source's own graph, or its cells rebuilt."""
    import tensorflow as tf

    v1 = tf.compat.v1 if hasattr(tf, "compat") and hasattr(tf.compat, "v1") else tf
    logger = getattr(v1, "logging", None)
    if logger is not None:
        logger.set_verbosity(logger.ERROR)
    weights = unpack(request["weights"], request["said"])
    if request.get("graph"):
        return own_graph(tf, v1, request["graph"], weights)
    return importlib.import_module("tf_rebuild").rebuilt(tf, v1, request["network"], weights)


# --- the source's own graph ------------------------------------------------------------------


def own_graph(tf: Any, v1: Any, origin: Dict[str, Any], weights: Dict[str, Any]) -> Any:
    """The graph of a .meta, a SavedModel or a frozen graph, its variables restored."""
    register_contrib()
    graph = tf.Graph()
    with graph.as_default():
        session = tf_session.new_session(v1, graph)
        how = _LOADERS[origin["kind"]](tf, v1, session, origin)
        if weights:
            variables = {v.name.split(":")[0]: v for v in tf_session.all_variables(v1)}
            for name, numbers in weights.items():
                if name in variables:
                    tf_session.assign(session, variables[name], numbers)
        for name in origin["tensors"]:
            graph.get_tensor_by_name(name)  # raises where this TensorFlow names them otherwise
    return tf_session.Network(tf, session, None, {"route": how})


def _from_meta(tf: Any, v1: Any, session: Any, origin: Dict[str, Any]) -> str:
    messages = importlib.import_module("tensorflow.core.protobuf.meta_graph_pb2")
    message = messages.MetaGraphDef()
    with open(origin["path"], "rb") as file:
        message.ParseFromString(file.read())
    return "its own graph, " + _restored(tf, v1, session, message, origin["checkpoint"])


def _restored(tf: Any, v1: Any, session: Any, message: Any, prefix: str) -> str:
    loosen(message.graph_def)
    saver = v1.train.import_meta_graph(message, clear_devices=True)
    if saver is not None:
        try:
            saver.restore(session, prefix)
        except (tf.errors.OpError, ValueError, TypeError):
            saver = None  # its saver knows variables or a format that the file does not have
    if saver is not None:
        return "restored by its own saver"
    count = tf_session.assign_from(v1, session, tf_session.reader_of(v1, prefix))
    return "{} variables read one by one".format(count)


def _from_frozen(tf: Any, v1: Any, _session: Any, origin: Dict[str, Any]) -> str:
    definition = v1.GraphDef()
    with open(origin["path"], "rb") as file:
        data = file.read()
    try:
        definition.ParseFromString(data)
    except Exception as error:
        if "DecodeError" not in type(error).__name__:
            raise
        text_format = importlib.import_module("google.protobuf.text_format")
        text_format.Merge(data.decode("utf-8"), definition)
    loosen(definition)
    tf.import_graph_def(definition, name="")
    return "its own frozen graph"


def _from_saved_model(tf: Any, v1: Any, session: Any, origin: Dict[str, Any]) -> str:
    messages = importlib.import_module("tensorflow.core.protobuf.saved_model_pb2")
    message = messages.SavedModel()
    with open(os.path.join(origin["path"], "saved_model.pb"), "rb") as file:
        message.ParseFromString(file.read())
    graphs = list(message.meta_graphs)
    best = next((one for one in graphs if "serve" in one.meta_info_def.tags), graphs[0])
    prefix = os.path.join(origin["path"], "variables", "variables")
    tags = ", ".join(best.meta_info_def.tags)
    return "its own SavedModel ({}), {}".format(tags, _restored(tf, v1, session, best, prefix))


def loosen(definition: Any) -> None:
    """Let any batch and any number of steps in: a placeholder's own sizes are of its training."""
    for node in definition.node:
        node.attr.pop("_output_shapes", None)
        if node.op.startswith("Placeholder") and "shape" in node.attr:
            sizes = node.attr["shape"].shape.dim
            for one in list(sizes)[: max(1, len(sizes) - 1)]:
                one.size = -1


_LOADERS: Dict[str, Callable[[Any, Any, Any, Dict[str, Any]], str]] = {
    "meta": _from_meta,
    "frozen": _from_frozen,
    "saved_model": _from_saved_model,
}


def register_contrib() -> None:
    """Make TensorFlow 1's operations of tf.contrib known, where it has them."""
    for name in ("tensorflow.contrib.rnn", "tensorflow.contrib.cudnn_rnn"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


if __name__ == "__main__":
    main()
