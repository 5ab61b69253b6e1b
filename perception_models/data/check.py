"""perception-models check-data: what is in a folder, what is broken, and a sheet to look at."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from perception_models.data.cache import Samples
from perception_models.data.counts import Counts
from perception_models.data.errors import DataError
from perception_models.data.registry import open_dataset
from perception_models.data.sample import Sample
from perception_models.data.sheet import draw_labels, tile

COLUMNS, ROWS, THUMB = 4, 5, (288, 480)


def check(folder: Path | str, out: Path | str | None = None, split: str = "val") -> dict[str, Counts]:
    """Read every sample of a folder or of its children; data set: what is in it.

    out    folder for counts.json and one contact sheet per data set, or None for counts alone
    split  the part of BDD100K, CULane or COCO
    """
    from perception_models.data.found import find_entries, name_entries

    results = {}
    for name, entry in name_entries(find_entries(folder, split)).items():
        try:
            results[name], shown = count(open_dataset(**entry), name)
        except DataError as error:
            results[name], shown = Counts(broken=[str(error)]), []
        if out is not None:
            write(Path(out), name, results[name], shown)
    return results


def count(samples: Samples, name: str = "") -> tuple[Counts, list[Sample]]:
    """(counts, samples evenly spread over the data set for a contact sheet)."""
    told = {name: list(getattr(samples, name, ())) for name in ("orphans", "others")}  # some readers know
    counts, shown = Counts(**told), []
    wanted = {i * len(samples) // (COLUMNS * ROWS) for i in range(COLUMNS * ROWS)}
    for index in tqdm(range(len(samples)), desc=name, unit="image"):
        try:
            sample = samples[index]
        except DataError as error:
            if str(error) in counts.broken[-1:]:  # a label file that all samples need: reading on would take for ever
                break
            counts.broken.append(str(error))
            continue
        counts.add(sample)
        if index in wanted:
            shown.append(sample)
    return counts, shown


def write(out: Path, name: str, counts: Counts, shown: Sequence[Sample]) -> None:
    """counts.json gets one entry per data set; the sheet is NAME.png."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "counts.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**known, name: vars(counts)}, indent=1), "utf-8")
    if shown:
        cv2.imwrite(str(out / f"{name}.png"), tile([draw_labels(sample) for sample in shown], COLUMNS, THUMB))


def table(counts: Counts) -> str:
    """Counts as text: one line per histogram, largest first."""
    rows: list[tuple[str, Any]] = [("images", counts.images)]
    for name, value in vars(counts).items():
        if isinstance(value, Counter) and value.total():
            share = name in ("drivable", "semantic")
            rows.append((name, _histogram(value, share)))
    rows += [(name, _histogram(values, False)) for name, values in counts.scene.items() if values]
    rows.append(("ignored boxes", counts.ignored))
    if counts.orphans:
        rows.append(("without image", f"labels of {len(counts.orphans)} that are not there: {_few(counts.orphans)}"))
    if counts.others:
        rows.append(("left out", f"objects of classes that are none of ours: {_few(counts.others, 12)}"))
    rows += [("broken", text) for text in counts.broken]
    return "\n".join(f"{name:>14}  {value}" for name, value in rows)


def _few(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _histogram(values: Counter[str], share: bool) -> str:
    total = values.total()
    return ", ".join(f"{n} {v / total:.1%}" if share else f"{n} {v}" for n, v in values.most_common() if v)
