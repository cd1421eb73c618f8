"""Hostile V1 checkpoints and graphs, and other things under a checkpoint's name."""

import zipfile

import numpy as np
from checkpoint_writer import SlicesWriter, varint
from hostile_kit import KERNEL, case, good, write_good

from lstmbridge.sources.proto import graph_pb2

# --- V1 -------------------------------------------------------------------------------------


@case("declares 1099511627776 numbers")
def v1_terabytes(folder):
    slices = SlicesWriter()
    meta, _ = slices.add("a", KERNEL)
    meta.shape.dim[0].size = 2**38
    slices.write(folder / "model.ckpt")


@case("holds 12 bytes", when="load")
def v1_too_few_numbers(folder):
    slices = SlicesWriter()
    _, saved = slices.add("a", KERNEL)
    del saved.data.data.float_val[3:]
    slices.write(folder / "model.ckpt")


@case("are missing", when="load")
def v1_no_numbers(folder):
    slices = SlicesWriter()
    slices.add("a", KERNEL)
    slices.saved.clear()
    slices.write(folder / "model.ckpt")


@case("it is of 'b'", when="load")
def v1_slice_of_another(folder):
    slices = SlicesWriter()
    _, saved = slices.add("a", KERNEL)
    saved.data.name = "b"
    slices.write(folder / "model.ckpt")


@case("has shape", source=".")
def v1_shards_that_disagree(folder):
    for k, array in enumerate((KERNEL, KERNEL.T)):
        slices = SlicesWriter()
        slices.add("a", array)
        slices.write(folder / f"model.ckpt-{k:05d}-of-00002")


@case("or overlap")
def v1_declared_twice(folder):
    slices = SlicesWriter()
    meta, _ = slices.add("a", KERNEL)
    slices.meta.meta.tensor.append(meta)
    slices.write(folder / "model.ckpt")


# --- graphs ---------------------------------------------------------------------------------


def with_meta(folder, data):
    write_good(folder)
    (folder / "model.ckpt.meta").write_bytes(data)


def meta_graph(*names):
    message = graph_pb2.MetaGraphDef()
    for name in names:
        message.graph_def.node.add(name=name, op="Const")
    return message


@case("the bytes are no MetaGraphDef", when="graph")
def truncated_meta(folder):
    with_meta(folder, meta_graph("a", "bbbbbbbb").SerializeToString()[:-3])


@case("two nodes are called 'a'", when="graph")
def twin_nodes(folder):
    with_meta(folder, meta_graph("a", "b", "a").SerializeToString())


@case("holds no graph", when="graph")
def empty_meta(folder):
    with_meta(folder, b"")


@case("the bytes are no MetaGraphDef", when="graph")
def nested_without_end(folder):
    data = b""
    for _ in range(300):
        # a function whose attribute is a function, around and around
        value = b"\x52" + varint(len(data)) + data
        item = b"\x0a\x01a\x12" + varint(len(value)) + value
        data = b"\x12" + varint(len(item)) + item
    attr = b"\x0a\x01a\x12" + varint(len(data) + 4) + b"\x52" + varint(len(data)) + data
    node = b"\x0a\x01n\x2a" + varint(len(attr)) + attr
    graph = b"\x0a" + varint(len(node)) + node
    with_meta(folder, b"\x12" + varint(len(graph)) + graph)


@case("repeats 2 values", when="constant")
def constant_of_terabytes(folder):
    message = meta_graph("a")
    tensor = message.graph_def.node[0].attr["value"].tensor
    tensor.dtype = 1
    tensor.tensor_shape.dim.add(size=2**42)
    tensor.float_val.extend([1.0, 2.0])
    with_meta(folder, message.SerializeToString())


# --- other things under a checkpoint's name -------------------------------------------------


@case("an empty file")
def empty_file(folder):
    (folder / "model.ckpt").write_bytes(b"")


@case("of no format that we know")
def noise(folder):
    (folder / "model.ckpt").write_bytes(np.random.default_rng(0).bytes(500))


@case("an HDF5 file")
def hdf5(folder):
    (folder / "model.ckpt").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))


@case("a Keras file")
def keras(folder):
    with zipfile.ZipFile(folder / "model.ckpt", "w") as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(zipfile.ZipInfo(name), "{}")


@case("a pickle")
def pickle(folder):
    (folder / "model.ckpt").write_bytes(b"\x80\x04\x95\x00.")


@case("a Git LFS pointer")
def lfs_pointer(folder):
    (folder / "model.ckpt").write_text("version https://git-lfs.github.com/spec/v1\nsize 1\n")


@case("a text file")
def web_page(folder):
    (folder / "model.ckpt").write_text("<!DOCTYPE html><html>404</html>")


@case("the beginning of a checkpoint")
def truncated_v1(folder):
    slices = SlicesWriter()
    slices.add("a", KERNEL)
    path = slices.write(folder / "model.ckpt")
    path.write_bytes(path.read_bytes()[:100])


@case("without its 1 variables", source="graph.pb")
def graph_of_variables(folder):
    graph = meta_graph("a", "b").graph_def
    graph.node[0].op = "VariableV2"
    (folder / "graph.pb").write_bytes(graph.SerializeToString())


@case("a graph (.meta)", source="model.ckpt.meta")
def graph_alone(folder):
    (folder / "model.ckpt.meta").write_bytes(meta_graph("a", "b").SerializeToString())


@case("the SavedModel holds 0 graphs", source=".")
def saved_model(folder):
    (folder / "saved_model.pb").write_bytes(b"\x08\x01")
    good().write(folder / "variables" / "variables")


@case("holds no checkpoint", source=".")
def folder_of_nothing(folder):
    (folder / "notes.txt").write_text("nothing here")


@case("which is not there", source="checkpoint")
def state_of_elsewhere(folder):
    (folder / "checkpoint").write_text('model_checkpoint_path: "../../../../etc/passwd"\n')


@case("the text is no CheckpointState", source="checkpoint")
def state_of_noise(folder):
    (folder / "checkpoint").write_text('model_checkpoint_path: "unfinished\n')


@case("2 checkpoints are there: model.ckpt-1, model.ckpt-2", source=".")
def two_checkpoints(folder):
    for step in (2, 1):
        good().write(folder / f"model.ckpt-{step}")
