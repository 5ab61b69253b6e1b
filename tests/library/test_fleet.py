"""The data engine on local folders: units, resuming, broken recordings, queries, compaction."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs pyarrow: make setup-fleet")
pytest.importorskip("duckdb", reason="needs duckdb: make setup-fleet")

from fleet_drives import write_drive, write_drives
from tiny_models import write_tiny_model
from typer.testing import CliRunner

from camera_perception.core.errors import PerceptionError
from camera_perception.tools.cli.app import app
from camera_perception.tools.fleet.status import status_text
from camera_perception.tools.fleet.store.query import compact, connect, query
from camera_perception.tools.fleet.store.schema import TABLES
from camera_perception.tools.fleet.store.storage import open_storage
from camera_perception.tools.fleet.work.perform import Performer, failure, mark_done, part_of
from camera_perception.tools.fleet.work.replay import Settings, done_keys, forget_failed, open_run, replay_fleet
from camera_perception.tools.fleet.work.units import Job, find_recordings, units_of

JOB = Job("", "onnxruntime")
# What differs between two runs of the same work: times, and the machine.
MEASURED = ("wall_seconds", "cpu_seconds", "host", "warnings")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def drives(tmp_path_factory):
    return write_drives(tmp_path_factory.mktemp("all drives"), 3, broken=1)


@pytest.fixture(scope="module")
def finished(model, drives, tmp_path_factory):
    """A store after a whole run."""
    out = tmp_path_factory.mktemp("store") / "run"
    summary = replay_fleet([str(drives)], model, str(out), JOB, Settings(), progress=False)
    assert (summary.total, summary.done, summary.failed, summary.left) == (4, 3, 1, 0)
    return open_storage(out)


def rows(storage, table):
    """All rows of a table without what is measured, in a fixed order."""
    connection = connect(storage)
    names = [name for name in TABLES[table] if name not in MEASURED]
    found = connection.execute(f"select {', '.join(names)} from {table}").fetchall()
    return sorted(found, key=str)


def test_every_image_and_object_is_in_the_store(finished):
    _, found = query(finished, "select recording, count(*), sum(objects) from frames group by 1 order by 1")
    assert [row[1] for row in found] == [6, 6, 6]
    _, cars = query(finished, "select count(*), min(score), max(x1 - x0) from objects where class_name = 'car'")
    assert cars[0][0] >= 12
    _, vectors = query(finished, "select distinct len(embedding) from frames")
    assert vectors == [(192,)]


def test_a_broken_recording_is_a_row_with_its_reason(finished):
    _, found = query(finished, "select recording, reason, frames from runs where status = 'failed'")
    assert [(row[0].endswith("broken_0.mcap"), row[2]) for row in found] == [(True, 0)]
    assert "no complete message" in found[0][1]
    text = status_text(finished)
    assert "3 units ok, 1 failed, 18 images" in text
    assert text.splitlines()[-1] == f"failed: {found[0][0]}: {found[0][1]}"


def test_a_worker_keeps_to_its_threads(finished):
    cv2.setNumThreads(3)
    Performer(replace(JOB, threads=1), finished.address).close()
    assert cv2.getNumThreads() == 1


def test_a_finished_run_does_nothing_again(finished, model, drives, monkeypatch):
    monkeypatch.setattr("camera_perception.tools.fleet.work.replay.run_local", None)
    summary = replay_fleet([str(drives)], model, finished.address, JOB, Settings(), progress=False)
    assert (summary.before, summary.done) == (4, 0)


def test_only_what_is_missing_is_done(finished, model, drives, tmp_path):
    out = str(tmp_path / "run")
    one = str(drives / "drive 1 ä")
    assert replay_fleet([one], model, out, JOB, Settings(), progress=False).done == 1
    (tmp_path / "run/objects/half.parquet").write_bytes(b"PAR1 half written")  # by a killed worker: no marker
    summary = replay_fleet([str(drives)], model, out, JOB, Settings(workers=2), progress=False)
    assert (summary.before, summary.done, summary.failed) == (1, 2, 1)
    storage = open_storage(out)
    assert {table: rows(storage, table) for table in TABLES} == {table: rows(finished, table) for table in TABLES}


@pytest.mark.parametrize(
    "change", [{"min_score": 0.3}, {"embedding": False}, {"camera": "front"}, {"engine": "openvino"}]
)
def test_a_store_holds_one_run(finished, model, change):
    with pytest.raises(PerceptionError, match=f"another {next(iter(change))}: give another --out"):
        open_run(finished, model, replace(JOB, **change))


def test_a_changed_model_is_another_run(finished, tmp_path):
    changed = write_tiny_model(tmp_path / "model")
    data = json.loads((changed / "model.json").read_text())
    (changed / "model.json").write_text(json.dumps({**data, "version": "9"}))
    with pytest.raises(PerceptionError, match="another model"):
        open_run(finished, changed, JOB)


def test_a_model_that_changes_meanwhile_does_no_harm(model, drives, tmp_path):
    copy = write_tiny_model(tmp_path / "model")
    storage = open_storage(tmp_path / "run")
    job = open_run(storage, copy, JOB)
    (copy / "model.onnx").write_bytes(b"half a file")
    performer = Performer(job, storage.address)
    unit = units_of(find_recordings([str(drives / "drive 0 ä")]), job.run_id)[0]
    assert performer.perform(unit)["status"] == "ok"
    performer.close()


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_parts_of_a_recording_are_whole_and_do_not_overlap(parts):
    numbers = [
        n for part in range(parts) for n in range(20) if part_of(20, part, parts)[0] <= n < part_of(20, part, parts)[1]
    ]
    assert numbers == list(range(20))
    assert part_of(0, 1, 2) == (0, 0)


def test_a_recording_in_parts_has_every_frame_once(model, tmp_path):
    drive = write_drive(tmp_path / "long", 5, 20)
    recording = find_recordings([str(drive)])[0]
    storage = open_storage(tmp_path / "run")
    job = open_run(storage, model, JOB)
    performer = Performer(job, storage.address)
    for unit in units_of([recording], job.run_id, slice_bytes=recording.size // 3):
        performer.perform(unit)
    performer.close()
    assert query(storage, "select count(*), count(distinct frame), max(frame) from frames")[1] == [(20, 20, 19)]


def test_equal_recordings_count_once(tmp_path):
    for name in ("a", "b"):
        write_drive(tmp_path / "drives" / name, 1)
    recordings = find_recordings([str(tmp_path / "drives"), str(tmp_path / "drives/*")])
    assert len(recordings) == 4
    assert len(units_of(recordings, "run")) == 1


def test_compaction_changes_files_and_no_row(model, drives, tmp_path):
    storage = open_storage(tmp_path / "run")
    replay_fleet([str(drives / "drive 0 ä")], model, storage.address, JOB, Settings(), progress=False)
    compact(storage)
    replay_fleet([str(drives)], model, storage.address, JOB, Settings(), progress=False)
    before = {table: rows(storage, table) for table in TABLES}
    assert compact(storage)[1] == 5
    assert compact(storage) == (5, 5)
    assert {table: rows(storage, table) for table in TABLES} == before
    assert list((tmp_path / "run/objects").iterdir()) == []
    assert replay_fleet([str(drives)], model, storage.address, JOB, Settings(), progress=False).before == 4


def test_a_unit_that_failed_before_a_compaction_can_be_done_again(model, drives, tmp_path):
    storage = open_storage(tmp_path / "run")
    job = open_run(storage, model, JOB)
    units = units_of(find_recordings([str(drives / "drive 0 ä"), str(drives / "drive 1 ä")]), job.run_id)
    performer = Performer(job, storage.address)
    performer.perform(units[0])
    mark_done(storage, {**units[1].row, **failure("the worker died")})
    compact(storage)
    forget_failed(storage)
    performer.perform(units[1])
    performer.close()
    assert query(storage, "select status, count(*) from runs group by 1")[1] == [("ok", 2)]
    assert query(storage, "select count(*) from frames")[1] == [(12,)]


def test_an_interrupted_compaction_changes_nothing(finished, model, drives, tmp_path, monkeypatch):
    storage = open_storage(tmp_path / "run")
    replay_fleet([str(drives)], model, storage.address, JOB, Settings(), progress=False)
    before = {table: rows(storage, table) for table in TABLES}
    for name in ("write", "remove"):
        with monkeypatch.context() as patch:
            patch.setattr(storage, name, _fails_after(getattr(storage, name), 3))
            with pytest.raises(KeyboardInterrupt):
                compact(storage)
        assert {table: rows(storage, table) for table in TABLES} == before
    storage.write("frames/more.part", b"")


def _fails_after(function, calls):
    count = [0]

    def limited(*args):
        count[0] += 1
        if count[0] > calls:
            raise KeyboardInterrupt
        return function(*args)

    return limited


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay", "nothing/*.mcap", "--out", "x"], "no recording"),
        (["query", "nowhere", "select 1"], "holds no run"),
        (["status", "nowhere"], "holds no run"),
        (["compact", "nowhere"], "holds no run"),
    ],
)
def test_errors_say_what_to_do(arguments, words, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["fleet", *arguments])
    assert done.exit_code == 2
    assert words in done.output
    assert len(done.output) < 500


def test_wrong_sql_names_the_tables(finished):
    with pytest.raises(PerceptionError, match="tables: frames, objects"):
        query(finished, "select x from nothing")


HANG = """
import sys, time
from camera_perception.tools.fleet.work import perform
was = perform.Performer.perform
def perform_or_hang(self, unit):
    name = unit.recording.address.rpartition("/")[2]
    if "hang" in name: time.sleep(1000)
    if "kill" in name: import os, signal; os.kill(os.getpid(), signal.SIGKILL)
    return was(self, unit)
