"""Command line: errors are one sentence, stage times add up."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from driving_scenes.base.errors import no_opengl
from driving_scenes.cli import app


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["sheet", "--out", "x.jpg", "--kind", "motorway"], "'motorway' is not one of highway, rural"),
        (["sheet", "--out", "x.jpg", "--size", "640"], "write it as 640x384"),
        (["dataset", "--out", "x", "--split", "dev"], "'dev' is not one of train, val, test"),
        (["sequence", "--out", "x", "--rig", "missing.yaml"], "missing.yaml"),
        (["sequence", "--out", "x", "--kind", "tunnel", "--weather", "rainy"], "no drive with weather 'rainy'"),
    ],
)
def test_a_wrong_option_is_reported_in_one_sentence(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("driving_scenes.output.sequence.ATTEMPTS", 2)
    result = CliRunner().invoke(app, options, env={"COLUMNS": "200"})
    assert result.exit_code in (1, 2)
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "error", [no_opengl(Exception("found 0 devices")), ImportError("libGL.so.1: cannot open shared object file")]
)
def test_missing_opengl_names_the_packages_to_install(error, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr("driving_scenes.output.dataset.make_dataset", fail)
    result = CliRunner().invoke(app, ["dataset", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "apt install libegl1" in result.output
    assert result.output.count("\n") == 1


def test_bench_reports_every_stage_and_their_sum(engine):
    result = CliRunner().invoke(app, ["bench", "--count", "1", "--size", "96x64"], catch_exceptions=False)
    seconds = {line.split()[0]: float(line.split()[1]) for line in result.output.splitlines()}
    assert set(seconds) == {"world", "traffic", "draw", "occlusion", "labels", "lens", "write", "all"}
    assert seconds["all"] == pytest.approx(sum(v for k, v in seconds.items() if k != "all"), abs=0.005)
