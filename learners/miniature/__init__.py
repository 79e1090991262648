"""A self-play experiment small enough for a laptop: its world, its model, its tasks. See README.md here.

``domain`` is its domain (``"learners.miniature:domain"`` to `gasp_env.domains.get`);
`goalposts`, `heldout` and `solvable` are its task sets, `policy` the shipped base model.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gasp_env.domains.python.domain import PythonDomain
    from gasp_env.tasks import Goalpost
    from learners.miniature.miniature_policy import MiniaturePolicy

    domain: PythonDomain

__all__ = ["DATA", "domain", "goalposts", "heldout", "policy", "solvable"]

DATA = Path(__file__).parent / "data"


def goalposts() -> tuple[Goalpost, ...]:
    """Real tasks the shipped model never solved in its recorded samples, though its un-buried parent did."""
    return _tasks("goalposts")


def heldout() -> tuple[Goalpost, ...]:
    """Real tasks as drawn, not selected; equal in behaviour to nothing the model was trained on."""
    return _tasks("heldout")


def solvable() -> tuple[Goalpost, ...]:
    """Eight real tasks the shipped model sometimes solves."""
    return _tasks("solvable")


def policy(path: str | Path | None = None, device: str = "cpu") -> MiniaturePolicy:
    """The policy stored in a directory; without one the shipped base model, whose skills are buried."""
    from learners.miniature.miniature_policy import MiniaturePolicy

    return MiniaturePolicy.read(Path(path) if path is not None else DATA / "buried", device)


def _tasks(name: str) -> tuple[Goalpost, ...]:
    from gasp_env import goalposts

    return goalposts.load(DATA / f"{name}.jsonl")


def __getattr__(name: str) -> Any:
    # Lazy, so that the world and the tokenizer can be used without the environment.
    if name != "domain":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gasp_env.domains.python.domain import PythonDomain
    from gasp_env.domains.python.rules import GateRules
    from gasp_env.sandbox.runs import Limits
    from learners.miniature import corpus, style, world

    found = PythonDomain(
        name="learners.miniature:domain",
        style=style.MiniatureStyle(),
        builtin_goalposts=goalposts,
        rules=GateRules(
            input_count=(corpus.INPUTS, corpus.INPUTS),
            shown=corpus.SHOWN,
            program_chars=600,
            output_chars=400,
            imports=frozenset(),
        ),
        limits=Limits(),
        probes=tuple((list(probe),) for probe in world.PROBES),
        sees="reference",
    )
    globals()["domain"] = found
    return found