perform.Performer.perform = perform_or_hang
"""


def test_a_unit_that_hangs_or_kills_its_worker_becomes_a_row(model, tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(HANG)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{os.pathsep.join(filter(None, sys.path))}")
    for number, name in enumerate(("fine", "hang", "kill")):
        write_drive(tmp_path / "drives" / name, number, 3)
    out = str(tmp_path / "run")
    summary = replay_fleet([str(tmp_path / "drives")], model, out, JOB, Settings(deadline=10), progress=False)
    assert (summary.done, summary.failed, summary.left) == (1, 2, 0)
    reasons = dict(query(open_storage(out), "select parse_filename(recording), reason from runs where reason != ''")[1])
    assert reasons["hang"].startswith("no result within 10 s")
    assert reasons["kill"].startswith("the worker died (exit code -9)")


def test_a_full_disk_leaves_the_unit_to_be_done_again(model, drives, tmp_path):
    storage = open_storage(tmp_path / "run")
    job = open_run(storage, model, JOB)
    (tmp_path / "run/objects").write_text("in the way")  # nothing can be written there
    performer = Performer(job, storage.address)
    unit = units_of(find_recordings([str(drives / "drive 0 ä")]), job.run_id)[0]
    with pytest.raises(PerceptionError, match="free the disk, then run again"):
        performer.perform(unit)
    assert done_keys(storage) == set()
    (tmp_path / "run/objects").unlink()
    assert performer.perform(unit)["status"] == "ok"
    performer.close()


def start_driver(drives, model, out, *more):
    code = "from camera_perception.tools.cli.app import app; app()"
    words = ["fleet", "replay", str(drives), "--model", str(model), "--out", str(out), "-e", "onnxruntime", *more]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_two_drivers_and_a_killed_one_give_the_same_store(finished, model, drives, tmp_path):
    out = tmp_path / "run"
    first = start_driver(drives, model, out)
    while first.poll() is None and not list(out.glob("done/*.json")):
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)  # its worker ends by itself
    first.wait()
    pair = [start_driver(drives, model, out), start_driver(drives, model, out)]
    assert [each.wait(250) for each in pair] == [0, 0]
    storage = open_storage(out)
    assert {table: rows(storage, table) for table in TABLES} == {table: rows(finished, table) for table in TABLES}


def test_recordings_are_found_in_natural_order(tmp_path):
    for number in (1, 2, 10):
        picture = tmp_path / f"drives/drive_{number}/000.png"
        picture.parent.mkdir(parents=True)
        cv2.imwrite(str(picture), np.zeros((4, 4, 3), np.uint8))
    wanted = ["drive_1", "drive_2", "drive_10"]
    for source in ("drives", "drives/*"):
        assert [Path(each.address).name for each in find_recordings([str(tmp_path / source)])] == wanted
