"""A stack in a release's own cells and loops. Python 3.6; see `worker`."""

import importlib
from typing import Any, Dict, List, Optional, Sequence, Tuple

tf_session = importlib.import_module("tf_session")  # beside this file, wherever that is

_CELLS = (
    "tensorflow.contrib.rnn",
    "tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl",
    "tensorflow.python.ops.rnn_cell_impl",
    "tensorflow.python.ops.rnn_cell",
)
_ROLES = {
    "kernel": ("kernel", "weights", "Matrix", "W_0"),
    "bias": ("bias", "biases", "Bias", "B"),
    "w_i_diag": ("w_i_diag", "W_I_diag"),
    "w_f_diag": ("w_f_diag", "W_F_diag"),
    "w_o_diag": ("w_o_diag", "W_O_diag"),
    "projection/kernel": ("projection/kernel", "projection/weights", "W_P_0"),
    "gates/kernel": ("gates/kernel", "gates/weights", "Gates/Linear/Matrix"),
    "gates/bias": ("gates/bias", "gates/biases", "Gates/Linear/Bias"),
    "candidate/kernel": ("candidate/kernel", "candidate/weights", "Candidate/Linear/Matrix"),
    "candidate/bias": ("candidate/bias", "candidate/biases", "Candidate/Linear/Bias"),
}
"""Role -> how the releases have ended the names of their variables."""
_ACTIVATIONS = ("tanh", "sigmoid", "relu", "relu6", "elu", "selu", "softplus", "softsign")


def rebuilt(tf: Any, v1: Any, network: Dict[str, Any], weights: Dict[str, Any]) -> Any:
    """A stack in this release's own cells and loops, as `network` describes it."""
    graph = tf.Graph()
    with graph.as_default():
        builder = Builder(tf, v1, network)
        session = tf_session.new_session(v1, graph)
        read = builder.fill(session, weights, network)
    route = "its cells rebuilt, {} of {} variables read by TensorFlow".format(*read)
    return tf_session.Network(tf, session, builder.tensors, {"route": route})


