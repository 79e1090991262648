"""Errors of the sandbox. No submitted program can cause any of them."""

from __future__ import annotations


class SandboxError(RuntimeError):
    """No sandbox can be opened on this machine; the message names the fix."""


class WorkerLost(Exception):
    """A worker died or fell silent with runs in flight. The sandbox handles it by running them again."""
