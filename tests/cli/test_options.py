"""What the shared options become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lstmbridge.cli.options import names, read_data, read_map
from lstmbridge.errors import UsageError


def test_lists_are_split_at_commas() -> None:
    assert names(" torch, onnxruntime-cpu ,") == ("torch", "onnxruntime-cpu")
    assert names("") == ()


@pytest.mark.parametrize(
    "text",
    [
        '{"a/W": "rnn/basic_lstm_cell/kernel"}',
        "# mine\n\na/W rnn/basic_lstm_cell/kernel  # the kernel\n",
        "a/W -> rnn/basic_lstm_cell/kernel",
    ],
)
def test_a_map_is_json_or_lines_of_two_names(tmp_path: Path, text: str) -> None:
    file = tmp_path / "names"
    file.write_text(text)
    assert read_map(file) == {"a/W": "rnn/basic_lstm_cell/kernel"}


@pytest.mark.parametrize(
    ("text", "says"),
    [("a b c", "line 1"), ("ok ok\nlonely\n", "line 2"), ('{"a": ', "JSON is broken")],
)
def test_a_broken_map_is_shown_its_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "names"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_map(file)
    assert says in str(caught.value)


def test_a_map_that_is_not_there_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_map(tmp_path / "none")


def test_data_are_the_arrays_of_an_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", inputs=np.ones((1, 2, 3)))
    assert read_data(tmp_path / "mine.npz")["inputs"].shape == (1, 2, 3)


@pytest.mark.parametrize("content", [b"", b"not an npz", b"PK\x03\x04 truncated"])
def test_data_that_are_no_npz_are_a_message(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(UsageError, match="as arrays"):
        read_data(tmp_path / "mine.npz")


def test_pickled_objects_in_data_are_refused_and_not_run(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", inputs=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UsageError, match="as arrays"):
        read_data(tmp_path / "evil.npz")
