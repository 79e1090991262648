"""How fast does the policy ``transformers`` sample, beside ``generate`` of the library?

    python -m benchmarks.decode [--model MODEL] --json OUT

See benchmarks/results/decode/README.md for what is compared.
"""
