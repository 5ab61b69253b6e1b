"""The page of a comparison: verdicts, figures per slice, drives, and the images that changed most."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.tools.fleet.compare.criteria import BETTER, Figures, Verdict, judge, read_criteria, worsening
from camera_perception.tools.fleet.compare.figures import FIGURES, figures
from camera_perception.tools.fleet.compare.frames import Agreement, FrameKey, agreements, matches, objects_by_frame
from camera_perception.tools.fleet.images import draw_rows, read_images
from camera_perception.tools.fleet.store.query import connect
from camera_perception.tools.fleet.store.storage import Storage, StoreError

BEFORE, AFTER = (60, 120, 255), (80, 220, 60)  # BGR: orange, green
SHOWN = ("all", "timeofday", "weather", "scene", "speed", "camera", "recording")  # slices, in this order
STYLE = """body{font:14px/1.45 system-ui,sans-serif;margin:24px auto;max-width:1320px;padding:0 16px;color:#222}
table{border-collapse:collapse;margin:8px 0 24px}td,th{padding:3px 10px;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}pre{white-space:pre-wrap;overflow-wrap:anywhere}.bad{color:#b00020;font-weight:600}.good{color:#1a7f37}
img{width:100%;display:block}figure{margin:0 0 20px}figcaption{color:#555}"""


def compare_runs(
    before: Storage, after: Storage, out: Path, criteria: Path | None, pictures: int
) -> tuple[list[Verdict], list[str]]:
    """Write OUT/index.html; returns the verdicts and the addresses of drives in one run only."""
    rules = read_criteria(criteria)
    old, new = figures(before), figures(after)
    if not old["recording"].keys() & new["recording"].keys():
        raise StoreError(f"{before.address} and {after.address} have no recording in common: replay the same drives")
    verdicts = judge(rules, old, new)
    alone = sorted(old["recording"].keys() ^ new["recording"].keys())
    changes = agreements(before, after)
    out.mkdir(parents=True, exist_ok=True)
    shown = _write_pictures(before, after, changes, out, pictures)
    (out / "index.html").write_text(_page(before, after, old, new, verdicts, alone, shown), "utf-8")
    return verdicts, alone


def _page(
    before: Storage,
    after: Storage,
    old: Figures,
    new: Figures,
    verdicts: Sequence[Verdict],
    alone: Sequence[str],
    shown: Sequence[tuple[str, str]],
) -> str:
    broken = [each for each in verdicts if each.broken]
    head = f"{len(broken)} of {len(verdicts)} criteria broken" if broken else f"all {len(verdicts)} criteria passed"
    parts = [f"<h1>{escape(before.address)} → {escape(after.address)}</h1>"]
    parts.append(f"<p class='{'bad' if broken else 'good'}'>{head}</p>")
    parts.append(_table(("criterion", "slice", "before", "after", "verdict"), verdict_rows(verdicts)))
    if alone:
        parts.append(f"<p class='bad'>in one run only: {escape(', '.join(alone))}</p>")
    meanings = "".join(f"<li><b>{f.name}</b>: {escape(f.text)}" for f in FIGURES)
    parts.append(f"<h2>Figures</h2><ul>{meanings}</ul>")
    for name in shown_slices(new):
        parts.append(f"<h3>{heading(name)}</h3>{_slice_table(old.get(name, {}), new.get(name, {}))}")
    parts.append("<h2>Images that changed most</h2><p>Left: before; right: after. Grey: in both.</p>")
    parts += [f"<figure><img src='{escape(f)}'><figcaption>{escape(text)}</figcaption></figure>" for f, text in shown]
    style, body = f"<style>{STYLE}</style>", "".join(parts)
    return f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Fleet comparison</title>{style}{body}</html>"


def heading(slice_name: str) -> str:
    """Title of the table of a slice."""
    return "All images" if slice_name == "all" else f"By {slice_name.replace('timeofday', 'time of day')}"


def shown_slices(found: Figures) -> list[str]:
    """The slices worth a table: those of which something is known."""
    return [name for name in SHOWN if set(found.get(name, {})) - {"unknown"}]


def verdict_rows(verdicts: Sequence[Verdict]) -> list[tuple[str, ...]]:
    """What is broken, then one row per criterion for all values that passed, with the one that changed most."""
    passed: dict[Any, list[Verdict]] = defaultdict(list)
    for each in verdicts:
        if not each.broken:
            passed[each.criterion].append(each)
    rows = [_verdict_row(each, f"<span class='bad'>{each.broken}</span>") for each in verdicts if each.broken]
    for some in passed.values():
        others = f", and {len(some) - 1} more" if len(some) > 1 else ""
        rows.append(_verdict_row(max(some, key=_change_of), f"<span class='good'>passed{others}</span>"))
    return rows


def _change_of(each: Verdict) -> float:
    if each.before is None or each.after is None:
        return float("-inf")
    return worsening(each.criterion.figure, each.before, each.after)


def _verdict_row(each: Verdict, text: str) -> tuple[str, ...]:
    name = Path(each.value).name if each.criterion.slice == "recording" else each.value
    where = "all images" if each.criterion.slice == "all" else escape(f"{each.criterion.slice} {name}")
    return each.criterion.figure, where, _number(each.before), _number(each.after), text


def _slice_table(old: Any, new: Any) -> str:
    """Each figure before → after, coloured by its direction; the drives that got worst come first."""
    names = [figure.name for figure in FIGURES]
    values = sorted(old.keys() & new.keys(), key=lambda value: -_badness(old[value], new[value]))
    rows = [
        (escape(Path(value).name or value), f"{new[value].get('images', 0):.0f}")
        + tuple(_change(name, old[value].get(name), new[value].get(name)) for name in names)
        for value in values
    ]
    return _table(("", "images", *names), rows)


def _badness(old: dict[str, float], new: dict[str, float]) -> float:
    names = [name for name, better in BETTER.items() if better and name in old and name in new]
    return sum(worsening(name, old[name], new[name]) for name in names)


def _change(name: str, before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return f"{_number(before)} → {_number(after)}"
    worse = worsening(name, before, after) if BETTER[name] else 0.0
    kind = "bad" if worse > 0.02 else "good" if worse < -0.02 else ""
    return f"<span class='{kind}'>{_number(before)} → {_number(after)}</span>"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>{lines}</table>"


def _write_pictures(
    before: Storage, after: Storage, changes: dict[FrameKey, Agreement], out: Path, count: int
) -> list[tuple[str, str]]:
    """Both runs side by side of the images with the largest disagreement, at most two of a camera of a recording."""
    worst = _worst(changes, count)
    addresses, old, new = _addresses(after), objects_by_frame(before), objects_by_frame(after)
    by_camera: dict[tuple[str, str], list[int]] = defaultdict(list)
    for recording, camera, frame in worst:
        by_camera[recording, camera].append(frame)
    images: dict[FrameKey, np.ndarray] = {}
    for (recording, camera), numbers in by_camera.items():
        found = read_images(addresses[recording], camera, numbers) if recording in addresses else {}
        images |= {(recording, camera, number): image for number, image in found.items()}
    shown = []
    for key in worst:
        if key in images:
            file = f"{key[0]}_{key[1]}_{key[2]}.jpg"
            pair = drawn_pair(images[key], old.get(key, []), new.get(key, []))
            cv2.imwrite(str(out / file), pair, [cv2.IMWRITE_JPEG_QUALITY, 88])
            lost, gained = changes[key].only_before, changes[key].only_after
            name = f"{Path(addresses[key[0]]).name} {key[1]} image {key[2]}"
            shown.append((file, f"{name}: only before {lost:.2f}, only after {gained:.2f} (sums of scores)"))
    return shown


def drawn_pair(image: np.ndarray, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> np.ndarray:
    """Both runs on the same image, side by side; what both have is grey, so that the difference shows."""
    pairs = matches(before, after)
    old = draw_rows(image, before, BEFORE, faint=pairs.keys())
    return np.hstack([old, draw_rows(image, after, AFTER, faint=set(pairs.values()))])


def _worst(changes: dict[FrameKey, Agreement], count: int) -> list[FrameKey]:
    taken: dict[tuple[str, str], int] = defaultdict(int)
    chosen: list[FrameKey] = []
    for key in sorted(changes, key=lambda key: (-changes[key].disagreement, key)):
        if len(chosen) < count and changes[key].disagreement > 0 and taken[key[:2]] < 2:
            taken[key[:2]] += 1
            chosen.append(key)
    return chosen


def _addresses(storage: Storage) -> dict[str, str]:
    connection = connect(storage)
    rows = connection.execute("select recording_id, any_value(recording) from runs group by 1").fetchall()
    connection.close()
    return dict(rows)
