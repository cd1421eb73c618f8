"""Where a checkpoint lies, whatever the user named.

That may be its prefix, one of its files, its folder, or the ``checkpoint`` state file. It is
decided by content; names only say which files go together.

Candidates lie beside what was named: no path that a file holds is followed out of its folder,
except the state file's own, where nothing of that name lies beside it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lstmbridge.errors import SourceUnreadable
from lstmbridge.sources.files import MappedFile, read_start, unreadable
from lstmbridge.sources.identify import describe
from lstmbridge.sources.messages import parse, parse_text
from lstmbridge.sources.table import Table, has_magic

V1 = "TensorFlow checkpoint V1"
V2 = "TensorFlow checkpoint V2"

STATE_FILE = "checkpoint"
LARGEST_STATE = 16 << 20
MOST_SHOWN = 12

_DATA = re.compile(r"(?P<prefix>.+)\.data-\d{5}-of-\d{5}")
_SHARD = re.compile(r"(?P<prefix>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")
# what TensorFlow writes into the state file for a sharded V1 checkpoint
_PATTERN = re.compile(r"(?P<prefix>.+)-\?{5}-of-\d{5}")
_ENDING = re.compile(r"(?P<prefix>.+)\.(?:index|meta)")


@dataclass(frozen=True, slots=True)
class Located:
    """A checkpoint that is there: its format, its prefix, and the tables to open.

    `tables` is the one index of a V2 checkpoint, or all shards of a V1 checkpoint.
    """

    format: str
    prefix: Path
    tables: tuple[Path, ...]


def locate(path: Path) -> Located | None:
    """Find the one checkpoint that `path` means; None where there is none.

    Errors: SourceUnreadable when there are several, or files are missing.
    """
    if path.is_dir():
        return _in_folder(path)
    if path.is_file() and _is_state_file(path):
        return _named_by_state(path)
    return _at_prefix(path) or _of_file(path) or _with_step(path)


def not_located(path: Path) -> SourceUnreadable:
    """Why there is no checkpoint at `path`: near names, or what the file seems to be."""
    if path.is_dir():
        return SourceUnreadable(
            "the folder holds no checkpoint and no SavedModel",
            expected="files such as model.ckpt.index and model.ckpt.data-00000-of-00001",
            where=str(path),
            advice=_near(path, "checkpoint"),
        )
    if path.is_file():
        if data := _DATA.fullmatch(path.name):
            return SourceUnreadable(
                f"{path.name} is the data of a checkpoint whose index is not there",
                expected=f"a file {data['prefix']}.index beside it",
                where=str(path),
                advice="copy all files of the checkpoint into one folder",
            )
        return SourceUnreadable(
            f"{path.name} is {describe(path)}",
            expected="a TensorFlow checkpoint (its prefix, one of its files, or its folder), a "
            "frozen graph, or a SavedModel",
            where=str(path),
            advice=_advice_for(path),
        )
    return _not_found(path)


# --- what was named -------------------------------------------------------------------------


def _at_prefix(prefix: Path) -> Located | None:
    """The checkpoint with exactly this prefix."""
    index = prefix.with_name(prefix.name + ".index")
    found = []
    if index.is_file():
        found.append(Located(V2, prefix, (index,)))
    one_of_several = _SHARD.fullmatch(prefix.name) is not None
    if not one_of_several and prefix.is_file() and _kind_of_table(prefix) == V1:
        found.append(Located(V1, prefix, (prefix,)))
    elif shards := _v1_shards(prefix):
        found.append(Located(V1, prefix, shards))
    if len(found) > 1:
        raise SourceUnreadable(
            f"two checkpoints are called {prefix.name}: one V1 ({found[1].tables[0].name}) "
            f"and one V2 ({index.name})",
            where=str(prefix.parent),
            advice=f"name {index.name} for V2; for V1, put its file into a folder of its own",
        )
    return found[0] if found else None


def _of_file(path: Path) -> Located | None:
    """The checkpoint that has `path` among its files, which need not exist itself."""
    if path.is_file() and (kind := _kind_of_table(path)) is not None:
        shard = _SHARD.fullmatch(path.name)
        if kind == V1 and shard is None:
            return Located(V1, path, (path,))
        if kind == V2:
            ending = _ENDING.fullmatch(path.name)
            name = ending["prefix"] if ending else path.name
            return Located(V2, path.with_name(name), (path,))
    for pattern in (_DATA, _ENDING, _SHARD, _PATTERN):
        match = pattern.fullmatch(path.name)
        if match and (found := _at_prefix(path.with_name(match["prefix"]))) is not None:
            return found
    return None


def _with_step(path: Path) -> Located | None:
    """``model.ckpt`` where only ``model.ckpt-300`` is there."""
    pattern = re.compile(re.escape(path.name) + r"-\d+")
    steps = [prefix for prefix in _prefixes(path.parent) if pattern.fullmatch(prefix.name)]
    if len(steps) > 1:
        chosen = _state_choice(path.parent)
        steps = [step for step in steps if step.name == chosen] or steps
    return _only(steps, path)


def _in_folder(folder: Path) -> Located | None:
    """The checkpoint that the folder's state file names, else the only one, if any."""
    state = folder / STATE_FILE
    if state.is_file() and _is_state_file(state):
        return _named_by_state(state)
    return _only(_prefixes(folder), folder)


