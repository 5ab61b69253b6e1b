"""deploy/check_images.py: every name of the Dockerfile is found and known, planted mistakes are reported."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location

import pytest

pytest.importorskip("packaging")


@pytest.fixture(scope="module")
def subject(repository):
    spec = spec_from_file_location("check_images", repository / "deploy/check_images.py")
    module = module_from_spec(spec)
    sys.modules["check_images"] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["check_images"]


@pytest.fixture
def text(repository):
    return (repository / "Dockerfile").read_text("utf-8")


def run_main(subject, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["check_images.py", *map(str, arguments)])
    return subject.main()


def test_all_names_of_the_dockerfile_are_known(subject, monkeypatch, capsys, text):
    assert run_main(subject, monkeypatch, "--offline") == 0
    printed = capsys.readouterr().out
    assert ", 0 wrong, " in printed
    for name in ("ros:jazzy-ros-core-noble", "ros-humble-tf2-ros", "python3-colcon-common-extensions", "libnvinfer10"):
        assert name in text
        assert f" {name} " in printed


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("ros:jazzy-ros-core-noble", "ros:jazzy-core", "FROM ros:jazzy-core"),
        ("ros-jazzy-tf2-ros", "ros-jazzy-tf3-ros", "apt ros-jazzy-tf3-ros"),
        ("python3-tqdm", "python3-tkdm", "apt python3-tkdm"),
        ("rsync wget", "rsync wgett", "apt wgett"),
        ("rsync wget", "rsync python3-libnvinfer", "apt python3-libnvinfer"),  # not in Debian
        ("slim-bookworm", "slim-bookwurm", "FROM python:3.12-slim-bookwurm"),
    ],
)
def test_a_wrong_name_fails(subject, monkeypatch, capsys, tmp_path, text, old, new, named):
    (tmp_path / "Dockerfile").write_text(text.replace(old, new))
    assert run_main(subject, monkeypatch, "--offline", "--dockerfile", tmp_path / "Dockerfile") == 1
    assert [line for line in capsys.readouterr().out.splitlines() if named in line and "WRONG" in line]


def test_pip_layers_hold_what_their_files_and_lines_say(subject, repository, text):
    found = subject.stages(text)
    jetson = subject.pip_requirements(found["jetson"][1], repository)
    assert {"cuda-python==12.6.2.post1", "rosbags==0.11.9"} <= set(jetson)
    gpu = subject.pip_requirements(found["x86-tensorrt"][1], repository)
    assert "tensorrt-cu12==10.16.1.11" in gpu
    assert found["x86-tensorrt"][0] == "x86-cpu"
    assert set(subject.PLATFORMS) == {name for name, (_, body) in found.items() if "pip install" in body}


@pytest.mark.parametrize(
    ("requirement", "python", "machine", "bare"),
    [
        ("a==1", "3.10", "aarch64", "a==1"),
        ('a==1; python_version < "3.11"', "3.10", "aarch64", "a==1"),
        ('a==1; python_version < "3.11"', "3.12", "aarch64", ""),
        ('a==1; platform_machine == "x86_64"', "3.12", "aarch64", ""),
    ],
)
def test_markers_are_those_of_the_image_not_of_this_machine(subject, requirement, python, machine, bare):
    assert subject.marked(requirement, python, machine) == bare


def test_a_layer_that_pip_cannot_resolve_is_wrong_with_pip_s_own_words(subject, monkeypatch):
    words = "WARNING: something\nERROR: No matching distribution found for nosuch==1\n"
    failed = subprocess.CompletedProcess([], 1, "", words)
    monkeypatch.setattr(subject, "run", lambda command, env=None: failed)
    row = subject.resolved("jetson", ["nosuch==1"], "3.10", "aarch64")
    assert (row.result, row.note) == (subject.WRONG, "ERROR: No matching distribution found for nosuch==1")


def test_without_an_interpreter_a_build_is_skipped_with_a_clear_line(subject, monkeypatch):
    monkeypatch.setattr(subject, "find_python", lambda version: None)
    row = subject.build("jetson", [""])
    assert (row.result, row.note) == (subject.SKIPPED, "no Python 3.10: `uv python install 3.10`, or pyenv")


@pytest.mark.parametrize(
    ("stage", "calls"),
    [
        ("x86-cpu", ["--require-hashes -r tmp/vehicle.txt"]),
        ("x86-tensorrt", ["--require-hashes -r tmp/vehicle.txt", "cuda-bindings==12.9.10 nvidia-cuda-nvrtc-cu12"]),
        ("jetson", ["--require-hashes -r tmp/vehicle.txt", "cuda-python==12.6.2.post1 nvidia-ml-py"]),
        ("fleet", ["-r tmp/requirements/run.txt -r tmp/requirements/fleet.txt", "--no-deps tmp/camera_perception"]),
    ],
)
def test_a_build_runs_the_pip_calls_of_the_stage_and_of_those_below(subject, text, tmp_path, stage, calls):
    found = subject.stages(text)
    steps = subject._build_steps(tmp_path, "python3", [found[each][1] for each in subject.chain(stage, found)])
    installs = [" ".join(map(str, step)).replace(f"{tmp_path}/image/", "") for step in steps if "install" in step]
    installs = [step for step in installs if "--constraint" not in step]
    assert len(installs) == len(calls)
    assert all(f"--prefer-binary {call}" in step for step, call in zip(installs, calls)), installs
    assert not [step for step in installs if "tensorrt-cu12" in step]
    given = [word for step in steps for word in step if str(word).startswith(f"{tmp_path}/image/")]
    assert given
    assert all(os.path.exists(path) for path in given)
    assert any(subject.TRY_CUDA in step for step in steps) == (stage in ("x86-tensorrt", "jetson"))


def test_the_first_step_that_fails_is_the_result(subject):
    steps = [[sys.executable, "-c", f"import sys; print({code}); sys.exit({code})"] for code in (0, 3, 4)]
    done = subject._first_failure(steps, subject.clean_environment())
    assert (done.returncode, done.stdout) == (3, "3\n")


def test_the_verdicts_on_pip_layers_become_a_table_of_a_page_and_those_of_other_stages_stay(
    subject, monkeypatch, tmp_path
):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- images -->\n<!-- /images -->\nb\n")
    rows = [subject.Row("jetson", "pip, 11 packages", subject.OK, "resolved")]
    monkeypatch.setattr(subject, "check_pip", lambda text, names: rows)
    for stage, result in (("fleet", "WRONG"), ("jetson", "ok"), ("fleet", "ok")):
        built = subject.Row(stage, "pip layers in a clean Python", result, "done")
        monkeypatch.setattr(subject, "check_builds", lambda text, names, built=built: [built])
        run_main(subject, monkeypatch, "--build", "--stage", stage, "--page", page)
    assert page.read_text().splitlines() == [
        "a",
        "<!-- images -->",
        "| stage | what | result |",
        "| --- | --- | --- |",
        "| jetson | pip layers in a clean Python | ok: done |",
        "| fleet | pip layers in a clean Python | ok: done |",
        "<!-- /images -->",
        "b",
    ]
