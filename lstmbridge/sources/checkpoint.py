"""A checkpoint of either format as a `Source`: its tensors, and the graph beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from lstmbridge.contracts import SourceSignature, TensorRef
from lstmbridge.graph.graphdef import Graph
from lstmbridge.sources.bundle_v2 import open_bundle
from lstmbridge.sources.files import sha256_of
from lstmbridge.sources.locate import V2, Located
from lstmbridge.sources.slices_v1 import open_slices


class CheckpointSource:
    """An opened TensorFlow checkpoint; see `lstmbridge.contracts.Source`."""

    def __init__(self, located: Located) -> None:
        self._located = located
        tensors: dict[str, TensorRef] = {}
        if located.format == V2:
            bundle = open_bundle(located.tables[0], located.prefix)
            tensors.update(bundle.tensors)
            self._mapped = bundle.files
        else:
            slices = open_slices(located.tables)
            tensors.update(slices.tensors)
            self._mapped = slices.files
        self._tensors: Mapping[str, TensorRef] = MappingProxyType(tensors)
        self._graph: Graph | None = None

    @property
    def path(self) -> Path:
        """The checkpoint's prefix."""
        return self._located.prefix

    @property
    def format(self) -> str:
        """``"TensorFlow checkpoint V2"`` or ``"TensorFlow checkpoint V1"``."""
        return self._located.format

    @property
    def files(self) -> tuple[Path, ...]:
        """The index and its shards, or the V1 file or shards; then the `.meta`."""
        own = tuple(file.path for file in self._mapped)
        return (*own, self._meta) if self._meta.is_file() else own

    @property
    def tensors(self) -> Mapping[str, TensorRef]:
        """The variables by name, in the files' order."""
        return self._tensors

    @property
    def _meta(self) -> Path:
        return self.path.with_name(self.path.name + ".meta")

    def graph(self) -> Graph | None:
        """The graph of the `.meta` beside the prefix; None where there is none.

        Errors: SourceUnreadable where it is damaged.
        """
        from lstmbridge.sources.metagraph import graph_from_metagraph_file

        if self._graph is None and self._meta.is_file():
            self._graph = graph_from_metagraph_file(self._meta)
        return self._graph

    @property
    def declares_model(self) -> bool:
        """False: a checkpoint declares weights."""
        return False

    @property
    def signature(self) -> SourceSignature | None:
        """None: a checkpoint declares weights, not a model."""
        return None

    @property
    def producer(self) -> str | None:
        """``"TensorFlow 1.15.5"`` where the `.meta` says it."""
        from lstmbridge.sources.metagraph import producer_of_metagraph_file

        if self._graph is not None:
            return self._graph.producer
        return producer_of_metagraph_file(self._meta) if self._meta.is_file() else None

    def sha256(self) -> str:
        """Of all `files`, in order."""
        return sha256_of(self.files)

    def close(self) -> None:
        """Let go of mapped files; arrays that were handed out stay valid."""
        for file in self._mapped:
            file.release()
