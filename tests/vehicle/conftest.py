"""The options, and the verdict: a table to paste into an issue, and exit status 0 only after a run.

pytest tests/vehicle --model MODEL [--backend tensorrt_rtx]
"""

from __future__ import annotations

import platform

import pytest

ROWS = pytest.StashKey[dict]()
COLUMNS = ("variant", "built", "parity", "p50 ms", "p99 ms", "MiB on the GPU", "reason")
NOTHING_RUN = 3  # exit status: no engine was built and run


def pytest_addoption(parser):
    parser.addoption("--model", help="model folder to build on this machine; default: a tiny model")
    parser.addoption("--backend", default="tensorrt", help="tensorrt (default) or tensorrt_rtx")


def pytest_configure(config):
    config.stash[ROWS] = {}


@pytest.fixture(scope="session")
def row(request):
    """row(variant) -> the variant's row of the table, to be filled in."""
    return lambda variant: request.config.stash[ROWS].setdefault(variant, {"variant": variant})


def _alone(config):
    return config.rootpath.samefile(__file__.rpartition("/")[0])


def _good(row):
    """Built, right, and timed."""
    return row.get("built", "").startswith("yes") and row.get("parity", "").startswith("passed") and "p50 ms" in row


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    """Skipped everywhere is no success: the status is 0 only when an engine was built and run."""
    rows = session.config.stash[ROWS].values()
    if _alone(session.config) and exitstatus in (0, 5) and not any(map(_good, rows)):
        session.exitstatus = NOTHING_RUN


def pytest_terminal_summary(terminalreporter, config):
    if not _alone(config):
        return  # only when these tests are run alone
    terminalreporter.section("on this machine")
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.getreports(outcome):
            why = f": {report.longrepr[2].removeprefix('Skipped: ')}" if outcome == "skipped" else ""
            terminalreporter.write_line(f"{outcome:8} {sentence(report.nodeid)}{why}")
            for name, value in report.user_properties:
                terminalreporter.write_line(f"         {name}: {value}")
    rows = list(config.stash[ROWS].values())
    terminalreporter.section("to paste into an issue")
    for line in (platform.platform(), *markdown(rows)):
        terminalreporter.write_line(line)
    good = [row["variant"] for row in rows if _good(row)]
    terminalreporter.write_line(
        f"verdict: {', '.join(good)} built, right and fast to measure here"
        if good
        else "verdict: no engine was built and run on this machine; the reasons are above"
    )


def markdown(rows):
    """Lines of a table."""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "|" + " --- |" * len(COLUMNS)
    for row in rows:
        yield "| " + " | ".join(str(row.get(column, "")).replace("|", "/") for column in COLUMNS) + " |"


def sentence(nodeid):
    """test_times[fp16] as a sentence."""
    return nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
