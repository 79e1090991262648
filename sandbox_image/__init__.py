"""Code that runs inside the sandbox, and the folder its image is made from. See README.md for its guarantees."""

from __future__ import annotations

from pathlib import Path

#: The folder the image is built from.
CONTEXT = Path(__file__).parent
