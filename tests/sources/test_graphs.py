"""Frozen graphs and SavedModels are sources: tensors, graph and signature, by content alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lstmbridge.contracts import SourceSignature
from lstmbridge.errors import SourceUnreadable
from lstmbridge.sources import open_source
from lstmbridge.sources.proto import graph_pb2

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "graphs"
KERNEL = "rnn/multi_rnn_cell/cell_0/basic_lstm_cell/kernel"


def named(case):
    return FOLDER / case / json.loads((FOLDER / case / "card.json").read_text())["file"]


@pytest.fixture
def stack():
    """A frozen graph as a message, to be damaged."""
    return graph_pb2.GraphDef.FromString(named("frozen-stack").read_bytes())


@pytest.fixture
def saved():
    """A SavedModel's message, to be damaged."""
    path = named("saved-tagger") / "saved_model.pb"
    return graph_pb2.SavedModel.FromString(path.read_bytes())


def test_a_frozen_graph_s_tensors_are_the_constants_in_place_of_its_variables():
    source = open_source(named("frozen-stack"))
    cells = [f"rnn/multi_rnn_cell/cell_{k}/basic_lstm_cell" for k in (0, 1)]
    assert set(source.tensors) == {f"{c}/{part}" for c in cells for part in ("kernel", "bias")}
    kernel = source.tensors[KERNEL]
    assert kernel.name == KERNEL
    assert kernel.shape == (7, 16)
    assert kernel.load().dtype == np.float32
    assert not kernel.load().flags.writeable


def test_a_frozen_graph_names_its_file_its_format_and_no_signature():
    path = named("frozen-stack")
    source = open_source(path)
    assert source.format == "TensorFlow frozen graph"
    assert source.files == (path,)
    assert source.signature is None
    assert source.graph() is source.graph()
    assert len(source.sha256()) == 64
    source.close()


def test_a_graph_in_text_is_read_as_the_same_graph_in_binary(tmp_path):
    from google.protobuf import text_format

    text = open_source(named("frozen-unrolled-text"))
    message = text_format.Parse(
        named("frozen-unrolled-text").read_text(), graph_pb2.GraphDef(), allow_unknown_field=True
    )
    (tmp_path / "any.name").write_bytes(message.SerializeToString())
    binary = open_source(tmp_path / "any.name")
    assert set(text.tensors) == set(binary.tensors)
    for name, tensor in text.tensors.items():
        assert tensor.load().tobytes() == binary.tensors[name].load().tobytes()


@pytest.mark.parametrize("file", ["", "saved_model.pb"])
def test_a_saved_model_is_opened_by_its_folder_or_its_file(file):
    source = open_source(named("saved-tagger") / file)
    assert source.format == "TensorFlow SavedModel"
    assert source.path == named("saved-tagger")
    assert source.producer == "TensorFlow 1.15.5"
    assert source.tensors["embedding/table"].load().shape == (7, 3)
    assert [f.name for f in source.files] == [
        "saved_model.pb",
        "variables.index",
        "variables.data-00000-of-00001",
    ]


def test_a_saved_model_s_signature_gives_keys_to_tensors():
    signature = open_source(named("saved-tagger")).signature
    assert signature == SourceSignature(
        "serving_default",
        {"lengths": "lengths:0", "words": "words:0"},
        {"logits": "logits/BiasAdd:0", "probabilities": "Softmax:0"},
    )


def test_a_saved_model_with_two_signatures_of_its_own_names_declares_none(tmp_path, saved):
    signatures = saved.meta_graphs[0].signature_def
    for name in ("one", "other"):
        signatures[name].CopyFrom(signatures["serving_default"])
    del signatures["serving_default"]
    copy = written(tmp_path, saved)
    assert open_source(copy).signature is None


def test_of_several_graphs_in_a_saved_model_the_one_for_serving_is_taken(tmp_path, saved):
    saved.meta_graphs.add().CopyFrom(saved.meta_graphs[0])
    saved.meta_graphs[0].meta_info_def.tags[:] = ["train"]
    saved.meta_graphs[1].meta_info_def.tensorflow_version = "1.2.3"
    assert open_source(written(tmp_path, saved)).producer == "TensorFlow 1.2.3"


def test_several_graphs_of_which_none_is_for_serving_are_refused_with_their_tags(tmp_path, saved):
    saved.meta_graphs.add().CopyFrom(saved.meta_graphs[0])
    for meta, tag in zip(saved.meta_graphs, ("train", "eval"), strict=True):
        meta.meta_info_def.tags[:] = [tag]
    with pytest.raises(SourceUnreadable, match="train; eval"):
        open_source(written(tmp_path, saved))


def test_a_saved_model_without_its_variables_says_which_file_is_missing(tmp_path):
    copy = Path(shutil.copytree(named("saved-tagger"), tmp_path / "model"))
    shutil.rmtree(copy / "variables")
    with pytest.raises(SourceUnreadable, match=r"variables/variables\.index"):
        open_source(copy)


def test_a_graph_whose_variables_are_elsewhere_is_refused_by_their_names(tmp_path, stack):
    for node in stack.node:
        if node.name.endswith(("kernel", "bias")):
            node.op = "VariableV2"
    (tmp_path / "graph.pb").write_bytes(stack.SerializeToString())
    with pytest.raises(SourceUnreadable, match="without its 4 variables") as caught:
        open_source(tmp_path / "graph.pb")
    assert KERNEL in str(caught.value)


def test_where_an_optimizer_folded_the_reads_away_every_constant_may_be_a_weight(tmp_path, stack):
    reads = {n.name: n.input[0] for n in stack.node if n.name.endswith("/read")}
    kept = [n for n in stack.node if n.name not in reads]
    for node in kept:
        node.input[:] = [reads.get(name, name) for name in node.input]
    message = graph_pb2.GraphDef(node=kept)
    (tmp_path / "graph.pb").write_bytes(message.SerializeToString())
    assert KERNEL in open_source(tmp_path / "graph.pb").tensors


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("case", ["frozen-stack", "frozen-unrolled-text"])
def test_a_graph_that_is_cut_short_is_refused_or_still_a_graph(tmp_path, case, share):
    data = named(case).read_bytes()
    (tmp_path / "cut.pb").write_bytes(data[: int(share * len(data))])
    with pytest.raises(SourceUnreadable):
        open_source(tmp_path / "cut.pb")


def test_two_nodes_of_one_name_are_refused(tmp_path, stack):
    stack.node.add().CopyFrom(stack.node[0])
    (tmp_path / "twice.pb").write_bytes(stack.SerializeToString())
    with pytest.raises(SourceUnreadable, match="two nodes"):
        open_source(tmp_path / "twice.pb")


def test_a_meta_without_its_variables_is_still_no_source(tmp_path, saved):
    (tmp_path / "model.meta").write_bytes(saved.meta_graphs[0].SerializeToString())
    with pytest.raises(SourceUnreadable, match=r"\.meta"):
        open_source(tmp_path / "model.meta")


def test_a_checkpoint_declares_no_model(seed_prefix):
    assert open_source(seed_prefix).signature is None


def written(folder, saved):
    copy = Path(shutil.copytree(named("saved-tagger"), folder / "model"))
    (copy / "saved_model.pb").write_bytes(saved.SerializeToString())
    return copy
