# /// script
# requires-python = ">=3.7,<3.8"
# dependencies = [
#     "tensorflow==1.15.5",
#     "protobuf<3.21",
#     "numpy<1.19",
#     "h5py<3",
# ]
# ///
"""Write the small real checkpoints of fixtures/ with a TensorFlow of the 1.x line.

The releases are as old as their Pythons, so the environments are made by hand once::

    python3.7 -m venv tf115 && tf115/bin/pip install 'pip<22'
    tf115/bin/pip install 'setuptools<58' wheel
    tf115/bin/pip install 'protobuf<3.21' 'numpy<1.19' 'h5py<3' tensorflow==1.15.5

    python3.6 -m venv tf012 && tf012/bin/pip install pip==21.3.1
    tf012/bin/pip install setuptools==57.5.0 wheel==0.37.1
    tf012/bin/pip install 'protobuf<3.18' 'numpy<1.17' 'h5py<3' tensorflow==0.12.1

and the same as the second for 1.0.1 and 1.4.1. Then::

    tf115/bin/python scripts/make_fixtures_tf1.py            # every case of this release
    tf012/bin/python scripts/make_fixtures_tf1.py seed-meta  # only these

A case is one entry in `make_fixtures_tf1_cases.py`. Checkpoints are saved under the neutral
folder /tmp/train, which therefore stands in their state files, and copied to
``fixtures/<release>-<case>/`` byte for byte, beside

* ``expected.npz``: what was fed and what that TensorFlow computed, batch-major, by the names
  of an artifact's inputs and outputs;
* ``card.json``: producer, code, constants, seed, and every variable with its shape, its dtype
  and the sha256 of its little-endian bytes as that release's own reader returns them.

Weights are random, but each gate has a range and a bias of its own, so that no two gates, no
two layers and no two directions can change places without moving the outputs.
"""

import hashlib
import json
import os
import platform
import shutil
import sys
import zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import tensorflow as tf
from make_fixtures_tf1_cases import CASES

SCRATCH = "/tmp/train"
FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "fixtures")
RELEASE = "tf" + "".join(tf.__version__.split(".")[:2])
BLOCK_SCALES = (0.9, 1.3, 0.6, 1.1)
BLOCK_OFFSETS = (0.3, -0.25, 0.45, -0.4)


def numpy_dtype(dtype):
    """The NumPy dtype of a TensorFlow dtype, reference or not."""
    return tf.as_dtype(dtype).base_dtype.as_numpy_dtype


def random_values(name, shape, dtype, rng, gain):
    """Values for one variable: each gate's block of columns in its own range."""
    shape = tuple(shape)
    if np.issubdtype(numpy_dtype(dtype), np.integer):
        return np.asarray(rng.randint(1, 9, size=shape), numpy_dtype(dtype))
    if "Adam" in name and shape:  # second moments are never negative
        return np.abs(rng.uniform(0.01, 0.1, size=shape)).astype(numpy_dtype(dtype))
    if not shape:
        return np.asarray(rng.uniform(0.5, 0.9), numpy_dtype(dtype))
    columns = shape[-1]
    blocks = next(n for n in (4, 3, 2, 1) if columns % n == 0)
    repeat = columns // blocks
    values = rng.uniform(-1, 1, size=shape)
    if len(shape) > 1:
        values *= gain * np.repeat(BLOCK_SCALES[:blocks], repeat)
    else:
        values = 0.3 * values + np.repeat(BLOCK_OFFSETS[:blocks], repeat)
    if name.endswith("gamma"):
        values += 1.0
    return values.astype(numpy_dtype(dtype))


def assign_all(session, rng, step, gain):
    """Give every variable its value, in the order of names."""
    for variable in sorted(tf.global_variables(), key=lambda v: v.name):
        name = variable.op.name
        shape = variable.get_shape().as_list()
        values = random_values(name, shape, variable.dtype, rng, gain)
        if name == "global_step":
            values = np.asarray(step, values.dtype)
        holder = tf.placeholder(values.dtype, values.shape)
        session.run(tf.assign(variable, holder), {holder: values})


def merged(values, layout):
    """Lists are steps, tuples are directions; the result is batch-major."""
    if isinstance(values, list):
        return np.stack([np.asarray(v) for v in values], axis=1)
    if isinstance(values, tuple):
        values = np.concatenate([np.asarray(v) for v in values], axis=-1)
    return np.swapaxes(values, 0, 1) if layout == "time" else values


def storable(array):
    """The array as npz can hold it: bfloat16 becomes float32."""
    array = np.asarray(array)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def compute(session, net):
    """Run the net once and name what it gave."""
    sequences = ("inputs", "outputs")
    values = session.run(net.outputs, net.feeds())
    return {
        name: storable(merged(value, net.layout if name in sequences else "batch"))
        for name, value in values.items()
    }


def stored_feeds(net):
    """What was fed, batch-major, without placeholders of a phase."""
    return {
        name: storable(merged(value, net.layout if name == "inputs" else "batch"))
        for name, (_, value) in net.inputs.items()
        if name not in net.phases
    }


def make_saver(case):
    """The Saver a case asks for; the release's default format where it asks for none."""
    options = {"sharded": case.sharded, "max_to_keep": 5}
    if case.format is not None:
        options["write_version"] = getattr(tf.train.SaverDef, case.format)
    return tf.train.Saver(**options)


