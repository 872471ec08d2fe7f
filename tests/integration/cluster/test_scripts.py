"""Scripts: wherever a client has sent one, it is known everywhere."""

from __future__ import annotations

import hashlib

from integration.cluster.conftest import Front

SCRIPT = "return {KEYS[1], ARGV[1], redis.call('incr', KEYS[1])}"
SHA = hashlib.sha1(SCRIPT.encode()).hexdigest()


def test_a_script_that_one_node_has_seen(front: Front) -> None:
    """EVAL on one node, EVALSHA on all."""
    client = front.client()
    assert client.eval(SCRIPT, 1, "k0", "x") == [b"k0", b"x", 1]
    for index in range(1, 20):
        assert client.evalsha(SHA, 1, f"k{index}", "x") == [b"k%d" % index, b"x", 1]
    client.close()


def test_a_script_that_a_node_has_lost(front: Front) -> None:
    """Also when what comes after it in the pipeline is on the same key."""
    client = front.client()
    script = SCRIPT + " -- another"
    sha = client.script_load(script)
    for index in range(3):
        with front.cluster.raw(index) as raw:
            raw.command("SCRIPT", "FLUSH")
    pipe = client.pipeline(transaction=False)
    for index in range(20):
        pipe.evalsha(sha, 1, f"k{index}", "x")
        pipe.get(f"k{index}")
    answers = pipe.execute()
    assert [answer[2] for answer in answers[::2]] == [1] * 20
    assert answers[1::2] == [b"1"] * 20
    client.close()


def test_a_script_that_was_flushed_is_gone(front: Front) -> None:
    client = front.client()
    client.script_load(SCRIPT)
    client.script_flush()
    assert client.script_exists(SHA) == [False]
    with front.proxy.raw() as raw:
        assert raw.command("EVALSHA", SHA, 1, "k", "x").startswith(b"-NOSCRIPT")
    client.close()
