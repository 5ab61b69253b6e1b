"""Strangers who connect to the live page and say nothing."""

from __future__ import annotations

import asyncio
import socket
import time
import urllib.request
from contextlib import ExitStack
from importlib.util import find_spec

import pytest

from camera_perception.tools.live.access import MOST_CONNECTIONS, Access, Connections, Refused
from camera_perception.tools.live.hub import Hub
from camera_perception.tools.live.server import LiveServer

pytestmark = pytest.mark.skipif(find_spec("aiohttp") is None, reason="needs aiohttp")


def port_of(server: LiveServer) -> int:
    return int(server.address.rpartition(":")[2].strip("/"))


def ended(connection: socket.socket, seconds: float = 20.0) -> bool:
    """Whether the other side ends the connection."""
    connection.settimeout(seconds)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"], ids=["nothing", "half a request"])
def test_a_connection_without_a_request_is_ended_and_the_page_is_served(monkeypatch, said):
    monkeypatch.setattr(Connections.__init__, "__defaults__", (MOST_CONNECTIONS, 3.0))
    with LiveServer(Hub(), print, Access("127.0.0.1"), port=0) as server, ExitStack() as stack:
        silent = stack.enter_context(socket.create_connection(("127.0.0.1", port_of(server))))
        silent.sendall(said)
        assert ended(silent)
        with urllib.request.urlopen(server.address, timeout=20) as answer:
            assert answer.status == 200


def test_a_connection_too_many_is_refused(monkeypatch):
    monkeypatch.setattr(Connections.__init__, "__defaults__", (2, 60.0))
    with LiveServer(Hub(), print, Access("127.0.0.1"), port=0) as server, ExitStack() as stack:
        opened = []
        for _ in range(3):
            opened.append(stack.enter_context(socket.create_connection(("127.0.0.1", port_of(server)))))
            time.sleep(0.05)
        assert ended(opened[2])
        assert not ended(opened[0], 0.1)


def test_a_connection_that_asked_is_kept():
    class Protocol:
        aborted = False

        @property
        def transport(self):
            return self

        def abort(self):
            self.aborted = True

    class Server:
        connections: list[object] = []

        def __call__(self):
            return Protocol()

    async def run():
        limits = Connections(Server(), most=1, silence=0.0)
        silent, asking = limits.protocol(), limits.protocol()
        limits.asked(asking)
        await asyncio.sleep(0.05)
        Server.connections = [silent]
        return silent.aborted, asking.aborted, type(limits.protocol())

    assert asyncio.run(run()) == (True, False, Refused)
