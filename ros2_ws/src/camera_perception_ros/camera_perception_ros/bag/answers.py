"""Playing no faster than cameras answer: the next image of a topic waits for the answer to the last one."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

PATIENCE = 30.0  # seconds without an answer after which a camera is taken for dead


class Answers:
    """Counts the images sent and the answers received, by image topic. Thread-safe.

    topics  image topic: topic of its PerceptionFrame messages
    held    seconds that sending was held up in all
    """

    def __init__(self, topics: Mapping[str, str], now: Callable[[], float] = time.monotonic) -> None:
        self.topics, self.held = dict(topics), 0.0
        self._now = now
        self._changed = threading.Condition()
        self._sent, self._answered = Counter[str](), Counter[str]()
        self._dead: set[str] = set()

    def sent(self, topic: str) -> None:
        with self._changed:
            self._sent[topic] += 1

    def answered(self, topic: str) -> None:
        with self._changed:
            self._answered[topic] += 1
            self._changed.notify_all()

    def pending(self, topic: str) -> bool:
        """Whether an image of the topic is unanswered, and its answer is still expected."""
        watched = topic in self.topics and topic not in self._dead
        return watched and self._answered[topic] < self._sent[topic]

    def wait(self, topic: str, stop: Callable[[], bool]) -> None:
        """Return when nothing of the topic is pending, at a stop, or when the camera is taken for dead."""
        started = self._now()
        with self._changed:
            while self.pending(topic) and not stop():
                if self._now() - started > PATIENCE:
                    self._dead.add(topic)
                self._changed.wait(0.1)
        self.held += self._now() - started


def parse_answers(pairs: list[str]) -> dict[str, str]:
    """ "IMAGE_TOPIC=PERCEPTION_TOPIC" entries by image topic; empty entries are left out."""
    return dict(pair.split("=", 1) for pair in pairs if pair)
