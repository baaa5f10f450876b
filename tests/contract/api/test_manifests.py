"""Manifests as users write them: the bad ones are refused with words that help, the good ones survive unchanged."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from trimtab_api import NodeTuning, OptimizationPolicy, OptimizationTrial
from trimtab_api.base import ApiModel

HERE = Path(__file__).parent
BAD = sorted((HERE / "bad").glob("*.yaml"))
GOOD = sorted((HERE / "good").glob("*.yaml"))
MODELS: dict[str, type[ApiModel]] = {
    model.__name__: model for model in (OptimizationPolicy, OptimizationTrial, NodeTuning)
}
Apply = Callable[..., str]


class ApiServer(Protocol):
    """What the shared fixture offers; it raises an AssertionError with kubectl's words when kubectl fails."""

    def kubectl(self, *args: str, input: str | None = None) -> str: ...  # noqa: A002


@pytest.fixture(scope="module")
def suffix(api_server: ApiServer) -> Iterator[str]:
    """Keeps our NodeTunings, which have no namespace, apart from those of the cluster."""
    suffix = secrets.token_hex(4)
    yield suffix
    ours = [f"node-tuning{end}-{suffix}" for end in ("", "-empty")]
    api_server.kubectl("delete", "nodetuning", "--ignore-not-found", *ours)


@pytest.fixture
def apply(api_server: ApiServer, namespace: str) -> Apply:
    def _apply(text: str, *verb: str) -> str:
        return api_server.kubectl(*(verb or ("apply",)), "-n", namespace, "-f", "-", input=text)

    return _apply


def manifests(path: Path, suffix: str) -> list[str]:
    text = path.read_text()
    for own in {str(item["metadata"]["name"]) for item in yaml.safe_load_all(text) if item["kind"] == "NodeTuning"}:
        text = text.replace(f"  name: {own}\n", f"  name: {own}-{suffix}\n")
    return text.split("---\n")


def headers(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line.startswith("# ")]
    return dict(line.removeprefix("# ").split(": ", maxsplit=1) for line in lines)


def test_there_are_enough_manifests_and_each_bad_one_says_what_it_expects() -> None:
    assert len(BAD) >= 40
    assert len(GOOD) >= 15
    assert [path.name for path in BAD if not headers(path).get("expect")] == []


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_manifest_is_refused_with_words_that_help(path: Path, apply: Apply, suffix: str) -> None:
    *before, bad = manifests(path, suffix)
    for manifest in before:
        apply(manifest)
    subresource = headers(path).get("subresource")
    verb = ("replace", f"--subresource={subresource}") if subresource else ("apply",)
    with pytest.raises(AssertionError) as refusal:
        apply(bad, *verb)
    assert headers(path)["expect"] in str(refusal.value)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_manifest_is_stored_and_read_by_the_models_without_loss(path: Path, apply: Apply, suffix: str) -> None:
    (text,) = manifests(path, suffix)
    apply(text)
    stored = read(apply, text)
    assert missing(yaml.safe_load(text)["spec"], stored["spec"]) == []
    model = MODELS[stored["kind"]].model_validate(stored)
    written = model.to_body()
    assert without_empty(written["spec"]) == without_empty(stored["spec"])
    apply(json.dumps({**stored, "spec": written["spec"]}), "replace")
    again = read(apply, text)
    assert without_empty(again["spec"]) == without_empty(stored["spec"])


def read(apply: Apply, text: str) -> dict[str, Any]:
    (item,) = json.loads(apply(text, "get", "-o", "json"))["items"]
    assert isinstance(item, dict)
    return item


def missing(asked: Any, stored: Any, path: str = "spec") -> list[str]:
    """Paths whose value was asked for and is not stored as it was."""
    if isinstance(asked, dict) and isinstance(stored, dict):
        return [gap for key, value in asked.items() for gap in missing(value, stored.get(key), f"{path}.{key}")]
    if isinstance(asked, list) and isinstance(stored, list) and len(asked) == len(stored):
        pairs = enumerate(zip(asked, stored, strict=True))
        return [gap for at, (one, other) in pairs for gap in missing(one, other, f"{path}[{at}]")]
    return [] if asked == stored else [path]


def without_empty(value: Any) -> Any:
    """The same without empty lists and texts, which mean the same as absent ones."""
    if isinstance(value, dict):
        return {key: without_empty(item) for key, item in value.items() if item not in ([], "")}
    return [without_empty(item) for item in value] if isinstance(value, list) else value
