"""The Python domain: programs, executed in the sandbox and judged on the host."""
