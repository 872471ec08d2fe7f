"""See _key_router_state.pxd."""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from shotover._codec.commands cimport word_is
from shotover._codec.resp cimport resp_words


cdef saved_t *state_next(route_session_t *client, uint64_t told, saved_t *after) noexcept nogil:
    """The next command, behind `after` (NULL: from the beginning), for a chain that was told up to `told`. NULL: no more."""
    cdef saved_t *saved = client.saved if after is NULL else after.following
    while saved is not NULL and saved.version <= told:
        saved = saved.following
    return saved


cdef uint8_t _what(const slice_t *words, uint32_t count) noexcept nogil:
    """SAVED_*; 0: it sets nothing that is known."""
    cdef uint32_t index
    if word_is(&words[0], "AUTH", 4):
        return SAVED_AUTH
    if word_is(&words[0], "SELECT", 6):
        return SAVED_SELECT
    if word_is(&words[0], "HELLO", 5) and count > 1:
        for index in range(2, count):
            if word_is(&words[index], "AUTH", 4):
                return SAVED_HELLO_AUTH
        return SAVED_HELLO
    if word_is(&words[0], "CLIENT", 6) and count > 2:
        if word_is(&words[1], "SETNAME", 7):
            return SAVED_NAME
        return SAVED_LIBRARY_VERSION if word_is(&words[2], "LIB-VER", 7) else SAVED_LIBRARY
    return 0


cdef bint state_user(const slice_t *words, uint32_t count, slice_t *user) noexcept nogil:
    """Whether the command logs in, and as whom; AUTH with a password alone logs in the user default."""
    cdef uint32_t index
    if word_is(&words[0], "AUTH", 4) and (count == 2 or count == 3):
        user.data = <uint8_t *>b"default" if count == 2 else words[1].data
        user.size = 7 if count == 2 else words[1].size
        return True
    if word_is(&words[0], "HELLO", 5):
        index = 2
        while index + 2 < count:
            if word_is(&words[index], "AUTH", 4):
                user[0] = words[index + 1]
                return True
            index += 2                      # SETNAME and its name
    return False


cdef bint state_database(const slice_t *words, uint32_t count, int32_t *database) noexcept nogil:
    """Whether the command is SELECT, and of which database."""
    cdef:
        size_t  index
        int64_t number = 0
    if count != 2 or not word_is(&words[0], "SELECT", 6) or not 0 < words[1].size <= 9:
        return False
    for index in range(words[1].size):
        if not b'0' <= words[1].data[index] <= b'9':
            return False
        number = number * 10 + (words[1].data[index] - 48)
    database[0] = <int32_t>number
    return True


cdef bint _takes_the_place(uint8_t what, uint8_t older) noexcept nogil:
    if what == SAVED_HELLO_AUTH:
        return older == SAVED_HELLO_AUTH or older == SAVED_HELLO or older == SAVED_AUTH
    return what == older


cdef bint state_save(route_session_t *client, const request_t *request) noexcept nogil:
    """The request has succeeded: keeps it for other chains, and notes what it has set. False: it cannot be kept."""
    cdef:
        slice_t   words[WORDS_MAX]
        slice_t   user
        uint32_t  count = resp_words(request.wire.data, request.wire.data + request.wire.size, words, WORDS_MAX)
        uint8_t   what
        uint8_t  *name
        saved_t  *saved
        saved_t **link = &client.saved
    if count == 0 or count > WORDS_MAX or request.wire.size > SAVED_BYTES_MAX:
        return False
    what = _what(words, count)
    if what == 0:
        return count == 1                   # HELLO that only asks
    saved = <saved_t *>malloc(sizeof(saved_t) + request.wire.size)
    if saved is NULL:
        return False
    if state_user(words, count, &user):
        name = <uint8_t *>malloc(user.size + 1)
        if name is NULL:
            free(saved)
            return False
        memcpy(name, user.data, user.size)
        free(client.user)
        client.user = name
        client.user_size = <uint32_t>user.size
    if what == SAVED_HELLO or what == SAVED_HELLO_AUTH:
        client.protocol = 3 if words[1].size == 1 and words[1].data[0] == b'3' else 2
    state_database(words, count, &client.database)
    client.version += 1
    client.generation = 0
    saved.version = client.version
    saved.size = <uint32_t>request.wire.size
    saved.what = what
    memcpy(saved + 1, request.wire.data, request.wire.size)
    while link[0] is not NULL:
        if _takes_the_place(what, link[0].what):
            _drop(link)
        else:
            link = &link[0].following
    if what == SAVED_AUTH:                  # a server that wants a password hears of nothing else before it
        link = &client.saved
        while link[0] is not NULL and link[0].what == SAVED_HELLO_AUTH:
            link = &link[0].following
    saved.following = link[0]
    link[0] = saved
    return True


cdef void _drop(saved_t **link) noexcept nogil:
    cdef saved_t *saved = link[0]
    link[0] = saved.following
    free(saved)


cdef void state_forget(route_session_t *client) noexcept nogil:
    """As a new client: RESET."""
    while client.saved is not NULL:
        _drop(&client.saved)
    free(client.user)
    client.user = NULL
    client.user_size = 0
    client.database = 0
    client.protocol = 2
    client.generation = 0
    client.version = 1
