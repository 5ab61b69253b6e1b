"""Texts from outside, short enough to print."""

from __future__ import annotations

import re

# Control characters but tab and line feed, and those that change the direction of text (Unicode Annex 9).
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
MOST_CHARACTERS = 500  # of an error message


def shorten(text: str, most: int = MOST_CHARACTERS) -> str:
    """At most this many characters: the start says what is wrong, the end what to do.

    Lone surrogates are escaped, and what would steer a terminal or turn the direction of text.
    """
    text = text[: 4 * most] + text[-most:] if len(text) > 5 * most else text
    text = STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text.encode("utf-8", "backslashreplace").decode())
    if len(text) <= most:
        return text
    start = most * 3 // 5
    return f"{text[:start]} … {text[start + 3 - most :]}"
