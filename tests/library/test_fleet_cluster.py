"""The data engine on Ray and on an object store, and killed at random."""

from __future__ import annotations

import faulthandler
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import jsonschema
import pytest
import typer
import yaml

pytest.importorskip("pyarrow", reason="needs pyarrow: make setup-fleet")
pytest.importorskip("duckdb", reason="needs duckdb: make setup-fleet")

from fleet_drives import write_drives
from test_fleet import JOB, TABLES, rows, start_driver
from tiny_models import write_tiny_model
from typer.testing import CliRunner

from camera_perception.core.errors import PerceptionError
from camera_perception.tools.cli.app import app
from camera_perception.tools.fleet.mining.mine import check_anonymized
from camera_perception.tools.fleet.serve import page
from camera_perception.tools.fleet.store.query import compact, query
from camera_perception.tools.fleet.store.storage import Storage, StoreError, open_storage
from camera_perception.tools.fleet.work.replay import Settings, replay_fleet


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def drives(tmp_path_factory):
    return write_drives(tmp_path_factory.mktemp("drives"), 3, broken=1)


def contents(address):
    storage = address if isinstance(address, Storage) else open_storage(str(address))
    return {table: rows(storage, table) for table in TABLES}


@pytest.fixture(scope="module")
def undisturbed(model, drives, tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "run"
    replay_fleet([str(drives)], model, str(out), JOB, Settings(), progress=False)
    return contents(out)


def test_ray_writes_what_worker_processes_write(undisturbed, model, drives, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="needs ray: make setup-fleet")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    settings = Settings(workers=1, ray="local", deadline=200)
    try:
        summary = replay_fleet([str(drives)], model, str(tmp_path / "run"), JOB, settings, progress=False)
    except StoreError as error:
        pytest.skip(f"Ray does not start here: {error}")  # it gives its own processes 15 s, too short under load
    assert (summary.done, summary.failed, summary.left) == (3, 1, 0)
    assert contents(tmp_path / "run") == undisturbed


@pytest.fixture(scope="module")
def bucket():
    """Address of a bucket in an S3 server on loopback."""
    pytest.importorskip("s3fs", reason="needs s3fs: make setup-fleet")
    pytest.importorskip("moto.server", reason="needs moto[s3,server]: make setup-fleet")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/moto-api/")
        with pytest.MonkeyPatch.context() as patch:
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                patch.setenv(name, "test")
            patch.setenv("AWS_ENDPOINT_URL", address)
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            import s3fs

            s3fs.S3FileSystem().mkdir("fleet")
            yield "s3://fleet"
    finally:
        server.kill()
        server.wait()


def _wait_for(address):
    stop = time.monotonic() + 120
    while time.monotonic() < stop:
        try:
            urlopen(address, timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError(address)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A small recording as one file, as it lies in an object store."""
    import cv2
    import numpy as np

    path = tmp_path_factory.mktemp("film") / "drive ä 1.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 96))
    for number in range(6):
        image = np.full((96, 160, 3), 40, np.uint8)
        image[30:60, 20 + 8 * number : 60 + 8 * number] = 230
        video.write(image)
    video.release()
    return path


def test_an_object_store_holds_what_a_folder_holds(bucket, film, model, tmp_path):
    import s3fs

    s3fs.S3FileSystem().put(str(film), f"{bucket}/drives/{film.name}")
    s3fs.S3FileSystem().pipe(f"{bucket}/drives/broken.mcap", b"no recording")
    out = f"{bucket}/runs/a"
    summary = replay_fleet([f"{bucket}/drives"], model, out, JOB, Settings(), progress=False)
    assert (summary.done, summary.failed, summary.left) == (1, 1, 0)
    again = replay_fleet([f"{bucket}/drives/*"], model, out, JOB, Settings(), progress=False)
    assert (again.before, again.done) == (2, 0)
    replay_fleet([str(film)], model, str(tmp_path / "run"), JOB, Settings(), progress=False)
    sql = "select frame, class_name, score, x0, y0, x1, y1, reported from objects order by all"
    expected = query(open_storage(tmp_path / "run"), sql)
    assert query(open_storage(out), sql) == expected
    assert len(expected[1]) > 5
    assert compact(open_storage(out))[1] == 5
    assert query(open_storage(out), sql) == expected
    with pytest.raises(PerceptionError, match="another min_score"):
        replay_fleet([f"{bucket}/drives"], model, out, replace(JOB, min_score=0.5), Settings(), progress=False)


def test_every_command_runs_on_an_object_store(bucket, film, model, tmp_path):
    import s3fs

    s3fs.S3FileSystem().put(str(film), f"{bucket}/site/{film.name}")
    drives, run, hard = f"{bucket}/covered/*.mp4", f"{bucket}/runs/b", tmp_path / "hard"
    network = ["--model", str(model), "--engine", "onnxruntime"]
    commands = [
        ["anonymize", f"{bucket}/site/*.avi", "--out", f"{bucket}/covered", *network],
        ["replay", drives, "--out", run, *network],
        ["status", run],
        ["compact", run],
        ["query", run, "select count(*) images from frames"],
        ["compare", run, run, "--out", str(tmp_path / "page")],
        ["mine", run, "--count", "3", "--gap", "0.2s", "--require-anonymized", "--out", str(hard)],
    ]
    for words in commands:
        done = CliRunner().invoke(app, ["fleet", *words])
        assert done.exit_code == 0, (words, done.output)
    assert len(list((hard / "images").iterdir())) == 3
    assert (tmp_path / "page/index.html").is_file()
    assert run in page(open_storage(run))
    with pytest.raises(PerceptionError, match="fleet anonymize"):
        check_anonymized({f"{bucket}/site/{film.name}"})


def test_an_object_store_that_fails_is_asked_again(bucket, monkeypatch):
    import botocore.exceptions as botocore_exceptions

    storage = open_storage(f"{bucket}/shaky")
    monkeypatch.setattr("camera_perception.tools.fleet.store.storage.FIRST_PAUSE", 0.001)
    silent = botocore_exceptions.ReadTimeoutError(endpoint_url="s3")  # of a store that does not answer in time
    answers = [OSError("500"), OSError("slow down"), silent, None]

    def shaky(path, data):
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr(storage.fs, "pipe_file", shaky)
    storage.write("x", b"1")
    assert answers == []
    answers += [OSError("500")] * 5
    with pytest.raises(StoreError, match="failed 5 times"):
        storage.write("x", b"1")


def test_a_download_that_ends_early_is_no_recording(bucket, tmp_path, monkeypatch):
    storage = open_storage(f"{bucket}/half")
    storage.write("drive.mcap", b"0123456789")
    monkeypatch.setattr(storage.fs, "get", lambda source, target, recursive: open(target, "wb").write(b"01234"))
    with pytest.raises(StoreError, match="got 5 of 10 bytes"):
        storage.fetch("drive.mcap", tmp_path)


DRIVES = int(os.environ.get("FLEET_KILL_DRIVES", "5"))  # more of them: more kills
LONG = pytest.mark.skipif("FLEET_KILL_DRIVES" not in os.environ, reason="takes minutes: give FLEET_KILL_DRIVES=12")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("pool", [(), pytest.param(("--ray", "local"), marks=LONG)], ids=["processes", "ray"])
def test_killed_at_random_nothing_is_lost_and_nothing_counts_twice(model, tmp_path, pool):
    faulthandler.cancel_dump_traceback_later()  # it would end pytest after six minutes; the timeout above holds
    drives, out, calm, chance, kills = tmp_path / "drives", tmp_path / "run", tmp_path / "calm", random.Random(0), 0
    drives.mkdir()
    write_drives(drives, DRIVES, broken=1)
    while len(list(out.glob("done/*.json"))) <= DRIVES:
        goal = len(list(out.glob("done/*.json"))) + chance.randint(0, 3)
        driver = start_driver(drives, model, out, "--workers", "2", *pool)
        while driver.poll() is None and len(list(out.glob("done/*.json"))) < goal:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.3))
        if chance.random() < 0.5:  # its workers first, or any part of Ray: raylet, GCS server, actor
            below = descendants(driver.pid)
            kills += sum(map(kill, chance.sample(below, min(len(below), 1)) if pool else below))
            time.sleep(chance.uniform(0, 1))
        kills += kill(driver.pid)
        driver.wait()
        if (out / "run.json").exists() and chance.random() < 0.3:
            compact(open_storage(out))
    assert kills > 0
    # A unit whose worker was killed twice counts as failed until it is asked for again.
    assert start_driver(drives, model, out, "--retry-failed").wait(250) == 0
    replay_fleet([str(drives)], model, str(calm), JOB, Settings(), progress=False)
    assert contents(out) == contents(calm)


def children_of(pid):
    try:
        return [int(each) for each in open(f"/proc/{pid}/task/{pid}/children").read().split()]
    except OSError:
        return []


def descendants(pid):
    children = children_of(pid)
    return children + [each for child in children for each in descendants(child)]


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def test_the_cluster_file_fits_rays_schema(repository):
    ray = pytest.importorskip("ray", reason="needs ray: make setup-fleet")
    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    config = yaml.safe_load((repository / "docs/fleet/cluster.yaml").read_text())
    jsonschema.validate(config, schema)
    nodes = config["available_node_types"]
    assert nodes[config["head_node_type"]]["resources"]["CPU"] == 0
    assert sum(node.get("max_workers", 0) for node in nodes.values()) <= config["max_workers"]


def test_the_ray_job_asks_for_what_its_workers_have(repository):
    job = yaml.safe_load((repository / "docs/fleet/rayjob.yaml").read_text())
    cluster, pins = job["spec"]["rayClusterSpec"], (repository / "requirements/fleet.txt").read_text()
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert f"ray[default]=={cluster['rayVersion']}" in pins
    words = shlex.split(job["spec"]["entrypoint"])
    workers, threads = (int(words[words.index(option) + 1]) for option in ("--workers", "--threads"))
    group = cluster["workerGroupSpecs"][0]
    cores = int(group["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])
    assert workers * threads <= group["replicas"] * cores
    command = typer.main.get_command(app).commands["fleet"].commands["replay"]
    known = {option for each in command.params for option in each.opts}
    assert {word for word in words if word.startswith("--")} <= known


CRD = os.environ.get("KUBERAY_CRD", "")  # ray-operator/config/crd/bases/ray.io_rayjobs.yaml of ray-project/kuberay


@pytest.mark.skipif(not CRD, reason="needs KUBERAY_CRD=ray.io_rayjobs.yaml, from github.com/ray-project/kuberay")
def test_the_ray_job_fits_kuberays_schema(repository):
    versions = yaml.load(Path(CRD).read_text("utf-8"), yaml.CSafeLoader)["spec"]["versions"]
    schema = closed(next(each for each in versions if each["name"] == "v1")["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}  # any, which Kubernetes itself knows
    jsonschema.validate(yaml.safe_load((repository / "docs/fleet/rayjob.yaml").read_text()), schema)


def closed(schema):
    """A schema of Kubernetes in which unknown keys are errors, and that plain JSON Schema understands."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    out = {name: closed(value) for name, value in schema.items()}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        out.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        out.pop("type", None)
    return out
