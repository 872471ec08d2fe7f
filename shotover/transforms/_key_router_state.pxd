"""What KeyRouter knows of a client: its state on the servers, and what holds up its requests.

A chain that a client comes to late must first be told what the client has told others: AUTH, HELLO, SELECT and the like,
as far as they have succeeded and nothing later has taken their place. Each is kept with the *version* it made; of each
chain is known up to which version it was told.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from shotover._core.memory cimport chunk_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t


cdef enum:
    WORDS_MAX = 16              # of a command that sets state; none has so many
    SAVED_BYTES_MAX = 8192      # of one such command that can be kept

cdef extern from *:
    """
    #define TOLD_UNSURE UINT64_MAX
    """
    uint64_t TOLD_UNSURE

cdef enum:                      # saved_t.what; up to NAME a chain that refuses it fails what it was for
    SAVED_AUTH = 1
    SAVED_HELLO = 2
    SAVED_SELECT = 3
    SAVED_NAME = 4
    SAVED_LIBRARY = 5
    SAVED_LIBRARY_VERSION = 6

cdef enum:                      # route_session_t.transaction
    TX_NONE = 0
    TX_UNDECIDED = 1            # MULTI was answered here; the first command with a key says where it goes
    TX_OPEN = 2                 # it is open in `chain`

cdef struct saved_t:            # a command that sets state, as it has succeeded; its wire follows
    saved_t *following
    uint64_t version
    uint32_t size
    uint8_t  what               # SAVED_*

cdef struct route_session_t:
    void      *session          # session_t; NULL: gone
    batch_t    waiting          # what is held, in order
    saved_t   *saved            # in the order in which a chain is told
    uint64_t   version          # of the last change; 1: there was none
    uint8_t   *user             # its own memory; NULL: default
    uint32_t   user_size
    int32_t    database
    uint32_t   base             # the first rule that holds for all of its requests
    uint64_t   generation       # of the rules that `base` is of; 0: to be worked out
    uint32_t   items            # outstanding ones that point here
    uint32_t   holds            # of them, those that hold up what waits
    uint32_t   chain            # of the transaction, or of what is watched
    uint32_t   listening        # the chain whose messages it gets
    uint32_t   telling          # the chain that is being told, or was last
    uint8_t    told_without     # SAVED_* that it was not told
    uint64_t   told_version     # up to here it was told all but that; 0: nothing of the kind
    slice_t    problem          # what it said instead: the answer to the first that waits; size 0: nothing
    chunk_t   *problem_owner
    uint8_t    protocol         # 2 or 3
    uint8_t    transaction      # TX_*
    uint8_t    broken           # a command of this transaction was refused
    uint8_t    watching         # WATCH has been sent to `chain`
    uint8_t    subscribed       # it may have subscriptions, in `listening`
    uint8_t    monitoring       # it has sent MONITOR, to `listening`
    uint8_t    silent           # CLIENT REPLY OFF
    uint8_t    skip             # CLIENT REPLY SKIP: the next one gets no reply
    # then: uint64_t told[], of each chain the version it was told; 0: nothing was ever left there; TOLD_UNSURE: something
    # may be left there from before a RESET


cdef inline uint64_t *route_told(route_session_t *client) noexcept nogil:
    return <uint64_t *>(client + 1)


cdef inline bint route_bound(const route_session_t *client) noexcept nogil:
    """Whether everything goes to `listening`: such a client may send little else, and its server says what."""
    return client.monitoring or (client.subscribed and client.protocol == 2)


cdef saved_t *state_next(route_session_t *client, uint64_t told, uint8_t without, saved_t *after) noexcept nogil
cdef uint8_t state_what(const slice_t *words, uint32_t count) noexcept nogil
cdef bint state_database(const slice_t *words, uint32_t count, int32_t *database) noexcept nogil
cdef bint state_save(route_session_t *client, const request_t *request) noexcept nogil
cdef void state_reset(route_session_t *client, uint32_t chain, uint32_t chain_count) noexcept nogil
cdef void state_forget(route_session_t *client) noexcept nogil
