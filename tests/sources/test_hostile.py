"""Files that lie about themselves: each has its error, in bounded time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lstmbridge.errors import SourceUnreadable
from lstmbridge.sources import open_source

HOSTILE = Path(__file__).resolve().parents[2] / "fixtures" / "hostile"
CASES = json.loads((HOSTILE / "cases.json").read_text())


def provoke(name, stage):
    """Open a case and go as far as `stage`."""
    source = open_source(HOSTILE / name / CASES[name]["source"])
    if stage == "load":
        for tensor in source.tensors.values():
            tensor.load()
    if stage in {"graph", "constant"}:
        graph = source.graph()
        if stage == "constant":
            next(iter(graph.nodes.values())).attrs["value"].load()


@pytest.mark.parametrize("name", CASES)
def test_every_hostile_file_has_its_error(name):
    case = CASES[name]
    with pytest.raises(SourceUnreadable) as info:
        provoke(name, case["when"])
    assert case["says"] in str(info.value)
    assert info.value.where
    assert info.value.exit_code == 4


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case["when"] != "open"])
def test_what_is_wrong_later_does_not_hinder_listing(name):
    provoke(name, "open")


def test_every_folder_is_a_case():
    assert {path.name for path in HOSTILE.iterdir() if path.is_dir()} == set(CASES)


BOUNDED = """
import json, resource, sys
from pathlib import Path
from lstmbridge.errors import SourceUnreadable
from lstmbridge.sources import open_source
import google.protobuf.text_format, lstmbridge.sources.proto.graph_pb2, zipfile
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
folder = Path(sys.argv[1])
for name, case in json.loads((folder / "cases.json").read_text()).items():
    try:
        source = open_source(folder / name / case["source"])
        [tensor.load() for tensor in source.tensors.values()]
        [dict(n.attrs)["value"].load() for n in source.graph().nodes.values()]
    except SourceUnreadable:
        continue
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes as Linux does")
def test_all_of_them_together_take_little_memory_and_time():
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(HOSTILE)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert int(done.stdout) < 64 * 1024
