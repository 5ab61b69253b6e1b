from __future__ import annotations


def pytest_addoption(parser):
    parser.addoption("--model", help="model folder to build on this machine; a tiny one when not given")
