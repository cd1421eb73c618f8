"""The room of sources: bytes -> named lazy tensors, and the graph beside them.

What is opened is found out by content, never by suffix, and is read without TensorFlow. Nothing
here knows what a gate is: names, shapes and numbers leave the room as the file holds them.

    locate      what the user named -> which files make up which checkpoint
    identify    what a file that is no checkpoint seems to be
    table       sorted keys and values in checked blocks (both formats of checkpoints)
    bundle_v2   the V2 format: one index, shards of raw bytes
    slices_v1   the V1 format: messages inside tables
    checkpoint  either of them as a `Source`
    objects     object-based checkpoints as a `Source` that lists layers
    graphs      frozen graphs and SavedModels as a `Source`
    keras       HDF5 files of Keras and ``.keras`` as a `Source`
    hdf5        datasets as lazy tensors
    metagraph   GraphDefs -> `lstmbridge.graph.graphdef.Graph`
    slices, values, dtypes, varint, snappy, files, messages: what they share
    proto/      our own messages on TensorFlow's wire format

A further format is one more file that makes a `Source`, and a line in `open_source`.

Whatever the bytes, the outcome is a result or `SourceUnreadable`, in time and memory bounded
by the files' size: extents are compared with what the files hold when a source is opened, and
every block and tensor is checked by its CRC32C before its numbers are handed out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lstmbridge.contracts import Source

__all__ = ["open_source"]


def open_source(path: str | Path) -> Source:
    """Open a checkpoint by its prefix, one of its files, its folder, or its state file.

    Or a frozen graph by its file, a SavedModel by its folder or its file, or a Keras file. Of a
    checkpoint the index alone is read; `TensorRef.load` reads numbers.

    Errors: SourceUnreadable when nothing is there (near names are shown), several checkpoints
    are, a file is missing, truncated or damaged, or it is something else.
    """
    from lstmbridge.sources.checkpoint import CheckpointSource
    from lstmbridge.sources.files import unreadable
    from lstmbridge.sources.graphs import open_graph
    from lstmbridge.sources.keras import open_keras
    from lstmbridge.sources.locate import locate, not_located
    from lstmbridge.sources.objects import ObjectSource, is_object_based

    path = Path(path)
    try:
        located = locate(path)
        if located is not None:
            source = CheckpointSource(located)
            if is_object_based(source.tensors) and source.graph() is None:
                source.close()
                return ObjectSource(located)
            return source
        graph = open_graph(path)
        if graph is not None:
            return graph
        keras = open_keras(path)
        if keras is not None:
            return keras
        raise not_located(path)
    except OSError as err:
        raise unreadable(path, err) from err
