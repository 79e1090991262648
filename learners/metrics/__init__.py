"""Metrics of the learners: pass@k, and summaries of turns."""

from __future__ import annotations

from learners.metrics.pass_at_k import bootstrap_interval, pass_at_k, zero_success_bound
from learners.metrics.summaries import Ledger, MaskedMeans, costs, describe

__all__ = [
    "Ledger",
    "MaskedMeans",
    "bootstrap_interval",
    "costs",
    "describe",
    "pass_at_k",
    "zero_success_bound",
]
