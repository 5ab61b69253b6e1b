"""Write the frames worth labelling: pictures, a table that says why each was chosen, and a sheet to look at."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from camera_perception.tools.fleet.compare.frames import FrameKey, objects_by_frame
from camera_perception.tools.fleet.images import draw_rows, read_images, sheet
from camera_perception.tools.fleet.mining.choose import Choice, choose
from camera_perception.tools.fleet.mining.signals import load_pool, signals_of
from camera_perception.tools.fleet.store.storage import Storage, StoreError, is_remote, open_storage
from camera_perception.tools.privacy.report import Report

COLORS = (60, 200, 255)  # BGR
SHEET = 24  # pictures of the sheet


@dataclass(frozen=True)
class Mining:
    """What is mined.

    gap         seconds
    known       tables frames.csv of earlier turns: their frames, and those less than `gap` from them, are left out
    anonymized  refuse frames of recordings that were not written by `anonymize`
    """

    signals: Sequence[str]
    count: int = 100
    gap: float = 2.0
    seed: int = 0
    anonymized: bool = False
    against: Storage | None = None
    reference: Storage | None = None
    known: Sequence[Path] = ()


def mine(storage: Storage, out: Path, mining: Mining) -> list[dict[str, Any]]:
    """Write OUT/images, OUT/frames.csv, OUT/mining.json and OUT/sheet.jpg; returns the rows of the table."""
    if (out / "frames.csv").exists():
        raise StoreError(f"{out} holds mined frames already: give another --out")
    pool = load_pool(storage, mining.against, mining.reference)
    if mining.anonymized:
        check_anonymized({row["recording"] for row in pool.rows})
    new = unknown(pool.rows, read_known(mining.known), mining.gap)
    frames, values = [pool.rows[index] for index in new], signals_of(pool, mining.signals)
    values = {name: each[new] for name, each in values.items()}
    choices = choose(frames, pool.embeddings[new], values, mining.count, mining.gap, mining.seed)
    (out / "images").mkdir(parents=True, exist_ok=True)
    rows = [_row(choice, frames[choice.index], values) for choice in choices]
    found = objects_by_frame(storage)
    tiles = _write_images(out, rows, found)
    rows = [row for row in rows if row["image"] in tiles]
    with (out / "frames.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]) if rows else ["image"])
        writer.writeheader()
        writer.writerows(rows)
    settings = {"store": storage.address, "signals": list(mining.signals), "count": mining.count, "gap": mining.gap}
    (out / "mining.json").write_text(json.dumps({**settings, "seed": mining.seed}, indent=1), "utf-8")
    cv2.imwrite(str(out / "sheet.jpg"), sheet([tiles[row["image"]] for row in rows[:SHEET]]))
    return rows


def read_known(tables: Sequence[Path]) -> dict[tuple[str, str], np.ndarray]:
    """Stamps in nanoseconds, sorted, by recording and camera, of the frames in tables that `mine` wrote."""
    stamps: dict[tuple[str, str], list[int]] = defaultdict(list)
    for table in tables:
        try:
            with table.open(encoding="utf-8", newline="") as stream:
                for row in csv.DictReader(stream):
                    stamps[row["recording_id"], row["camera"]].append(int(row["stamp_ns"]))
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise StoreError(f"{table} is no table of mined frames ({error!r}): give a frames.csv") from error
    return {key: np.sort(np.array(values, np.int64)) for key, values in stamps.items()}


def unknown(rows: Sequence[dict[str, Any]], known: dict[tuple[str, str], np.ndarray], gap: float) -> np.ndarray:
    """Indices of the rows that are at least `gap` seconds from every known frame of their camera."""
    return np.array([index for index, row in enumerate(rows) if not _is_known(row, known, gap * 1e9)], np.int64)


def _is_known(row: dict[str, Any], known: dict[tuple[str, str], np.ndarray], gap_ns: float) -> bool:
    stamps = known.get((row["recording_id"], row["camera"]))
    return stamps is not None and bool((np.abs(stamps - row["stamp_ns"]) < max(gap_ns, 1)).any())


def _row(choice: Choice, frame: dict[str, Any], values: dict[str, np.ndarray]) -> dict[str, Any]:
    name = f"{frame['recording_id']}_{frame['camera']}_{frame['frame']:06d}.jpg"
    row = {"image": name.replace("/", "_").replace(" ", "_"), "why": choice.why, "score": round(choice.score, 4)}
    row |= {key: frame[key] for key in ("recording", "recording_id", "camera", "frame", "stamp_ns", "file")}
    for signal, rank in choice.ranks.items():
        row |= {signal: _rounded(values[signal][choice.index]), f"{signal}_rank": round(rank, 3)}
    return row


def _rounded(value: float) -> float | str:
    return round(float(value), 4) if np.isfinite(value) else ""


def _write_images(
    out: Path, rows: Sequence[dict[str, Any]], found: dict[FrameKey, list[dict[str, Any]]]
) -> dict[str, tuple[str, np.ndarray]]:
    """Image name: title and tile for the sheet, of the pictures that could be read and written."""
    by_camera: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_camera[row["recording"], row["camera"]].append(row)
    tiles = {}
    for (recording, camera), some in tqdm(by_camera.items(), unit="camera", disable=None):
        images = read_images(recording, camera, {row["frame"] for row in some})
        for row in some:
            image = images.get(row["frame"])
            if image is not None:
                cv2.imwrite(str(out / "images" / row["image"]), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
                objects = found.get((row["recording_id"], camera, row["frame"]), [])
                title = f"{Path(recording).name} {camera} {row['frame']}\n{row['why']}"
                tiles[row["image"]] = title, draw_rows(image, objects, COLORS, 320)
    return tiles


def check_anonymized(recordings: set[str]) -> None:
    """StoreError when a recording has no report of `anonymize` beside it."""
    bare = sorted(each for each in recordings if not _is_anonymized(each))
    if bare:
        raise StoreError(
            f"{bare[0]} and {len(bare) - 1} other recordings were not anonymised: run `fleet anonymize` and replay that"
        )


def _is_anonymized(recording: str) -> bool:
    report = Report(Path(recording)).paths[0]
    if is_remote(recording):
        return open_storage(recording.rpartition("/")[0]).exists(report.name)
    return report.is_file()
