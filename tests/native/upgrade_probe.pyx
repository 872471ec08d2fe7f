"""See upgrade_probe.pxd. Every piece lies in memory of exactly its size, what is written in as much as was promised."""

from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from shotover._codec.commands cimport command_t
from shotover._codec.resp_edit cimport resp_facts
from shotover._codec.resp_shape cimport SHAPE_COUNT, SHAPE_EXEC, SHAPE_LAST, SHAPE_PUSH, reply_shape
from shotover._codec.resp_upgrade cimport upgrade_begin, upgrade_room, upgrade_t, upgrade_write
from shotover._core.request cimport request_t

cdef extern from "shotover/_codec/resp_shapes.h" nogil:
    enum:
        SHAPE_STREAM
        SHAPE_STREAMS
        SHAPE_PONG
        SHAPE_PING_TEXT
        SHAPE_GONE
        SHAPE_PONG_TEXT

SHAPES = SHAPE_COUNT
INNER = (SHAPE_STREAM, SHAPE_GONE, SHAPE_PONG_TEXT)     # of what is within others, and whose heads are left out
HEADLESS = (SHAPE_STREAMS, SHAPE_PONG, SHAPE_PING_TEXT)
EXEC = SHAPE_EXEC
PUSH = SHAPE_PUSH


cdef uint8_t *_exact(bytes data) except NULL:
    cdef uint8_t *copy = <uint8_t *>malloc(max(1, len(data)))
    if copy is NULL:
        raise MemoryError
    memcpy(copy, <const char *>data, len(data))
    return copy


def often(int shape, bytes reply, long count, long rounds):
    """Writes a piece of `count` replies of that shape anew, `rounds` times. Returns how many replies that were."""
    cdef:
        upgrade_t      upgrade
        const uint8_t *data = <const uint8_t *><const char *>reply
        const uint8_t *at
        uint8_t       *out = <uint8_t *>malloc(upgrade_room(len(reply)))
        uint8_t       *to
        size_t         size = len(reply)
        long           done = 0, _, __
    if out is NULL:
        raise MemoryError
    with nogil:
        for _ in range(rounds):
            at = data
            to = out
            for __ in range(count):
                upgrade_begin(&upgrade, <uint8_t>shape, NULL, 0)
                to = upgrade_write(&upgrade, &at, data + size, to)
                done += upgrade.done
    free(out)
    return done


def shape(bytes wire):
    """The shape of the reply to a request; None: it is refused."""
    cdef:
        request_t request
        uint8_t  *data = _exact(wire)
        uint8_t   found
    memset(&request, 0, sizeof(request))
    request.count = 1
    request.wire.data = data
    request.wire.size = len(wire)
    resp_facts(&request)
    found = reply_shape(<const command_t *>request.command, data, data + len(wire))
    free(data)
    assert found < SHAPE_COUNT or found > SHAPE_LAST
    return found if found < SHAPE_COUNT else None


def upgraded(int shape, list pieces, bytes queued=b""):
    """(what becomes of the reply that comes in these pieces, whether it is whole, bytes of the pieces that it used)"""
    cdef:
        upgrade_t      upgrade
        uint8_t       *shapes = _exact(queued)
        uint8_t       *data
        uint8_t       *out
        uint8_t       *to
        const uint8_t *at
        bytes          piece
        size_t         used = 0
    written = []
    memset(&upgrade, 0xff, sizeof(upgrade))
    upgrade_begin(&upgrade, <uint8_t>shape, shapes, <unsigned int>len(queued))
    for piece in pieces:
        data = _exact(piece)
        out = <uint8_t *>malloc(upgrade_room(len(piece)))
        at = data
        to = upgrade_write(&upgrade, &at, data + len(piece), out)
        assert to - out <= <Py_ssize_t>upgrade_room(len(piece)), "more than there was room for"
        assert at == data + len(piece) or upgrade.done
        written.append(<bytes>out[:to - out])
        used += at - data
        free(data)
        free(out)
        if upgrade.done:
            break
    free(shapes)
    return b"".join(written), bool(upgrade.done), used