def _only(prefixes: Sequence[Path], asked: Path) -> Located | None:
    """The only one of `prefixes`, None where there is none. Errors: SourceUnreadable."""
    if len(prefixes) > 1:
        names = ", ".join(prefix.name for prefix in prefixes[:MOST_SHOWN])
        more = f" and {len(prefixes) - MOST_SHOWN} more" if len(prefixes) > MOST_SHOWN else ""
        raise SourceUnreadable(
            f"{len(prefixes)} checkpoints are there: {names}{more}",
            expected="one, or a checkpoint state file that names one of them",
            where=str(asked),
            advice=f"name one of them, for example {prefixes[-1]}",
        )
    return _at_prefix(prefixes[0]) if prefixes else None


# --- the state file -------------------------------------------------------------------------


def _is_state_file(path: Path) -> bool:
    """Whether the file states the path of a checkpoint, as text."""
    start = read_start(path, 4096)
    return re.search(rb"(?m)^\s*model_checkpoint_path\s*:", start) is not None


def _stated_path(state: Path) -> str:
    from lstmbridge.sources.proto.checkpoint_pb2 import CheckpointState

    try:
        if state.stat().st_size > LARGEST_STATE:
            raise SourceUnreadable("the state file is larger than any", where=str(state))
        text = state.read_text("utf-8")
    except OSError as err:
        raise unreadable(state, err) from err
    except UnicodeDecodeError as err:
        raise SourceUnreadable(f"the state file is no UTF-8: {err}", where=str(state)) from err
    stated: str = parse_text(CheckpointState, text, str(state)).model_checkpoint_path
    pattern = _PATTERN.fullmatch(stated)
    return pattern["prefix"] if pattern else stated


def _last_part(stated: str) -> str:
    """The last part of a path that may come from another system."""
    return re.split(r"[/\\]", stated)[-1]


def _state_choice(folder: Path) -> str | None:
    state = folder / STATE_FILE
    if state.is_file() and _is_state_file(state):
        return _last_part(_stated_path(state))
    return None


def _named_by_state(state: Path) -> Located:
    """The checkpoint that a state file names: beside the state file, else where it was written.

    A folder is copied with its state file, which goes on naming the place it came from; that
    place may hold another training run by now.
    """
    stated = _stated_path(state)
    name = _last_part(stated)
    beside = [state.parent / name] if name not in {"", ".", ".."} else []
    # a relative path is relative to the state file, as TensorFlow reads it
    written = [state.parent / stated] if "\x00" not in stated and stated else []
    inward = not Path(stated).is_absolute() and ".." not in Path(stated).parts
    candidates = [*written, *beside] if inward else [*beside, *written]
    for candidate in candidates:
        found = _at_prefix(candidate)
        if found is not None:
            return found
    raise SourceUnreadable(
        f"the state file names {stated!r}, which is not there",
        expected=f"a checkpoint {name!r} beside it" if name else "the path of a checkpoint",
        where=str(state),
        advice=_near(state.parent, name),
    )


