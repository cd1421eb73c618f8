"""The adapter of TensorFlow 1's recurrent cells: a source's variables -> Recognition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from lstmbridge.adapters.beginnings import unread
from lstmbridge.adapters.dialects import Path
from lstmbridge.adapters.facts import check_hints, open_to
from lstmbridge.adapters.leftovers import reasons
from lstmbridge.adapters.naming import chosen, part_names
from lstmbridge.adapters.parts import Built, Known, build_part
from lstmbridge.adapters.sites import (
    Site,
    find_sites,
    in_order,
    is_called_otherwise,
    lookalikes,
    strays,
)
from lstmbridge.adapters.stored import Stored
from lstmbridge.adapters.surroundings import Surroundings, look_around
from lstmbridge.adapters.testimony import Testimony, examine, proven
from lstmbridge.adapters.topology import Draft, assemble
from lstmbridge.adapters.variables import Variables, sort_variables
from lstmbridge.adapters.wrapped import find_wraps
from lstmbridge.contracts import DescribedSource, Hints, NoMatch, Recognition, Source
from lstmbridge.errors import (
    CannotExpress,
    FactConflict,
    FactMissing,
    LstmBridgeError,
    NotRecognised,
    UsageError,
)
from lstmbridge.graph.graphdef import Graph

_SHOWN = 8


class TensorFlow1Adapter:
    """Recurrent stacks of TensorFlow 1's cells, by the variable names of every release."""

    @property
    def name(self) -> str:
        """Short name, for messages and entry points."""
        return "tensorflow1"

    def recognise(self, source: Source, hints: Hints) -> Recognition | NoMatch:
        """Find the recurrent stacks of `source`. Reads no weights.

        Raises:
            NotRecognised: cells whose variables do not fit, or an object-based checkpoint.
            CannotExpress: cells of classes, or in wrappers, that this version does not convert.
            FactMissing, FactConflict: see `Hints`. UsageError: hints that make no sense.

        Of a source that is converted whole a stack that is refused leaves the others as they
        are: it is one of the refusals.
        """
        if isinstance(source, DescribedSource):
            return NoMatch(str(source.path), "a Keras file, no checkpoint")
        check_hints(hints)
        variables = sort_variables(source, hints)
        graph = None if hints.ignore_graph else source.graph()
        sites = _sites(variables, hints, graph)
        if not sites:
            return _nothing(source, variables)
        others = strays(sites, variables.weights)
        drafts = assemble(sites, find_wraps(others))
        around = {s.name for d in drafts for w in d.all_wraps() for s in w.stored.values()}
        others = {name: s for name, s in others.items() if name not in around}
        seen = _survey(drafts, others, hints, graph)
        in_graph = {n: s for s in variables.weights.values() for n in s.in_graph}
        known = Known(hints, seen.room(hints), variables.averaged, seen.told, in_graph)
        built = list(_built(seen, known, one_by_one=_is_whole(source, hints)))
        taken = {name for b in built for layer in b.part.variables.values() for name in layer}
        others = {name: s for name, s in others.items() if not taken.issuperset(s.sources)}
        refusals = tuple(
            NoMatch(seen.names[draft.path], _in_a_line(problem))
            for draft in seen.drafts
            if (problem := seen.problems[draft.path]) is not None
        )
        return Recognition(
            parts=tuple(b.part for b in built),
            ignored=(*reasons(others.values()), *variables.ignored),
            refusals=refusals,
            warnings=_warnings(built, seen, others, () if hints.select else refusals, variables),
        )


def _is_whole(source: Source, hints: Hints) -> bool:
    """Whether the stacks are places in a whole model."""
    return hints.select is None and (
        source.declares_model or bool(hints.outputs) or bool(hints.inputs)
    )


def _built(seen: _Survey, known: Known, *, one_by_one: bool) -> Iterator[Built]:
    """The parts; `one_by_one`: a draft that is refused becomes a problem where others are not."""
    refused: list[LstmBridgeError] = []
    for draft in seen.good:
        try:
            yield build_part(draft, seen.names[draft.path], known)
        except (CannotExpress, FactConflict, FactMissing, NotRecognised) as error:  # noqa: PERF203
            refused.append(error)
            if not one_by_one or len(refused) == len(seen.good):
                raise
            seen.problems[draft.path] = error


def _sites(variables: Variables, hints: Hints, graph: Graph | None) -> list[Site]:
    """The cells that names prove, and those under names of their own that a graph proves."""
    sites = find_sites(variables.weights, hints)
    if graph is None:
        return sites
    doubted = [s for s in sites if s.own_name and s.problem is None and hints.cell is None]
    sure = [site for site in sites if site not in doubted]
    maybe = lookalikes(strays(sure, variables.weights), every=True)
    shown = proven(graph, maybe) if maybe else []
    taken = {name for site in shown for name in site.owned}
    return in_order([*sure, *shown, *(site for site in doubted if not site.owned & taken)])


@dataclass(frozen=True)
class _Survey:
    """The stacks of a source, before any model is built.

    Attributes:
        drafts: all of them.
        names: the parts' names, by root scope.
        around: what lies around each.
        problems: why one is not converted; None where it is, or is not wanted.
        told: what a graph says, by the drafts' scopes.
        good: those to build.
    """

    drafts: list[Draft]
    names: Mapping[Path, str]
    around: Mapping[Path, Surroundings]
    problems: dict[Path, LstmBridgeError | None]
    told: Mapping[str, Testimony]
    good: list[Draft]

    def room(self, hints: Hints) -> frozenset[str]:
        """The given options that are meant for some cell."""
        told = {site.scope for d in self.good if d.scope in self.told for site in d.sites()}
        return open_to(hints, [site for d in self.good for site in d.sites()], told)


