"""Learners for `gasp_env`: self-play reinforcement learning that reads top to bottom.

``python -m learners.reinforcepp`` is the reference (REINFORCE++). `gasp_env.policies` says what a policy is and
`learners.policies` what one is that can be trained; `learners.advantages` and `learners.losses` hold the formulas, and
`learners.miniature` is a model small enough to train on two cores.
"""
