"""See resp_ports.pxd. A reply is copied up to each port, then goes on behind it.

Ports that stand for "not known" (0) are left: nobody can connect to them, and it would not be the node's.
"""

from libc.string cimport memchr, memcmp, memcpy, memmove

from shotover._codec.resp cimport resp_bulk, resp_frame_size, resp_integer
from shotover._codec.resp_edit cimport resp_head_size, resp_put_head
from shotover._core.slice cimport slice_t


cdef struct copy_t:             # from one place to another
    const uint8_t *at           # what has been copied ends here
    const uint8_t *end
    uint8_t       *to
    uint8_t        digits[8]    # the new port
    uint32_t       digit_count


cdef size_t replace_ports(int form, const uint8_t *reply, size_t size, uint32_t port, uint8_t *out) noexcept nogil:
    """Writes the reply with `port` in place of each node's to `out`, which has ports_room(size). Returns its size; 0: the
    reply has another form (an error, QUEUED), or ends too early; then what is in `out` means nothing."""
    cdef:
        copy_t  copy
        uint8_t digits[16]
    copy.at = reply
    copy.end = reply + size
    copy.to = out
    copy.digit_count = <uint32_t>resp_head_size(port) - 3
    resp_put_head(digits, b':', port)
    memcpy(copy.digits, digits + 1, copy.digit_count)
    if form == PORTS_ERRORS:
        if not _errors(&copy, reply):
            return 0
    elif form == PORTS_NODES:
        if _text(&copy, reply) is NULL:
            return 0
    elif not _list(&copy, form, reply):
        return 0
    _copy_to(&copy, copy.end, 0)
    return <size_t>(copy.to - out)


# ---- copying --------------------------------------------------------------------------------------------------------

cdef inline void _copy_to(copy_t *copy, const uint8_t *at, uint32_t skip) noexcept nogil:
    """Copies up to `at` and goes on `skip` bytes behind it."""
    memcpy(copy.to, copy.at, <size_t>(at - copy.at))
    copy.to += at - copy.at
    copy.at = at + skip


cdef void _put_port(copy_t *copy, const uint8_t *at, const uint8_t *end) noexcept nogil:
    """The new port in place of the digits [at, end); anything else there stays."""
    cdef const uint8_t *digit = at
    while digit < end and 48 <= digit[0] <= 57:
        digit += 1
    if digit < end or at == end or (end - at == 1 and at[0] == b'0'):
        return
    _copy_to(copy, at, <uint32_t>(end - at))
    memcpy(copy.to, copy.digits, copy.digit_count)
    copy.to += copy.digit_count


