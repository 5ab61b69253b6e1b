"""Throw nearly right inputs at every door for a bounded time, and print a table.

    make fuzz MINUTES=10                 all doors, ten minutes in all
    make fuzz ARGS="rig manifest"        some doors
    make fuzz ARGS="--seed 7"            other inputs than last time

The rule: a good result, or an error of this project of at most 500 characters, within 5 seconds and 1 GiB. What breaks
it is shrunk and stored below tests/fuzz/findings; `pytest tests/fuzz` runs it from then on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import date
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path

from door import FINDINGS, REPOSITORY, Finding
from doors import DOORS
from tqdm import tqdm
from worker import keep, work

MOST_CPU_SECONDS, MOST_WALL_SECONDS = 20.0, 300.0  # of one case before its process is ended


@dataclass
class Row:
    """What happened at one door."""

    name: str
    cases: int = 0
    good: int = 0
    refused: int = 0
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("doors", nargs="*", metavar="DOOR", help=f"default: all of {', '.join(DOORS)}")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all doors together; default: 10")
    parser.add_argument("--seed", type=int, default=0, help="of the random inputs; default: 0")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "out/fuzz.md", help="where the table goes")
    options = parser.parse_args()
    tempfile.tempdir = scratch_folder()  # of the small models and data sets, too
    names = options.doors or list(DOORS)
    if unknown := [name for name in names if name not in DOORS]:
        parser.error(f"no door {', '.join(unknown)}: expected some of {', '.join(DOORS)}")
    rows, share = [], options.minutes * 60 / len(names)
    for name in tqdm(names, unit="door"):
        rows.append(fuzz(name, share, options.seed))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(table(rows) + "\n", "utf-8")
    print(table(rows))
    return 1 if any(row.findings for row in rows) else 0


def fuzz(name: str, seconds: float, first_seed: int) -> Row:
    """Run a door for this long; a process that crashes or hangs is a finding, and the next one continues."""
    row, before = Row(name), known(name)
    with tempfile.TemporaryDirectory(prefix="fuzz") as scratch:
        warm(name, Path(scratch))
        crashes, started = 0, time.monotonic()
        while (left := seconds - (time.monotonic() - started)) > 0.5 and crashes < 5:
            last, reason = watch(name, Path(scratch), left, first_seed * 1_000_000 + crashes * 10_000)
            row.cases, row.good, row.refused = (getattr(row, k) + last.get(k, 0) for k in ("cases", "good", "refused"))
            if reason:
                crashes += 1
                current = Path(scratch) / "current.bin"
                keep(name, current.read_bytes() if current.exists() else b"", reason)
    row.seconds = time.monotonic() - started
    row.findings = sorted((FINDINGS / name / f"{each}.txt").read_text("utf-8").strip() for each in known(name) - before)
    return row


def warm(name: str, scratch: Path) -> None:
    """Make the seeds and import everything once, here: the workers inherit it."""
    (scratch / "folder").mkdir()
    try:
        DOORS[name].check(DOORS[name].make(lambda low, high: low), scratch / "folder")
    except Finding as finding:
        print(f"{name}: {finding}", file=sys.stderr)


def scratch_folder() -> str:
    """In memory where there is such a place: a case writes two or three files."""
    memory = Path("/dev/shm")
    return str(memory) if os.access(memory, os.W_OK) else tempfile.gettempdir()


def known(name: str) -> set[str]:
    return {path.stem for path in (FINDINGS / name).glob("*.bin")}


def watch(name: str, scratch: Path, seconds: float, first_seed: int) -> tuple[dict[str, int], str]:
    """The last counts of a worker, and why it ended early; "" when it did not."""
    log = scratch / "progress"
    log.write_text("")
    process = get_context("fork").Process(target=work, args=(name, scratch, seconds, first_seed))  # imports once
    process.start()
    reason = _wait(process, log)
    lines = log.read_text("utf-8").splitlines()
    counts: dict[str, int] = json.loads(lines[-1]) if lines else {}
    if not reason and process.exitcode:
        errors = (scratch / "errors").read_text("utf-8", "replace").strip().splitlines()
        reason = f"ended with {process.exitcode}: {(errors or [''])[-1][:200]}"
    return counts, reason


def _wait(process: ForkProcess, log: Path) -> str:
    size, cpu, since = -1, 0.0, time.monotonic()
    while process.is_alive():
        process.join(0.5)
        if log.stat().st_size != size:
            size, cpu, since = log.stat().st_size, _cpu(process.pid or 0), time.monotonic()
        busy = _cpu(process.pid or 0) - cpu > MOST_CPU_SECONDS and size > 0
        if busy or time.monotonic() - since > MOST_WALL_SECONDS:
            process.kill()
            process.join()
            return "hangs"
    return ""


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / 100


def table(rows: list[Row]) -> str:
    lines = [
        f"{date.today()}, `make fuzz`",
        "",
        "| door | cases | good | refused | findings |",
        "|---|---:|---:|---:|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.name} | {row.cases:,} | {row.good:,} | {row.refused:,} | {'; '.join(row.findings) or 0} |"
        )
    total = [sum(getattr(row, name) for row in rows) for name in ("cases", "good", "refused")]
    lines.append(f"| all | {total[0]:,} | {total[1]:,} | {total[2]:,} | {sum(len(row.findings) for row in rows)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
