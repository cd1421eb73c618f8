"""Outputs along time: what stands out is kept, and nothing is made up."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.verify.along import MOST, along_time
from lstmbridge.verify.probes import Probe
from lstmbridge.verify.trials import Trial


def trial(expected, allowed=1.0, **feeds) -> Trial:
    probe = Probe("a probe", feeds)
    limits = {name: np.asarray(allowed) for name in expected}
    return Trial(probe, expected, limits, limits, {}, chaotic=False, precision="float32")


def sequence(steps: int, rows: int = 2) -> dict[str, np.ndarray]:
    return {"outputs": np.zeros((rows, steps, 3))}


def test_each_step_shows_the_place_that_comes_nearest_to_what_is_allowed() -> None:
    given = np.zeros((2, 5, 3))
    given[1, 3, 2], given[0, 3, 0] = 0.5, 0.25
    found = along_time([(trial(sequence(5)), {"outputs": given})])["outputs"]
    assert (found.along, found.probe, found.at) == ("step", "a probe", (1, 2, 3, 4, 5))
    assert found.off == (0.0, 0.0, 0.0, 0.5, 0.0)
    assert found.allowed == (1.0,) * 5


@pytest.mark.parametrize("steps", [MOST, MOST + 1, 2000])
def test_a_long_curve_is_thinned_out_and_keeps_what_stands_out(steps: int) -> None:
    for at in (0, steps // 2, steps - 1):
        given = np.zeros((1, steps, 3))
        given[0, at, 1] = 7.0
        found = along_time([(trial(sequence(steps, 1)), {"outputs": given})])["outputs"]
        assert len(found.at) <= MOST
        assert dict(zip(found.at, found.off, strict=True))[at + 1] == 7.0
        assert list(found.at) == sorted(set(found.at))


def test_the_longest_probe_is_followed_unless_a_shorter_one_alone_departs() -> None:
    short, long = trial(sequence(3)), trial(sequence(9))
    right = [(short, {"outputs": np.zeros((2, 3, 3))}), (long, {"outputs": np.zeros((2, 9, 3))})]
    assert len(along_time(right)["outputs"].at) == 9
    wrong = [(short, {"outputs": np.full((2, 3, 3), 2.0)}), right[1]]
    assert len(along_time(wrong)["outputs"].at) == 3


def test_a_final_state_is_followed_by_the_lengths_of_its_rows() -> None:
    lengths = np.array([4, 2, 2], np.int32)
    one = trial(
        {"layer0_h": np.zeros((3, 2))}, inputs=np.zeros((3, 4, 1)), sequence_length=lengths
    )
    other = trial({"layer0_h": np.zeros((1, 2))}, inputs=np.zeros((1, 9, 1)))
    given = np.array([[0.0, 0.1], [0.2, 0.0], [0.0, 0.3]])
    found = along_time([(one, {"layer0_h": given}), (other, {"layer0_h": np.full((1, 2), 0.4)})])[
        "layer0_h"
    ]
    assert (found.along, found.probe) == ("length", "")
    assert dict(zip(found.at, found.off, strict=True)) == {2: 0.3, 4: 0.1, 9: 0.4}


@pytest.mark.parametrize(
    "given", [np.zeros((2, 4, 3)), np.full((2, 5, 3), np.nan)], ids=["another shape", "NaN"]
)
def test_what_cannot_be_compared_has_no_curve(given: np.ndarray) -> None:
    assert along_time([(trial(sequence(5)), {"outputs": given})]) == {}
    assert along_time([(trial(sequence(5)), {})]) == {}
