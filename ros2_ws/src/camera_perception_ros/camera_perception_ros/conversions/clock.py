"""Stamps against the clock of a node: ages, and stamps that are ahead of it."""

from __future__ import annotations

MAX_AHEAD_NS = 100_000_000  # clocks of several machines, and a /clock of 10 Hz or more, differ by less
NAN = float("nan")


def ahead_s(now_ns: int, stamp_ns: int) -> float:
    """Seconds by which a stamp is ahead of the clock; 0 within the tolerance."""
    ahead = stamp_ns - now_ns
    return ahead / 1e9 if ahead > MAX_AHEAD_NS else 0.0


def age_ms(now_ns: int, stamp_ns: int) -> float:
    """Milliseconds, never negative; nan for a stamp that is ahead of the clock."""
    age = now_ns - stamp_ns
    return NAN if age < -MAX_AHEAD_NS else age / 1e6 if age > 0 else 0.0


def ahead_problem(seconds: float, now_ns: int) -> str:
    """Why stamps are that many seconds ahead of the clock, as a sentence that says where to look."""
    if not now_ns:
        return "this node's clock stands at 0: use_sim_time is true, but nothing publishes /clock"
    if 30.0 < seconds < 45.0:
        return f"stamps are {seconds:.1f} s ahead of the clock: the camera sends TAI, 37 s ahead of UTC; check PTP"
    return (
        f"stamps are {seconds:.1f} s ahead of the clock: check that PTP or NTP sets camera and computer, "
        "and that use_sim_time with its /clock matches the images"
    )
