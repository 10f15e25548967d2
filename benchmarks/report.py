"""The results as tables: every program in each row, and bork against the best peer and the targets."""

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench import Results, Series
from measure import Sample
from programs import OURS
from rows import ROWS, Row

MIB = 1 << 20
PEAK_TARGET = 200 * MIB  # of bork, on every row


@dataclass(frozen=True)
class Verdict:
    """Bork on one row, against the best peer; the best in wall time and in CPU time may be two."""

    wall_ratio: float
    wall_best: str
    cpu_ratio: float
    cpu_best: str
    misses: tuple[str, ...]


def middle(samples: Iterable[Sample]) -> Sample:
    """The median of each quantity by itself."""
    taken = list(samples)
    return Sample(
        wall=median(sample.wall for sample in taken),
        cpu=median(sample.cpu for sample in taken),
        peak=int(median(sample.peak for sample in taken)),
        repository=int(median(sample.repository for sample in taken)),
    )


def medians(series: Mapping[str, Series]) -> dict[str, Sample]:
    return {name: middle(one.samples) for name, one in series.items() if one.samples}


def judge(row: Row, found: Mapping[str, Sample]) -> Verdict | None:
    """None if bork or all peers are missing."""
    peers = [name for name in found if name != OURS]
    if OURS not in found or not peers:
        return None
    ours = found[OURS]
    wall_best = min(peers, key=lambda name: found[name].wall)
    cpu_best = min(peers, key=lambda name: found[name].cpu)
    wall_ratio, cpu_ratio = found[wall_best].wall / ours.wall, ours.cpu / found[cpu_best].cpu
    misses = []
    if row.faster is not None and wall_ratio < row.faster:
        misses.append("wall")
    if row.leaner is not None and cpu_ratio > row.leaner:
        misses.append("CPU")
    if ours.peak > PEAK_TARGET:
        misses.append("memory")
    return Verdict(wall_ratio, wall_best, cpu_ratio, cpu_best, tuple(misses))


def table(header: list[str], lines: list[list[str]]) -> str:
    """Markdown that is also readable as it is: columns padded, numbers to the right."""
    widths = [max(len(line[at]) for line in [header, *lines]) for at in range(len(header))]
    padded = [
        "| " + " | ".join(f"{cell:{'<' if at < 2 else '>'}{widths[at]}}" for at, cell in enumerate(line)) + " |"
        for line in [header, *lines]
    ]
    rule = "|" + "|".join("-" * (width + 1) + ("-" if at < 2 else ":") for at, width in enumerate(widths)) + "|"
    return "\n".join([padded[0], rule, *padded[1:]])


def targets_table(results: Results) -> str:
    lines = []
    for row, level, series in in_order(results):
        found = medians(series)
        verdict = judge(row, found)
        if OURS in series and OURS not in found:
            lines.append([row.title, level, "", "", "", "", "", "FAILED"])
        if verdict is None:
            continue
        lines.append(
            [
                row.title,
                level,
                f"{verdict.wall_ratio:.2f} x ({verdict.wall_best})",
                f">= {row.faster:g} x" if row.faster is not None else "",
                f"{verdict.cpu_ratio:.2f} ({verdict.cpu_best})",
                f"<= {row.leaner:g}" if row.leaner is not None else "",
                f"{found[OURS].peak / MIB:.0f}",
                "missed: " + ", ".join(verdict.misses) if verdict.misses else "met",
            ]
        )
    header = ["workload", "compression", "wall, best peer / bork", "target", "CPU, bork / best", "target", "peak MiB"]
    return table([*header, "targets"], lines) if lines else "No row has both bork and a peer: no ratios."


def programs_table(results: Results) -> str:
    """Medians; repository: its size after the command."""
    lines = []
    for row, level, series in in_order(results):
        for name, one in series.items():
            if not one.samples:
                lines.append([f"{row.title} ({level})", name, "failed", "", "", "", ""])
                continue
            found, walls = middle(one.samples), [sample.wall for sample in one.samples]
            numbers = [f"{found.wall:.3f}", f"{min(walls):.3f} - {max(walls):.3f}", f"{found.cpu:.3f}"]
            sizes = [f"{found.peak / MIB:.0f}", f"{found.repository / MIB:.1f}"]
            lines.append([f"{row.title} ({level})", name, *numbers, *sizes])
    header = ["workload", "program", "wall s", "min - max", "CPU s", "peak MiB", "repository MiB"]
    return table(header, lines)


def remarks(results: Results) -> str:
    """Failures, and what restores did not bring back."""
    lines = []
    for row, level, series in in_order(results):
        for name, one in series.items():
            lines += [f"- {row.key} {level} {name}: FAILED: {one.error}"] if one.error else []
            lines += [f"- {row.key} {level} {name}: {one.note}"] if one.note else []
    return "\n".join(lines)


def in_order(results: Results) -> Iterable[tuple[Row, str, Mapping[str, Series]]]:
    for row in ROWS:
        for (key, level), series in results.items():
            if key == row.key:
                yield row, level, series


def machine(work: Path) -> dict[str, str]:
    """What the numbers depend on."""
    processor = fact("/proc/cpuinfo", "model name")
    kib = int(fact("/proc/meminfo", "MemTotal").split()[0])
    return {
        "processor": f"{processor}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{kib / (1 << 20):.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "file system": file_system(work),
        "python": platform.python_version(),
    }


def fact(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "0 unknown"


def file_system(path: Path) -> str:
    """Type and options of the mount that path is on (fields of /proc/self/mountinfo: see proc(5))."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == wanted:
            return f"{after.split()[0]} ({before.split()[5]})"
    return "unknown"


def markdown(results: Results, about: Mapping[str, str], conditions: Iterable[str]) -> str:
    parts = [
        "\n".join(f"- {name}: {value}" for name, value in about.items()),
        "\n".join(f"- {condition}" for condition in conditions),
        targets_table(results),
        programs_table(results),
        remarks(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_json(results: Results, about: Mapping[str, str]) -> dict[str, object]:
    rows = [
        {
            "row": row.key,
            "compression": level,
            "programs": {name: asdict(one) for name, one in series.items()},
        }
        for row, level, series in in_order(results)
    ]
    return {"machine": dict(about), "rows": rows}
