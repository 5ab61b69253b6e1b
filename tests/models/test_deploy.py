"""Files for vehicles, continuous integration and documentation name what exists."""

from __future__ import annotations

import configparser
import re
import runpy
import shutil
import subprocess

import pytest
import yaml

from camera_perception.geometry.rig import read_rig


@pytest.fixture(scope="module")
def compose(repository):
    return yaml.safe_load((repository / "deploy/compose.yaml").read_text())


def test_the_containers_share_memory_and_network(compose):
    for service in compose["services"].values():
        assert (service["network_mode"], service["ipc"], service["restart"]) == ("host", "host", "unless-stopped")


def test_the_containers_start_what_exists(compose, repository):
    command = compose["services"]["perception"]["command"]
    assert (repository / "launch/launch" / command[3]).is_file()
    assert (repository / "perception_models/zoo/demo").is_dir()
    dockerfile = (repository / "Dockerfile").read_text()
    assert "COPY perception_models/zoo /opt/models" in dockerfile
    assert "/home/perception" in dockerfile


def test_the_rig_of_the_two_cameras_is_one(repository):
    assert [camera.name for camera in read_rig(repository / "deploy/rig.yaml")] == ["front", "left"]


def test_the_unit_is_complete_and_starts_what_exists(repository):
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(repository / "deploy/camera-perception.service")
    assert {"Unit", "Service", "Install"} <= set(unit.sections())
    start = unit["Service"]["ExecStart"]
    launched = re.search(r"\S+\.launch\.py", start.replace("\\\n", " "))
    assert launched
    assert (repository / "launch/launch" / launched[0]).is_file()
    assert (repository / "ros2_ws/env.sh").is_file()
    assert unit["Service"]["Restart"] == "on-failure"
    assert unit["Service"]["KillSignal"] == "SIGINT"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_systemd_accepts_the_unit(repository):
    command = ["systemd-analyze", "verify", "--man=no", repository / "deploy/camera-perception.service"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Unknown" not in done.stderr


def test_the_workflow_calls_the_checks_of_this_repository(repository):
    workflow = yaml.safe_load((repository / ".github/workflows/ci.yml").read_text())
    runs = [step["run"] for step in workflow["jobs"]["checks"]["steps"] if "run" in step]
    assert ".ci/run" in runs
    assert (repository / ".ci/run").stat().st_mode & 0o111
    assert "make docs" in runs
    assert re.search(r"^docs:", (repository / "Makefile").read_text(), re.MULTILINE)


def test_the_message_reference_has_every_message(repository):
    hook = runpy.run_path(str(repository / "docs/reference/pages.py"))
    page = hook["on_page_markdown"]((repository / "docs/reference/messages.md").read_text())
    names = [path.stem for path in (repository / "ros2_ws/src/camera_perception_msgs").glob("???/*.???")]
    assert {"PerceptionFrame", "FusedPerception", "LoadModel"} <= set(names)
    assert all(f"## {name}\n" in page for name in names)
    assert hook["on_page_markdown"]("other page") == "other page"


def test_every_page_is_in_the_navigation(repository):
    site = yaml.safe_load((repository / "mkdocs.yml").read_text())
    listed = re.findall(r"[\w/]+\.md", yaml.safe_dump(site["nav"]))
    assert sorted(listed) == sorted(
        str(p.relative_to(repository / "docs")) for p in (repository / "docs").rglob("*.md")
    )


def test_the_named_places_of_the_python_reference_exist(repository):
    from importlib import import_module

    for name in re.findall(r"^::: (\S+)$", (repository / "docs/reference/python.md").read_text(), re.MULTILINE):
        try:
            import_module(name)
        except ImportError:
            module, _, attribute = name.rpartition(".")
            assert hasattr(import_module(module), attribute), name
