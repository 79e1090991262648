"""What a step costs with `learners.reinforcepp`, with `learners.grpo`, and with TRL's trainer as it comes.

    python -m benchmarks.learner --json OUT.json              # a tiny Qwen2, built in place
    python -m benchmarks.learner --model PATH --threads 1     # a real one

All sample the same forced completions of the same prompts, and train on the same rows with the same rewards. Each is a
process of its own, so that its memory can be told. ``trl`` is TRL's own road: a data set of prompts and a reward
function, with the library's ``generate``, which reads a prompt again for each of its completions. It cannot play the
game, whose later prompts depend on earlier answers; here it need not.
"""