cdef const uint8_t *_last_colon(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """An IPv6 address has many; the port stands behind the last."""
    while end > at:
        end -= 1
        if end[0] == b':':
            return end
    return NULL


# ---- replies of CLUSTER ---------------------------------------------------------------------------------------------

cdef const uint8_t *_count(const uint8_t *at, const uint8_t *end, int64_t *count) noexcept nogil:
    """The head of an array, a set or a map: how many frames it has. Returns the first; NULL: it is none of these."""
    cdef uint8_t  head[32]
    cdef const uint8_t *newline
    if at >= end or (at[0] != b'*' and at[0] != b'%' and at[0] != b'~'):
        return NULL
    newline = <const uint8_t *>memchr(at, b'\n', <size_t>(end - at))
    if newline is NULL or newline - at >= 24:
        return NULL
    memcpy(head, at, <size_t>(newline + 1 - at))
    head[0] = b':'
    if not resp_integer(head, head + (newline + 1 - at), count) or count[0] < 0:
        return NULL
    if at[0] == b'%':
        count[0] *= 2
    return newline + 1


cdef const uint8_t *_skip(const uint8_t *at, const uint8_t *end) noexcept nogil:
    cdef size_t size = resp_frame_size(at, end)
    return at + size if size else NULL


cdef bint _list(copy_t *copy, int form, const uint8_t *at) noexcept nogil:
    """An array of slot ranges, of lines, or of shards."""
    cdef int64_t count = 0, _
    at = _count(at, copy.end, &count)
    if at is NULL:
        return False
    for _ in range(count):
        if form == PORTS_SLOTS:
            at = _range(copy, at)
        elif form == PORTS_LINES:
            at = _text(copy, at)
        else:
            at = _shard(copy, at)
        if at is NULL:
            return False
    return True


cdef const uint8_t *_range(copy_t *copy, const uint8_t *at) noexcept nogil:
    """[first, last, node ...], each node [host, port ...]. Returns what follows; NULL: it has another form."""
    cdef int64_t count = 0, words = 0, node, word
    at = _count(at, copy.end, &count)
    for node in range(count):
        if at is NULL:
            return NULL
        if node < 2:
            at = _skip(at, copy.end)
            continue
        at = _count(at, copy.end, &words)
        for word in range(words):
            if at is NULL:
                return NULL
            at = _integer_port(copy, at) if word == 1 else _skip(at, copy.end)
    return at


cdef const uint8_t *_integer_port(copy_t *copy, const uint8_t *at) noexcept nogil:
    cdef const uint8_t *after = _skip(at, copy.end)
    if after is not NULL and at[0] == b':':
        _put_port(copy, at + 1, after - 2)
    return after


cdef const uint8_t *_shard(copy_t *copy, const uint8_t *at) noexcept nogil:
    """A map (or a list of names and values) of which `nodes` is a list of such maps."""
    cdef:
        int64_t count = 0, nodes = 0, _
        slice_t name
    at = _count(at, copy.end, &count)
    for _ in range(count // 2):
        at = _name(at, copy.end, &name)
        if at is NULL:
            return NULL
        if not _is(&name, b"nodes", 5):
            at = _skip(at, copy.end)
            continue
        at = _count(at, copy.end, &nodes)
        for _ in range(nodes):
            if at is NULL:
                return NULL
            at = _node(copy, at)
    return at


cdef const uint8_t *_node(copy_t *copy, const uint8_t *at) noexcept nogil:
    cdef:
        int64_t count = 0, _
        slice_t name
    at = _count(at, copy.end, &count)
    for _ in range(count // 2):
        at = _name(at, copy.end, &name)
        if at is NULL:
            return NULL
        if _is(&name, b"port", 4) or _is(&name, b"tls-port", 8):
            at = _integer_port(copy, at)
        else:
            at = _skip(at, copy.end)
    return at


cdef const uint8_t *_name(const uint8_t *at, const uint8_t *end, slice_t *name) noexcept nogil:
    return NULL if at is NULL else resp_bulk(at, end, name)


cdef inline bint _is(slice_t *word, const char *text, size_t size) noexcept nogil:
    return word.size == size and memcmp(word.data, text, size) == 0


# ---- lines of CLUSTER NODES -----------------------------------------------------------------------------------------

cdef const uint8_t *_text(copy_t *copy, const uint8_t *at) noexcept nogil:
    """A bulk or verbatim string of lines; its length may change. Returns what follows; NULL: it is none."""
    cdef:
        const uint8_t *after = _skip(at, copy.end)
        const uint8_t *line
        const uint8_t *line_end
        const uint8_t *text_end
        uint8_t       *body
        size_t         head_size
    if after is NULL or (at[0] != b'$' and at[0] != b'='):
        return NULL
    line = <const uint8_t *>memchr(at, b'\n', <size_t>(after - at)) + 1
    if line == after:                   # null
        return after
    _copy_to(copy, at, <uint32_t>(line - at))
    copy.to += 32                       # for its head, which comes last
    body = copy.to
    text_end = after - 2
    while line < text_end:
        line_end = <const uint8_t *>memchr(line, b'\n', <size_t>(text_end - line))
        if line_end is NULL:
            line_end = text_end
        _line(copy, line, line_end)
        line = line_end + 1
    _copy_to(copy, text_end, 0)
    head_size = resp_head_size(<size_t>(copy.to - body))
    resp_put_head(body - 32, at[0], <size_t>(copy.to - body))
    memmove(body - 32 + head_size, body, <size_t>(copy.to - body))
    copy.to -= 32 - head_size
    return after


cdef void _line(copy_t *copy, const uint8_t *line, const uint8_t *end) noexcept nogil:
    """`id host:port@bus,hostname,name=value... flags ...`: the port, and those that are named behind it."""
    cdef:
        const uint8_t *at = <const uint8_t *>memchr(line, b' ', <size_t>(end - line))
        const uint8_t *address_end
        const uint8_t *colon
        const uint8_t *word
        const uint8_t *word_end
    if at is NULL:
        return
    at += 1
    word_end = <const uint8_t *>memchr(at, b' ', <size_t>(end - at))
    if word_end is not NULL:
        end = word_end
    word = <const uint8_t *>memchr(at, b',', <size_t>(end - at))
    address_end = end if word is NULL else word
    colon = <const uint8_t *>memchr(at, b'@', <size_t>(address_end - at))
    if colon is not NULL:
        address_end = colon
    colon = _last_colon(at, address_end)
    if colon is not NULL:
        _put_port(copy, colon + 1, address_end)
    while word is not NULL:
        word += 1
        word_end = <const uint8_t *>memchr(word, b',', <size_t>(end - word))
        address_end = end if word_end is NULL else word_end
        if address_end - word > 9 and (memcmp(word, b"tls-port=", 9) == 0 or memcmp(word, b"tcp-port=", 9) == 0):
            _put_port(copy, word + 9, address_end)
        word = word_end


# ---- errors ---------------------------------------------------------------------------------------------------------

cdef bint _errors(copy_t *copy, const uint8_t *at) noexcept nogil:
    """Whole replies, one after the other; those that send a client elsewhere name a port at their end."""
    cdef:
        const uint8_t *after
        const uint8_t *colon
    while at < copy.end:
        after = _skip(at, copy.end)
        if after is NULL:
            return False
        if at[0] == b'-' and (_begins(at, after, b"-MOVED ", 7) or _begins(at, after, b"-ASK ", 5)
                              or _begins(at, after, b"-REDIRECT ", 10)):
            colon = _last_colon(at, after)
            if colon is not NULL:
                _put_port(copy, colon + 1, after - 2)
        at = after
    return True


cdef inline bint _begins(const uint8_t *at, const uint8_t *end, const char *text, size_t size) noexcept nogil:
    return <size_t>(end - at) >= size and memcmp(at, text, size) == 0
