"""What limits the worth of a frame's perception."""

from __future__ import annotations

from enum import IntFlag


class Status(IntFlag):
    """Same bits as PerceptionFrame.status_flags, where each is explained."""

    DROPPING = 1 << 0
    STALE_INPUT = 1 << 1
    UNCALIBRATED = 1 << 2
    TF_MISSING = 1 << 3
    CPU_FALLBACK = 1 << 4
    IMAGE_DARK = 1 << 5
    IMAGE_OVEREXPOSED = 1 << 6
    IMAGE_BLURRED = 1 << 7
    IMAGE_FROZEN = 1 << 8
    IMAGE_BLOCKED = 1 << 9
    WRONG_ENCODING = 1 << 10
    CLOCK_JUMP = 1 << 11
    THERMAL = 1 << 12
    BAD_IMAGE = 1 << 13
    CALIBRATION_DRIFT = 1 << 14
    ENGINE_ERROR = 1 << 15
    RESOLUTION_CHANGED = 1 << 16


def names_of(flags: int) -> tuple[str, ...]:
    """Names of the bits that are set, in their order."""
    return tuple(flag.name for flag in Status if flag & flags and flag.name)