def _survey(
    drafts: list[Draft], others: Mapping[str, Stored], hints: Hints, graph: Graph | None
) -> _Survey:
    """Ask the graph about the stacks, and keep what can be converted and is wanted."""
    names = part_names(drafts)
    around = {draft.path: look_around(draft, others) for draft in drafts}
    problems = {draft.path: _problem(draft, around[draft.path]) for draft in drafts}
    wanted = drafts if hints.select is None else _selected(drafts, names, hints, others)
    good = [draft for draft in wanted if problems[draft.path] is None]
    answers = examine(graph, good) if graph is not None and good else {}
    problems |= {d.path: e for d in good if isinstance(e := answers.get(d.scope), LstmBridgeError)}
    good = [draft for draft in good if problems[draft.path] is None]
    if not good:
        raise _worst([p for d in wanted if (p := problems[d.path]) is not None])
    told = {scope: t for scope, t in answers.items() if isinstance(t, Testimony)}
    return _Survey(drafts, names, around, problems, told, good)


def _problem(draft: Draft, around: Surroundings) -> LstmBridgeError | None:
    """The first reason not to convert a draft; what is known by name comes first."""
    found = list(draft.all_problems())
    if around.problem is not None:
        found.append(around.problem)
    return _worst(found) if found else None


def _worst(problems: list[LstmBridgeError]) -> LstmBridgeError:
    return next((p for p in problems if isinstance(p, CannotExpress)), problems[0])


def _in_a_line(problem: LstmBridgeError) -> str:
    return f"{problem.read}; expected {problem.expected}" if problem.expected else problem.read


def _selected(
    drafts: list[Draft], names: Mapping[Path, str], hints: Hints, others: Mapping[str, Stored]
) -> list[Draft]:
    select = (hints.select or "").strip("/")
    found = chosen(drafts, names, select)
    if found:
        return found
    if any(site.scope == select for site in lookalikes(others)):
        raise UsageError(
            f"--select {select}: its variables have the shapes of an LSTM, and not the names",
            expected="your word that it is one",
            where="--select",
            advice="say --cell LSTMCell, or the class it was",
        )
    known = list(names.values())
    near = get_close_matches(select, known, n=3, cutoff=0.3) or known
    raise UsageError(
        f"--select {select}: no recurrent stack lies there",
        expected=f"one of {', '.join(known[:_SHOWN])}",
        where="--select",
        advice=f"did you mean {' or '.join(near[:3])}?",
    )


def _warnings(
    built: list[Built],
    seen: _Survey,
    others: Mapping[str, Stored],
    refusals: tuple[NoMatch, ...],
    variables: Variables,
) -> tuple[str, ...]:
    said = [text for b in built for text in b.warnings]
    said += [text for d in seen.good for text in look_around(d, others).remarks]
    said += [begins for d in seen.good if d.scope not in seen.told for begins in unread(d, others)]
    used = {s.name for d in seen.good for site in d.sites() for s in (site.stored or {}).values()}
    if used & variables.averages:
        said.append(
            "moving averages of these weights are stored beside them; the raw weights are taken: "
            "--ema takes the averages, --no-ema says that the raw ones are meant"
        )
    said += [f"{r.where} is not converted: {r.reason}" for r in refusals]
    return tuple(dict.fromkeys(said))


def _nothing(source: Source, variables: Variables) -> NoMatch:
    """What was seen where no cell is, nearest misses first."""
    if variables.averages:
        shadowed = sort_variables(source, Hints(ema=True))
        if find_sites(shadowed.weights, Hints()):
            raise FactMissing(
                "only moving averages of recurrent layers are stored, no raw weights",
                expected="the user's word that the averages are meant",
                where=str(source.path),
                advice="--ema takes them",
            )
    misses = sorted(variables.weights.values(), key=_likeness)
    shown = ", ".join(str(s) for s in misses[:_SHOWN]) or "no variable at all"
    shaped = [s.scope for s in lookalikes(variables.weights) if not is_called_otherwise(s)]
    hint = (
        f". {shaped[0]} has the shapes of an LSTM: if it is one, say --cell LSTMCell "
        f"--select {shaped[0]}"
        if shaped
        else ""
    )
    more = f", and {len(misses) - _SHOWN} more" if len(misses) > _SHOWN else ""
    return NoMatch(
        str(source.path),
        f"no variable lies where a TensorFlow 1 cell would put it; there are {shown}{more}{hint}",
    )


def _likeness(stored: Stored) -> tuple[int, str]:
    """Fused recurrent kernels look like [rows, 4 * units] with rows > units; they come first."""
    shape = stored.ref.shape
    gates = len(shape) == 2 and shape[1] % 4 == 0 and shape[0] > shape[1] // 4
    called = any(word in stored.name.lower() for word in ("lstm", "rnn", "gru", "cell"))
    return (-2 * called - gates, stored.name)


def recognise(source: Source, hints: Hints | None = None) -> Recognition:
    """The room's front door: as `TensorFlow1Adapter.recognise`, and what is not there raises.

    Raises:
        NotRecognised: also where no recurrent layer is there at all.
    """
    answer = TensorFlow1Adapter().recognise(source, hints or Hints())
    if isinstance(answer, Recognition):
        return answer
    raise NotRecognised(
        f"no recurrent layer was recognised: {answer.reason}",
        expected="variables of a TensorFlow 1 recurrent cell",
        where=answer.where,
        advice="rename the variables with --map FILE",
    )
