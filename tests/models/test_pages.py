"""What the pages name must exist: files, headings, make targets, commands and their options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

from camera_perception.tools.cli.app import app as vehicle
from driving_scenes.cli import app as scenes
from perception_models.cli import app as offline

ROOT = Path(__file__).parents[2]
FOLDERS = "docs", "launch", "bags", "driving_scenes", "perception_models", "ros2_ws/src"
PAGES = sorted(path for path in (*ROOT.glob("*.md"), *(p for d in FOLDERS for p in (ROOT / d).rglob("*.md"))))
TOOLS = {"camera-perception": vehicle, "driving-scenes": scenes, "perception-models": offline}
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")

FENCED = re.compile(r"^ *```\w*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    heads = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target, anchor in LINK.findall(page.read_text("utf-8")):
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(place), f"{page.name} links to {target}#{anchor}"


def commands(page: Path) -> Iterator[list[str]]:
    """Every line of a code block, and every `span`, that calls one of the tools or make; continued lines joined."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    blocks = "\n".join(FENCED.findall(text))
    spans = re.findall(r"`([^`\n]+)`", FENCED.sub("", text))
    for line in map(str.strip, (*blocks.splitlines(), *spans)):
        if re.match(r"(camera-perception|driving-scenes|perception-models|make) ", line):
            yield shlex.split(line, comments=True)


def unknown(words: list[str]) -> str | None:
    """The first word of a call that its tool does not know: a command or an option."""
    command: click.Command = typer.main.get_command(TOOLS[words[0]])
    rest = words[1:]
    while isinstance(command, click.Group) and rest:
        if any(rest[0] in each.opts and not getattr(each, "is_flag", False) for each in command.params):
            rest = rest[2:]  # an option of the group, and its value
            continue
        if rest[0].startswith("-"):
            break
        if rest[0] not in command.commands:
            return rest[0]
        command, rest = command.commands[rest[0]], rest[1:]
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    return next((word for word in rest if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_their_options_are_those_of_the_tools(page):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for words in commands(page):
        if words[0] == "make":
            named = [word for word in words[1:] if "=" not in word]
            assert set(named) <= targets, " ".join(words)
        else:
            assert unknown(words) is None, f"{page.name}: {' '.join(words)}"


def test_an_unknown_command_or_option_would_be_found():
    assert len(list(commands(ROOT / "README.md"))) > 10
    assert unknown(["perception-models", "evaluat"]) == "evaluat"
    assert unknown(["perception-models", "render", "sheet", "--cont", "3"]) == "--cont"
    assert unknown(["camera-perception", "replay", "BAG", "--model", "m", "-x"]) == "-x"


SHORT = {
    "L": "ros2_ws/src/camera_perception/camera_perception",
    "N": "ros2_ws/src/camera_perception_ros/camera_perception_ros",
    "M": "perception_models",
    "F": "ros2_ws/src/camera_perception/camera_perception/tools/fleet",
    "S": "driving_scenes/src/driving_scenes",
}


def test_files_named_by_the_architecture_exist():
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    paths = [p for p in re.findall(r"`([FLNMS]/[\w/.]+)`", text) if "NAME" not in p]
    assert len(paths) > 40
    assert [path for path in paths if not (ROOT / SHORT[path[0]] / path[2:]).exists()] == []


def test_every_input_that_is_supported_names_a_test_that_exists():
    tests = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    page = (ROOT / "docs/supported.md").read_text("utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.*?) ?\|$", page, re.MULTILINE)
    assert len(rows) > 80
    for what, supported, named in rows:
        assert named or supported.startswith("no"), what
        for name in re.findall(r"`([^`]+)`", named):
            there = (ROOT / name).is_file() or (f"def {name}(" if name.startswith("test_") else name) in tests
            assert there or (ROOT / "tests/library" / name).is_file(), f"{what}: {name}"
