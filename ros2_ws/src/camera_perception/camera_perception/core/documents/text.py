"""Texts from outside, short enough to print."""

from __future__ import annotations

MOST_CHARACTERS = 500  # of an error message


def shorten(text: str, most: int = MOST_CHARACTERS) -> str:
    """At most this many characters: the start says what is wrong, the end what to do. Lone surrogates are escaped."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= most:
        return text
    start = most * 3 // 5
    return f"{text[:start]} … {text[start + 3 - most :]}"
