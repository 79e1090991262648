"""Overhead of the environment beyond the runs it asks of the sandbox.

    python -m benchmarks.env --json OUT [--quick] [--sandbox TIER] [--workers N] [--envs 1 8 64 256]

Scripted policies play whole episodes on a real sandbox. The batches of runs that the env asked for are recorded and
given straight to the same sandbox, in the same order; the extra time of the env is its overhead.
`benchmarks/results/env/README.md` explains the figures.
"""
