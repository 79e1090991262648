"""Learners for `gasp_env`: self-play reinforcement learning that reads top to bottom.

``python -m learners.reinforcepp`` is the reference (REINFORCE++); `learners.policies` says what a
policy is, `learners.advantages` and `learners.losses` hold the formulas, and `learners.miniature`
is a model small enough to train on two cores.
"""
