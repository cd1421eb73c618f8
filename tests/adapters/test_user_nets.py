"""Graphs as users of TensorFlow write them: what is made of each, and what is said of it."""

import json
from pathlib import Path

import pytest

from lstmbridge.errors import CannotExpress
from lstmbridge.model.facts import Basis

NETS = json.loads((Path(__file__).parent / "recorded_user_nets.json").read_text())["nets"]
PROVEN = [net for net in NETS if not net.get("refused")]
REFUSED = [net for net in NETS if net.get("refused")]


def _named(net):
    return net["name"].replace(" ", "-")


@pytest.mark.parametrize("net", PROVEN, ids=_named)
def test_structure_and_constants_are_read_from_the_graph(look, structure, net):
    [part] = look(net).parts
    facts = part.model.all_facts
    assert structure(part.model.root) == net["structure"]
    assert {name: facts[name].value for name in net["constants"]} == net["constants"]
    assert "rounding" in net["constants"] or "rounding" not in facts
    assert {fact.basis for fact in facts.values()} == {Basis.READ}


@pytest.mark.parametrize("net", PROVEN, ids=_named)
def test_what_the_user_has_to_know_is_said_and_nothing_else(look, net):
    warnings, wanted = look(net).warnings, net.get("warns", [])
    assert len(warnings) == len(wanted)
    assert all(words in text for words, text in zip(wanted, warnings, strict=True))


@pytest.mark.parametrize("net", REFUSED, ids=_named)
def test_what_is_no_cell_of_tensorflows_is_refused_by_name_and_node(look, net):
    with pytest.raises(CannotExpress, match=net["refused"]) as caught:
        look(net)
    assert "net.pb" in caught.value.where
    assert "--ignore-graph" in caught.value.advice