class Builder:
    """One network in the making; cells take the layers in order."""

    def __init__(self, tf: Any, v1: Any, network: Dict[str, Any]) -> None:
        self._tf, self._v1 = tf, v1
        self._cells = cells_module()
        self._dtype = tf.as_dtype(network["dtype"])
        self._layers = {layer["name"]: layer for layer in network["layers"]}
        self._order: List[str] = []
        x = v1.placeholder(self._dtype, [None, None, network["input_size"]])
        self._lengths = v1.placeholder(tf.int32, [None])
        self.tensors: Dict[str, Any] = {"inputs": x, "sequence_length": self._lengths}
        self.tensors["outputs"] = self.block(network["root"], x)

    def block(self, block: Dict[str, Any], x: Any) -> Any:
        """The outputs (batch, time, features) of a block over x."""
        if is_cell(block):
            cell, names, initial = self._cell(block)
            loop = self._v1.nn.dynamic_rnn
            y, final = loop(cell, x, self._lengths, initial, scope=fresh(self._order, "rnn"))
            self._keep(names, final)
            return y
        if block["kind"] == "bidirectional":
            forward, fw_names, fw = self._cell(block["forward"])
            backward, bw_names, bw = self._cell(block["backward"])
            both = self._v1.nn.bidirectional_dynamic_rnn
            ys, finals = both(
                forward, backward, x, self._lengths, fw, bw, scope=fresh(self._order, "birnn")
            )
            self._keep(fw_names, finals[0])
            self._keep(bw_names, finals[1])
            return concat(self._tf, list(ys))
        if block["kind"] == "residual":
            return self._masked(self.block(block["inner"], x) + x)
        for child in block["blocks"]:
            x = self.block(child, x)
        return x

    def _masked(self, y: Any) -> Any:
        tf = self._tf
        steps = tf.expand_dims(tf.range(tf.shape(y)[1]), 0)
        alive = tf.cast(tf.less(steps, tf.expand_dims(self._lengths, 1)), self._dtype)
        return y * tf.expand_dims(alive, 2)

    def _cell(self, block: Dict[str, Any]) -> Tuple[Any, List[str], Any]:
        if block["kind"] == "cell":
            layer = self._layers[block["layer"]]
            self._order.append(layer["name"])
            start = {}
            for state, width in layer["states"].items():
                start[state] = self._v1.placeholder(self._dtype, [None, width])
                self.tensors[layer["initial"][state]] = start[state]
            both = self._cells.LSTMStateTuple(start["c"], start["h"]) if "c" in start else None
            return self._make(layer), [layer["name"]], start["h"] if both is None else both
        if block["kind"] == "residual":
            cell, names, initial = self._cell(block["inner"])
            wrapper = getattr(self._cells, "ResidualWrapper", None)
            if wrapper is None:
                raise tf_session.Declined("this release has no ResidualWrapper")
            return wrapper(cell), names, initial
        parts = [self._cell(child) for child in block["blocks"]]
        cells = self._cells.MultiRNNCell([cell for cell, _, _ in parts], state_is_tuple=True)
        names = [name for _, inner, _ in parts for name in inner]
        return cells, names, tuple(initial for _, _, initial in parts)

    def _make(self, layer: Dict[str, Any]) -> Any:
        facts = layer["facts"]
        activation = facts.get("activation", "tanh")
        if activation not in _ACTIVATIONS or not hasattr(self._tf.nn, activation):
            raise tf_session.Declined("this release has no activation {}".format(activation))
        function = getattr(self._tf.nn, activation)
        if layer["kind"] == "LSTM":
            return self._lstm(layer, function)
        maker = {"GRU": "GRUCell", "RNN": "BasicRNNCell"}[layer["kind"]]
        return getattr(self._cells, maker)(layer["units"], activation=function)

    def _lstm(self, layer: Dict[str, Any], function: Any) -> Any:
        facts = layer["facts"]
        options = {
            "use_peepholes": "w_i_diag" in layer["roles"],
            "cell_clip": facts.get("cell_clip"),
            "num_proj": layer["output_size"] if "projection/kernel" in layer["roles"] else None,
            "forget_bias": facts["forget_bias"],
            "activation": function,
            "state_is_tuple": True,
        }
        if facts.get("proj_clip") is not None:
            options["proj_clip"] = facts["proj_clip"]
        if "legacy_rnn" in self._cells.__name__:
            options["dtype"] = self._dtype
        return self._cells.LSTMCell(layer["units"], **options)

    def _keep(self, names: List[str], final: Any) -> None:
        """Note the final states, which are flat in the order of layers, c before h."""
        states = flat(final)
        for name in names:
            layer = self._layers[name]
            for state in ("c", "h"):
                if state in layer["states"]:
                    self.tensors[layer["final"][state]] = states.pop(0)

    def fill(
        self, session: Any, weights: Dict[str, Any], network: Dict[str, Any]
    ) -> Tuple[int, int]:
        """Set every variable: (how many TensorFlow itself read, of how many)."""
        reader = None
        if network.get("checkpoint"):
            reader = tf_session.reader_of(self._v1, network["checkpoint"])
        stored = {} if reader is None else reader.get_variable_to_shape_map()
        left = tf_session.all_variables(self._v1)
        read = count = 0
        for name in self._order:
            layer = self._layers[name]
            for role in sorted(layer["roles"], key=len, reverse=True):
                variable = first_of(left, role)
                left.remove(variable)
                shape = variable.get_shape().as_list()
                numbers = weights["{}|{}".format(name, role)]
                own = first_name(layer["variables"], role)
                if reader is not None and own is not None and list(stored.get(own, ())) == shape:
                    numbers, read = reader.get_tensor(own), read + 1
                if list(numbers.shape) != shape:
                    raise tf_session.Declined(
                        "its {} has the shape {}".format(variable.name, shape)
                    )
                tf_session.assign(session, variable, numbers)
                count += 1
        if left:
            raise tf_session.Declined("its cells have more variables: " + left[0].name)
        return read, count


def ends_as(name: str, role: str) -> bool:
    """Whether a variable of this name plays the role."""
    return any(name == end or name.endswith("/" + end) for end in _ROLES[role])


def first_of(variables: Sequence[Any], role: str) -> Any:
    """The first variable that plays a role: they are made layer by layer."""
    for variable in variables:
        if ends_as(variable.name.split(":")[0], role):
            return variable
    raise tf_session.Declined("its cells have no variable for {}".format(role))


def first_name(names: Sequence[str], role: str) -> Optional[str]:
    """The source's own variable for a role, where it is one."""
    found = [name for name in names if ends_as(name, role)]
    if role in {"kernel", "bias"}:
        found = [name for name in found if not ends_as(name, "projection/kernel")]
    return found[0] if len(found) == 1 else None


def is_cell(block: Dict[str, Any]) -> bool:
    """Can it be said as one cell?"""
    kind = block["kind"]
    if kind == "residual":
        return is_cell(block["inner"])
    return kind == "cell" or (kind == "sequence" and all(map(is_cell, block["blocks"])))


def cells_module() -> Any:
    """Where this release keeps its cells."""
    for name in _CELLS:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if hasattr(module, "LSTMCell") and hasattr(module, "LSTMStateTuple"):
            return module
    raise tf_session.Declined("it has no LSTMCell any more")


def fresh(order: List[str], word: str) -> str:
    """A scope that no other loop has."""
    return "{}_{}".format(word, len(order))


def concat(tf: Any, parts: List[Any]) -> Any:
    """Side by side; before 1.0 the axis came first."""
    try:
        return tf.concat(parts, 2)
    except (TypeError, ValueError):
        return tf.concat(2, parts)


def flat(value: Any) -> List[Any]:
    """The tensors in nested tuples."""
    if isinstance(value, (tuple, list)):
        return [one for part in value for one in flat(part)]
    return [value]
