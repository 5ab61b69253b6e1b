"""Hook of mkdocs: the message reference, from the .msg and .srv files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MESSAGES = Path(__file__).parents[2] / "ros2_ws/src/camera_perception_msgs"
MARK = "<!-- messages -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the reference where the page has its mark."""
    return markdown.replace(MARK, reference()) if MARK in markdown else markdown


def reference() -> str:
    """A section for each file, with the file itself: its comments are the description."""
    files = [*sorted(MESSAGES.glob("msg/*.msg")), *sorted(MESSAGES.glob("srv/*.srv"))]
    return "\n\n".join(f"## {file.stem}\n\n```\n{file.read_text('utf-8').strip()}\n```" for file in files)
