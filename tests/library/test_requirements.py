"""The locked sets pin what the requirement files name, every file by hash, without names of package sources."""

from __future__ import annotations

import re

import pytest

PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", re.M)


def pins(text: str) -> set[tuple[str, str]]:
    return {(re.sub(r"[-_.]+", "-", name.lower()), version) for name, version in PIN.findall(text)}


@pytest.mark.parametrize("name", ["run.txt", "vehicle.txt"])
def test_the_locked_set_is_that_of_the_requirements(repository, name):
    wanted = pins((repository / "requirements" / name).read_text())
    locked = (repository / "requirements/locked" / name).read_text()
    assert wanted
    assert wanted - pins(locked) == set(), "run `make lock`"


@pytest.mark.parametrize("name", ["run.txt", "vehicle.txt"])
def test_every_locked_package_has_hashes_and_no_source(repository, name):
    text = (repository / "requirements/locked" / name).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all(PIN.match(entry) and "--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert not re.search(r"^-", text, re.M)


def test_vehicle_images_and_the_setup_install_by_hash(repository):
    docker = (repository / "Dockerfile").read_text()
    assert docker.count("COPY requirements/locked/vehicle.txt /tmp/vehicle.txt") == 2
    assert docker.count("pip install --no-cache-dir --require-hashes -r /tmp/vehicle.txt") == 2
    assert "-r /tmp/vehicle.txt" not in docker.replace("--require-hashes -r /tmp/vehicle.txt", "")
    assert "$(PIP) --require-hashes -r $<" in (repository / "Makefile").read_text()


@pytest.mark.parametrize("file", ["ros2_ws/entrypoint.sh", "ros2_ws/env.sh", "deploy/compose.yaml"])
def test_containers_and_shells_talk_to_this_machine_unless_told_otherwise(repository, file):
    assert "${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}" in (repository / file).read_text()
