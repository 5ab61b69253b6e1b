"""One unit of work: fetch a recording, run its images through the pipeline, write its tables, then the done marker."""

from __future__ import annotations

import json
import logging
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import BadImage, EngineError
from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.core.types import Detections
from camera_perception.decode.heads import decode_all
from camera_perception.engines import Engine
from camera_perception.engines.select import load_engine
from camera_perception.image.letterbox import Letterbox
from camera_perception.pipeline import Pipeline
from camera_perception.tools.fleet.store.rows import Rows, rows_of
from camera_perception.tools.fleet.store.schema import DATA_TABLES, arrow_table, parquet_bytes
from camera_perception.tools.fleet.store.storage import StoreError, is_remote, open_storage
from camera_perception.tools.fleet.work.embedding import OUTPUT, thumbnail, unit_vector
from camera_perception.tools.fleet.work.sources import Speeds, camera_topics, opened
from camera_perception.tools.fleet.work.units import Job, Unit
from camera_perception.tools.replay.replay import untracked
from camera_perception.tools.replay.source import Arrival, Source

DONE = "done"  # folder of the markers: a unit without one has not been done
WARM_UP = 30  # images before a slice that only warm up the tracker
PASSING = (StoreError, OSError, EngineError, MemoryError)  # not the recording's fault: the unit is done again later


