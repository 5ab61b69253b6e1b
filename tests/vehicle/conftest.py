"""The option --model, and a readable summary of what passed and what was measured."""

from __future__ import annotations


def pytest_addoption(parser):
    parser.addoption("--model", help="model folder to build on this machine; default: a tiny model")


def pytest_terminal_summary(terminalreporter):
    if not terminalreporter.config.rootpath.samefile(__file__.rpartition("/")[0]):
        return  # only when these tests are run alone
    terminalreporter.section("on this machine")
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.getreports(outcome):
            terminalreporter.write_line(f"{outcome:8} {sentence(report.nodeid)}")
            for name, value in report.user_properties:
                terminalreporter.write_line(f"         {name}: {value}")


def sentence(nodeid):
    """test_times[fp16] as a sentence."""
    return nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
