"""A TensorFlow network in a session, and how its variables are set. Python 3.6; see `worker`."""

from typing import Any, Dict, Iterable, List, Optional, Sequence, Set

import numpy as np

_RANDOM = ("RandomUniform", "RandomStandardNormal", "TruncatedNormal", "Multinomial")


class Declined(Exception):
    """This TensorFlow cannot do what is asked."""


class Network:
    """A graph with its variables set, in a session."""

    def __init__(
        self, tf: Any, session: Any, tensors: Optional[Dict[str, Any]], about: Dict[str, Any]
    ) -> None:
        self._session = session
        self._tensors = tensors
        self._extra: Dict[Any, Any] = {}
        self._known: Set[Any] = set()
        self.about = dict(about, version=str(tf.__version__))

    def _tensor(self, name: str) -> Any:
        if self._tensors is not None:
            return self._tensors[name]
        return self._session.graph.get_tensor_by_name(name)

    def run(self, feeds: Dict[str, Any], fetches: Sequence[str]) -> Dict[str, Any]:
        """Values of `fetches`, with `feeds` in place of tensors, cast to their types."""
        fed = {}
        for name, array in feeds.items():
            tensor = self._tensor(name)
            fed[tensor] = np.asarray(array).astype(tensor.dtype.base_dtype.as_numpy_dtype)
        wanted = {name: self._tensor(name) for name in fetches}
        if self._tensors is None and tuple(fetches) not in self._known:
            self._extra = self._switched_off(wanted, fed)
            self._known.add(tuple(fetches))
        values = self._values(list(wanted.values()), fed, self._extra)
        return dict(zip(wanted, values))

    def _switched_off(self, wanted: Dict[str, Any], fed: Dict[Any, Any]) -> Dict[Any, Any]:
        """What a graph that was made for training is fed, so that it drops nothing.

        Where random numbers are drawn, scalars that only the owner of the graph knows are
        probabilities to keep or to drop: 1 where that gives numbers, and the same ones twice;
        else 0. Truths are a training phase: no.
        """
        ops = behind(list(wanted.values()), fed)
        loose = [op.outputs[0] for op in ops if op.type.startswith("Placeholder")]
        draws = [op.name for op in ops if op.type in _RANDOM]
        if not draws:
            missing = [t.name for t in loose if t.op.type != "PlaceholderWithDefault"]
            if missing:
                raise Declined("the graph needs a value for " + ", ".join(sorted(missing)))
            return {}
        phase = {t: False for t in loose if t.dtype.base_dtype.name == "bool"}
        chances = [t for t in loose if t.dtype.is_floating]
        for value in (1.0, 0.0):
            extra = dict(phase)
            extra.update(dict.fromkeys(chances, value))
            runs = [self._values(list(wanted.values()), fed, extra) for _ in range(2)]
            same = all(np.array_equal(a, b) for a, b in zip(*runs))
            if same and all(np.isfinite(np.asarray(a, np.float64)).all() for a in runs[0]):
                return extra
        raise Declined("the graph draws random numbers: " + ", ".join(sorted(draws)[:3]))

    def _values(self, wanted: List[Any], fed: Dict[Any, Any], extra: Dict[Any, Any]) -> List[Any]:
        both = dict(fed)
        both.update(extra)
        values: List[Any] = self._session.run(wanted, feed_dict=both)
        return values


def behind(tensors: Sequence[Any], fed: Iterable[Any]) -> List[Any]:
    """The operations that `tensors` need where `fed` is given."""
    given = {tensor.name for tensor in fed}
    seen: Dict[str, Any] = {}
    queue = [tensor for tensor in tensors if tensor.name not in given]
    while queue:
        op = queue.pop().op
        if op.name not in seen:
            seen[op.name] = op
            queue += [tensor for tensor in op.inputs if tensor.name not in given]
    return list(seen.values())


def new_session(v1: Any, graph: Any) -> Any:
    """On the CPU, one thread."""
    config = v1.ConfigProto(
        device_count={"GPU": 0},
        allow_soft_placement=True,
        intra_op_parallelism_threads=1,
        inter_op_parallelism_threads=1,
    )
    return v1.Session(graph=graph, config=config)


def all_variables(v1: Any) -> List[Any]:
    """Every variable, by this release's way to ask."""
    ask = getattr(v1, "global_variables", None) or v1.all_variables
    return list(ask())


def reader_of(v1: Any, prefix: str) -> Any:
    """TensorFlow's own reader of checkpoints."""
    return v1.train.NewCheckpointReader(prefix)


def assign(session: Any, variable: Any, numbers: Any) -> None:
    """Set a variable; fed, not a constant: a graph may hold no more than 2 GB."""
    initializer = variable.initializer
    value = initializer.inputs[1]
    dtype = value.dtype.base_dtype.as_numpy_dtype
    session.run(initializer, {value: np.asarray(numbers).astype(dtype)})


def assign_from(v1: Any, session: Any, reader: Any) -> int:
    """Set the variables that a checkpoint has; how many."""
    stored = reader.get_variable_to_shape_map()
    count = 0
    for variable in all_variables(v1):
        name = variable.name.split(":")[0]
        if name in stored and list(stored[name]) == variable.get_shape().as_list():
            assign(session, variable, reader.get_tensor(name))
            count += 1
    return count
