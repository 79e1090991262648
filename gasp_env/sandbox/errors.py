"""What the sandbox raises to its caller. No program can cause any of these."""

from __future__ import annotations


class SandboxError(RuntimeError):
    """No sandbox can be opened on this machine; the message says what to do."""


class WorkerLost(Exception):
    """A worker died or fell silent with runs in flight. Handled inside the sandbox by asking again."""
