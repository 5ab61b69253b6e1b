"""Shared memory of killed processes is detected by its locks and removed; that of living ones stays."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

import pytest

from camera_perception.core import shared_memory
from camera_perception.core.shared_memory import MIN_AGE, UNLOCKED_MIN_AGE, files_of, sweep

SEGMENT, PORT = "fastrtps_05a2d9d755d0593a", "fastrtps_port7411"
OF_PORT = {PORT, f"{PORT}_el", f"sem.{PORT}_mutex"}
OF_SEGMENT = {SEGMENT, f"{SEGMENT}_el"}


@pytest.fixture
def shm(tmp_path):
    """make(*names, age): a folder that stands for /dev/shm, with files so old."""

    def make(*names: str, age: float):
        for name in names:
            (tmp_path / name).touch()
            made = (tmp_path / name).stat().st_mtime - age
            os.utime(tmp_path / name, (made, made))
        return tmp_path

    return make


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_empty_folder_is_left_alone(tmp_path):
    assert sweep(tmp_path) == sweep(tmp_path / "missing") == files_of(tmp_path / "missing") == []


def test_unlocked_files_are_removed(shm):
    folder = shm(*OF_PORT, *OF_SEGMENT, "fastdds_port7412_sl", age=MIN_AGE + 1)
    assert set(sweep(folder)) == OF_PORT | OF_SEGMENT | {"fastdds_port7412_sl"}
    assert names(folder) == set()


@pytest.mark.parametrize("kind", [fcntl.LOCK_EX, fcntl.LOCK_SH], ids=["one reader", "many readers"])
def test_files_locked_by_a_living_process_stay(shm, kind):
    folder = shm(*OF_PORT, *OF_SEGMENT, age=1e6)
    with (folder / f"{PORT}_el").open("ab") as owner:
        fcntl.flock(owner, kind)
        assert set(sweep(folder)) == OF_SEGMENT
    assert set(sweep(folder)) == OF_PORT


def test_the_lock_of_a_killed_process_is_released(shm):
    folder = shm(*OF_SEGMENT, age=1e6)
    hold = f"import fcntl; f = open({str(folder / (SEGMENT + '_el'))!r}, 'ab'); fcntl.flock(f, 2); print(1); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        owner.stdout.read(1)
        assert sweep(folder) == []
        owner.kill()
    assert set(sweep(folder)) == OF_SEGMENT


def test_files_being_created_stay(shm):
    folder = shm(*OF_SEGMENT, age=0)
    shm(PORT, f"sem.{PORT}_mutex", age=UNLOCKED_MIN_AGE - 10)
    assert sweep(folder) == []


def test_files_that_never_got_a_lock_are_removed_after_a_while(shm):
    folder = shm(PORT, f"sem.{PORT}_mutex", SEGMENT, age=UNLOCKED_MIN_AGE + 1)
    assert set(sweep(folder)) == {PORT, f"sem.{PORT}_mutex", SEGMENT}


def test_other_files_stay(shm):
    others = {"sem.mine", "fastrtps_", "fastrtps_port7411_el.txt", "psm_fastrtps_port7411", "lttng-ust-wait-6"}
    assert sweep(shm(*others, age=1e6)) == []
    assert names(shm(age=0)) == others


def test_a_dry_run_removes_nothing(shm):
    folder = shm(*OF_SEGMENT, age=1e6)
    assert set(sweep(folder, remove=False)) == OF_SEGMENT == names(folder)
    assert set(files_of(folder)) == {folder / name for name in OF_SEGMENT}


def test_what_is_too_young_at_the_start_goes_soon_after(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_memory, "MIN_AGE", 0.2)
    for suffix in ("", "_el"):
        (tmp_path / f"fastrtps_0123456789abcdef{suffix}").touch()
    again = shared_memory.sweep_twice(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    again.join()
    assert not list(tmp_path.iterdir())
