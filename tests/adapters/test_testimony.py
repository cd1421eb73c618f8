"""What a graph says is taken or refused by name and node, and never overlooked."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lstmbridge.adapters import recognise, testimony
from lstmbridge.contracts import Hints
from lstmbridge.errors import CannotExpress, FactConflict
from lstmbridge.graph.findings import (
    Application,
    CellEvidence,
    CellFacts,
    Construct,
    Evidence,
    Run,
    State,
    Stated,
)
from lstmbridge.graph.graphdef import Graph
from lstmbridge.model.blocks import Residual
from lstmbridge.model.facts import Basis
from lstmbridge.sources import open_source

FIXTURES = Path(__file__).parents[2] / "fixtures"
ZEROS = {"h": State("zeros", "zeros"), "c": State("zeros", "zeros")}


def _facts(forget_bias=1.0, cell_clip=None):
    return CellFacts(
        Stated(forget_bias, "add/y"),
        Stated("tanh", "Tanh"),
        Stated("sigmoid", "Sigmoid"),
        Stated(cell_clip, "clip/y"),
        Stated(None, "MatMul"),
        Stated(False, "MatMul"),
    )


def _run(*layers, **changes):
    run = Run(
        name=f"{layers[0]}/while",
        how="loop",
        layers=layers,
        residual=(False,) * len(layers),
        steps=None,
        time_major=False,
        lengths=None,
        reversed="no",
        initial=(ZEROS,) * len(layers),
    )
    return replace(run, **changes)


def _application(layer, facts):
    tensor = ("node", 0)
    states = {"h": tensor, "c": tensor}
    return Application(layer, "node", facts, tensor, states, states, tensor)


@dataclass
class Saying:
    """A graph that says what a test wants it to say."""

    runs: list
    facts: object = None
    failures: tuple = ()
    known: bool = True
    unread: tuple = ()

    def gather(self, graph, queries):
        facts = self.facts or _facts()
        cells = {
            q.layer: CellEvidence(
                q.layer,
                None if self.failures else facts,
                ()
                if q.layer.partition("#")[0] in self.unread
                else (_application(q.layer, facts),),
                self.failures,
                self.known,
            )
            for q in queries
        }
        return Evidence("folder/model.ckpt.meta", cells, tuple(self.runs))


@pytest.fixture
def hear(monkeypatch, source):
    """Recognise shapes beside a graph that says what is given."""

    def listen(shapes, saying, **hints):
        monkeypatch.setattr(testimony, "gather", saying.gather)
        return recognise(source(shapes, shown_graph=Graph({})), Hints(**hints))

    return listen


@pytest.fixture
def two(stack):
    """Two layers of three, and their labels."""
    return stack("rnn/multi_rnn_cell", "basic_lstm_cell", 3, [3, 3])


LABELS = tuple(f"rnn/multi_rnn_cell/cell_{k}/basic_lstm_cell" for k in range(2))


def test_constants_are_read_with_the_node_that_shows_them(hear, two):
    [part] = hear(two, Saying([_run(*LABELS)], _facts(0.5, 3.0))).parts
    fact = part.model.layers[0].cell.forget_bias
    assert (fact.value, fact.basis, fact.where) == (0.5, Basis.READ, "model.ckpt.meta: add/y")
    # BasicLSTMCell has no clip; the graph is the truth about what was built
    assert part.model.layers[0].cell.cell_clip.value == 3.0


def test_the_graph_is_not_asked_when_it_is_to_be_ignored(hear, two):
    [part] = hear(two, Saying([], known=False), ignore_graph=True).parts
    assert part.model.layers[0].cell.forget_bias.basis is Basis.ASSUMED


@pytest.mark.parametrize(
    "given", [{"forget_bias": 0.0}, {"activation": "relu"}, {"cell_clip": 1.0}]
)
def test_a_statement_that_the_graph_contradicts_is_a_conflict_that_names_both(hear, two, given):
    with pytest.raises(FactConflict, match="the graph says") as caught:
        hear(two, Saying([_run(*LABELS)]), **given)
    assert "model.ckpt.meta" in caught.value.where


def test_a_statement_that_agrees_to_the_precision_of_the_weights_is_no_conflict(hear, two):
    saying = Saying([_run(*LABELS)], _facts(0.30000001192092896))
    assert hear(two, saying, forget_bias=0.3).parts


@pytest.mark.parametrize("given", [{"layers": 3}, {"residual": True}], ids=["layers", "residual"])
def test_a_structure_that_the_graph_contradicts_is_a_conflict(hear, two, given):
    with pytest.raises(FactConflict, match="the graph"):
        hear(two, Saying([_run(*LABELS)]), **given)


def test_the_residuals_are_those_of_the_graph(hear, two):
    run = _run(*LABELS, residual=(False, True))
    [part] = hear(two, Saying([run])).parts
    assert [isinstance(block, Residual) for block in part.model.root.blocks] == [False, True]
    assert part.model.facts["residual"].value is True
    with pytest.raises(FactConflict, match="--no-residual"):
        hear(two, Saying([run]), residual=False)


def test_a_shared_cell_is_as_many_layers_as_the_graph_has(hear, stack):
    shapes = stack("rnn/multi_rnn_cell", "basic_lstm_cell", 3, [3])
    [part] = hear(shapes, Saying([_run(LABELS[0], LABELS[0], LABELS[0])])).parts
    assert len({id(layer.cell) for layer in part.model.layers}) == 1
    assert len(part.model.layers) == 3
    assert part.model.facts["shared_cell"].basis is Basis.READ


def test_one_cell_of_its_own_and_one_shared_are_told_apart(hear, two):
    run = _run(LABELS[0], LABELS[1], LABELS[1])
    [part] = hear(two, Saying([run])).parts
    assert [layer.name for layer in part.model.layers] == ["layer0", "layer1", "layer2"]
    assert part.variables["layer1"] == part.variables["layer2"]


def test_lengths_and_layout_are_read(hear, two):
    run = _run(*LABELS, lengths="seq_len", time_major=True)
    facts = hear(two, Saying([run])).parts[0].model.facts
    assert facts["sequence_length"].value is True
    assert facts["sequence_length"].where == "model.ckpt.meta: seq_len"
    assert facts["time_major"].value is True


def test_a_learned_initial_state_is_said(hear, two):
    learned = {"h": State("variable", "h0"), "c": State("variable", "c0")}
    found = hear(two, Saying([_run(*LABELS, initial=(learned, ZEROS))]))
    assert found.parts[0].model.facts["initial_state"].value == "variable"
    assert any("h0" in text for text in found.warnings)


@pytest.mark.parametrize("kind", ["residual", "highway", "own cell", "computation", "state"])
def test_what_stands_in_the_way_is_refused_with_its_node(hear, two, kind):
    found = Construct(kind, "rnn/while/odd", LABELS[1], "something odd stands there")
    with pytest.raises(CannotExpress, match="something odd") as caught:
        hear(two, Saying([_run(*LABELS, constructs=(found,))]))
    assert "rnn/while/odd" in caught.value.where
    assert "--ignore-graph" in caught.value.advice


def test_a_second_copy_that_feeds_itself_does_not_speak_against_a_plain_one(hear, two):
    fed = Construct("feedback", "decoder/while", LABELS[0], "reads its own outputs")
    runs = [_run(*LABELS), _run(*LABELS, name="decode", constructs=(fed,))]
    found = hear(two, Saying(runs))
    assert any("reads its own outputs" in text for text in found.warnings)
    masked = replace(fed, kind="masking")
    with pytest.raises(CannotExpress):
        hear(two, Saying([runs[0], _run(*LABELS, name="decode", constructs=(masked,))]))


def test_an_embedding_inside_the_loop_leaves_the_stack_right_and_is_said(hear, two):
    found = Construct("embedding", "lookup", LABELS[0], "has an embedding in front")
    assert any(
        "embedding" in text
        for text in hear(two, Saying([_run(*LABELS, constructs=(found,))])).warnings
    )


def test_layers_in_another_order_are_refused(hear, two):
    with pytest.raises(CannotExpress, match="otherwise than their names say"):
        hear(two, Saying([_run(*reversed(LABELS))]))


def test_layers_that_the_graph_runs_apart_are_refused(hear, two):
    with pytest.raises(CannotExpress, match="otherwise than their names say"):
        hear(two, Saying([_run(LABELS[0]), _run(LABELS[1])]))


def test_copies_that_differ_are_refused(hear, two):
    runs = [_run(*LABELS), _run(*LABELS, name="other", residual=(False, True))]
    with pytest.raises(CannotExpress):
        hear(two, Saying(runs))


def test_a_cell_that_the_graph_never_steps_is_refused(hear, two):
    with pytest.raises(CannotExpress, match="does not step them"):
        hear(two, Saying([]))


def test_a_place_that_reads_the_kernel_and_is_no_lstm_is_refused(hear, two):
    failure = Construct("own cell", "rnn/odd", LABELS[0], "it is no LSTM")
    with pytest.raises(CannotExpress, match="it is no LSTM"):
        hear(two, Saying([_run(*LABELS)], failures=(failure,)))


def test_a_graph_of_another_checkpoint_is_a_conflict_with_the_way_out(hear, two):
    with pytest.raises(FactConflict, match="does not belong") as caught:
        hear(two, Saying([], known=False))
    assert "--ignore-graph" in caught.value.advice
    other = Construct("other graph", "kernel", LABELS[0], "the graph's is (9, 9)")
    with pytest.raises(FactConflict, match=r"\(9, 9\)"):
        hear(two, Saying([_run(*LABELS)], failures=(other,)))


@pytest.fixture
def pair(lstm):
    return {
        **lstm("net/bidirectional_rnn/fw/lstm_cell", 5, 2),
        **lstm("net/bidirectional_rnn/bw/lstm_cell", 5, 2),
    }


FW, BW = (f"net/bidirectional_rnn/{way}/lstm_cell" for way in ("fw", "bw"))


@pytest.mark.parametrize("how", ["full", "lengths", "unknown"])
def test_directions_that_the_graph_feeds_rightly_are_bidirectional(hear, pair, how):
    found = hear(pair, Saying([_run(FW), _run(BW, reversed=how)]))
    assert found.parts[0].model.output_size == 4
    assert found.warnings == ()


@pytest.mark.parametrize(("forward", "backward"), [("no", "no"), ("full", "full")])
def test_directions_that_the_graph_feeds_otherwise_are_refused(hear, pair, forward, backward):
    with pytest.raises(CannotExpress, match="direction"):
        hear(pair, Saying([_run(FW, reversed=forward), _run(BW, reversed=backward)]))


def test_directions_in_a_scope_of_the_users_need_the_graphs_word(hear, lstm):
    shapes = lstm("enc/fw/lstm_cell", 5, 2) | lstm("enc/bw/lstm_cell", 5, 2)
    runs = [_run("enc/fw/lstm_cell"), _run("enc/bw/lstm_cell", reversed="full")]
    assert hear(shapes, Saying(runs)).warnings == ()
    unclear = [runs[0], replace(runs[1], reversed="unknown")]
    with pytest.raises(CannotExpress, match="unclear"):
        hear(shapes, Saying(unclear))


def test_one_direction_that_reads_backwards_is_said(hear, lstm):
    found = hear(lstm("rnn/lstm_cell", 5, 2), Saying([_run("rnn/lstm_cell", reversed="full")]))
    assert any("reversed sequence" in text for text in found.warnings)


@pytest.fixture
def stacked(lstm):
    shapes = {}
    for k, inputs in enumerate([3, 10]):
        for way in ("fw", "bw"):
            shapes |= lstm(f"net/cell_{k}/bidirectional_rnn/{way}/lstm_cell", inputs, 5)
    return shapes


def _stacked_runs(**above):
    runs = []
    for k in range(2):
        for way, how in (("fw", "no"), ("bw", "full")):
            label = f"net/cell_{k}/bidirectional_rnn/{way}/lstm_cell"
            runs.append(_run(label, name=f"{way}{k}", reversed=how, **(above if k else {})))
    return runs


def test_stacked_bidirectional_layers_are_proved_by_what_feeds_them(hear, stacked):
    assert hear(stacked, Saying(_stacked_runs(inputs_from=("fw0", "bw0")))).warnings == ()
    unproved = hear(stacked, Saying(_stacked_runs()))
    assert any("taken for bidirectional layers" in text for text in unproved.warnings)


def test_stacked_bidirectional_layers_with_something_between_are_refused(hear, stacked):
    dense = Construct("projection", "net/dense", "net", "a dense layer stands between")
    with pytest.raises(CannotExpress, match="dense layer"):
        hear(stacked, Saying(_stacked_runs(between=(dense,))))
    with pytest.raises(CannotExpress, match="otherwise"):
        hear(stacked, Saying(_stacked_runs(inputs_from=("elsewhere",))))


def test_a_part_of_a_larger_stack_is_said(hear, lstm):
    shapes = lstm("a/rnn/lstm_cell", 3, 3) | lstm("b/rnn/lstm_cell", 3, 3)
    found = hear(shapes, Saying([_run("a/rnn/lstm_cell", "b/rnn/lstm_cell")]))
    assert len(found.parts) == 2
    assert any("layers of one stack" in text for text in found.warnings)


def test_a_name_of_its_own_is_no_assumption_when_the_graph_proves_the_cell(hear, lstm):
    found = hear(lstm("rnn/my_cell", 5, 2), Saying([_run("rnn/my_cell")]))
    assert found.warnings == ()
    assert found.parts[0].model.facts["cell"].basis is Basis.READ


def test_a_cell_that_names_do_not_show_is_found_where_the_graph_proves_it(hear, lstm):
    shapes = lstm("encoder/core", 5, 2) | lstm("dense", 6, 2)
    found = hear(shapes, Saying([_run("encoder/core")], unread=("dense",)))
    assert [part.name for part in found.parts] == ["encoder"]
    assert {ignored.name for ignored in found.ignored} == {"dense/kernel", "dense/bias"}


def test_a_cell_that_the_graph_does_not_apply_is_refused(hear, two):
    with pytest.raises(CannotExpress, match="never applies"):
        hear(two, Saying([_run(*LABELS)], unread=LABELS))


@dataclass(frozen=True)
class Altered:
    """A real source with other tensors in front of its graph."""

    inner: object
    tensors: dict

    def __getattr__(self, name):
        return getattr(self.inner, name)


def test_a_real_graph_beside_weights_of_other_sizes_is_a_conflict(source, stack):
    real = open_source(FIXTURES / "tf115-seed-meta")
    other = source(stack("rnn/multi_rnn_cell", "basic_lstm_cell", 9, [4, 4, 4])).tensors
    with pytest.raises(FactConflict, match="does not belong"):
        recognise(Altered(real, other))
    assert recognise(Altered(real, other), Hints(ignore_graph=True)).parts


def test_averages_are_asked_for_under_the_names_that_the_graph_knows():
    real = open_source(FIXTURES / "tf115-seed-meta")
    shadows = {f"{name}/ExponentialMovingAverage": tensor for name, tensor in real.tensors.items()}
    [part] = recognise(Altered(real, dict(real.tensors) | shadows), Hints(ema=True)).parts
    assert part.model.layers[0].cell.forget_bias.basis is Basis.READ
    assert {n for names in part.variables.values() for n in names} <= set(shadows)
