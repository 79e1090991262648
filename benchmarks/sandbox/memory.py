"""Memory of a worker, from /proc: the pages of all its processes, shared ones counted in shares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.sandbox import accounts
from benchmarks.sandbox.measure import Absent
from benchmarks.sandbox.ours import Tier
from benchmarks.sandbox.programs import Job

#: Workers, beside one, that a further one's share is told from.
MORE = 3
_CGROUP_FILES = ("/sys/fs/cgroup/memory/docker/{0}/memory.usage_in_bytes",
                 "/sys/fs/cgroup/system.slice/docker-{0}.scope/memory.current",
                 "/sys/fs/cgroup/docker/{0}/memory.current")  # fmt: skip


def per_worker(tier: str, jobs: Sequence[Job]) -> dict[str, Any]:
    """MiB that the first worker of a tier takes once it has executed some programs, and each further one.

    ``pss_mib`` counts a page that several processes share in equal shares, ``rss_mib`` whole for each. With
    docker ``shim_pss_mib`` is the memory of the container's own helper, outside of it, and ``cgroup_mib`` that
    which the kernel has on the container's account, the cache of its files included.

    Raises:
        Absent: the tier cannot be opened, or only root may look.
    """
    found: dict[str, Any] = {}
    for workers in (1, MORE):
        sandbox = Tier(tier, workers)
        sandbox.open()
        try:
            sandbox.verify(jobs)
            mine = list(sandbox.workers.pids())
            total = _pages(mine)
            found[f"pss_mib_of_{workers}"] = round(total["Pss"] / 1024, 1)
            if workers == 1:
                found |= {"rss_mib": round(total["Rss"] / 1024, 1), "processes": len(mine)}
                found |= _of_container(sandbox)
        finally:
            sandbox.close()
    found["pss_mib_per_further_worker"] = round(
        (found[f"pss_mib_of_{MORE}"] - found["pss_mib_of_1"]) / (MORE - 1), 1
    )
    return found


def _of_container(sandbox: Tier) -> dict[str, Any]:
    container = getattr(sandbox.sandbox._workers()[0], "_container", None)
    if container is None:
        return {}
    found: dict[str, Any] = {}
    shim = accounts.parent(sandbox.workers.heads()[0])
    if shim > 1:
        found["shim_pss_mib"] = round(_pages([shim])["Pss"] / 1024, 1)
    for name in _CGROUP_FILES:
        path = Path(name.format(container.id))
        if path.exists():
            found["cgroup_mib"] = round(int(path.read_text()) / 2**20, 1)
    return found


def _pages(pids: Sequence[int]) -> dict[str, int]:
    """Kilobytes by name, summed over processes."""
    total = {"Pss": 0, "Rss": 0}
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        except ProcessLookupError:
            continue
        except OSError as error:
            raise Absent(f"memory of a worker: {error.strerror}; root may look at it") from error
        for line in lines:
            name, _, rest = line.partition(":")
            if name in total:
                total[name] += int(rest.split()[0])
    return total
