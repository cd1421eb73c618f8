# /// script
# requires-python = ">=3.10"
# dependencies = ["lstmbridge[torch]", "polygraphy"]
# ///
"""Who notices what: verifiers in use today, on the same planted faults and honest pairs.

    python scripts/compare_verifiers.py          rewrite the table of docs/verifiers.md
    python scripts/compare_verifiers.py --print  print it

Every artifact is really written and run in ONNX Runtime. The other tools compare what it gives
with the source's float64 outputs, rounded to the artifact's own type (kinder to them than a
second runtime would be), on one set of sequences that a careful user would take: 4 rows of 20
steps, normally distributed, ragged lengths and initial states where the artifact takes them.
They are called as their documentation says, with the tolerances they have of themselves.
lstmbridge is called as `lstmbridge verify` calls it: its own probes, and the weights read back.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from experiment_verdicts import _Computed, _Mishandled

from lstmbridge import registry
from lstmbridge.contracts import TargetOptions
from lstmbridge.gates import GateBlocks
from lstmbridge.model.blocks import Bidirectional, Model, Recurrent, Sequence
from lstmbridge.model.cells import GRU, LSTM, RNN
from lstmbridge.model.facts import Fact
from lstmbridge.model.signature import States
from lstmbridge.verify import VerifyOptions, verify
from lstmbridge.verify.faults import planted_faults
from lstmbridge.verify.faults.fault import FeedsChanged, ModelRun, OutputsChanged
from lstmbridge.verify.noise import run_model

PAGE = Path(__file__).resolve().parents[1] / "docs" / "verifiers.md"
OPTIONS = TargetOptions(states=States.OPTIONAL, sequence_length=True)
ROWS, STEPS = 4, 20


# networks

_CLIPS = {"cell_clip": None, "proj_clip": None}
_USUAL = {
    LSTM: {"activation": "tanh", "gate_activation": "sigmoid", "forget_bias": 1.0, **_CLIPS},
    GRU: {"activation": "tanh", "gate_activation": "sigmoid", "reset_after": False},
    RNN: {"activation": "tanh"},
}


def cell(kind, inputs: int, units: int, scale: float = 1.0, bias: float = 0.3, seed=0, **facts):
    """One cell with random weights; the biases of LSTM and GRU are not zero."""
    random = np.random.default_rng([seed, inputs, units])

    def block(*shape: int, size: float) -> GateBlocks:
        gates = kind.GATES
        return GateBlocks.of({g: (random.normal(size=shape) * size).astype("f4") for g in gates})

    fan = np.sqrt(inputs + units)
    facts = {**_USUAL[kind], **facts}
    made = {"kernel": block(inputs, units, size=scale / fan)}
    made |= {"recurrent": block(units, units, size=scale / fan), "bias": block(units, size=bias)}
    if kind is GRU:
        made["recurrent_bias"] = block(units, size=bias)
    return kind(**made, **{k: Fact.given(v, "planted") for k, v in facts.items()})


def stack(kind=LSTM, scale=1.0, bias=0.3, units=8, **facts) -> Model:
    cells = [cell(kind, units, units, scale, bias, seed, **facts) for seed in (1, 2)]
    return Model("", Sequence(tuple(map(Recurrent, cells))))


def both_ways() -> Model:
    pair = [Recurrent(cell(LSTM, 8, 8, seed=s)) for s in (1, 2)]
    return Model("", Sequence((Bidirectional(*pair),)))


def saturated() -> Model:
    return stack(bias=14.0)


def one_bit(model: Model) -> Model:
    """The last bit of one weight of the first layer is another."""
    first, *rest = model.root.blocks
    blocks = first.cell.kernel
    arrays = {g: np.array(blocks[g]) for g in blocks}
    gate = next(iter(arrays))
    arrays[gate][0, 0] = np.nextafter(arrays[gate][0, 0], np.float32(9.0))
    wrong = replace(first.cell, kernel=GateBlocks.of(arrays))
    return Model("", Sequence((Recurrent(wrong), *rest)))


# tools: each says whether it lets the pair pass


def polygraphy(expected: Mapping, actual: Mapping) -> bool:
    from polygraphy.comparator import Comparator, RunResults
    from polygraphy.logger import G_LOGGER

    G_LOGGER.module_severity = G_LOGGER.CRITICAL
    results = RunResults()
    for name, outputs in (("source", expected), ("artifact", actual)):
        # it views bytes, which only contiguous arrays let it do
        whole = {n: np.ascontiguousarray(a) for n, a in outputs.items()}
        results.add([whole], runner_name=name)
    return bool(Comparator.compare_accuracy(results))


def onnx_runner(expected: Mapping, actual: Mapping) -> bool:
    from onnx.backend.test.runner import Runner

    # a test data set holds outputs by position
    Runner.assert_similar_outputs(
        list(expected.values()), list(actual.values()), rtol=1e-3, atol=1e-7
    )
    return True


def torch_testing(expected: Mapping, actual: Mapping) -> bool:
    import torch

    torch.testing.assert_close(
        {n: torch.from_numpy(np.array(a)) for n, a in actual.items()},
        {n: torch.from_numpy(np.array(a)) for n, a in expected.items()},
    )
    return True


def numpy_testing(expected: Mapping, actual: Mapping) -> bool:
    for name, values in expected.items():
        np.testing.assert_allclose(actual[name], values)
    return True


def numpy_allclose(expected: Mapping, actual: Mapping) -> bool:
    return all(np.allclose(values, actual[name]) for name, values in expected.items())


def optimum_style(expected: Mapping, actual: Mapping) -> bool:
    """As optimum's exporter judges: no output beyond the reference's, shapes, allclose."""
    if not set(actual) <= set(expected):
        return False
    for name, given in actual.items():
        if given.shape != expected[name].shape:
            return False
        if not np.allclose(expected[name], given, atol=1e-5):
            return False
    return True


TOOLS: dict[str, Callable[[Mapping, Mapping], bool]] = {
    "Polygraphy": polygraphy,
    "onnx test runner": onnx_runner,
    "`torch.testing`": torch_testing,
    "`assert_allclose`": numpy_testing,
    "`np.allclose`": numpy_allclose,
    "optimum-style": optimum_style,
}


def judged(tool, expected: Mapping, actual: Mapping) -> str:
    """``passes``, ``rejects``, or ``error`` where the tool could not compare at all."""
    quiet = contextlib.redirect_stdout(io.StringIO())
    try:
        with quiet, warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return "passes" if tool(expected, actual) else "rejects"
    except AssertionError:
        return "rejects"
    except Exception:  # noqa: BLE001 - it is no word of its own on the numbers
        return "error"


# pairs


@dataclass(frozen=True)
class Pair:
    """A source, and what is run for it.

    Attributes:
        wrong: the network whose file is run; None: the source's own.
        fault: the name of a planted fault, to be made by converting or by mishandling.
        mangle: of the outputs that a session gives.
        options: of the artifact.
        rows, steps: of the users' sequences.
    """

    name: str
    model: Model
    honest: bool = False
    wrong: Model | None = None
    fault: str = ""
    mangle: Callable[[dict], dict] | None = None
    options: TargetOptions = OPTIONS
    rows: int = ROWS
    steps: int = STEPS


def _with_nan(outputs: dict) -> dict:
    outputs["outputs"] = np.array(outputs["outputs"])
    outputs["outputs"].flat[5] = np.nan
    return outputs


def _only(keep: Callable[[str], bool]):
    return lambda outputs: {n: a for n, a in outputs.items() if keep(n)}


def _changed(change: Callable[[np.ndarray], np.ndarray]):
    return lambda outputs: {n: change(a) for n, a in outputs.items()}


def pairs() -> list[Pair]:
    plain, gru = stack(), stack(GRU, reset_after=True)
    half = replace(OPTIONS, dtype="float16")
    faults = [
        ("LSTM", plain, (
            "gates i and f exchanged", "gates c and o exchanged", "forget bias dropped",
            "bias dropped", "recurrent kernel transposed", "[h; x] taken for [x; h]",
            "activation exchanged", "gate activation exchanged", "layer0 and layer1 exchanged",
            "final h and c exchanged", "time reversed", "lengths ignored",
            "outputs past the end repeated, not zero", "initial states ignored")),
        ("GRU", gru, (
            "recurrent bias dropped", "gates r and z exchanged",
            "reset before and after the product exchanged")),
        ("two directions", both_ways(), (
            "backward direction run forward", "padding reversed with the sequence")),
        ("saturated LSTM", saturated(), (
            "forget bias dropped", "gates i and o exchanged", "bias of the candidate dropped")),
        ("tiny LSTM weights", stack(scale=1e-4, bias=1e-6), (
            "gates i and f exchanged", "recurrent kernel transposed", "time reversed")),
    ]  # fmt: skip
    found = [Pair(f"{kind}: {f}", m, fault=f) for kind, m, names in faults for f in names]
    found += [
        Pair("LSTM: the last bit of one weight", plain, wrong=one_bit(plain)),
        Pair("LSTM: one NaN among the outputs", plain, mangle=_with_nan),
        Pair("LSTM: all outputs NaN", plain, mangle=_changed(lambda a: a * np.nan)),
        Pair("LSTM: final states are missing", plain, mangle=_only(lambda n: n == "outputs")),
        Pair("LSTM: no output at all", plain, mangle=_only(lambda _: False)),
        Pair("LSTM: every output is empty", plain, mangle=_changed(lambda a: a[:0])),
        Pair("LSTM: the axis of a batch of 1 is lost", plain, mangle=_changed(np.squeeze), rows=1),
        Pair("LSTM: float64 for float32", plain, mangle=_changed(lambda a: a.astype(np.float64))),
        Pair("LSTM: all outputs 1 % off", plain, mangle=_changed(lambda a: (a * 1.01).astype("f4"))),
        Pair("LSTM: outputs end after step 100", plain, steps=300, mangle=_changed(_cut(100))),
        Pair("LSTM: outputs end after step 300", plain, steps=400, mangle=_changed(_cut(300))),
    ]  # fmt: skip
    right = [
        Pair("LSTM, float32", plain),
        Pair("GRU, float32", gru),
        Pair("two directions, float32", both_ways()),
        Pair("LSTM, written as float16", plain, options=half),
        Pair("GRU, written as float16", gru, options=half),
        Pair("RNN with relu that grows to 1e5", stack(RNN, scale=1.6, activation="relu"), steps=60),
        Pair("lively LSTM (weights x 4), 500 steps", stack(scale=4.0), steps=500),
        Pair("chaotic LSTM (weights x 20), 500 steps", stack(scale=20.0, units=16), steps=500),
        Pair("chaotic GRU (weights x 20), 500 steps",
             stack(GRU, scale=20.0, units=16, reset_after=True), steps=500),
        Pair("tiny LSTM weights", stack(scale=1e-4, bias=1e-6)),
        Pair("tiny LSTM weights, written as float16", stack(scale=1e-4, bias=1e-6), options=half),
        Pair("saturated LSTM", saturated()),
        Pair("huge LSTM weights (x 300)", stack(scale=300.0, bias=30.0)),
        Pair("huge LSTM weights, written as float16", stack(scale=300.0, bias=30.0), options=half),
    ]  # fmt: skip
    return found + [replace(one, honest=True) for one in right]


def _cut(step: int) -> Callable[[np.ndarray], np.ndarray]:
    def cut(a: np.ndarray) -> np.ndarray:
        if a.ndim == 3 and a.shape[1] > step:
            a = np.array(a)
            a[:, step:] = 0.0
        return a

    return cut


def users_feeds(one: Pair, specs) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    feeds = {}
    for spec in specs:
        if spec.name == "inputs":
            value = random.normal(size=(one.rows, one.steps, spec.shape[2]))
        elif spec.name == "sequence_length":
            value = np.linspace(one.steps, one.steps // 3, one.rows)
        else:
            value = random.normal(size=(one.rows, spec.shape[1]))
        feeds[spec.name] = value.astype(spec.dtype)
    return feeds


# running


class _Wrong:
    """ONNX Runtime, with whatever is wrong about this pair."""

    name, runs = "onnxruntime-cpu", "onnx"

    def __init__(self, one: Pair, folder: str) -> None:
        self._one, self._folder = one, folder

    def info(self):
        return registry.runtime(self.name).info()

    def open(self, artifact):
        session = registry.runtime(self.name).open(artifact)
        if self._one.mangle is not None:
            return _Handed(_Mangled(session, self._one.mangle))
        run = None if not self._one.fault else _fault(self._one, artifact).run
        if isinstance(run, FeedsChanged | OutputsChanged):
            return _Handed(_Mishandled(session, run))
        if run is not None and not _writable(run):
            return _Handed(_Computed(run, artifact))
        return session


class _Mangled:
    device = "cpu"

    def __init__(self, session, mangle) -> None:
        self._session, self._mangle, self.precision = session, mangle, session.precision

    def run(self, feeds):
        return self._mangle(dict(self._session.run(feeds)))


class _Handed:
    """Any of them as a context manager."""

    def __init__(self, inner) -> None:
        self.run, self.precision, self.device = inner.run, inner.precision, inner.device

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        return None


def _fault(one: Pair, artifact):
    names = [spec.name for spec in artifact.signature.inputs]
    return next(f for f in planted_faults(one.model, names) if f.name == one.fault)


def _writable(run) -> bool:
    return isinstance(run, ModelRun) and run.wrap_in is None


def _written(one: Pair, model: Model, folder: str, name: str):
    writer = registry.target("onnx")
    path = Path(folder) / f"{name}.onnx"
    writer.write(model, path, one.options, {})
    return writer.read(path)


def row(one: Pair) -> dict[str, str]:
    """What each tool says of one pair."""
    with tempfile.TemporaryDirectory() as folder:
        artifact = _written(one, one.model, folder, "source")
        wrong = one.wrong
        if one.fault and _writable(_fault(one, artifact).run):
            wrong = _fault(one, artifact).run.model
        if wrong is not None:
            artifact = _written(one, wrong, folder, "wrong")
        runtime = _Wrong(one, folder)
        feeds = users_feeds(one, artifact.signature.inputs)
        dtypes = {spec.name: spec.dtype for spec in artifact.signature.outputs}
        with np.errstate(all="ignore"):
            exact = run_model(one.model, feeds)
        expected = {n: exact[n].astype(dtype) for n, dtype in dtypes.items()}
        with runtime.open(artifact) as session, np.errstate(all="ignore"):
            actual = session.run(feeds)
        said = {name: judged(tool, expected, actual) for name, tool in TOOLS.items()}
        ledger = registry.target("onnx").ledger(artifact, one.model)
        verdict = verify(
            one.model, [(runtime, artifact)], options=VerifyOptions(),
            ledgers={str(artifact.path): ledger},
        )  # fmt: skip
    words = {"pass": "passes", "fail": "rejects", "inconclusive": "inconclusive"}
    return {**said, "lstmbridge": words[verdict.outcome.value]}


def table() -> str:
    """Two tables in Markdown, wrong answers in bold, and how many there are."""
    every = pairs()
    said = {one.name + str(one.honest): row(one) for one in every}
    lines: list[str] = []
    columns = [*TOOLS, "lstmbridge"]
    for honest, title in ((False, "Planted faults"), (True, "Honest pairs")):
        some = [one for one in every if one.honest == honest]
        right = "passes" if honest else "rejects"
        lines += [f"### {title}", "", "| | " + " | ".join(columns) + " |"]
        lines.append("|---" * (len(columns) + 1) + "|")
        for one in some:
            cells = [_cell(said[one.name + str(honest)][c], right) for c in columns]
            lines.append(f"| {one.name} | " + " | ".join(cells) + " |")
        counts = [sum(said[one.name + str(honest)][c] == right for one in some) for c in columns]
        lines.append("| **right** | " + " | ".join(f"{n} of {len(some)}" for n in counts) + " |")
        lines.append("")
    return "\n".join(lines)


def _cell(word: str, right: str) -> str:
    unsaid = {"inconclusive", "error"} if right == "rejects" else {"inconclusive"}
    return word if word in {right, *unsaid} else f"**{word}**"


def main() -> None:
    text = table()
    if "--print" in sys.argv:
        print(text)
        return
    page = PAGE.read_text(encoding="utf-8")
    pattern = r"(<!-- begin verifiers -->\n).*?(<!-- end verifiers -->)"
    page, found = re.subn(pattern, lambda m: f"{m[1]}{text}{m[2]}", page, flags=re.DOTALL)
    if found != 1:
        raise SystemExit(f"{PAGE} has {found} parts called verifiers")
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
