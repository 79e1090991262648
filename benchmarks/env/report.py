"""The figures as text for people."""

from __future__ import annotations

from typing import Any


def text(found: dict[str, Any]) -> str:
    """Every measurement as text."""
    sandbox = found["sandbox"]
    lines = [
        f"tier {sandbox['tier']}, {sandbox['workers']} workers, {found['seconds']} s in all",
        "",
        f"{'envs':>8}{'rounds':>8}{'overhead':>10}{'of CPU':>9}{'own':>8}{'steps/s':>9}{'texts/s':>9}{'runs/s':>8}"
        f"{'resets/s':>10}{'p50 ms':>9}{'p99 ms':>10}",
    ]
    for name, one in found["by_envs"].items():
        lines.append(
            f"{name:>8}{found['rounds'][name]:8}{one['overhead']:10.1%}{one['overhead_cpu']:9.1%}{one['own_over_sandbox']:8.1%}"
            f"{one['steps_per_s']:9.1f}{one['texts_per_s']:9.1f}{one['runs_per_s']:8.1f}{one['resets_per_s']:10.0f}"
            f"{one['step_ms']['p50']:9.1f}{one['step_ms']['p99']:10.1f}"
        )
    if found["library"]:
        lines += ["", "own time per env step, by tasks in the library"]
        lines += [
            f"{size:>8}  {one['own_ms_per_step']:.2f} ms, made in {one['made_s']:.2f} s"
            for size, one in found["library"].items()
        ]
    for name, one in found["by_envs"].items():
        parts = ", ".join(
            f"{part} {share:.0%}" for part, share in one["own_by_part"].items() if share >= 0.01
        )
        lines += ["", f"own time with {name}: {parts}"]
    goal = found["goal"]
    if goal["overhead"] is not None:
        few = f"{goal['rounds']} round{'s' * (goal['rounds'] != 1)}, no verdict:"
        verdict = {True: "met   ", False: "MISSED", None: few}[goal["met"]]
        lines += [
            "",
            f"{verdict} overhead over the sandbox with {goal['envs']} envs: "
            f"{goal['overhead']:.1%}, own time {goal['own_over_sandbox']:.1%} of its, goal under {goal['below']:.0%}",
        ]
    return "\n".join(lines)