def put_together(values):
    """Variables by the keys a checkpoint has: parts stand under their common name."""
    parts = {}
    for name in sorted(values, key=lambda n: (len(n), n)):
        parts.setdefault(name.split("/part_")[0], []).append(values[name])
    return {
        name: np.concatenate(slices) if len(slices) > 1 else np.asarray(slices[0])
        for name, slices in parts.items()
    }


def describe_variables(prefix, session):
    """Every key of the checkpoint with shape, dtype and the digest of its bytes."""
    described = {}
    try:
        reader = tf.train.NewCheckpointReader(prefix)
        arrays = {
            key: np.asarray(reader.get_tensor(key)) for key in reader.get_variable_to_shape_map()
        }
    except tf.errors.OpError:  # the reader refuses slices in V1 files
        arrays = put_together({v.op.name: session.run(v) for v in tf.global_variables()})
    for key, array in sorted(arrays.items()):
        name = "bfloat16" if array.dtype.kind == "V" else array.dtype.name
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        described[key] = {"dtype": name, "shape": list(np.shape(array)), "sha256": digest}
    return described


def tensor_names(value):
    """Graph names of an output, in the same nesting as the output."""
    if isinstance(value, (list, tuple)):
        return [tensor_names(v) for v in value]
    return value.name


def card(case, identity, seed, net, prefix, variables):
    """What a reader of the fixture must know."""
    return {
        "id": identity,
        "producer": "TensorFlow " + tf.__version__,
        "python": platform.python_version(),
        "script": "scripts/make_fixtures_tf1.py",
        "seed": seed,
        "family": case.family,
        "cell": case.cell,
        "what": case.what,
        "code": case.code,
        "hparams": dict(case.hparams),
        "needs": dict(case.needs),
        "prefix": os.path.basename(prefix).split("-?????-of-")[0],
        "format": case.format or "V2",
        "meta": case.meta,
        "layout": net.layout,
        "phases": {name: net.inputs[name][1] for name in net.phases},
        "graph": {
            "inputs": {name: tensor.name for name, (tensor, _) in sorted(net.inputs.items())},
            "outputs": {name: tensor_names(value) for name, value in sorted(net.outputs.items())},
        },
        "variables": variables,
    }


def averaged(session, net, average):
    """Outputs under the shadow weights, by names ending in _ema."""
    for variable in tf.trainable_variables():
        session.run(tf.assign(variable, average.average(variable)))
    return {name + "_ema": value for name, value in compute(session, net).items()}


def train_and_save(case, scratch, rng, session):
    """Build the graph, save every step, and compute what is expected of the last one."""
    net = case.build(rng)
    average = case.train(net) if case.train else None
    saver = make_saver(case)
    session.run(tf.global_variables_initializer())
    for step in case.steps:
        assign_all(session, rng, step, case.gain)
        prefix = saver.save(
            session,
            os.path.join(scratch, "model.ckpt"),
            global_step=step,
            write_meta_graph=case.meta,
        )
    expected = stored_feeds(net)
    expected.update(compute(session, net))
    variables = describe_variables(prefix, session)
    if average is not None:
        expected.update(averaged(session, net, average))
    return net, prefix, variables, expected


def write(case):
    """Make one case in the neutral folder and copy it to its fixture folder."""
    identity = RELEASE + "-" + case.name
    seed = zlib.crc32(identity.encode()) % 2**31
    scratch = os.path.join(SCRATCH, identity)
    for stale in (scratch, os.path.join(FIXTURES, identity)):
        shutil.rmtree(stale, ignore_errors=True)
    os.makedirs(scratch)
    config = tf.ConfigProto(
        device_count={"CPU": 2}, intra_op_parallelism_threads=1, inter_op_parallelism_threads=1
    )
    graph = tf.Graph()
    graph.seed = seed
    with graph.as_default(), tf.Session(config=config) as session:
        rng = np.random.RandomState(seed)
        net, prefix, variables, expected = train_and_save(case, scratch, rng, session)
    if not case.state:
        os.remove(os.path.join(scratch, "checkpoint"))
    np.savez(os.path.join(scratch, "expected.npz"), **expected)
    record = card(case, identity, seed, net, prefix, variables)
    with open(os.path.join(scratch, "card.json"), "w") as file:
        json.dump(record, file, indent=1, sort_keys=True)
        file.write("\n")
    shutil.copytree(scratch, os.path.join(FIXTURES, identity))
    size = sum(os.path.getsize(os.path.join(scratch, f)) for f in os.listdir(scratch))
    print("{:36} {:7.1f} KB".format(identity, size / 1024.0))


def main(names):
    """Write the named cases, or all that this release can build."""
    cases = [case for case in CASES if RELEASE in case.releases.split()]
    known = {case.name for case in cases}
    unknown = sorted(set(names) - known)
    if unknown:
        sys.exit("no such case for {}: {}".format(RELEASE, ", ".join(unknown)))
    for case in cases:
        if not names or case.name in names:
            write(case)
    print("{} cases of {}".format(len(cases), RELEASE))


if __name__ == "__main__":
    main(sys.argv[1:])
