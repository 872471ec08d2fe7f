from libc.stdlib cimport malloc
from libc.string cimport memcmp, memcpy, memset, strlen

from shotover._codec.commands cimport word_is


cdef uint64_t state_hash(slice_t *fields) noexcept nogil:
    """FNV-1a over sizes and bytes; states are few, and are compared in full."""
    cdef:
        uint64_t hash = 14695981039346656037ULL
        int      index
        size_t   at
    for index in range(FIELD_COUNT):
        hash = (hash ^ fields[index].size) * 1099511628211ULL
        for at in range(fields[index].size):
            hash = (hash ^ fields[index].data[at]) * 1099511628211ULL
    return hash


cdef bint state_is(redis_state_t *state, slice_t *fields, uint64_t hash) noexcept nogil:
    cdef int index
    if state.hash != hash:
        return False
    for index in range(FIELD_COUNT):
        if state.sizes[index] != fields[index].size:
            return False
        if state.sizes[index] and memcmp(state.fields[index], fields[index].data, fields[index].size) != 0:
            return False
    return True


cdef void state_fields(redis_state_t *state, slice_t *fields) noexcept nogil:
    """Views of the fields, to be changed one by one and given to state_new."""
    cdef int index
    for index in range(FIELD_COUNT):
        fields[index].data = state.fields[index]
        fields[index].size = state.sizes[index]


cdef uint8_t *_put(uint8_t *out, const uint8_t *data, size_t size) noexcept nogil:
    memcpy(out, data, size)
    return out + size


cdef inline uint8_t *_put_text(uint8_t *out, const char *text) noexcept nogil:
    return _put(out, <const uint8_t *>text, strlen(text))


cdef uint8_t *_put_number(uint8_t *out, uint8_t mark, size_t number) noexcept nogil:
    cdef:
        uint8_t digits[24]
        int     count = 0
    out[0] = mark
    out += 1
    while True:
        digits[count] = <uint8_t>(48 + number % 10)
        number //= 10
        count += 1
        if number == 0:
            break
    while count:
        count -= 1
        out[0] = digits[count]
        out += 1
    out[0] = b'\r'
    out[1] = b'\n'
    return out + 2


cdef uint8_t *_put_bulk(uint8_t *out, const uint8_t *data, size_t size) noexcept nogil:
    out = _put_number(out, b'$', size)
    out = _put(out, data, size)
    return _put(out, b"\r\n", 2)


cdef uint8_t *_put_auth_words(uint8_t *out, redis_state_t *state, int *count, bint with_user) noexcept nogil:
    """The words of AUTH; HELLO wants a user, which is "default" for AUTH with a password alone."""
    cdef:
        uint8_t *at = state.fields[FIELD_AUTH]
        uint8_t *end = at + state.sizes[FIELD_AUTH]
        size_t   size
        int      words = 0
        uint8_t *p = at
    while p < end:
        p += 2 + p[0] + 256 * <size_t>p[1]
        words += 1
    count[0] = words
    if words == 1 and with_user:
        out = _put_bulk(out, b"default", 7)
        count[0] = 2
    while at < end:
        size = at[0] + 256 * <size_t>at[1]
        out = _put_bulk(out, at + 2, size)
        at += 2 + size
    return out


cdef void _write_greeting(redis_state_t *state) noexcept nogil:
    cdef:
        uint8_t *out = state.greeting
        uint8_t  words[2 * FIELD_SIZE_MAX + 64]
        uint8_t *end
        int      count = 0
    end = _put_auth_words(words, state, &count, state.sizes[FIELD_PROTOCOL] > 0)
    if state.sizes[FIELD_PROTOCOL]:
        out = _put_number(out, b'*', 2 if count == 0 else 5)
        out = _put_bulk(out, b"HELLO", 5)
        out = _put_bulk(out, state.fields[FIELD_PROTOCOL], state.sizes[FIELD_PROTOCOL])
        if count:
            out = _put_bulk(out, b"AUTH", 4)
            out = _put(out, words, <size_t>(end - words))
        state.greeting_count += 1
    elif count:
        out = _put_number(out, b'*', <size_t>count + 1)
        out = _put_bulk(out, b"AUTH", 4)
        out = _put(out, words, <size_t>(end - words))
        state.greeting_count += 1
    if state.sizes[FIELD_NAME]:
        out = _put_text(out, b"*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n")
        out = _put_bulk(out, state.fields[FIELD_NAME], state.sizes[FIELD_NAME])
        state.greeting_count += 1
    if state.sizes[FIELD_LIB_NAME]:
        out = _put_text(out, b"*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n$8\r\nLIB-NAME\r\n")
        out = _put_bulk(out, state.fields[FIELD_LIB_NAME], state.sizes[FIELD_LIB_NAME])
        state.greeting_count += 1
    if state.sizes[FIELD_LIB_VERSION]:
        out = _put_text(out, b"*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n$7\r\nLIB-VER\r\n")
        out = _put_bulk(out, state.fields[FIELD_LIB_VERSION], state.sizes[FIELD_LIB_VERSION])
        state.greeting_count += 1
    if state.sizes[FIELD_DB]:
        out = _put_text(out, b"*2\r\n$6\r\nSELECT\r\n")
        out = _put_bulk(out, state.fields[FIELD_DB], state.sizes[FIELD_DB])
        state.greeting_count += 1
    state.greeting_size = <size_t>(out - state.greeting)


