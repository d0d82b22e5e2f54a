"""The report of a workload: for people, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .compare import Measured, Options, Workload
from .report import machine_line, markdown_table


def listing(workloads: Sequence[tuple[Workload, Mapping[str, str]]]) -> str:
    """All workloads with their sides, and what to install for those that are not here.

    Args:
        workloads: each with what :func:`compare.unavailable` says of it.
    """
    lines = []
    for workload, missing in workloads:
        lines.append(f"{workload.name:<12}{workload.summary}")
        for side in workload.sides:
            lines.append(f"    {side.name:<16}{side.summary}")
            if side.name in missing:
                lines.append(f"    {'':<16}not here: {missing[side.name]}")
    return "\n".join(lines)


def report(
    workload: Workload,
    host: Mapping[str, Any],
    rows: Sequence[Measured],
    missing: Mapping[str, str],
) -> str:
    """Tables of a workload in Markdown, ratios first.

    Args:
        workload: what was measured.
        host: :func:`report.machine`.
        rows: its cases.
        missing: sides that are not here, and why.
    """
    parts = [f"## {workload.name}: {workload.summary}", machine_line(dict(host))]
    shown = [s.name for s in workload.sides if any(s.name in row.times for row in rows)]
    ours, others = shown[0], shown[1:]
    if others:
        per = f", per {workload.unit}" if workload.unit else ""
        parts += [
            f"Time of each side / {ours}{per}: wall (CPU of all threads); above 1 is slower",
            _ratio_table(rows, ours, others),
        ]
    parts += ["Milliseconds: wall (CPU of all threads)", _time_table(rows, shown)]
    if workload.rates:
        parts += ["Per second", _rate_table(rows, shown, workload.rates)]
    if any(row.memory for row in rows):
        parts += [
            "Peak memory of one run in a fresh process, beyond what it works on: "
            f"MiB (/ {shown[0]})",
            _memory_table(rows, shown),
        ]
    sentences = [*_checks(workload, rows), *(note for row in rows for note in row.case.notes)]
    if workload.conclude is not None:
        sentences += workload.conclude(rows)
    sentences += [f"Not here: {name} ({why})." for name, why in missing.items()]
    parts.append("\n".join(f"- {sentence}" for sentence in sentences))
    return "\n\n".join(parts) + "\n"


def as_json(
    workload: Workload,
    options: Options,
    host: Mapping[str, Any],
    rows: Sequence[Measured],
    missing: Mapping[str, str],
) -> dict[str, Any]:
    """All numbers of a workload; arguments as of :func:`report`."""
    return {
        "workload": workload.name,
        "summary": workload.summary,
        "machine": dict(host),
        "options": {**asdict(options), "data": str(options.data) if options.data else None},
        "sides": [
            {
                "name": side.name,
                "summary": side.summary,
                "not_here": missing.get(side.name, ""),
                "same": side.same,
                "note": side.note,
            }
            for side in workload.sides
        ],
        "cases": [
            {
                "name": row.case.name,
                "sizes": dict(row.case.sizes),
                "ratios": {name: ratio._asdict() for name, ratio in row.ratios.items()},
                "times": {name: timing._asdict() for name, timing in row.times.items()},
                "work": dict(row.case.work),
                "figures": row.figures,
                "memory_mib": row.memory,
                "differences": row.differences,
                "tolerance": row.case.tolerance,
                "left_out": dict(row.case.left_out),
                "notes": row.case.notes,
            }
            for row in rows
        ],
        "conclusions": workload.conclude(rows) if workload.conclude else [],
    }


def rounded(value: float) -> str:
    """Three digits, or all those before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _start(row: Measured) -> list[object]:
    return [row.case.name, *(rounded(value) for value in row.case.sizes.values())]


def _head(rows: Sequence[Measured]) -> list[object]:
    return ["", *rows[0].case.sizes]


def _cell(row: Measured, side: str, text: str | None) -> str:
    return text if text is not None else row.case.left_out.get(side, "-")


def _ratio_table(rows: Sequence[Measured], ours: str, others: Sequence[str]) -> str:
    lines = []
    for row in rows:
        found = {n: f"{rounded(r.wall)} ({rounded(r.cpu)})" for n, r in row.ratios.items()}
        lines.append([*_start(row), *(_cell(row, name, found.get(name)) for name in others)])
    return markdown_table([*_head(rows), *(f"{name} / {ours}" for name in others)], lines)


def _time_table(rows: Sequence[Measured], shown: Sequence[str]) -> str:
    figures = list(dict.fromkeys(name for row in rows for name in row.figures))
    lines = []
    for row in rows:
        found = {n: f"{rounded(t.wall)} ({rounded(t.cpu)})" for n, t in row.times.items()}
        more = [rounded(row.figures[name]) if name in row.figures else "-" for name in figures]
        lines.append([*_start(row), *(_cell(row, n, found.get(n)) for n in shown), *more])
    return markdown_table([*_head(rows), *shown, *figures], lines)


def _memory_table(rows: Sequence[Measured], shown: Sequence[str]) -> str:
    lines = []
    for row in rows:
        ours = row.memory.get(shown[0], 0.0)
        found = {
            name: f"{rounded(mib)} ({rounded(mib / ours)})" if ours > 0 else rounded(mib)
            for name, mib in row.memory.items()
        }
        lines.append([*_start(row), *(_cell(row, name, found.get(name)) for name in shown)])
    return markdown_table([*_head(rows), *shown], lines)


def _rate_table(rows: Sequence[Measured], shown: Sequence[str], rates: Sequence[str]) -> str:
    lines = []
    for row in rows:
        found: dict[tuple[str, str], str] = {}
        for rate in rates:
            for name, timing in row.times.items():
                found[rate, name] = rounded(row.case.sizes[rate] / timing.wall * 1e3)
        lines.append([row.case.name, *(found.get((r, n), "-") for r in rates for n in shown)])
    return markdown_table(["", *(f"{rate}/s, {name}" for rate in rates for name in shown)], lines)


def _checks(workload: Workload, rows: Sequence[Measured]) -> list[str]:
    """What was verified, how far apart it was, and how steady the clock."""
    found = []
    for side in workload.sides[1:]:
        compared = [row for row in rows if side.name in row.differences]
        if compared:
            largest = max(row.differences[side.name] for row in compared)
            allowed = max(row.case.tolerance for row in compared)
            found.append(
                f"Same numbers before timing: {side.name}, largest difference {largest:.1e} "
                f"(allowed: {allowed:.1e})."
            )
        elif not side.same and any(side.name in row.times for row in rows):
            found.append(f"Other numbers by design: {side.name}, {side.note}.")
    timings = [timing for row in rows for timing in row.times.values()]
    fewest, widest = min(t.rounds for t in timings), max(t.spread for t in timings)
    found.append(
        f"Medians of {fewest} or more rounds in turn; the middle half of the rounds of a side lies "
        f"within {100 * widest:.0f} % of its median."
    )
    return found
