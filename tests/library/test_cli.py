"""The command line: fast help, clear errors, correct exit codes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import numpy as np
import pytest
from tiny_models import reference_outputs, tiny_graph, tiny_images, tiny_json, write_folder
from typer.main import get_command
from typer.testing import CliRunner

from camera_perception import core
from camera_perception.core.text_table import text_table
from camera_perception.engines.reference import write_reference
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import IMAGE
from camera_perception.tools import doctor
from camera_perception.tools.cli.app import app
from camera_perception.tools.doctor import ERROR, OK, WARN, Diagnostic


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from camera_perception.tools.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "names = {'numpy', 'cv2', 'onnxruntime', 'openvino', 'matplotlib', 'jinja2', 'rosbags', 'scipy'}\n"
        "heavy = names & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.returncode == 0, done.stderr
    for command in (
        "replay",
        "inspect-onnx",
        "check-model",
        "doctor",
        "repair-bag",
        "anonymize",
        "live",
        "profile",
        "calibrate",
        "bench",
    ):
        assert command in done.stdout


def commands(command, words=()):
    """The words of a command and of all below it."""
    yield words
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*words, name))


def test_no_word_of_the_help_is_cut_off_in_a_narrow_terminal():
    for words in commands(get_command(app)):
        output = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}).output
        assert "Usage" in output
        assert "…" not in output, words


def test_help_explains_arguments_too():
    """Not every version of click does so with every version of typer: both are pinned."""
    result = run("replay", "--help")
    assert "A rosbag2 recording, a video" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["check-model", "/absent"], "model folder /absent does not exist"),
        (["repair-bag", "/absent"], "/absent does not exist"),
        (["replay", "/absent", "-m", "x", "-o", "y"], "/absent does not exist"),
        (["replay", "/absent", "-m", "x", "-o", "y", "--compare", "/gone"], "/gone does not exist"),
        (["live", "/absent", "-m", "x"], "model folder x does not exist"),
        (["live", "/absent"], "/absent does not exist"),
        (["inspect-onnx", "/absent.onnx"], "/absent.onnx does not exist"),
    ],
)
def test_errors_are_one_sentence_and_exit_code_2(arguments, text):
    result = run(*arguments)
    assert (result.exit_code, text in result.output) == (2, True), result.output
    assert "Traceback" not in result.output


def test_the_version_and_examples_are_shown():
    assert run("--version").output.startswith("camera-perception ")
    for command in ("replay", "anonymize", "profile", "repair-bag", "inspect-onnx", "check-model", "build-engine"):
        assert f"camera-perception {command} " in " ".join(run(command, "--help").output.split())


def test_every_progress_bar_is_quiet_without_a_terminal(repository):
    sources = [
        file for folder in ("ros2_ws/src", "perception_models", "driving_scenes/src", "bags")
        for file in (repository / folder).rglob("*.py") if "build" not in file.parts
    ]  # fmt: skip
    bars = [
        (file.relative_to(repository), call.lineno, {word.arg for word in call.keywords})
        for file in sources
        if "tqdm(" in (text := file.read_text("utf-8"))
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "tqdm"
    ]
    assert len(bars) > 10
    assert [bar for bar in bars if "disable" not in bar[2]] == []


def test_completion_can_be_installed():
    assert "--install-completion" in run("--help").output


def test_without_tensorrt_no_bar_is_shown(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    done = run("build-engine", tiny_model)
    assert (done.exit_code, "no engine can be built here" in done.output) == (2, True), done.output
    assert "%" not in done.output


def test_check_model_passes_a_good_folder(tiny_model):
    result = run("check-model", tiny_model, "--threads", "1")
    assert result.exit_code == 0, result.output
    assert "onnxruntime" in result.output
    assert "topk_boxes" in result.output


def test_check_model_fails_a_wrong_reference_and_names_the_output(tmp_path):
    folder = write_folder(tmp_path / "model", tiny_graph(), tiny_json())
    outputs = reference_outputs(tiny_graph(), tiny_images())
    outputs["lane_x"] += 5
    write_reference(folder / "reference.npz", tiny_images(), outputs)
    result = run("check-model", folder, "--threads", "1")
    assert result.exit_code == 1, result.output
    assert "'lane_x' differs by up to 5" in result.output
    assert "no backend may run this model" in result.output


def test_check_model_checks_the_options_of_decoders(tmp_path):
    data = tiny_json()
    data["outputs"][3]["options"]["line_types"] = ["solid"]
    result = run("check-model", write_folder(tmp_path / "model", tiny_graph(), data), "--threads", "1")
    assert result.exit_code == 2, result.output
    assert "head 'lanes'" in result.output


def test_repair_bag_prints_the_messages_it_copied(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        for number in range(3):
            writer.write_fields("/a", IMAGE, number, {"data": np.zeros(9, np.uint8)})
    (tmp_path / "bag" / "metadata.yaml").unlink()
    result = run("repair-bag", tmp_path / "bag", "--humble")
    assert result.exit_code == 0, result.output
    assert "bag_repaired: 3 messages" in result.output
    assert "version: 8" in (tmp_path / "bag_repaired" / "metadata.yaml").read_text()


def test_doctor_checks_this_machine():
    result = run("doctor")
    assert result.exit_code in (0, 1)
    for topic in ("library", "engine onnxruntime", "engine tensorrt", "gpu", "recordings", "disk"):
        assert topic in result.output


@pytest.mark.parametrize(("levels", "code"), [([OK], 0), ([OK, WARN], 0), ([OK, ERROR, WARN], 1)])
def test_doctors_exit_code_follows_the_worst_result(monkeypatch, levels, code):
    monkeypatch.setattr(doctor, "examine", lambda: [Diagnostic("topic", level, "do this") for level in levels])
    assert run("doctor").exit_code == code


@pytest.mark.parametrize(("reason", "level"), [("", OK), ("not built: install a C compiler", WARN)])
def test_doctor_says_whether_the_compiled_part_is_in_use(monkeypatch, reason, level):
    monkeypatch.setattr(core, "why_no_kernels", reason)
    found = next(each for each in doctor.library() if each.topic == "compiled part")
    assert found.level == level
    assert reason in found.text


def test_doctor_reports_that_no_engine_is_usable(monkeypatch):
    monkeypatch.setattr(doctor, "_unavailable", lambda name: "not installed")
    assert [f.level for f in doctor.engines()][-1] == ERROR


@pytest.mark.parametrize(
    ("profile", "level", "text"),
    [
        (None, WARN, "is not set"),
        ("absent.xml", ERROR, "does not exist"),
        ("<segment_size>1024</segment_size>", WARN, "1 KiB"),
        ("<segment_size> 67108864 </segment_size>", OK, "64 MiB"),
    ],
)
def test_doctor_reads_the_dds_profile(monkeypatch, tmp_path, profile, level, text):
    monkeypatch.setattr(doctor, "find_spec", lambda name: object())
    monkeypatch.delenv("RMW_IMPLEMENTATION", raising=False)
    path = tmp_path / "absent.xml"
    if profile and profile[0] == "<":
        path.write_text(profile)
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(path) if profile else "")
    diagnostic = next(doctor.transport())
    assert (diagnostic.level, text in diagnostic.text) == (level, True), diagnostic


def test_doctor_reads_the_malloc_settings(monkeypatch):
    for name, least in doctor.MALLOC.items():
        monkeypatch.setenv(name, str(least))
    assert [diagnostic.level for diagnostic in doctor.memory()] in ([OK], [])
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    assert all("MALLOC_TOP_PAD_ not set" in diagnostic.text for diagnostic in doctor.memory())


def test_doctor_counts_files_of_killed_processes(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "SHM", tmp_path)
    for number in range(3):
        path = tmp_path / f"fastrtps_{number:016x}_el"
        path.write_bytes(b"x" * 4096)
        os.utime(path, (0, 0))
    path.touch()
    (tmp_path / "sem.other").write_bytes(b"")
    assert "3 Fast DDS files of 0 MiB, 2 of them left by killed processes" in next(doctor.leftovers()).text


def test_tables_align_numbers_to_the_right():
    lines = text_table(("name", "ms"), [("a", 1.5), ("longer", 123456)]).splitlines()
    assert lines == ["name        ms", "------  ------", "a          1.5", "longer  123456"]
    assert [line.strip() for line in text_table(("ms",), [(2214.3,), (999.7,), (0.0123,)]).splitlines()[2:]] == [
        "2214",
        "1000",
        "0.0123",
    ]
    assert text_table(("name", "ms"), []).splitlines() == ["name  ms", "----  --"]
