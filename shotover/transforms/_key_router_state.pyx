"""See _key_router_state.pxd."""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from shotover._codec.commands cimport word_is
from shotover._codec.logins cimport hello_option, login_user
from shotover._codec.resp cimport resp_words
from shotover._codec.resp_edit cimport resp_head_size, resp_put_bulk, resp_put_head


cdef saved_t *state_next(route_session_t *client, uint64_t told, uint8_t without, saved_t *after) noexcept nogil:
    """The next command, behind `after` (NULL: from the beginning), for a chain that was told up to `told`. NULL: no more.

    `without`: SAVED_* that need not be told, since something is to take its place; 0: none.
    """
    cdef saved_t *saved = client.saved if after is NULL else after.following
    while saved is not NULL and (saved.version <= told or saved.what == without):
        saved = saved.following
    return saved


cdef uint8_t state_what(const slice_t *words, uint32_t count) noexcept nogil:
    """What the command sets, if it succeeds; 0: nothing that is known."""
    if word_is(&words[0], "AUTH", 4):
        return SAVED_AUTH
    if word_is(&words[0], "SELECT", 6):
        return SAVED_SELECT
    if word_is(&words[0], "HELLO", 5) and count > 1:
        return SAVED_HELLO
    if word_is(&words[0], "CLIENT", 6) and count > 2:
        if word_is(&words[1], "SETNAME", 7):
            return SAVED_NAME
        return SAVED_LIBRARY_VERSION if word_is(&words[2], "LIB-VER", 7) else SAVED_LIBRARY
    return 0


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


cdef bint _keep(route_session_t *client, uint8_t what, const slice_t *words, uint32_t count) noexcept nogil:
    """These words are from now on what a chain is told of `what`. False: no memory."""
    cdef:
        size_t    size = resp_head_size(count)
        uint32_t  index
        saved_t  *saved
        saved_t **link = &client.saved
        uint8_t  *to
    for index in range(count):
        size += resp_head_size(words[index].size) + words[index].size + 2
    saved = <saved_t *>malloc(sizeof(saved_t) + size)
    if saved is NULL:
        return False
    to = resp_put_head(<uint8_t *>(saved + 1), b'*', count)
    for index in range(count):
        to = resp_put_bulk(to, words[index].data, words[index].size)
    saved.version = client.version
    saved.size = <uint32_t>size
    saved.what = what
    while link[0] is not NULL:
        if link[0].what == what:
            _drop(link)
        else:
            link = &link[0].following
    if what == SAVED_AUTH:              # a server that wants a password hears of nothing else before it
        link = &client.saved
    saved.following = link[0]
    link[0] = saved
    return True


cdef bint state_save(route_session_t *client, const request_t *request) noexcept nogil:
    """The request has succeeded: keeps it for other chains, and notes what it has set. False: it cannot be kept."""
    cdef:
        slice_t  words[WORDS_MAX]
        slice_t  parts[3]
        slice_t  user
        uint32_t count = resp_words(request.wire.data, request.wire.data + request.wire.size, words, WORDS_MAX)
        uint32_t at
        uint8_t  what
        uint8_t *name
    if count == 0 or count > WORDS_MAX or request.wire.size > SAVED_BYTES_MAX:
        return False
    what = state_what(words, count)
    if what == 0:
        return count == 1                   # HELLO that only asks
    client.version += 1
    client.generation = 0
    if login_user(words, count, &user):
        name = <uint8_t *>malloc(user.size + 1)
        if name is NULL:
            return False
        memcpy(name, user.data, user.size)
        free(client.user)
        client.user = name
        client.user_size = <uint32_t>user.size
    state_database(words, count, &client.database)
    if what != SAVED_HELLO:
        return _keep(client, what, words, count)
    client.protocol = 3 if words[1].size == 1 and words[1].data[0] == b'3' else 2
    at = hello_option(words, count, "AUTH", 4)
    if at and at + 2 < count:               # its parts are kept apart: each may be replaced without the others
        parts[0].data = <uint8_t *>b"AUTH"
        parts[0].size = 4
        parts[1] = words[at + 1]
        parts[2] = words[at + 2]
        if not _keep(client, SAVED_AUTH, parts, 3):
            return False
    at = hello_option(words, count, "SETNAME", 7)
    if at:
        parts[0].data = <uint8_t *>b"CLIENT"
        parts[0].size = 6
        parts[1] = words[at]
        parts[2] = words[at + 1]
        if not _keep(client, SAVED_NAME, parts, 3):
            return False
    return _keep(client, SAVED_HELLO, words, 2)


cdef void _drop(saved_t **link) noexcept nogil:
    cdef saved_t *saved = link[0]
    link[0] = saved.following
    free(saved)


cdef void state_reset(route_session_t *client, uint32_t chain, uint32_t chain_count) noexcept nogil:
    """RESET has succeeded in `chain`: the client is as a new one. Other chains may not know."""
    cdef:
        uint64_t *told = route_told(client)
        uint32_t  index
    for index in range(chain_count):
        if told[index]:
            told[index] = TOLD_UNSURE
    told[chain] = 0
    state_forget(client)
    client.transaction = TX_NONE
    client.broken = 0
    client.watching = 0
    client.subscribed = 0
    client.monitoring = 0
    client.silent = 0
    client.skip = 0


cdef void state_forget(route_session_t *client) noexcept nogil:
    """What has been saved, and what that has set."""
    while client.saved is not NULL:
        _drop(&client.saved)
    free(client.user)
    client.user = NULL
    client.user_size = 0
    client.database = 0
    client.protocol = 2
    client.generation = 0
    client.version = 1
    client.told_version = 0
