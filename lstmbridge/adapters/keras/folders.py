"""Where Keras 3's files keep the weights of a layer."""

from __future__ import annotations

from lstmbridge.adapters.keras.config import LayerEntry
from lstmbridge.contracts import Described


def folder_of(described: Described, entry: LayerEntry) -> str:
    """Where Keras 3 keeps a layer: by the name that the file has for it, else by class."""
    folder = ""
    for depth, name in enumerate(entry.folders):
        container = next(
            (
                c
                for c in ("layers", "_layer_checkpoint_dependencies")
                if any(g.startswith(f"{folder}{c}/") for g in described.groups)
            ),
            "layers",
        )
        if name == "layer":
            folder += "layer/"
            continue
        title = entry.path[depth] if depth < len(entry.path) else ""
        prefix = f"{folder}{container}/"
        titled = [
            place
            for place, said in described.titles.items()
            if said == title and place.startswith(prefix) and "/" not in place[len(prefix) :]
        ]
        folder = f"{titled[0] if len(titled) == 1 else prefix + name}/"
    return folder.rstrip("/")
