"""A runtime that crashes, hangs, eats memory, prints or lies takes only its own process with it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from lstmbridge.contracts import RuntimeInfo
from lstmbridge.errors import RuntimeFailed, RuntimeUnavailable
from lstmbridge.model.forward import forward
from lstmbridge.runtimes.contained import Contained
from lstmbridge.runtimes.oracle import Oracle
from lstmbridge.runtimes.parcels import pack, unpack
from lstmbridge.runtimes.process import WorkerProcess

ORACLE = "lstmbridge.runtimes.oracle:Oracle"

BAD = '''
"""Runtimes that misbehave, each in its own way."""

import ctypes, os, signal, sys, time
import numpy as np
from lstmbridge.contracts import RuntimeInfo
from lstmbridge.errors import RuntimeUnavailable


class Plain:
    name, runs, precision, device = "bad", "model", "float64", "cpu"

    def info(self):
        return RuntimeInfo("bad", available=True, version="1")

    def open(self, subject):
        return self

    def run(self, feeds):
        return {"outputs": feeds["inputs"]}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Segfaults(Plain):
    def run(self, feeds):
        ctypes.string_at(0)


class Aborts(Plain):
    def open(self, subject):
        sys.stderr.write("terminate called: no device\\n")
        sys.stderr.flush()
        os.abort()


class Exits(Plain):
    def run(self, feeds):
        os._exit(0)


class ExitsPolitely(Plain):
    def run(self, feeds):
        sys.exit(5)


class Hangs(Plain):
    def run(self, feeds):
        time.sleep(1000)


class HangsUnkindly(Plain):
    def run(self, feeds):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            pass


class EatsMemory(Plain):
    def run(self, feeds):
        kept = []
        while True:
            kept.append(np.ones(1 << 20))
            time.sleep(0.005)


class OutOfMemory(Plain):
    def run(self, feeds):
        np.ones(1 << 46)


class Prints(Plain):
    def run(self, feeds):
        print('{"said": {"names": []}}', flush=True)
        os.write(1, b"{}\\n")
        os.system("echo from a child")
        return super().run(feeds)


class Raises(Plain):
    def run(self, feeds):
        raise KeyError("no such thing")


class Declines(Plain):
    def run(self, feeds):
        raise RuntimeUnavailable("not today", expected="another day", where="bad", advice="wait")


class NoMapping(Plain):
    def run(self, feeds):
        return 42


class Objects(Plain):
    def run(self, feeds):
        return {"outputs": np.array([object()])}


class NoPrecision(Plain):
    precision = None


class Narrow(Plain):
    def run(self, feeds):
        import ml_dtypes
        return {"outputs": feeds["inputs"].astype(ml_dtypes.bfloat16)}
'''


@pytest.fixture
def bad(tmp_path, monkeypatch):
    """`bad("Hangs")`: that runtime, contained."""
    (tmp_path / "misbehaving.py").write_text(BAD)
    monkeypatch.syspath_prepend(tmp_path)

    def make(kind, **options):
        import misbehaving

        return Contained(misbehaving.Plain(), f"misbehaving:{kind}", **options)

    return make


@pytest.fixture
def model(networks):
    return networks.stack(count=1)


FEEDS = {"inputs": np.arange(12.0).reshape(2, 2, 3)}


def test_numbers_pass_unchanged_and_so_does_what_the_runtime_says_of_itself(networks):
    model = networks.bidirectional()
    feeds = {"inputs": np.random.default_rng(0).normal(size=(2, 5, 3))}
    runtime = Contained(Oracle(), ORACLE)
    assert (runtime.name, runtime.runs, runtime.info()) == ("oracle", "model", Oracle().info())
    with runtime.open(model) as session:
        assert (session.precision, session.device) == ("float64", "cpu")
        for _ in range(2):
            got = session.run(feeds)
            for name, values in forward(model, feeds).items():
                assert np.array_equal(got[name], values)


def test_weights_that_lie_in_a_source_s_files_go_along(case):
    from lstmbridge import api

    model = api.load(case("tf115-seed-bare").prefix)
    feeds = {"inputs": np.random.default_rng(0).normal(size=(2, 5, model.input_size))}
    with Contained(Oracle(), ORACLE).open(model) as session:
        assert np.array_equal(session.run(feeds)["outputs"], forward(model, feeds)["outputs"])


DEATHS = {
    "Segfaults": r"killed by SIGSEGV when it was to run a probe",
    "Exits": r"ended with exit code 0 when it was to run a probe",
    "ExitsPolitely": r"ended with exit code 5",
    "OutOfMemory": r"MemoryError: Unable to allocate",
    "Raises": r"it raised KeyError: 'no such thing'",
    "NoMapping": r"it raised AttributeError",
    "Objects": r"cannot be read as arrays",
}


@pytest.mark.skipif(os.name != "posix", reason="signals have names on POSIX")
@pytest.mark.parametrize("kind", DEATHS)
def test_a_death_is_a_failure_with_its_reason(bad, model, kind):
    with bad(kind).open(model) as session, pytest.raises(RuntimeFailed, match=DEATHS[kind]):
        session.run(FEEDS)


def test_a_death_while_loading_quotes_the_last_words(bad, model):
    with pytest.raises(RuntimeFailed, match=r"SIGABRT.*the last it said: terminate called"):
        bad("Aborts").open(model)


@pytest.mark.parametrize("kind", ["Hangs", "HangsUnkindly"])
def test_a_runtime_that_hangs_is_ended_when_its_time_is_over(bad, model, kind):
    with bad(kind, seconds=3.0).open(model) as session:
        start = time.monotonic()
        with pytest.raises(RuntimeFailed, match="had not done so after 3 seconds") as caught:
            session.run(FEEDS)
        assert time.monotonic() - start < 20
    assert "--timeout" in str(caught.value)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="read from /proc")
def test_a_runtime_that_eats_the_memory_is_ended_before_the_machine_is(bad, model):
    with (
        bad("EatsMemory", memory=400 << 20).open(model) as session,
        pytest.raises(RuntimeFailed, match=r"took 0\.\d+ GiB of memory"),
    ):
        session.run(FEEDS)


def test_what_a_runtime_prints_is_neither_an_answer_nor_seen(bad, model, capfd):
    with bad("Prints").open(model) as session:
        assert np.array_equal(session.run(FEEDS)["outputs"], FEEDS["inputs"])
    assert capfd.readouterr() == ("", "")


def test_declining_is_no_failure_and_keeps_its_four_parts(bad, model):
    with bad("Declines").open(model) as session, pytest.raises(RuntimeUnavailable) as caught:
        session.run(FEEDS)
    error = caught.value
    assert not isinstance(error, RuntimeFailed)
    assert (error.read, error.expected) == ("not today", "another day")
    assert (error.where, error.advice) == ("bad", "wait")


def test_a_session_without_a_precision_is_a_failure(bad, model):
    with pytest.raises(RuntimeFailed, match="it says no precision"):
        bad("NoPrecision").open(model)


def test_after_a_failure_every_further_probe_fails_too(bad, model):
    with bad("Exits").open(model) as session:
        for _ in range(2):
            with pytest.raises(RuntimeFailed):
                session.run(FEEDS)


def test_bfloat16_stays_bfloat16_on_its_way(bad, model, tmp_path):
    with bad("Narrow").open(model) as session:
        assert session.run(FEEDS)["outputs"].dtype == ml_dtypes.bfloat16
    said = pack(tmp_path / "x.npz", {"a/b c": np.ones(2, ml_dtypes.bfloat16)})
    assert unpack(tmp_path / "x.npz", said, "x")["a/b c"].dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize("line", ["no json", "[1]", '{"error": 3}', '"x"'])
def test_an_answer_that_is_none_is_a_failure(line):
    script = f"import sys; sys.stdin.readline(); print({line!r}, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script]
    with (
        WorkerProcess(command, runtime="x", seconds=20) as process,
        pytest.raises(RuntimeFailed, match="answered with no answer"),
    ):
        process.ask("say something", {})


def test_a_command_that_does_not_exist_is_unavailable():
    with pytest.raises(RuntimeUnavailable, match="/no/such/python cannot be started"):
        WorkerProcess(["/no/such/python"], runtime="x")


def test_no_process_and_no_folder_are_left_behind(bad, model, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    session = bad("Plain").open(model)
    pid = session._process._process.pid
    assert list(tmp_path.glob("lstmbridge-*"))
    session.close()
    assert not list(tmp_path.glob("lstmbridge-*"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_info_is_the_runtime_s_own_and_starts_no_process(bad):
    assert bad("Segfaults").info() == RuntimeInfo("bad", available=True, version="1")
