"""Pretraining examples: prompts for a solver and a teacher in this world, each with a right answer."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from gasp_env.tasks import Axis
from learners.miniature import style, world
from learners.miniature.tokenizer import Tokenizer
from learners.miniature.world import Behaviour, Mix, Program

INPUTS, SHOWN = 8, 4

#: Shares of the kinds of example.
KINDS = {"induction": 0.66, "deduction": 0.11, "abduction": 0.08, "lemma": 0.08, "lift": 0.07}

#: Loss weights: a program is worth learning to the letter; a teacher's inputs are mostly noise; outputs
#: inside an induction prompt, predictable from the pairs before them, teach the notion of a function.
PROGRAM, INVENTED, PROMPT_OUTPUT = 1.0, 0.2, 0.3


@dataclass(frozen=True)
class Example:
    """Token ids, and the loss weight of predicting each (0: not at all)."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]


class Corpus:
    """An endless stream of examples.

    Args:
        tokenizer: makes the ids.
        mix: programs that solver examples are about, and steps a teacher adds.
        material: programs a teacher is given.
        reserved: behaviours that appear in no example, neither as a problem nor as an answer.
        rng: all randomness.
        variety: how often a lemma has a step replaced, which many programs can be made by, rather than only
            dropped, which few can.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        mix: Mix,
        material: Mix,
        reserved: Collection[Behaviour],
        rng: random.Random,
        variety: float = 0.35,
    ) -> None:
        self.mix, self.material, self.rng, self.variety = mix, material, rng, variety
        self.allowed = {p for p, outputs in world.programs().items() if outputs not in reserved}
        self._encode = lru_cache(2**17)(lambda text: tuple(tokenizer.encode(text)))
        self._end = tokenizer.end
        self._step_weights = mix.step_weights()

    def draw(self) -> Example:
        """One example of a random kind."""
        kind = self.rng.choices(tuple(KINDS), tuple(KINDS.values()))[0]
        while True:
            example = self._teach(kind) if kind in ("lemma", "lift") else self._solve(kind)
            if example is not None:
                return example

    def program(self, mix: Mix) -> Program:
        """A program of ``mix`` that is not reserved."""
        while (program := mix.draw(self.rng)) not in self.allowed:
            pass
        return program

    def _example(self, pieces: list[tuple[str, float]]) -> Example:
        ids: list[int] = []
        weights: list[float] = []
        for text, weight in pieces:
            piece = self._encode(text)
            ids += piece
            weights += [weight] * len(piece)
        return Example((*ids, self._end), (*weights, PROGRAM))

    def _solve(self, kind: str) -> Example | None:
        program = self.program(self.mix)
        source = world.text(program)
        inputs = world.USUAL.draw(program, SHOWN, self.rng)
        if inputs is None:
            return None
        outputs = [world.apply(program, x) for x in inputs]
        if kind == "deduction":
            return self._example(
                [(style.deduction_prompt(source, inputs[0]), 0.0), (style.ints(outputs[0]), PROGRAM)]
            )
        if kind == "abduction":
            return self._example(
                [(style.abduction_prompt(source, outputs[0]), 0.0), (style.ints(inputs[0]), PROGRAM)]
            )
        if all(x == y for x, y in zip(inputs, outputs, strict=True)):
            return None
        pieces = [(style.EXAMPLES, 0.0)]
        for i, (x, y) in enumerate(zip(inputs, outputs, strict=True)):
            pieces += [(style.pair_input(x), 0.0), (style.ints(y), PROMPT_OUTPUT if i else 0.0)]
        return self._example([*pieces, (style.PROGRAM, 0.0), (source, PROGRAM)])

    def _teach(self, kind: str) -> Example | None:
        """A lemma drops a step or makes the inputs more revealing, a lift adds a step or makes them less so."""
        axis: Axis = self.rng.choice(("f", "io"))
        given = self.program(self.material)
        if kind == "lemma" and len(given) == 1:
            return None
        answer, inputs = given, world.USUAL
        if axis == "io":
            inputs = world.REVEALING if kind == "lemma" else world.SPARSE
        else:
            changed = self._easier(given) if kind == "lemma" else self._harder(given)
            if changed not in self.allowed:
                return None
            answer = changed
        invented = inputs.draw(answer, INPUTS, self.rng)
        if invented is None:
            return None
        prompt = style.lemma_prompt if kind == "lemma" else style.lift_prompt
        lines = [(style.input_line(x), INVENTED) for x in invented]
        return self._example([(prompt(world.text(given), axis), 0.0), (world.text(answer), PROGRAM), *lines])

    def _easier(self, program: Program) -> Program:
        """An easier program: with a common step in place of one, without one step, or now and then without two."""
        if self.rng.random() < self.variety:
            program = self._replaced(program)
            if len(program) < world.MAX_DEPTH:
                return program
        for _ in range(1 if len(program) < world.MAX_DEPTH or self.rng.random() < 0.75 else 2):
            at = self.rng.randrange(len(program))
            program = program[:at] + program[at + 1 :]
        return program

    def _harder(self, program: Program) -> Program:
        """A harder program: with one more step; at the greatest depth, with another step in place of one."""
        if len(program) == world.MAX_DEPTH:
            return self._replaced(program)
        at = self.rng.randint(0, len(program))
        return program[:at] + (self._step(),) + program[at:]

    def _replaced(self, program: Program) -> Program:
        at = self.rng.randrange(len(program))
        return program[:at] + (self._step(),) + program[at + 1 :]

    def _step(self) -> int:
        return self.rng.choices(range(len(world.STEPS)), self._step_weights)[0]
