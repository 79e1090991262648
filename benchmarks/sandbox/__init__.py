"""Benchmark of the sandbox: how fast is it, compared with the fork it needs and with other systems?

    python -m benchmarks.sandbox --json OUT [--quick] [--humaneval humaneval.jsonl] [--profile]

One run on one machine, the contenders in turn, round after round: medians over the rounds, ratios
between figures of the same round. Every returned value is compared with the expected one; a wrong
answer ends the benchmark. `benchmarks/results/sandbox/README.md` explains the figures.
"""
