"""Subscriptions outlive the node that had them, and the move of a slot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from integration.cluster.conftest import Front
from support.resp import RawClient
from support.wait import wait_until

SUBSCRIBED = b"*3\r\n$9\r\nsubscribe\r\n$3\r\nnew\r\n:1\r\n"

pytestmark = pytest.mark.timeout(120)  # a failover takes its time


def subscribers(front: Front, index: int, channel: str, shard: bool = False) -> int:
    with front.cluster.raw(index) as raw:
        return int(raw.ask("PUBSUB", "SHARDNUMSUB" if shard else "NUMSUB", channel)[1])


def publish_until_heard(client: Any, listener: RawClient, expected: bytes, *words: str) -> None:
    """Messages that are published while nobody is subscribed are lost: so until one is heard."""
    listener.deadline_s = 0.2

    def heard() -> bool:
        client.execute_command(*words)
        try:
            return listener.frame() == expected
        except AssertionError:
            return False

    wait_until(heard, f"{words} is heard", deadline_s=20)


def test_subscriptions_outlive_a_node(make_front: Callable[..., Front]) -> None:
    front = make_front((6, 1), retry_timeout=15.0)
    front.proxy.allow_log("cannot connect", "lost", "cannot be used")
    publisher = front.client()
    with front.proxy.raw() as listener:
        listener.send(b"SUBSCRIBE news\r\nPSUBSCRIBE n*x\r\n")
        listener.frame()
        listener.frame()
        [node] = [index for index in range(3) if subscribers(front, index, "news")]
        front.cluster.kill(node)
        message = b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n"
        publish_until_heard(publisher, listener, message, "PUBLISH", "news", "hi")
        listener.deadline_s = 10
        while listener.command("PING") != b"*2\r\n$4\r\npong\r\n$0\r\n\r\n":
            pass  # more messages of those that were published
        publisher.publish("nyx", "ho")
        assert listener.frame() == b"*4\r\n$8\r\npmessage\r\n$3\r\nn*x\r\n$3\r\nnyx\r\n$2\r\nho\r\n"
        assert listener.command("UNSUBSCRIBE", "news").endswith(b":1\r\n")
        assert listener.command("PUNSUBSCRIBE").endswith(b":0\r\n")
        assert listener.command("PING") == b"+PONG\r\n"
    publisher.close()


def test_a_sharded_channel_moves_with_its_slot(make_front: Callable[..., Front]) -> None:
    front = make_front((3, 0))
    publisher = front.client()
    from shotover._codec.slots import slot_of

    slot = slot_of(b"news")
    with front.proxy.raw() as listener:
        assert (
            listener.command("SSUBSCRIBE", "news")
            == b"*3\r\n$10\r\nssubscribe\r\n$4\r\nnews\r\n:1\r\n"
        )
        message = b"*3\r\n$8\r\nsmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n"
        publish_until_heard(publisher, listener, message, "SPUBLISH", "news", "hi")
        target = (front.cluster.owner(slot) + 1) % 3
        front.cluster.move_slot(slot, target)
        wait_until(lambda: subscribers(front, target, "news", True) == 1, "the new node has it")
        publish_until_heard(publisher, listener, message, "SPUBLISH", "news", "hi")
    assert 1 <= front.proxy.metric("shotover_subscriptions_renewed_count") < 20
    publisher.close()


def test_many_clients_one_channel(front: Front) -> None:
    publisher = front.client()
    listeners = [front.proxy.raw() for _ in range(20)]
    for listener in listeners:
        assert listener.command("SUBSCRIBE", "new") == SUBSCRIBED
    publisher.publish("new", "x")
    for listener in listeners:
        assert listener.frame() == b"*3\r\n$7\r\nmessage\r\n$3\r\nnew\r\n$1\r\nx\r\n"
        listener.close()
    publisher.close()
