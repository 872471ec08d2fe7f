"""See _key_router_scan.pxd."""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from shotover._codec.commands cimport command_find
from shotover._codec.resp cimport resp_bulk, resp_words
from shotover._codec.resp_edit cimport resp_head_size, resp_put_bulk
from shotover._core.memory cimport chunk_data, chunk_put, chunk_ref, chunk_t, pool_take
from shotover._core.slice cimport slice_t

cdef const command_t *SCAN = command_find(<const uint8_t *>b"SCAN", 4)
cdef const command_t *RANDOMKEY = command_find(<const uint8_t *>b"RANDOMKEY", 9)

cdef enum:
    DIGITS_MAX = 20


cdef bint scan_is(const command_t *command) noexcept nogil:
    return command is SCAN


cdef bint scan_is_random(const command_t *command) noexcept nogil:
    return command is RANDOMKEY


cdef bint _number(const slice_t *text, uint64_t *number) noexcept nogil:
    """A cursor. False: it is none."""
    cdef:
        uint64_t value = 0
        uint8_t  digit
        size_t   index
    if text.data is NULL or not 0 < text.size <= DIGITS_MAX:
        return False
    for index in range(text.size):
        digit = text.data[index] - 48
        if digit > 9 or value > (<uint64_t>-1 - digit) // 10:
            return False
        value = value * 10 + digit
    number[0] = value
    return True


cdef size_t _digits(uint64_t number, uint8_t *out) noexcept nogil:
    cdef:
        size_t size = resp_head_size(number) - 3, index = size
    while index:
        index -= 1
        out[index] = <uint8_t>(48 + number % 10)
        number = number // 10
    return size


cdef int scan_request(pool_t *pool, request_t *request, uint32_t count, uint32_t *place, bint rewrite) noexcept nogil:
    """Which of the chains the cursor is of; with `rewrite` the request gets the cursor of that chain.

    1: done; 0: no memory; -1: there is no cursor. A request without words for it goes to the first chain, to be refused.
    """
    cdef:
        slice_t  words[2]
        uint64_t cursor
        uint8_t  digits[DIGITS_MAX]
        uint8_t *start = request.wire.data
        uint8_t *end = start + request.wire.size
        uint8_t *at
        size_t   size, head
        chunk_t *chunk
    place[0] = 0
    if resp_words(start, end, words, 2) < 2:
        return 1
    if not _number(&words[1], &cursor):
        return -1
    place[0] = <uint32_t>(cursor % count)
    if not rewrite:
        return 1
    size = _digits(cursor // count, digits)
    head = <size_t>(words[1].data - resp_head_size(words[1].size) - start)
    at = words[1].data + words[1].size + 2
    chunk = pool_take(pool, request.wire.size + DIGITS_MAX)
    if chunk is NULL:
        return 0
    request.wire.data = chunk_data(chunk)
    memcpy(request.wire.data, start, head)
    start = resp_put_bulk(request.wire.data + head, digits, size)
    memcpy(start, at, <size_t>(end - at))
    request.wire.size = <size_t>(start - request.wire.data) + <size_t>(end - at)
    if request.owner is not NULL:
        chunk_put(pool, request.owner)
    request.owner = chunk
    request.edited = 1
    return 1


cdef bint scan_reply(pool_t *pool, request_t *request, uint32_t count, uint32_t place) noexcept nogil:
    """Puts the client's cursor into the reply of the chain at `place`. False: it cannot be, the reply is as before.

    An error stays what it is.
    """
    cdef:
        slice_t  text
        uint64_t cursor
        uint8_t  digits[DIGITS_MAX]
        uint8_t *start = request.reply.data
        uint8_t *end = start + request.reply.size
        uint8_t *rest
        uint8_t *at
        size_t   size
        chunk_t *chunk
    if request.reply.size < 4 or start[0] != b'*':
        return True
    at = start
    while at < end and at[0] != b'\n':
        at += 1
    rest = NULL if at == end else resp_bulk(at + 1, end, &text)
    if rest is NULL or not _number(&text, &cursor) or cursor > (<uint64_t>-1) // count - 1:
        return False
    if cursor:
        cursor = cursor * count + place
    elif place + 1 < count:
        cursor = place + 1
    size = _digits(cursor, digits)
    chunk = pool_take(pool, request.reply.size + DIGITS_MAX)
    if chunk is NULL:
        return False
    at += 1
    memcpy(chunk_data(chunk), start, <size_t>(at - start))
    at = resp_put_bulk(chunk_data(chunk) + (at - start), digits, size)
    memcpy(at, rest, <size_t>(end - rest))
    request.reply.size = <size_t>(at - chunk_data(chunk)) + <size_t>(end - rest)
    request.reply.data = chunk_data(chunk)
    if request.reply_owner is not NULL:
        chunk_put(pool, request.reply_owner)
    request.reply_owner = chunk
    request.reply_room = NULL
    return True


cdef void scan_joined(pool_t *pool, fan_t *fan, request_t *request, uint64_t number) noexcept nogil:
    """RANDOMKEY: of the chains that have a key, the one that `number` falls on; an error if all have none and one has failed."""
    cdef:
        uint32_t index, keys = 0
        int64_t  chosen = -1
        slice_t  key
        slice_t *reply
    for index in range(fan.part_count):
        reply = &fan.parts[index].reply
        if resp_bulk(reply.data, reply.data + reply.size, &key) is not NULL and key.data is not NULL:
            keys += 1
            if number % keys == 0:          # each of those so far with the same chance, if number is any
                chosen = index
                number = number * 0x5851F42D4C957F2Du + 0x14057B7EF767814Fu >> 7
        elif chosen < 0 and keys == 0 and (reply.data[0] == b'-' or reply.data[0] == b'!'):
            chosen = -2 - <int64_t>index
    if keys == 0:
        chosen = -2 - chosen if chosen < -1 else 0
    request.reply = fan.parts[chosen].reply
    request.reply_owner = NULL
    if fan.parts[chosen].reply_owner is not NULL:
        request.reply_owner = chunk_ref(fan.parts[chosen].reply_owner)
    request.failed = request.reply.data[0] == b'-' or request.reply.data[0] == b'!'
