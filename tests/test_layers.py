"""The layers that imports keep to, and everything that is reached by a registered string instead."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = re.compile(r"(?:gasp_env|learners)(?:\.\w+)+:\w+")

#: Where a name is written that is imported when it is asked for: every one that its layer could not import, or that is
#: not imported for what it brings with it. A new one is added here with its reason.
REACHED_BY_A_STRING = {
    # Games, policies and relevances by name; those that are not chosen are not imported.
    "gasp_env/curricula/__init__.py": {
        "gasp_env.curricula.azr:Azr",
        "gasp_env.curricula.gasp:Gasp",
        "gasp_env.curricula.rlvr:Rlvr",
    },
    "gasp_env/relevance/registry.py": {
        "gasp_env.relevance.by_policy:policy_relevance",
        "gasp_env.relevance.operations:operations",
        "gasp_env.relevance.similarity:hashing_similarity",
        "gasp_env.relevance.similarity:similarity_relevance",
    },
    # Models need torch or a client, which the environment never imports.
    "gasp_env/policies/factories.py": {
        "gasp_env.policies.openai:load",
        "gasp_env.policies.scripted:scripted",
        "gasp_env.policies.scripted:silent",
        "learners.miniature:policy",
        "learners.policies.transformers:load",
        "learners.policies.vllm:load",
    },
    "gasp_env/library/embedders.py": {"gasp_env.library.embedders:neural_embedder"},
    # It is made of another reward, for which it asks this registry.
    "gasp_env/rewards/registry.py": {"gasp_env.rewards.zoo.controls:shuffled"},
    # A library or a reward that nobody told its domain takes Python's.
    "gasp_env/library/entries.py": {"gasp_env.domains.python.triplet:read"},
    "gasp_env/rewards/texts.py": {
        "gasp_env.domains.python.novelty:normal_form",
        "gasp_env.domains.python.syntax:nodes",
    },
    # A stored episode may be the miniature's.
    "gasp_env/transcripts/replay.py": {"learners.miniature:domain"},
    # Entry points, which Gymnasium and PettingZoo import.
    "gasp_env/__init__.py": {"gasp_env.envs.env:GaspCodeEnv", "gasp_env.envs.vector:GaspCodeVectorEnv"},
    "gasp_env/envs/aec.py": {"gasp_env.envs.aec:env"},
}


def references(path: Path) -> set[str]:
    """Texts of a module that name an object of ours, docstrings aside."""
    tree = ast.parse(path.read_text("utf-8"))
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and REFERENCE.fullmatch(node.value)
    }


def test_everything_that_is_reached_by_a_string_is_listed() -> None:
    found = {
        str(path.relative_to(ROOT)): references(path) for path in sorted((ROOT / "gasp_env").rglob("*.py"))
    }
    assert {path: names for path, names in found.items() if names} == REACHED_BY_A_STRING


def test_at_most_nine_modules_stand_at_the_top() -> None:
    assert len(list((ROOT / "gasp_env").glob("*.py"))) <= 9


def test_the_contract_covers_every_package() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = [one for one in contracts if one.get("containers") == ["gasp_env"]]
    assert layers["exhaustive"] is True
    named = {name.strip() for layer in layers["layers"] for name in re.split(r"[:|]", layer)}
    there = {path.stem for path in (ROOT / "gasp_env").glob("*.py")} - {"__init__"}
    there |= {path.parent.name for path in (ROOT / "gasp_env").glob("*/__init__.py")}
    assert named == there
