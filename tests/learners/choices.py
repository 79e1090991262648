"""A policy of 270 numbers that plays the default domain: what it answers is "x + digit", in the form of its choice.

Each kind of prompt has its own row of parameters, so a test can see whose gradient arrived. Every text
it makes is real: the sandbox executes it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from gasp_env.policies import Completion, Sampling
from gasp_env.tasks import Goalpost
from learners.policies import Scores

#: Rows of the table, and how a prompt of each is recognised.
PROMPTS = {
    "lemma": "Do not solve this problem",
    "lift": "Write a harder exercise",
    "induction": "returns these results",
    "deduction": "What does this call return",
    "abduction": "Find arguments",
    "goalpost": "",
}
FORMS = ("proposal", "program", "output", "input")
DIGITS = range(10)
END = len(FORMS) + len(DIGITS)
LENGTH = 3


def text_of(ids: Sequence[int]) -> str:
    """A form and a digit make an answer; anything else is words."""
    if len(ids) < 2 or ids[0] >= len(FORMS) or not len(FORMS) <= ids[1] < END:
        return "I would rather not."
    digit = ids[1] - len(FORMS)
    program = f"```python\ndef f(x):\n    return x + {digit}\n```\n"
    inputs = "".join(f"```input\n{x}\n```\n" for x in range(10))
    return {
        "proposal": f"{program}{inputs}```message\nadd\n```",
        "program": program,
        "output": f"```output\n{digit}\n```",
        "input": f"```input\n{digit}\n```",
    }[FORMS[ids[0]]]


class ChoicePolicy:
    """Logits by (kind of prompt, place in the answer)."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = torch.Generator()
        generator = torch.Generator().manual_seed(seed)
        self.module = torch.nn.ParameterDict(
            {"table": 0.1 * torch.randn(len(PROMPTS), LENGTH, END + 1, generator=generator)}
        )
        self.version = 0
        with torch.no_grad():
            table = self.module["table"]
            for row, form in enumerate(("proposal", "proposal", "program", "output", "input", "program")):
                table[row, 0, FORMS.index(form)] += 4
            table[:, 1, len(FORMS) + 1] += 2.5
            table[:, 1, len(FORMS) + 2] += 1.5
            table[:, 2, END] += 9

    def parameters(self) -> list[torch.nn.Parameter]:
        return list(self.module.parameters())

    def fork(self, name: str) -> ChoicePolicy:
        return copy.deepcopy(self)

    def generate(
        self, prompts: Sequence[str], samples: Sequence[int], sampling: Sampling
    ) -> list[list[Completion]]:
        generator, answers = self.generator, []
        if sampling.seed is not None:
            generator = torch.Generator().manual_seed(sampling.seed)
        length = min(LENGTH, sampling.max_tokens)
        for prompt, count in zip(prompts, samples, strict=True):
            row = next(row for row, mark in enumerate(PROMPTS.values()) if mark in prompt)
            logp = (self.module["table"][row].detach() / sampling.temperature).log_softmax(-1)
            group = []
            for _ in range(count):
                drawn = torch.multinomial(logp.exp(), 1, generator=generator)[:, 0].tolist()[:length]
                ids = drawn[: drawn.index(END) + 1] if END in drawn else drawn
                body = ids[:-1] if ids[-1] == END else ids
                chosen = tuple(float(logp[place, token]) for place, token in enumerate(ids))
                stop = "stop" if ids[-1] == END else "length"
                group.append(Completion(text_of(body), (row,), tuple(ids), chosen, stop))
            answers.append(group)
        return answers

    def score(
        self, groups: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]], temperature: float = 1.0
    ) -> Scores:
        rows = [(prompt[0], list(ids)) for prompt, completions in groups for ids in completions]
        width = max(len(ids) for _, ids in rows)
        mask = torch.tensor([[place < len(ids) for place in range(width)] for _, ids in rows])
        ids = torch.tensor([ids + [0] * (width - len(ids)) for _, ids in rows])
        logp = (self.module["table"][[row for row, _ in rows], :width] / temperature).log_softmax(-1)
        entropy = -(logp.exp() * logp).sum(-1)
        chosen = logp.gather(-1, ids[..., None])[..., 0]
        return Scores(torch.where(mask, chosen, 0.0), torch.where(mask, entropy, 0.0), mask)

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        save_file(self.module.state_dict(), directory / "table.safetensors")

    def load(self, directory: Path) -> None:
        self.module.load_state_dict(load_file(directory / "table.safetensors"))


def policy(device: str = "cpu") -> ChoicePolicy:
    return ChoicePolicy()


def sized(size: int):
    """A factory of a callable that answers every prompt with a program that adds ``size``."""

    def texts(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
        return [(f"```python\ndef f(x):\n    return x + {size}\n```",) * count for count in samples]

    return texts


def sevens() -> tuple[Goalpost, ...]:
    return (Goalpost("plus-seven", "Add seven.", "def f(x)", ((1,), (2,)), (8, 9), shown=1),)
