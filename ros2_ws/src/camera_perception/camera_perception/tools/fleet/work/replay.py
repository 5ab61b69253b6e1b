"""The driver of a run: what is missing, the pool that does it, progress and status. Rerun to resume."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from camera_perception.core.model_spec import ModelSpec, load_spec, sha256_of
from camera_perception.engines.select import load_engine, name_of
from camera_perception.tools.fleet.store.schema import pyarrow
from camera_perception.tools.fleet.store.storage import Storage, StoreError, open_storage
from camera_perception.tools.fleet.work.embedding import add_embedding
from camera_perception.tools.fleet.work.local_pool import Outcome, run_local
from camera_perception.tools.fleet.work.perform import DONE, mark_done
from camera_perception.tools.fleet.work.units import Job, Unit, code_version, find_recordings, units_of

RUN, STATUS, MODEL = "run.json", "status.json", "model"
STATUS_PERIOD = 2.0  # seconds
MODEL_FILES = ("model.json", "reference.npz", "profile.json", "MODEL_CARD.md")


@dataclass(frozen=True)
class Settings:
    """How a run is done; none of it changes the results, but for slices: tracks begin anew in each.

    ray          None: worker processes; else local, auto or the address of a cluster
    deadline     seconds after which a unit counts as hanging
    slice_mb     recordings larger than this are cut into several units; 0: never
    retry_failed do units again that failed before
    """

    workers: int = 1
    ray: str | None = None
    deadline: float = 3600.0
    slice_mb: int = 0
    retry_failed: bool = False


@dataclass
class Summary:
    """What a run did. `left` units were not done, for the reasons in `errors`: run again."""

    total: int = 0
    before: int = 0
    done: int = 0
    failed: int = 0
    left: int = 0
    frames: int = 0
    seconds: float = 0.0
    errors: tuple[str, ...] = ()


def replay_fleet(
    sources: Sequence[str], model: Path, out: str, job: Job, settings: Settings, progress: bool = True
) -> Summary:
    """Do all units that have no done marker yet.

    job  model, engine ("auto" is resolved) and code are filled in here
    """
    pyarrow()
    storage = open_storage(out)
    recordings = find_recordings(sources)
    job = open_run(storage, model, job)
    units = units_of(recordings, job.run_id, settings.slice_mb << 20)
    if settings.retry_failed:
        forget_failed(storage)
    done = done_keys(storage)
    missing = [unit for unit in units if unit.key not in done]
    summary = Summary(total=len(units), before=len(units) - len(missing))
    if missing:
        _drive(missing, job, out, settings, storage, summary, progress)
    write_status(storage, summary, "finished")
    return summary


def _drive(
    missing: list[Unit], job: Job, out: str, settings: Settings, storage: Storage, summary: Summary, progress: bool
) -> None:
    workers = min(settings.workers, len(missing))
    started, last, errors = time.monotonic(), 0.0, list[str]()
    with tqdm(total=summary.total, initial=summary.before, unit="unit", disable=None if progress else True) as bar:

        def skipped() -> None:  # by another driver, meanwhile
            summary.before += 1
            bar.update()

        for outcome in outcomes(_still_missing(missing, storage, skipped), job, out, workers, settings):
            note(outcome, storage, summary, errors)
            bar.update(outcome.row is not None)
            summary.seconds = time.monotonic() - started
            bar.set_postfix_str(f"{summary.frames / summary.seconds:.1f} images/s, {summary.failed} failed")
            if time.monotonic() - last > STATUS_PERIOD:
                last = time.monotonic()
                write_status(storage, summary, "running")
    summary.left = summary.total - summary.before - summary.done - summary.failed
    summary.errors = tuple(dict.fromkeys(errors))


def outcomes(units: Iterator[Unit], job: Job, out: str, workers: int, settings: Settings) -> Iterator[Outcome]:
    """What becomes of the units, in Ray or in worker processes."""
    if settings.ray is None:
        return run_local(units, job, out, workers, settings.deadline)
    from camera_perception.tools.fleet.work.ray_pool import run_ray

    return run_ray(units, job, out, workers, settings.deadline, settings.ray)


def _still_missing(units: list[Unit], storage: Storage, skipped: Callable[[], None]) -> Iterator[Unit]:
    """The units that nobody has done when their turn comes."""
    for unit in units:
        if storage.exists(f"{DONE}/{unit.key}.json"):
            skipped()
        else:
            yield unit


def note(outcome: Outcome, storage: Storage, summary: Summary, errors: list[str]) -> None:
    """Count an outcome; the row of a unit whose worker was lost is written here."""
    row = outcome.row
    if row is None:
        errors.append(f"{outcome.unit.recording.address}: {outcome.error}")
        return
    if outcome.error:
        mark_done(storage, row)
    summary.done += row["status"] == "ok"
    summary.failed += row["status"] != "ok"
    summary.frames += int(row["frames"])


# The run


def open_run(storage: Storage, model: Path, job: Job) -> Job:
    """The complete job of a run, new or to be continued; StoreError when the store holds another run.

    The model is copied into the store, where workers read it: a folder that changes meanwhile does no harm.
    """
    spec = load_spec(model)
    asked = replace(job, model=model_hash(spec), code=code_version())
    if not storage.exists(RUN):
        pinned = replace(asked, engine=pinned_engine(spec, job))
        _copy_model(storage, spec, pinned.embedding)
        if load_spec(model).onnx_sha256 != spec.onnx_sha256 or model_hash(spec) != asked.model:
            raise StoreError(f"{model} changed while it was copied: run again when it is complete")
        data = {"run": pinned.run_id, "asked_engine": job.engine, "job": asdict(pinned), "created": time.time()}
        data |= {"model": {"name": spec.name, "version": spec.version, "classes": list(spec.classes)}}
        storage.create(RUN, json.dumps(data, indent=1).encode())
    run = read_run(storage)
    recorded = Job(**run["job"])
    asked = replace(asked, engine=recorded.engine if job.engine in ("auto", run["asked_engine"]) else job.engine)
    if asked != recorded:
        differing = [name for name, value in asdict(asked).items() if value != asdict(recorded)[name]]
        held = f"run {run['run']} of {run['model']['name']} {run['model']['version']}"
        raise StoreError(f"{storage.address} holds {held} with another {', '.join(differing)}: give another --out")
    return recorded


def read_run(storage: Storage) -> dict[str, Any]:
    """run.json of a store."""
    if not storage.exists(RUN):
        raise StoreError(f"{storage.address} holds no run: give the --out of `camera-perception fleet replay`")
    data: dict[str, Any] = json.loads(storage.read(RUN))
    return data


def model_hash(spec: ModelSpec) -> str:
    """Hash over model.json and the ONNX file."""
    return sha256_of(spec.folder / "model.json")[:8] + sha256_of(spec.onnx_path)[:8]


def pinned_engine(spec: ModelSpec, job: Job) -> str:
    """backend:precision, chosen once for the whole run."""
    if job.engine != "auto":
        return job.engine
    engine = load_engine(spec, "auto", threads=job.threads)
    try:
        return name_of(engine.info)
    finally:
        engine.close()


def _copy_model(storage: Storage, spec: ModelSpec, embedding: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = spec.folder
        if embedding:
            source = Path(folder) / "model"
            add_embedding(spec, source)
        for name in (spec.onnx_file, *MODEL_FILES):
            if (source / name).is_file():
                storage.write(f"{MODEL}/{name}", (source / name).read_bytes())


# Markers and status


def done_keys(storage: Storage) -> set[str]:
    """Keys of the units that are done, whether they succeeded or not: one listing."""
    return {name.removesuffix(".json") for name in storage.names(DONE)}


def forget_failed(storage: Storage) -> None:
    """Remove the markers of units that failed."""
    for name in storage.names(DONE):
        if json.loads(storage.read(f"{DONE}/{name}"))["status"] != "ok":
            storage.remove(f"{DONE}/{name}")


def write_status(storage: Storage, summary: Summary, state: str) -> None:
    """status.json, for `fleet status`."""
    rate = summary.done / summary.seconds if summary.seconds else 0.0
    left = summary.total - summary.before - summary.done - summary.failed
    data = {"state": state, "updated": time.time(), "host": socket.gethostname(), "pid": os.getpid()}
    data |= {"units_per_second": rate, "eta_seconds": left / rate if rate else None, **asdict(summary)}
    storage.write(STATUS, json.dumps(data, indent=1).encode())
