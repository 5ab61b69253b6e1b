"""Many recordings with heads and plates covered, in parallel. Rerun to resume."""

from __future__ import annotations

import multiprocessing as mp
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from camera_perception.core.errors import PerceptionError
from camera_perception.io.bag_reader import is_bag
from camera_perception.io.recording.storage import storage_of
from camera_perception.tools.fleet.store.storage import Storage, is_remote, open_storage
from camera_perception.tools.fleet.work.units import Recording, find_recordings
from camera_perception.tools.privacy.anonymize import anonymize
from camera_perception.tools.privacy.detector import open_detector
from camera_perception.tools.privacy.regions import Settings
from camera_perception.tools.privacy.report import Report

MIN_SCORE = 0.2


def anonymize_fleet(
    sources: Sequence[str], out: str, models: Sequence[Path], engine: str, workers: int
) -> tuple[int, int, list[str]]:
    """Write a covered copy of each recording below `out`; returns how many there are, how many were done before, and
    why others could not be covered."""
    storage, recordings = open_storage(out), find_recordings(sources)
    missing = [each for each in recordings if not storage.exists(report_name(each))]
    errors, before = [], len(recordings) - len(missing)
    pool = ProcessPoolExecutor(workers, mp.get_context("spawn"))
    with pool, tqdm(total=len(recordings), initial=before, unit="recording", disable=None) as bar:
        jobs = {pool.submit(cover_recording, each, out, models, engine): each for each in missing}
        for job in as_completed(jobs):
            try:
                job.result()
            except (PerceptionError, OSError) as error:
                errors.append(f"{jobs[job].address}: {error}")
            bar.update()
    return len(recordings), before, errors


def output_name(recording: Recording) -> str:
    """Name of the covered copy: a folder for recordings and pictures, an mp4 for videos."""
    name = Path(recording.address).name
    stem, suffix = Path(name).stem, Path(name).suffix.lower()
    if storage_of(Path(name)):
        return f"{stem}_{recording.fingerprint[:6]}"
    return f"{stem}_{recording.fingerprint[:6]}.mp4" if suffix else f"{name}_{recording.fingerprint[:6]}"


def report_name(recording: Recording) -> str:
    """The report comes last: with it a copy is complete."""
    return f"{output_name(recording)}.report.json"


def cover_recording(recording: Recording, out: str, models: Sequence[Path], engine: str) -> None:
    """Cover one recording in a temporary folder, then put the copy in place, its report last."""
    storage = open_storage(out)
    with tempfile.TemporaryDirectory(prefix="fleet_", dir=None if storage.remote else _made(out)) as scratch:
        folder = Path(scratch)
        path = Path(recording.address)
        if is_remote(recording.address):
            parent, _, name = recording.address.rpartition("/")
            path = open_storage(parent).fetch(name, folder / "in")
        made = folder / "out" / output_name(recording)
        made.parent.mkdir()
        detector = open_detector(list(models), MIN_SCORE, False, False, engine, 1)
        try:
            hold = Settings().hold if is_bag(path) or path.is_file() else 0.0
            anonymize(path, made, detector, Settings(hold=hold), progress=False)
        finally:
            detector.close()
        _put(made, storage, out)


def _put(made: Path, storage: Storage, out: str) -> None:
    report = Report(made).paths
    if storage.remote:
        for file in (*_files(made), report[1], report[0]):
            if file.is_file():
                storage.write(file.relative_to(made.parent).as_posix(), file.read_bytes())
        return
    target = Path(out) / made.name
    if target.exists():  # of a killed run: without a report
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    for file in (made, report[1], report[0]):
        if file.exists():
            file.rename(Path(out) / file.name)


def _files(path: Path) -> Iterator[Path]:
    yield from sorted(path.rglob("*")) if path.is_dir() else [path]


def _made(out: str) -> str:
    Path(out).mkdir(parents=True, exist_ok=True)
    return out