class Performer:
    """One engine and what it needs, in one process."""

    def __init__(self, job: Job, out: str, scratch: str | None = None) -> None:
        cv2.setNumThreads(job.threads)  # its own default is all cores, for which other workers compete
        self.job, self.storage = job, open_storage(out)
        self._scratch = Path(tempfile.mkdtemp(prefix="fleet_", dir=scratch))
        self.spec = load_spec(self.storage.fetch("model", self._scratch))
        self.engine: Engine = load_engine(self.spec, job.engine, threads=job.threads)

    def close(self) -> None:
        self.engine.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def perform(self, unit: Unit) -> dict[str, Any]:
        """Do a unit; returns its row of `runs`. A recording that cannot be read gives a row with the reason."""
        wall, cpu = time.perf_counter(), _cpu_seconds()
        row = {**unit.row, "host": socket.gethostname(), "model": f"{self.spec.name} {self.spec.version}"}
        row |= {"engine": self.job.engine, "status": "ok", "reason": "", "warnings": ""}
        with _warnings() as texts:
            try:
                row |= self._do(unit)
            except PASSING:
                raise
            except Exception as error:  # whatever a damaged recording sets off
                row |= failure(error)
        row |= {"warnings": "\n".join(texts)[:4000]}
        row |= {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": _cpu_seconds() - cpu}
        mark_done(self.storage, row)
        return row

    def _do(self, unit: Unit) -> dict[str, Any]:
        path = self._fetch(unit.recording.address)
        try:
            rows = self._rows(unit, path)
        finally:
            if is_remote(unit.recording.address):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        written = 0
        for table in DATA_TABLES:
            data = parquet_bytes(arrow_table(table, rows[table]))
            self.storage.write(f"{table}/{unit.key}.parquet", data)
            written += len(data)
        frames = rows["frames"]
        bad = sum(bool(frame["error"]) for frame in frames)
        return {"frames": len(frames), "undecodable": bad, "drive_seconds": _seconds(frames), "bytes_out": written}

    def _fetch(self, address: str) -> Path:
        """Where the recording lies on this machine."""
        if not is_remote(address):
            return Path(address)
        folder, _, name = address.rpartition("/")
        return open_storage(folder).fetch(name, self._scratch)

    def _rows(self, unit: Unit, path: Path) -> Rows:
        rows: Rows = {table: [] for table in DATA_TABLES}
        speeds = Speeds(path)
        for topic in camera_topics(path, self.job.camera):
            source = opened(path, topic)
            key = {"unit": unit.key, "recording": unit.recording.address}
            key |= {"recording_id": unit.recording.fingerprint, "camera": source.camera}
            for some in self._camera_rows(source, unit, key):
                for table, more in some.items():
                    rows[table] += more
        if not rows["frames"]:
            raise ValueError("the recording holds no images")
        for frame in rows["frames"]:
            frame["speed_mps"] = speeds.at(frame["stamp_ns"])
        return rows

    def _camera_rows(self, source: Source, unit: Unit, key: Mapping[str, Any]) -> Iterator[Rows]:
        """The rows of each image of a camera."""
        pipeline, tap = Pipeline(self.spec, self.engine, source.calibration), Tap(self.spec, self.job)
        pipeline.on_outputs = tap
        first, last = part_of(source.length, unit.part, unit.parts)
        for number, arrival in enumerate(source.arrivals):
            if number >= last:
                return
            if number < first - WARM_UP:
                continue
            if source.separate:
                pipeline = Pipeline(self.spec, self.engine, source.calibration)
                pipeline.on_outputs = tap
            named = {**key, "frame": number, "stamp_ns": arrival.stamp_ns}
            rows = _image_rows(pipeline, tap, arrival, named, source.separate)
            if number >= first:
                yield rows


class Tap:
    """What mining wants of the network's raw outputs: detections below the threshold, and the embedding."""

    def __init__(self, spec: ModelSpec, job: Job) -> None:
        self._job, self._head = job, spec.head("objects")
        self._spec = replace(spec, heads=(self._head,) if self._head else ())
        self.candidates = Detections.empty()
        self.embedding: np.ndarray | None = None

    def __call__(self, outputs: Mapping[str, np.ndarray], letterbox: Letterbox) -> None:
        if self._head:
            wanted = {"objects": min(self._job.min_score, self._head.threshold)}
            self.candidates = decode_all(outputs, self._spec, letterbox, wanted).detections
        self.embedding = unit_vector(np.array(outputs[OUTPUT]).ravel()) if OUTPUT in outputs else None

    def embedding_of(self, image: np.ndarray) -> list[float] | None:
        """Unit vector of the last image, None when not wanted."""
        if not self._job.embedding:
            return None
        vector = thumbnail(image) if self.embedding is None else self.embedding
        return [float(value) for value in vector]


def _image_rows(pipeline: Pipeline, tap: Tap, arrival: Arrival, key: Mapping[str, Any], separate: bool) -> Rows:
    try:
        seen = pipeline.run(arrival.frame())
    except BadImage as error:
        return {"frames": [{**key, "file": arrival.name, "width": 0, "height": 0, "error": str(error)}]}
    seen = untracked(seen) if separate else seen
    rows = rows_of(key, arrival.name, seen, pipeline.spec, tap.candidates)
    rows["frames"][0]["embedding"] = tap.embedding_of(seen.frame.image)
    return rows


def part_of(length: int, part: int, parts: int) -> tuple[int, int]:
    """Numbers of the first image of a part and of the first after it; an unknown length is all in part 0."""
    if not length or parts == 1:
        return (0, 1 << 62) if part == 0 else (0, 0)
    return length * part // parts, 1 << 62 if part == parts - 1 else length * (part + 1) // parts


def failure(error: BaseException | str) -> dict[str, Any]:
    """Columns of a unit that cannot be done."""
    reason = error if isinstance(error, str) else str(error) or type(error).__name__
    return {"status": "failed", "reason": " ".join(reason.split())[:500], "frames": 0, "undecodable": 0, "bytes_out": 0}


def mark_done(storage: Any, row: Mapping[str, Any]) -> None:
    storage.write(f"{DONE}/{row['unit']}.json", json.dumps(dict(row)).encode())


def _seconds(frames: list[dict[str, Any]]) -> float:
    """Length of the longest camera by its stamps."""
    spans: dict[str, tuple[int, int]] = {}
    for frame in frames:
        low, high = spans.get(frame["camera"], (frame["stamp_ns"],) * 2)
        spans[frame["camera"]] = min(low, frame["stamp_ns"]), max(high, frame["stamp_ns"])
    return max(((high - low) / 1e9 for low, high in spans.values()), default=0.0)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """The warnings logged meanwhile."""
    texts: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: texts.append(f"{record.levelname}: {record.getMessage()}")  # type: ignore[method-assign]
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield texts
    finally:
        root.removeHandler(handler)
