"""What does a training step of a language model cost, all weights or LoRA, by the length of the answers?

    python -m benchmarks.training [--model MODEL] --json OUT

See benchmarks/results/training/README.md for what is measured.
"""