# --- what lies in a folder ------------------------------------------------------------------


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        # a folder that is not there has no names; the caller says so
        return []


def _prefixes(folder: Path) -> list[Path]:
    """The prefixes of all checkpoints in a folder, by step where they have one."""
    found: set[str] = set()
    for name in _names(folder):
        path = folder / name
        if name.endswith(".index") and path.is_file() and _kind_of_table(path) == V2:
            found.add(name.removesuffix(".index"))
        elif not _DATA.fullmatch(name) and path.is_file() and _kind_of_table(path) == V1:
            shard = _SHARD.fullmatch(name)
            found.add(shard["prefix"] if shard else name)
    return [folder / name for name in sorted(found, key=_by_step)]


def _by_step(name: str) -> tuple[str, int]:
    stem, dash, step = name.rpartition("-")
    return (stem, int(step)) if dash and step.isdecimal() else (name, -1)


def _v1_shards(prefix: Path) -> tuple[Path, ...]:
    """All shards of a sharded V1 checkpoint, in order; none where it is no such thing.

    Errors: SourceUnreadable naming a shard that is missing, or two sets of shards.
    """
    counts: dict[int, set[int]] = {}
    for name in _names(prefix.parent):
        match = _SHARD.fullmatch(name)
        if match and match["prefix"] == prefix.name and (prefix.parent / name).is_file():
            counts.setdefault(int(match["count"]), set()).add(int(match["number"]))
    if not counts:
        return ()
    if len(counts) > 1:
        raise SourceUnreadable(
            f"{prefix.name} has shards of {len(counts)} checkpoints",
            expected="shards that all say the same count",
            where=str(prefix.parent),
            advice="keep one set of shards in the folder",
        )
    count, numbers = next(iter(counts.items()))
    for number in range(count):
        if number not in numbers:
            name = f"{prefix.name}-{number:05d}-of-{count:05d}"
            raise SourceUnreadable(
                f"shard {number} of {count} is missing",
                expected=f"a file {name}",
                where=str(prefix.parent),
                advice="copy all files of the checkpoint into one folder",
            )
    shards = tuple(
        prefix.with_name(f"{prefix.name}-{number:05d}-of-{count:05d}") for number in range(count)
    )
    return shards if _kind_of_table(shards[0]) == V1 else ()


def _kind_of_table(path: Path) -> str | None:
    """V1 or V2 by a table's first entry, None for other files. Damage counts as its kind."""
    from lstmbridge.sources.proto.checkpoint_pb2 import BundleHeaderProto, SavedTensorSlices

    file = MappedFile(path)
    if not has_magic(file):
        return None
    try:
        entry = Table(file).first()
        if entry is None or entry[0] != b"":
            return None
        # field 1 is a message in the one and a number in the other: neither is the other's
        if parse(SavedTensorSlices, entry[1], str(path)).HasField("meta"):
            return V1
        return V2 if parse(BundleHeaderProto, entry[1], str(path)).num_shards else None
    except SourceUnreadable:
        # opening it will say what is wrong; here the name has to decide
        return V2 if path.name.endswith(".index") else V1


# --- nothing found --------------------------------------------------------------------------


def _near(folder: Path, name: str) -> str:
    """The names in `folder` that are most like `name`, as advice; empty where none is."""
    names = [prefix.name for prefix in _prefixes(folder)] or _names(folder)
    near = difflib.get_close_matches(name, names, n=5, cutoff=0.5) or names[:5]
    return f"near it are: {', '.join(near)}" if near else ""


def _not_found(path: Path) -> SourceUnreadable:
    folder = path.parent
    if not folder.is_dir():
        return SourceUnreadable(
            "the folder is not there", where=str(folder), advice=_near(folder.parent, folder.name)
        )
    return SourceUnreadable(
        f"no checkpoint and no file is called {path.name!r}",
        expected=f"{path.name}.index and its data (V2), or a file {path.name} (V1)",
        where=str(folder),
        advice=_near(folder, path.name),
    )


def _advice_for(path: Path) -> str:
    near = _near(path.parent, path.name)
    general = "this version reads checkpoints (V2 and V1), frozen graphs and SavedModels"
    return f"{general}; {near}" if near else general
