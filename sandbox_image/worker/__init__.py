"""The worker: supervisor (PID 1), zygotes, children. Standard library only.

``supervisor`` speaks frames with the host and owns every deadline; ``zygote`` is an interpreter
with imports done and one hash seed, which forks; ``child`` is the fork that executes one run and
dies. ``confine`` takes rights away, ``codec`` encodes values, ``wire`` fixes the frames.
"""
