"""Learners for `gasp_env`: self-play reinforcement learning that reads top to bottom.

``python -m learners.reinforcepp`` is the reference (REINFORCE++). `gasp_env.policies` defines policies and
`learners.policies` trainable ones; `learners.advantages` and `learners.losses` hold the formulas, and
`learners.miniature` is a model small enough to train on two cores.
"""
