"""How many channels stay when a network is pruned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perception_models.network import NetworkConfig
from perception_models.settings import SettingsError, load_settings

LEAST = 16  # channels; widths stay multiples of it, see NetworkConfig
# Not lane_features: pooling along a line is a matrix product, in which the graph cannot see what belongs together.
WIDTHS = ("stem", "widths", "neck", "fine")


def smaller(config: NetworkConfig, keep: float, words: list[str] | None = None) -> NetworkConfig:
    """The configuration with a share of the channels; SettingsError where `words` ask for more than there are."""
    if not 0 < keep <= 1:
        raise SettingsError(f"keep={keep}: expected a share above 0 and at most 1")
    share = replace(
        config,
        stem=_rounded(config.stem, keep),
        # The pyramid pool works with half of the last width.
        widths=[*(_rounded(w, keep) for w in config.widths[:-1]), _rounded(config.widths[-1], keep, 2 * LEAST)],
        neck=_rounded(config.neck, keep),
        fine=_rounded(config.fine, keep),
    )
    chosen = replace(share, **_asked(words or []))
    if wrong := [name for name in WIDTHS if not _fits(getattr(chosen, name), getattr(config, name))]:
        raise SettingsError(f"{', '.join(wrong)}: pruning takes channels away: ask for at least 1 and no more than now")
    return chosen


def _rounded(channels: int, keep: float, step: int = LEAST) -> int:
    """A multiple of `step`, at least one, no more than there are."""
    return min(channels, max(step, round(channels * keep / step) * step))


def _asked(words: list[str]) -> dict[str, Any]:
    """Fields of NetworkConfig from key=value words; only those that say how many channels there are."""
    asked = {key: value for key, _, value in (word.partition("=") for word in words)}
    if unknown := sorted(set(asked) - set(WIDTHS)):
        raise SettingsError(f"{', '.join(unknown)}: pruning changes {', '.join(WIDTHS)} only")
    settings = load_settings(NetworkConfig, None, words)
    return {name: getattr(settings, name) for name in asked}


def _fits(asked: Any, now: Any) -> bool:
    pairs = list(zip(asked, now)) if isinstance(now, list) else [(asked, now)]
    return all(0 < a <= b for a, b in pairs) and (not isinstance(now, list) or len(asked) == len(now))
