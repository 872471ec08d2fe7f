"""RedisCacheBase: what reads and writes of RedisCache share: what waits for Redis, names, tokens, commands, and the question
what a table's key is made of."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport strlen

from shotover._codec.cql.facts cimport cql_facts_t
from shotover._codec.cql.keys cimport cql_keys_t
from shotover._codec.cql.messages cimport cql_params_t
from shotover._core.memory cimport chunk_t, slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._net.digest cimport Digest
from shotover._net.timers cimport timer_t
from shotover._proxy.step cimport Chain, Step
from shotover.transforms._redis_cache_plan cimport plan_t
from shotover.transforms._redis_cache_tables cimport CachedTables


cdef enum:
    NAME_ROOM = 192             # of a key in Redis
    TOKEN_SIZE = 17

cdef enum:                      # op_t.phase
    PHASE_LOOKUP = 1
    PHASE_OPENING = 2           # a token that was not there is being set
    PHASE_FETCHING = 3          # the server is asked
    PHASE_FILLING = 4
    PHASE_MARKING = 5
    PHASE_WRITING = 6           # the server is asked
    PHASE_UNMARKING = 7
    PHASE_ASKING = 8            # what the columns of a table are
    PHASE_MENDING = 9           # a table that is distrusted gets a new token
    PHASE_OVER = 10             # nobody waits for the commands that are still under way

cdef struct name_t:
    uint16_t table
    uint8_t  whole              # it is the table's, not one of a partition
    uint8_t  size
    uint8_t  data[NAME_ROOM]

cdef struct op_t:               # one request, and what is done in Redis for it
    request_t *request          # the client's, while it is held here; NULL: it is not
    op_t      *next             # of those that wait for Redis, the longest first
    op_t      *previous
    uint64_t   deadline_ns      # 0: it is not among them
    uint32_t   waiting          # commands under way
    uint16_t   table            # of reads, and of questions
    uint8_t    phase
    uint8_t    failed           # a command has
    uint8_t    unmarked         # a write of which Redis does not know
    uint8_t    compression      # PHASE_ASKING: of its client's connection
    uint8_t    schema           # it may change what a table's key is
    uint32_t   doubts           # PHASE_MENDING: those of the table when it began
    uint32_t   mark_count
    chunk_t   *marks            # of a write: name_t for each
    uint8_t    mark[TOKEN_SIZE]
    uint8_t    tokens[2][TOKEN_SIZE]    # of a read: table's and partition's
    name_t     row              # of a read
    name_t     entry

cdef class RedisCacheBase(Step):
    cdef:
        Chain        store
        CachedTables tables
        Digest       digest
        slice_t      prefix         # kept by `tables`
        uint64_t     entry_ms, token_ms, window_ms
        uint64_t     wait_ns
        uint64_t     entry_max      # bytes of a reply that is kept
        bint         keeps_empty
        bint         strict
        slab_t       ops
        op_t        *first
        op_t        *last
        timer_t      timer
        cql_keys_t   keys
        uint64_t     origin         # of this worker's tokens
        uint64_t     tokens_made
        uint64_t     complained_ns  # when a failure was last logged
        uint64_t     hits, misses, bypassed, fills, writes, failures, refused

    cdef const plan_t *_plan(self, chunk_t *facts) noexcept nogil
    cdef op_t *_begin(self, request_t *request, uint8_t phase) noexcept nogil
    cdef void _wait(self, op_t *op) noexcept nogil
    cdef void _wait_no_more(self, op_t *op) noexcept nogil
    cdef void _end(self, op_t *op) noexcept nogil
    cdef void _token(self, uint8_t sign, uint8_t *out) noexcept nogil
    cdef void _name(self, name_t *name, uint8_t kind, uint32_t table, const uint8_t *hash) noexcept nogil
    cdef bint _row_name(self, name_t *name, uint32_t table, const slice_t *parts, uint32_t count) noexcept nogil
    cdef bint _send(self, op_t *op, const slice_t *words, uint32_t count, uint16_t which) noexcept nogil
    cdef void _complain(self, request_t *child) noexcept nogil
    cdef void _ask(self, request_t *request, uint32_t table) noexcept nogil
    cdef void _asked(self, op_t *op, request_t *request) noexcept nogil
    cdef bint _body(self, request_t *request, int compression, chunk_t **plain, slice_t *frame, slice_t *body) noexcept nogil
    # to be overridden:
    cdef void overdue(self, op_t *op) noexcept nogil
    # internal:
    cdef void _expire(self) noexcept nogil


cdef int cache_compression(request_t *request) noexcept nogil

cdef inline slice_t cache_word(const void *data, size_t size) noexcept nogil:
    cdef slice_t word
    word.data = <uint8_t *>data
    word.size = size
    return word

cdef inline slice_t cache_text(const char *text) noexcept nogil:
    return cache_word(text, strlen(text))

cdef inline slice_t cache_number(uint64_t number, char *room) noexcept nogil:
    """In decimal digits, which `room` keeps: 24 bytes."""
    return cache_word(room, <size_t>snprintf(room, 24, b"%llu", <unsigned long long>number))
