"""See resp_cursor.pxd. Servers' own cursors are below 2**48 or so: there is room to multiply."""

from libc.stdint cimport UINT64_MAX, uint8_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from shotover._codec.resp cimport resp_bulk, resp_words
from shotover._codec.resp_edit cimport resp_put_bulk
from shotover._core.memory cimport chunk_data, chunk_put, chunk_t, pool_take
from shotover._core.request cimport request_drop_reply
from shotover._core.slice cimport slice_t

cdef enum:
    WORDS = 4


cdef bint _number(const slice_t *word, uint64_t *number) noexcept nogil:
    """A decimal number of 64 bits."""
    cdef:
        size_t  at
        uint8_t digit
    number[0] = 0
    if word.size == 0 or word.size > 20:
        return False
    for at in range(word.size):
        digit = word.data[at] - 48
        if digit > 9 or number[0] > (UINT64_MAX - digit) // 10:
            return False
        number[0] = number[0] * 10 + digit
    return True


cdef chunk_t *_replaced(pool_t *pool, slice_t *whole, uint8_t *from_, uint8_t *to, uint64_t number, size_t *size) noexcept nogil:
    """`whole` with a bulk string of the number in place of [from_, to). NULL: no memory."""
    cdef:
        char     digits[24]
        int      digit_count = snprintf(digits, sizeof(digits), b"%llu", <unsigned long long>number)
        chunk_t *chunk = pool_take(pool, whole.size + 32)
        uint8_t *at
    if chunk is NULL:
        return NULL
    at = chunk_data(chunk)
    memcpy(at, whole.data, <size_t>(from_ - whole.data))
    at = resp_put_bulk(at + (from_ - whole.data), <const uint8_t *>digits, <size_t>digit_count)
    memcpy(at, to, <size_t>(whole.data + whole.size - to))
    size[0] = <size_t>(at - chunk_data(chunk)) + <size_t>(whole.data + whole.size - to)
    return chunk


cdef bint cursor_read(request_t *request, uint32_t index, uint64_t *cursor) noexcept nogil:
    """The cursor in word `index` (1 to 3) of a request. False: there is none."""
    cdef slice_t words[WORDS]
    if resp_words(request.wire.data, request.wire.data + request.wire.size, words, WORDS) <= index:
        return False
    return _number(&words[index], cursor)


cdef bint cursor_request(pool_t *pool, request_t *request, uint32_t index, uint64_t cursor) noexcept nogil:
    """Puts another one there. False: no memory."""
    cdef:
        slice_t  words[WORDS]
        chunk_t *chunk
        size_t   size = 0
    resp_words(request.wire.data, request.wire.data + request.wire.size, words, WORDS)
    chunk = _replaced(pool, &request.wire, words[index - 1].data + words[index - 1].size + 2,
                      words[index].data + words[index].size + 2, cursor, &size)
    if chunk is NULL:
        return False
    if request.owner is not NULL:
        chunk_put(pool, request.owner)
    request.owner = chunk
    request.wire.data = chunk_data(chunk)
    request.wire.size = size
    request.edited = 1
    return True


cdef bint cursor_reply(pool_t *pool, request_t *request, uint32_t base, uint32_t which, uint32_t through) noexcept nogil:
    """The cursor in a reply becomes one that says which server it is of. Where that server is through (0), it is the
    beginning of the next one's, if there is one among `through`; else it stays 0, the end. False: no memory, or too great a
    number; the reply is as before."""
    cdef:
        slice_t  word
        uint8_t *start
        uint8_t *after
        uint64_t cursor = 0
        chunk_t *chunk
        size_t   size = 0
    if request.reply.size < 8 or request.reply.data[0] != b'*':
        return True
    start = request.reply.data + 4              # "*2\r\n"
    after = resp_bulk(start, request.reply.data + request.reply.size, &word)
    if after is NULL or word.data is NULL or not _number(&word, &cursor):
        return True
    if cursor > (UINT64_MAX - which) // base:
        return False
    if cursor:
        cursor = cursor * base + which
    elif which + 1 < through:
        cursor = which + 1
    else:
        return True
    chunk = _replaced(pool, &request.reply, start, after, cursor, &size)
    if chunk is NULL:
        return False
    request_drop_reply(pool, request)
    request.reply_owner = chunk
    request.reply.data = chunk_data(chunk)
    request.reply.size = size
    return True
