"""What the figures of benchmarks are drawn with."""

from __future__ import annotations

from typing import Any


def plotting() -> tuple[Any, Any]:
    """The modules ``matplotlib`` and ``matplotlib.pyplot``, which draw into files.

    Raises:
        ValueError: matplotlib is missing.
    """
    try:
        import matplotlib
    except ImportError:
        raise ValueError("--figure needs matplotlib: pip install matplotlib") from None
    matplotlib.use("agg")
    from matplotlib import pyplot

    return matplotlib, pyplot
