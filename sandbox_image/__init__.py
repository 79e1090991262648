"""What runs inside the sandbox, and how its image is made. See README.md for what it protects."""

from __future__ import annotations

from pathlib import Path

#: The folder the image is built from.
CONTEXT = Path(__file__).parent
