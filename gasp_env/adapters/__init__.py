"""The environment in other systems. Each module needs a package of its own, named by an extra of this one.

- `gem`: the environment for GEM, text in, text out (extra ``gem``).
- `openenv`: the environment behind an OpenEnv server, and a typed client (extra ``openenv``).
- `verifiers`: the environment for verifiers, two seats (extra ``verifiers``).
- `ray`: a sandbox whose workers are on the nodes of a Ray cluster (extra ``ray``).
"""

from __future__ import annotations
