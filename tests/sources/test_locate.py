"""What a user may name, and which checkpoint is meant."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from lstmbridge.errors import SourceUnreadable
from lstmbridge.sources import open_source

KERNEL = np.arange(6, dtype=np.float32)


@pytest.fixture
def v2(writer):
    """A function: write a V2 checkpoint whose one number tells it from others."""

    def write(prefix, number=0):
        bundle = writer.BundleWriter()
        bundle.add("kernel", KERNEL + number)
        return bundle.write(prefix)

    return write


@pytest.fixture
def v1(writer):
    """A function: write a V1 checkpoint, or one of its shards."""

    def write(path, number=0, name="kernel"):
        slices = writer.SlicesWriter()
        slices.add(name, KERNEL + number)
        return slices.write(path)

    return write


def opened(path):
    """(format, prefix's name, first number) of what `path` means."""
    source = open_source(path)
    tensor = next(iter(source.tensors.values()))
    return source.format[-2:], source.path.name, float(tensor.load()[0])


@pytest.mark.parametrize(
    "named",
    ["model.ckpt", "model.ckpt.index", "model.ckpt.data-00000-of-00001", "model.ckpt.meta", "."],
)
def test_a_v2_checkpoint_is_found_by_its_prefix_its_files_and_its_folder(tmp_path, v2, named):
    v2(tmp_path / "model.ckpt")
    (tmp_path / "model.ckpt.meta").write_bytes(b"\x0a\x00")
    assert opened(tmp_path / named) == ("V2", "model.ckpt", 0.0)


@pytest.mark.parametrize("named", ["model.ckpt", "model.ckpt.meta", "."])
def test_a_v1_file_is_found_by_itself_its_graph_and_its_folder(tmp_path, v1, named):
    v1(tmp_path / "model.ckpt")
    (tmp_path / "model.ckpt.meta").write_bytes(b"\x0a\x00")
    assert opened(tmp_path / named) == ("V1", "model.ckpt", 0.0)


@pytest.mark.parametrize(
    "named",
    [
        "model.ckpt-5",
        "model.ckpt-5-00001-of-00002",
        "model.ckpt-5-?????-of-00002",
        "model.ckpt",
        ".",
    ],
)
def test_a_sharded_v1_checkpoint_is_found_by_its_prefix_and_its_shards(tmp_path, v1, named):
    v1(tmp_path / "model.ckpt-5-00000-of-00002", 0, "a")
    v1(tmp_path / "model.ckpt-5-00001-of-00002", 1, "b")
    source = open_source(tmp_path / named)
    assert source.path == tmp_path / "model.ckpt-5"
    assert list(source.tensors) == ["a", "b"]


@pytest.mark.parametrize("name", ["v1-partitioned", "v2-partitioned"])
@pytest.mark.parametrize("named", [".", "checkpoint", "model.ckpt", "model.ckpt-1"])
def test_what_tensorflow_wrote_is_found_with_and_without_its_step(real, name, named):
    assert open_source(real / name / named).path.name == "model.ckpt-1"


def test_a_path_may_be_text(real):
    assert open_source(str(real / "v2-types" / "model.ckpt")).path.name == "model.ckpt"


def test_formats_are_told_by_content_and_not_by_name(tmp_path, v1):
    v1(tmp_path / "weights.index")
    assert opened(tmp_path / "weights.index") == ("V1", "weights.index", 0.0)


def test_the_state_file_chooses_among_several(tmp_path, v2):
    for step in (1, 20, 3):
        v2(tmp_path / f"model.ckpt-{step}", step)
    state = tmp_path / "checkpoint"
    state.write_text(
        'model_checkpoint_path: "/home/somebody/train/model.ckpt-20"\n'
        'all_model_checkpoint_paths: "/home/somebody/train/model.ckpt-1"\n'
        "last_preserved_timestamp: 1.5\n"
    )
    for named in (tmp_path, state, tmp_path / "model.ckpt"):
        assert opened(named) == ("V2", "model.ckpt-20", 20.0)
    assert opened(tmp_path / "model.ckpt-3") == ("V2", "model.ckpt-3", 3.0)


def test_a_state_file_written_on_windows_is_understood(tmp_path, v2):
    v2(tmp_path / "model.ckpt-7", 7)
    text = r'model_checkpoint_path: "C:\\train\\model.ckpt-7"'
    (tmp_path / "checkpoint").write_text(text)
    assert opened(tmp_path) == ("V2", "model.ckpt-7", 7.0)


@pytest.mark.parametrize("form", ["absolute", "relative"])
def test_a_copied_folder_is_read_itself_and_not_the_place_its_state_file_names(tmp_path, v2, form):
    v2(tmp_path / "elsewhere" / "model.ckpt", 1)
    v2(tmp_path / "here" / "model.ckpt", 2)
    stated = {"absolute": (tmp_path / "elsewhere").as_posix(), "relative": "../elsewhere"}[form]
    state = tmp_path / "here" / "checkpoint"
    state.write_text(f'model_checkpoint_path: "{stated}/model.ckpt"')
    for named in (tmp_path / "here", state, tmp_path / "here" / "model.ckpt"):
        assert opened(named) == ("V2", "model.ckpt", 2.0)


@pytest.mark.parametrize("form", ["absolute", "relative"])
def test_a_state_file_beside_which_nothing_lies_is_followed(tmp_path, v2, form):
    v2(tmp_path / "elsewhere" / "model.ckpt", 1)
    (tmp_path / "here").mkdir()
    stated = {"absolute": (tmp_path / "elsewhere").as_posix(), "relative": "../elsewhere"}[form]
    (tmp_path / "here" / "checkpoint").write_text(f'model_checkpoint_path: "{stated}/model.ckpt"')
    assert opened(tmp_path / "here") == ("V2", "model.ckpt", 1.0)


def test_a_folder_that_a_state_file_names_is_looked_into_before_what_lies_beside_it(tmp_path, v2):
    v2(tmp_path / "best" / "model.ckpt", 1)
    v2(tmp_path / "model.ckpt", 2)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "best/model.ckpt"')
    assert opened(tmp_path / "checkpoint") == ("V2", "model.ckpt", 1.0)


def test_several_steps_and_no_state_file_are_listed_in_the_order_of_steps(tmp_path, v2):
    for step in (2, 10, 1):
        v2(tmp_path / f"model.ckpt-{step}")
    for named in (tmp_path, tmp_path / "model.ckpt"):
        with pytest.raises(
            SourceUnreadable, match=r"ckpt-1, model\.ckpt-2, model\.ckpt-10"
        ) as info:
            open_source(named)
        assert "model.ckpt-10" in info.value.advice


def test_an_exact_name_wins_over_names_with_steps(tmp_path, v2):
    v2(tmp_path / "model.ckpt", 5)
    v2(tmp_path / "model.ckpt-300", 6)
    assert opened(tmp_path / "model.ckpt") == ("V2", "model.ckpt", 5.0)


def test_two_formats_under_one_name_are_not_chosen_between(tmp_path, v1, v2):
    v2(tmp_path / "model.ckpt", 1)
    v1(tmp_path / "model.ckpt", 2)
    with pytest.raises(SourceUnreadable, match="two checkpoints"):
        open_source(tmp_path / "model.ckpt")
    assert opened(tmp_path / "model.ckpt.index") == ("V2", "model.ckpt", 1.0)


def test_a_name_that_is_not_there_shows_those_that_are_near(tmp_path, v2):
    v2(tmp_path / "model.ckpt-300")
    with pytest.raises(SourceUnreadable, match=r"modle\.ckpt") as info:
        open_source(tmp_path / "modle.ckpt")
    assert "model.ckpt-300" in info.value.advice
    assert info.value.exit_code == 4


def test_a_folder_that_is_not_there_shows_those_that_are_near(tmp_path, v2):
    v2(tmp_path / "training" / "model.ckpt")
    with pytest.raises(SourceUnreadable, match="the folder is not there") as info:
        open_source(tmp_path / "trianing" / "model.ckpt")
    assert "training" in info.value.advice


def test_an_index_without_its_data_names_what_is_missing(tmp_path, v2):
    v2(tmp_path / "model.ckpt")
    (tmp_path / "model.ckpt.data-00000-of-00001").unlink()
    with pytest.raises(SourceUnreadable, match="shard 0 of 1 is missing") as info:
        open_source(tmp_path / "model.ckpt")
    assert "model.ckpt.data-00000-of-00001" in info.value.where


def test_data_without_its_index_is_no_checkpoint(tmp_path, v2):
    v2(tmp_path / "model.ckpt")
    (tmp_path / "model.ckpt.index").unlink()
    for named in ("model.ckpt", "model.ckpt.data-00000-of-00001", "."):
        with pytest.raises(SourceUnreadable):
            open_source(tmp_path / named)


def test_shards_of_two_checkpoints_are_not_mixed(tmp_path, v1):
    for name in ("m-00000-of-00001", "m-00000-of-00002", "m-00001-of-00002"):
        v1(tmp_path / name)
    with pytest.raises(SourceUnreadable, match="shards of 2 checkpoints"):
        open_source(tmp_path / "m")


def test_links_are_followed(tmp_path, v2):
    v2(tmp_path / "store" / "model.ckpt", 4)
    (tmp_path / "run").mkdir()
    for name in ("model.ckpt.index", "model.ckpt.data-00000-of-00001"):
        (tmp_path / "run" / name).symlink_to(tmp_path / "store" / name)
    (tmp_path / "latest").symlink_to(tmp_path / "run")
    assert opened(tmp_path / "latest") == ("V2", "model.ckpt", 4.0)


def test_the_variables_of_a_saved_model_are_read_when_they_are_named(tmp_path, v2):
    v2(tmp_path / "variables" / "variables", 3)
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    assert opened(tmp_path / "variables" / "variables") == ("V2", "variables", 3.0)


def test_names_with_the_signs_of_patterns_are_taken_literally(tmp_path, v2):
    v2(tmp_path / "a[b]+(c).ckpt-3", 9)
    assert opened(tmp_path / "a[b]+(c).ckpt") == ("V2", "a[b]+(c).ckpt-3", 9.0)


@pytest.mark.parametrize("named", ["x" * 5000, "nul\x00byte", ""])
def test_names_that_no_system_allows_are_refused(tmp_path, named):
    with pytest.raises(SourceUnreadable):
        open_source(f"{tmp_path}/{named}")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_file_without_permission_is_refused(tmp_path, v2):
    v2(tmp_path / "model.ckpt")
    (tmp_path / "model.ckpt.index").chmod(0)
    with pytest.raises(SourceUnreadable, match="cannot be read"):
        open_source(tmp_path / "model.ckpt")


def test_a_copied_folder_is_the_same_checkpoint(real, tmp_path):
    shutil.copytree(real / "v2-partitioned", tmp_path / "copy")
    assert open_source(tmp_path / "copy").sha256() == open_source(real / "v2-partitioned").sha256()
