"""See resp_edit.pxd. Who edits writes a whole new request by the resp_put functions, then has its facts made anew."""

from libc.string cimport memcpy

from shotover._codec.commands cimport (
    CONDUCT_PLAIN,
    KIND_UNKNOWN,
    command_find,
    command_find_sub,
    command_t,
)
from shotover._codec.resp cimport resp_words


cdef void resp_facts(request_t *request) noexcept nogil:
    """Sets command, kind, conduct, argc and key of a request of count 1 from its `wire`."""
    cdef:
        slice_t          words[2]
        const command_t *command
        const command_t *sub
    words[1].data = NULL
    words[1].size = 0
    request.argc = resp_words(request.wire.data, request.wire.data + request.wire.size, words, 2)
    request.key_at = 0
    request.key_size = 0
    request.command = NULL
    request.kind = KIND_UNKNOWN
    request.conduct = CONDUCT_PLAIN
    if request.argc == 0:
        return
    command = command_find(words[0].data, words[0].size)
    if command is NULL:
        return
    if command.has_subcommands and request.argc > 1:
        sub = command_find_sub(command, words[1].data, words[1].size)
        if sub is not NULL:
            command = sub
    request.command = command
    request.kind = command.kind
    request.conduct = command.conduct
    if command.first_key == 1 and request.argc > 1:
        request.key_at = <uint32_t>(words[1].data - request.wire.data)
        request.key_size = <uint32_t>words[1].size


cdef size_t resp_head_size(uint64_t number) noexcept nogil:
    """Bytes of a line such as `$123`, its end included."""
    cdef size_t size = 4
    while number >= 10:
        number = number // 10
        size += 1
    return size


cdef uint8_t *resp_put_head(uint8_t *to, uint8_t sign, uint64_t number) noexcept nogil:
    """Writes `sign`, the number and the end of line; returns what follows."""
    cdef:
        size_t   size = resp_head_size(number)
        uint8_t *at = to + size - 3
    to[0] = sign
    while True:
        at[0] = <uint8_t>(48 + number % 10)
        number = number // 10
        if number == 0:
            break
        at -= 1
    to[size - 2] = b'\r'
    to[size - 1] = b'\n'
    return to + size


cdef uint8_t *resp_put_bulk(uint8_t *to, const uint8_t *data, size_t size) noexcept nogil:
    """Writes one bulk string; returns what follows."""
    to = resp_put_head(to, b'$', size)
    memcpy(to, data, size)
    to[size] = b'\r'
    to[size + 1] = b'\n'
    return to + size + 2
