"""What an examination says about one thing."""

from __future__ import annotations

from dataclasses import dataclass

OK, HINT, BAD = "ok", "hint", "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """verdict: ok, hint (works, could be better) or bad (a drive cannot be processed)."""

    topic: str
    verdict: str
    text: str
