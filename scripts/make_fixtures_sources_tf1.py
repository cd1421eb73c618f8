# /// script
# requires-python = ">=3.7,<3.8"
# dependencies = ["tensorflow==1.15.5", "numpy<1.19", "protobuf<3.21"]
# ///
"""Make fixtures/sources: checkpoints and graphs whose bytes show what the readers must read.

usage: python scripts/make_fixtures_sources_tf1.py [OUTPUT]

Runs under TensorFlow 1.15 and Python 3.7. Every folder holds what TensorFlow wrote, and
``expected.npz``: the numbers that were handed to it (bfloat16 as float32, which is exact).
"""

import json
import os
import shutil
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join("fixtures", "sources")
NUMPY_TYPES = [
    "float16", "float32", "float64", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128",
]  # fmt: skip
# V1's Save op refuses the others, and bfloat16
V1_TYPES = [t for t in NUMPY_TYPES if t not in ("uint32", "uint64")]
STRINGS = [[b"", b"one"], [b"zwei\x00\xff", b"drei" * 40]]
SHAPE = (3, 5)


def folder(name):
    path = os.path.join(OUT, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def numbers(dtype, seed):
    """Numbers that show sign, byte order and special values."""
    random = np.random.RandomState(seed)
    if dtype == "bool":
        return random.rand(*SHAPE) > 0.5
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        values = random.randint(max(info.min, -(2**31)), min(info.max, 2**31 - 1), SHAPE)
        values = values.astype(dtype)
        values[0, :2] = info.min, info.max
        return values
    values = random.randn(*SHAPE)
    if np.dtype(dtype).kind == "c":
        return (values + 1j * random.randn(*SHAPE)).astype(dtype)
    values[0, :4] = np.nan, np.inf, -0.0, 1e-7
    return values.astype(dtype)


def types(version):
    """One tensor per data type, a scalar, an empty one, and strings."""
    path = folder("%s-types" % version)
    values = {"numbers/%s" % t: numbers(t, k) for k, t in enumerate(NUMPY_TYPES)}
    if version == "v1":
        values = {"numbers/%s" % t: values["numbers/%s" % t] for t in V1_TYPES}
    values["scalar"] = np.float32(0.1)
    values["empty"] = np.zeros((0, 4), np.float32)
    values["strings"] = np.array(STRINGS, object)
    tensors = {name: tf.constant(value) for name, value in values.items()}
    brain = numbers("float32", 99)
    brain = tf.cast(tf.constant(brain), tf.bfloat16)
    if version == "v2":
        tensors["numbers/bfloat16"] = brain
    names = sorted(tensors)
    target = os.path.join(path, "model.ckpt")
    with tf.Session() as session:
        if version == "v1":
            op = tf.raw_ops.Save(
                filename=target, tensor_names=names, data=[tensors[n] for n in names]
            )
        else:
            op = tf.raw_ops.SaveV2(
                prefix=target,
                tensor_names=names,
                shape_and_slices=[""] * len(names),
                tensors=[tensors[n] for n in names],
            )
        session.run(op)
        if version == "v2":
            values["numbers/bfloat16"] = session.run(tf.cast(brain, tf.float32))
    save_expected(path, values)


def save_expected(path, values):
    arrays = {}
    for name, value in values.items():
        arrays[name] = np.asarray(value)
        # npz without pickles has no strings of any length: as JSON of Latin-1 text
        if arrays[name].dtype == object:
            rows = [[s.decode("latin-1") for s in row] for row in value.tolist()]
            arrays[name] = np.array(json.dumps(rows))
    np.savez_compressed(os.path.join(path, "expected.npz"), **arrays)


def partitioned(version):
    """Partitioned variables with Adam slots, on two devices: two shards."""
    path = folder("%s-partitioned" % version)
    tf.reset_default_graph()
    tf.set_random_seed(7)
    with tf.device("/cpu:0"):
        rows = tf.get_variable(
            "scope/rows", (7, 4), partitioner=tf.fixed_size_partitioner(3), dtype=tf.float32
        )
        bias = tf.get_variable("scope/bias", (4,), initializer=tf.random_normal_initializer())
    with tf.device("/cpu:1"):
        columns = tf.get_variable(
            "scope/columns", (4, 6), partitioner=tf.fixed_size_partitioner(2, axis=1)
        )
        half = tf.get_variable(
            "scope/half", (5, 2), tf.float16, partitioner=tf.fixed_size_partitioner(2)
        )
    whole = [tf.convert_to_tensor(v) for v in (rows, columns)]
    halves = tf.reduce_sum(tf.cast(half, tf.float32) ** 2)
    loss = tf.reduce_sum(tf.matmul(whole[0], whole[1]) ** 2) + tf.reduce_sum(bias**2) + halves
    step = tf.train.get_or_create_global_step()
    train = tf.train.AdamOptimizer(0.1).minimize(loss, step)
    kind = tf.train.SaverDef.V1 if version == "v1" else tf.train.SaverDef.V2
    saver = tf.train.Saver(sharded=True, write_version=kind)
    config = tf.ConfigProto(device_count={"CPU": 2})
    with tf.Session(config=config) as session:
        session.run(tf.global_variables_initializer())
        session.run(train)
        saver.save(
            session, os.path.join(path, "model.ckpt"), global_step=step, write_meta_graph=False
        )
        save_expected(path, whole_variables(session))


def whole_variables(session):
    """Every variable by its name in the checkpoint; parts put together."""
    parts, values = {}, {}
    for variable in tf.global_variables():
        info = variable._get_save_slice_info()  # noqa: SLF001 - there is no public way
        if info is None:
            values[variable.op.name] = session.run(variable)
        else:
            parts.setdefault(info.full_name, []).append((info, session.run(variable)))
    for name, pieces in parts.items():
        whole = np.zeros(pieces[0][0].full_shape, pieces[0][1].dtype)
        for info, piece in pieces:
            extents = zip(info.var_offset, info.var_shape)  # noqa: B905 - Python 3.7
            whole[tuple(slice(at, at + size) for at, size in extents)] = piece
        values[name] = whole
    return values


def graph():
    """A graph with every kind of attribute, functions, and constants of every spelling."""
    path = folder("graph")
    tf.reset_default_graph()
    values = {"const_%s" % t: numbers(t, k) for k, t in enumerate(NUMPY_TYPES)}
    for name, value in values.items():
        tf.constant(value, name=name)
    for t in NUMPY_TYPES:
        # constants of one repeated value are stored as that value alone
        fill = np.full(SHAPE, 3).astype(t)
        tf.constant(3 if t != "bool" else True, t, SHAPE, name="fill_%s" % t)
        values["fill_%s" % t] = fill
    tf.constant(np.array(STRINGS, object), name="const_strings")
    values["const_strings"] = np.array(STRINGS, object)
    rounded = tf.constant(numbers("float32", 99), tf.bfloat16, name="const_bfloat16")
    known = tf.placeholder(tf.float32, (None, 3), name="known_rank")
    tf.placeholder(tf.float32, None, name="unknown_rank")
    tf.placeholder(tf.float16, (2, 2), name="halves")
    tf.split(known, [1, 2], axis=1, name="split")
    tf.nn.max_pool(tf.zeros((1, 4, 4, 1)), [1, 2, 2, 1], [1, 2, 2, 1], "VALID", name="pool")
    tf.print(known, output_stream=sys.stderr, name="print")
    tf.enable_control_flow_v2()
    tf.while_loop(
        lambda i, _: i < 3, lambda i, x: (i + 1, x * 2.0), (0, known), name="loop",
        shape_invariants=(tf.TensorShape(()), tf.TensorShape((None, 3))),
    )  # fmt: skip
    tf.disable_control_flow_v2()
    with tf.Session() as session:
        values["const_bfloat16"] = session.run(tf.cast(rounded, tf.float32))
    graph_def = tf.get_default_graph().as_graph_def()
    # spellings that the Python library does not write itself: listed values, short lists
    for name, listed, fields in (
        ("listed_short", [1.5, -2.5, -2.5, -2.5], {"float_val": [1.5, -2.5]}),
        ("listed_none", [0.0] * 4, {}),
        ("listed_all", [1.0, 2.0, 3.0, 4.0], {"float_val": [1.0, 2.0, 3.0, 4.0]}),
    ):
        node = graph_def.node.add(name=name, op="Const")
        node.attr["dtype"].type = tf.float32.as_datatype_enum
        tensor = node.attr["value"].tensor
        tensor.dtype = tf.float32.as_datatype_enum
        tensor.tensor_shape.dim.add(size=4)
        for field, items in fields.items():
            getattr(tensor, field).extend(items)
        values[name] = np.array(listed, np.float32)
    with tf.Graph().as_default():
        tf.import_graph_def(graph_def, name="")
        with tf.Session() as session:
            for name in ("listed_short", "listed_none", "listed_all"):
                assert np.array_equal(session.run(name + ":0"), values[name]), name
        tf.train.export_meta_graph(os.path.join(path, "model.ckpt.meta"), graph_def=graph_def)
    tf.io.write_graph(graph_def, path, "graph.pb", as_text=False)
    tf.io.write_graph(graph_def, path, "graph.pbtxt", as_text=True)
    save_expected(path, values)


def object_based():
    """An object-based checkpoint: the graph of objects lies in a string tensor of its own."""
    path = folder("v2-object")
    tf.reset_default_graph()
    value = numbers("float32", 1)
    variable = tf.get_variable("v", initializer=value, use_resource=True)
    checkpoint = tf.train.Checkpoint(kernel=variable)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(checkpoint.save_counter.initializer)
        checkpoint.save(os.path.join(path, "ckpt"), session=session)
    save_expected(path, {
        "kernel/.ATTRIBUTES/VARIABLE_VALUE": value,
        "save_counter/.ATTRIBUTES/VARIABLE_VALUE": np.int64(1),
    })  # fmt: skip


def main():
    for version in ("v2", "v1"):
        tf.reset_default_graph()
        types(version)
        partitioned(version)
    graph()
    object_based()


if __name__ == "__main__":
    main()
