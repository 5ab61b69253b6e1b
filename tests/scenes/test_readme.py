"""The README of the renderer: its commands and its Python example run as written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from driving_scenes.base.errors import PACKAGES
from driving_scenes.base.frequencies import DAYTIMES, ROAD_TYPES, WEATHERS
from driving_scenes.cli import app

README = Path(__file__).parents[2] / "driving_scenes/README.md"
TEXT = README.read_text("utf-8")
CODE = dict(re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
COMMANDS = [line for line in CODE["sh"].splitlines() if line.startswith("driving-scenes ")]
SMALLER = {  # options appended to a command so that it takes a second
    "sheet": ["--count", "1", "--size", "96x64"],
    "dataset": ["--count", "1", "--size", "96x64", "--workers", "1"],
    "sequence": ["--seconds", "0.1"],
}
WRITTEN = {"sheet": "sheet.jpg", "dataset": "scenes/truth/truth.jsonl", "sequence": "drive/front/truth/truth.jsonl"}


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_of_the_readme_run(engine, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, command, *options = shlex.split(line, comments=True)
    result = CliRunner().invoke(app, [command, *options, *SMALLER[command]], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert (tmp_path / WRITTEN[command]).is_file()


def test_the_readme_shows_every_command_but_bench():
    assert {line.split()[1] for line in COMMANDS} == set(SMALLER)
    assert CODE["sh"].startswith("pip install ./driving_scenes ")
    assert (README.parent / "pyproject.toml").is_file()


def test_the_python_example_of_the_readme_runs(engine, capsys):
    exec(CODE["python"].replace("size=(640, 384)", "size=(160, 96)"), {})
    assert "(96, 160, 3) (96, 160)" in capsys.readouterr().out


def test_the_readme_lists_all_conditions_packages_and_existing_files():
    for names in (ROAD_TYPES, WEATHERS, DAYTIMES):
        assert ", ".join(names) in TEXT
    assert f"apt install {PACKAGES}" in TEXT
    required = README.parents[1] / "requirements/apt-render.txt"
    assert sorted(PACKAGES.split()) == sorted(required.read_text().split())
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", TEXT):
        assert (README.parent / target).is_file()
    assert (README.parent / "src/driving_scenes/rig_three.yaml").is_file()