cdef redis_state_t *state_new(slice_t *fields) noexcept nogil:
    """A state with copies of the fields (each at most FIELD_SIZE_MAX) and its greeting; NULL: no memory. Freed by free()."""
    cdef:
        size_t         total = 0
        int            index
        redis_state_t *state
        uint8_t       *at
    for index in range(FIELD_COUNT):
        total += fields[index].size
    state = <redis_state_t *>malloc(sizeof(redis_state_t) + 2 * total + 512)
    if state is NULL:
        return NULL
    memset(state, 0, sizeof(redis_state_t))
    at = <uint8_t *>(state + 1)
    for index in range(FIELD_COUNT):
        state.fields[index] = at
        state.sizes[index] = <uint16_t>fields[index].size
        if fields[index].size:              # an empty one has no address
            memcpy(at, fields[index].data, fields[index].size)
        at += fields[index].size
    state.hash = state_hash(fields)
    state.greeting = at
    _write_greeting(state)
    return state


cdef bint state_apply(slice_t *words, uint32_t count, slice_t *fields, uint8_t *auth) noexcept nogil:
    """What a successful state command changes in the fields. False: nothing that could be replayed."""
    cdef uint32_t at = 1
    if word_is(&words[0], b"SELECT", 6) and count == 2:
        fields[FIELD_DB] = words[1]
        if words[1].size == 1 and words[1].data[0] == b'0':
            fields[FIELD_DB].size = 0
        return True
    if word_is(&words[0], b"AUTH", 4):
        return _apply_auth(words + 1, count - 1, fields, auth)
    if word_is(&words[0], b"CLIENT", 6) and count >= 3:
        if word_is(&words[1], b"SETNAME", 7):
            fields[FIELD_NAME] = words[2]
            return True
        if word_is(&words[1], b"SETINFO", 7) and count == 4:
            if word_is(&words[2], b"LIB-NAME", 8):
                fields[FIELD_LIB_NAME] = words[3]
                return True
            if word_is(&words[2], b"LIB-VER", 7):
                fields[FIELD_LIB_VERSION] = words[3]
                return True
        return False
    if not word_is(&words[0], b"HELLO", 5):
        return False
    if count > 1:
        fields[FIELD_PROTOCOL] = words[1]
        if words[1].size == 1 and words[1].data[0] == b'2':
            fields[FIELD_PROTOCOL].size = 0
        at = 2
    while at < count:
        if word_is(&words[at], b"AUTH", 4) and at + 2 < count:
            if not _apply_auth(words + at + 1, 2, fields, auth):
                return False
            at += 3
        elif word_is(&words[at], b"SETNAME", 7) and at + 1 < count:
            fields[FIELD_NAME] = words[at + 1]
            at += 2
        else:
            return False
    return True


cdef bint _apply_auth(slice_t *words, uint32_t count, slice_t *fields, uint8_t *auth) noexcept nogil:
    cdef:
        uint32_t index
        size_t   used = 0
    for index in range(count):
        if used + 2 + words[index].size > FIELD_SIZE_MAX:
            return False
        auth[used] = <uint8_t>(words[index].size & 255)
        auth[used + 1] = <uint8_t>(words[index].size >> 8)
        memcpy(auth + used + 2, words[index].data, words[index].size)
        used += 2 + words[index].size
    fields[FIELD_AUTH].data = auth
    fields[FIELD_AUTH].size = used
    return True
