"""The latest item wins, and every replaced item is counted."""

from __future__ import annotations

from threading import Thread

from camera_perception_ros.runtime.worker import LatestSlot, Taken


def test_an_empty_slot_returns_none():
    assert LatestSlot().take(timeout=0.0) is None


def test_the_latest_item_wins_and_replaced_items_are_counted():
    slot = LatestSlot()
    for item in "abc":
        slot.put(item)
    assert slot.take() == Taken("c", seq=2, replaced=2)
    slot.put("d")
    assert slot.take() == Taken("d", seq=3, replaced=0)
    assert (slot.received, slot.replaced) == (4, 2)


def test_a_closed_slot_returns_what_is_left_and_then_none():
    slot = LatestSlot()
    slot.put("a")
    slot.close()
    taken = slot.take()
    assert taken is not None
    assert taken.item == "a"
    assert slot.take() is None


def test_taken_and_replaced_add_up_to_received_under_threads():
    slot, taken = LatestSlot(), []

    def consume() -> None:
        while (got := slot.take()) is not None:
            taken.append(got)

    consumer = Thread(target=consume)
    consumer.start()
    for number in range(5000):
        slot.put(number)
    slot.close()
    consumer.join(10)
    assert len(taken) + sum(got.replaced for got in taken) == 5000
    assert taken[-1].item == 4999
