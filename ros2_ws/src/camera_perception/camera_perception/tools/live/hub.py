"""The latest message of every kind, and one place for it per viewer: publishing never waits for anybody."""

from __future__ import annotations

import threading
from collections.abc import Callable

Message = bytes | str


class Client:
    """One viewer: a place per key, where a newer message replaces the one that waits.

    The next image of a camera is handed out once the one before is acknowledged; text needs no acknowledgement.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.replaced = 0  # messages that were replaced before they were sent
        self._lock = threading.Lock()
        self._waiting: dict[str, Message] = {}
        self._unacknowledged: set[str] = set()
        self._wake = wake

    def offer(self, key: str, message: Message) -> None:
        with self._lock:
            self.replaced += key in self._waiting
            self._waiting[key] = message
        self._wake()

    def take(self) -> Message | None:
        """The next message to send; None when there is none that may be sent now."""
        with self._lock:
            key = next((key for key in self._waiting if key not in self._unacknowledged), None)
            if key is None:
                return None
            message = self._waiting.pop(key)
            if isinstance(message, bytes):
                self._unacknowledged.add(key)
            return message

    def acknowledge(self, key: str) -> None:
        with self._lock:
            self._unacknowledged.discard(key)
        self._wake()


class Hub:
    """Hands every message to all viewers; those that join later get the latest of each kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, Message] = {}
        self._clients: set[Client] = set()
        self._joined = threading.Event()

    def publish(self, key: str, message: Message) -> None:
        with self._lock:
            self._latest[key] = message
            for client in self._clients:
                client.offer(key, message)

    def join(self, wake: Callable[[], None]) -> Client:
        """A new viewer; wake is called, in any thread, when it may have something to take."""
        client = Client(wake)
        with self._lock:
            for key, message in self._latest.items():
                client.offer(key, message)
            self._clients.add(client)
        self._joined.set()
        return client

    def leave(self, client: Client) -> None:
        with self._lock:
            self._clients.discard(client)
            if not self._clients:
                self._joined.clear()

    def __len__(self) -> int:
        """Number of viewers."""
        return len(self._clients)

    def wait(self, seconds: float) -> bool:
        """Wait until there is a viewer; False when there was none in that time."""
        return self._joined.wait(seconds)
