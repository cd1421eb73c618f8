"""Nothing is ever half written, and nothing old is lost before the new is whole."""

from __future__ import annotations

import errno
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lstmbridge.errors import UsageError
from lstmbridge.staging import refuse_clashes, sha256_of, staged


def test_a_committed_file_is_in_place_and_the_folder_is_clean(tmp_path: Path) -> None:
    with staged(tmp_path / "a.onnx", force=False) as stage:
        stage.path.write_bytes(b"new")
        (stage.path.parent / "a.onnx.data").write_bytes(b"weights")
        stage.commit()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.onnx", "a.onnx.data"]
    assert (tmp_path / "a.onnx").read_bytes() == b"new"


def test_what_is_not_committed_leaves_nothing(tmp_path: Path) -> None:
    with staged(tmp_path / "a.onnx", force=False) as stage:
        stage.path.write_bytes(b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    old = tmp_path / "a.onnx"
    old.write_bytes(b"old")

    def write_and_fail() -> None:
        with staged(old, force=True) as stage:
            stage.path.write_bytes(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]


def test_an_existing_file_is_refused_without_force(tmp_path: Path) -> None:
    old = tmp_path / "a.onnx"
    old.write_bytes(b"old")
    with pytest.raises(UsageError, match="exists already") as caught, staged(old, force=False):
        pass
    assert "--force" in str(caught.value)
    assert old.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["missing/a.onnx", "."])
def test_a_destination_that_cannot_be_is_refused_before_any_work(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError), staged(tmp_path / name, force=True):
        pytest.fail("work was begun")


@contextmanager
def a_small_disk() -> Iterator[None]:
    """A real limit of the system on how long a file may grow; lifted before pytest writes."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_write_that_the_system_refuses_is_a_message_and_leaves_nothing(tmp_path: Path) -> None:
    old = tmp_path / "a.onnx"
    old.write_bytes(b"old")
    with (
        pytest.raises(UsageError, match="larger than") as caught,
        a_small_disk(),
        staged(old, force=True) as stage,
    ):
        stage.path.write_bytes(bytes(5000))
    assert "nothing was left behind" in str(caught.value)
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]


def test_a_full_disk_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the disk is full"), staged(tmp_path / "a", force=False):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_an_output_may_not_be_written_over_what_is_read(tmp_path: Path) -> None:
    source, link = tmp_path / "model.ckpt.index", tmp_path / "link"
    source.write_bytes(b"index")
    link.symlink_to(source)
    for output in (source, link):
        with pytest.raises(UsageError, match="read as well"):
            refuse_clashes([output], [source])


def test_two_outputs_may_not_share_a_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="written as well"):
        refuse_clashes([tmp_path / "m.onnx", tmp_path / "x" / ".." / "m.onnx"], [])


def test_outputs_with_names_of_their_own_are_fine(tmp_path: Path) -> None:
    refuse_clashes([tmp_path / "m.onnx", tmp_path / "m.json"], [tmp_path / "model.ckpt.index"])


def test_an_error_on_the_way_names_the_path_that_was_given(tmp_path: Path) -> None:
    def refuse() -> None:
        with staged(tmp_path / "m.onnx", force=False) as stage:
            raise UsageError(f"{stage.path} is odd", where=str(stage.path))

    with pytest.raises(UsageError) as caught:
        refuse()
    assert caught.value.where == str(tmp_path / "m.onnx")
    assert str(caught.value).startswith(f"{tmp_path / 'm.onnx'} is odd")


def test_an_error_about_a_file_in_the_current_folder_names_it_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def refuse() -> None:
        with staged(Path("m.onnx"), force=False) as stage:
            raise UsageError("odd", where=str(stage.path))

    with pytest.raises(UsageError) as caught:
        refuse()
    assert caught.value.where == "m.onnx"
