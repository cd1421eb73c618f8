"""What the tests of this room share: fixtures' folders, the writer of checkpoints, comparison."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def real():
    """The folder of checkpoints that TensorFlow wrote for this room."""
    return ROOT / "fixtures" / "sources"


@pytest.fixture(scope="session")
def writer():
    """The module that writes checkpoints byte by byte."""
    path = ROOT / "scripts" / "checkpoint_writer.py"
    spec = importlib.util.spec_from_file_location("checkpoint_writer", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["checkpoint_writer"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copied(real, tmp_path):
    """A function: a fresh copy of one real checkpoint's folder."""

    def copy(name):
        return Path(shutil.copytree(real / name, tmp_path / name))

    return copy


@pytest.fixture
def assert_numbers():
    """A function: every tensor is bit for bit what was handed to TensorFlow."""

    def check(tensors, folder):
        with np.load(folder / "expected.npz") as expected:
            assert expected.files
            for name in expected.files:
                _assert_equal(tensors[name], expected[name], name)

    return check


def _assert_equal(tensor, expected, name):
    loaded = tensor.load()
    assert tensor.shape == loaded.shape, name
    assert tensor.dtype == loaded.dtype, name
    assert not loaded.flags.writeable, name
    assert loaded.flags.aligned, name
    if expected.dtype.kind == "U":
        strings = [[s.encode("latin-1") for s in row] for row in json.loads(str(expected))]
        assert loaded.tolist() == strings, name
        return
    if str(loaded.dtype) == "bfloat16":
        loaded = loaded.astype(np.float32)
    assert loaded.dtype == expected.dtype, name
    assert loaded.shape == expected.shape, name
    assert loaded.tobytes() == expected.tobytes(), name
