"""See fuzz_probe.pxd."""

from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset, strlen

from shotover._codec.commands cimport command_t
from shotover._codec.compare cimport replies_agree
from shotover._codec.render cimport render_reply, render_request
from shotover._codec.resp cimport resp_bulk, resp_frame_size, resp_integer
from shotover._codec.resp_edit cimport resp_facts, resp_head_size, resp_put_bulk, resp_put_head
from shotover._codec.resp_merge cimport (
    reply_elements,
    reply_integer,
    reply_is_away,
    reply_is_error,
    reply_is_excuse,
    reply_is_null,
    vote,
)
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t


cdef class Exact:

    def __cinit__(self, bytes data not None):
        self.at = <uint8_t *>malloc(len(data))
        if self.at is NULL:
            raise MemoryError
        memcpy(self.at, <const char *>data, len(data))
        self.end = self.at + len(data)

    def __dealloc__(self):
        free(self.at)


def frame_size(bytes reply):
    """Bytes of the reply at the beginning; 0: cut or broken."""
    cdef Exact exact = Exact(reply)
    return resp_frame_size(exact.at, exact.end)


def integer(bytes reply):
    """The number of an integer reply, or None."""
    cdef:
        Exact   exact = Exact(reply)
        int64_t value = 0
    return value if resp_integer(exact.at, exact.end, &value) else None


def bulk(bytes reply):
    """(the string, or None for a null; bytes used) of a bulk or simple string, or None."""
    cdef:
        Exact    exact = Exact(reply)
        slice_t  found
        uint8_t *after = resp_bulk(exact.at, exact.end, &found)
    if after is NULL:
        return None
    assert exact.at <= after <= exact.end, "behind the end"
    return None if found.data is NULL else found.data[:found.size], after - exact.at


def agree(bytes one, bytes other, uint8_t how):
    """What replies_agree says of two replies."""
    cdef:
        Exact   first = Exact(one)
        Exact   second = Exact(other)
        slice_t left, right
    left.data = first.at
    left.size = len(one)
    right.data = second.at
    right.size = len(other)
    return bool(replies_agree(&left, &right, how))


def render(bytes data, bint is_reply, size_t room):
    """The text of a request or reply, as DebugPrinter writes it, in memory of exactly `room` bytes."""
    cdef:
        Exact     exact = Exact(data)
        request_t request
        char     *out = <char *>malloc(room)
        size_t    size
    if out is NULL:
        raise MemoryError
    try:
        if is_reply:
            size = render_reply(out, room, exact.at, len(data))
        else:
            memset(&request, 0, sizeof(request))
            request.wire.data = exact.at
            request.wire.size = len(data)
            size = render_request(out, room, &request)
        assert size < room and strlen(out) == size, "no NUL where it belongs"
        return out[:size]
    finally:
        free(out)


def facts(bytes wire):
    """(argc, command, key, kind, conduct) as resp_facts finds them."""
    cdef:
        Exact            exact = Exact(wire)
        request_t        request
        const command_t *command
    memset(&request, 0, sizeof(request))
    request.count = 1
    request.wire.data = exact.at
    request.wire.size = len(wire)
    resp_facts(&request)
    command = <const command_t *>request.command
    return (
        request.argc,
        None if command is NULL else <bytes>command.name,
        wire[request.key_at:request.key_at + request.key_size] if request.key_at else None,
        request.kind,
        request.conduct,
    )


def rebuilt(list words):
    """The request of these words, written as an edit writes it, into memory of exactly its size."""
    cdef:
        size_t   size = resp_head_size(len(words))
        uint8_t *out
        uint8_t *to
        bytes    word
    for word in words:
        size += resp_head_size(len(word)) + len(word) + 2
    out = <uint8_t *>malloc(size)
    if out is NULL:
        raise MemoryError
    try:
        to = resp_put_head(out, b'*', len(words))
        for word in words:
            to = resp_put_bulk(to, <const uint8_t *><const char *>word, len(word))
        assert to == out + size, "not of the size that was worked out"
        return out[:size]
    finally:
        free(out)


def merged(list replies):
    """Of several replies: what resp_merge says of each, and which of them it takes."""
    cdef:
        slice_t        slices[8]
        const slice_t *pointers[8]
        int            index, count = len(replies)
    assert 0 < count <= 8
    kept = [Exact(reply) for reply in replies]
    for index in range(count):
        slices[index].data = (<Exact>kept[index]).at
        slices[index].size = <size_t>((<Exact>kept[index]).end - (<Exact>kept[index]).at)
        pointers[index] = &slices[index]
    facts = [
        (bool(reply_is_error(pointers[index])), bool(reply_is_null(pointers[index])), bool(reply_is_excuse(pointers[index])),
         bool(reply_is_away(pointers[index])), reply_integer(pointers[index]), reply_elements(pointers[index]))
        for index in range(count)
    ]
    return facts, vote(pointers, count)
