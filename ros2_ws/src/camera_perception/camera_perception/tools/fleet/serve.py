"""A page of a run on 127.0.0.1: progress, figures per drive, recordings that failed. Read again with every request."""

from __future__ import annotations

from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from camera_perception.core.errors import PerceptionError
from camera_perception.tools.fleet.compare.figures import FIGURES, figures
from camera_perception.tools.fleet.compare.page import STYLE, heading, shown_slices
from camera_perception.tools.fleet.status import status_text
from camera_perception.tools.fleet.store.storage import Storage


def page(storage: Storage) -> str:
    """The HTML of a run."""
    found = figures(storage)
    parts = [f"<h1>{escape(storage.address)}</h1><pre>{escape(status_text(storage))}</pre>"]
    parts += [f"<h3>{heading(name)}</h3>{_table(found.get(name, {}))}" for name in shown_slices(found)]
    parts.append("<ul>" + "".join(f"<li><b>{f.name}</b>: {escape(f.text)}" for f in FIGURES) + "</ul>")
    head = f"<meta charset='utf-8'><meta http-equiv='refresh' content='10'><title>Fleet</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'>{head}{''.join(parts)}</html>"


def _table(rows: dict[str, dict[str, float]]) -> str:
    names = ("images", *(figure.name for figure in FIGURES))
    lines = []
    for value in sorted(rows):
        cells = "".join(f"<td>{_number(rows[value].get(name))}</td>" for name in names)
        lines.append(f"<tr><td>{escape(Path(value).name or value)}</td>{cells}</tr>")
    return f"<table><tr><th></th>{''.join(f'<th>{name}</th>' for name in names)}</tr>{''.join(lines)}</table>"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def server(storage: Storage, port: int) -> ThreadingHTTPServer:
    """A server for this machine only; the caller runs and closes it. Port 0: any free one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                code, text = (200, page(storage)) if self.path == "/" else (404, "not found")
            except PerceptionError as error:
                code, text = 503, escape(str(error))
            data = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)
