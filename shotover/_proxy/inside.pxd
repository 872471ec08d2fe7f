"""Inside: what a source notes of its traffic for those who operate it: hot keys, and requests that were slow.

    hot keys   of a small share of reads, drawn by chance, every request is looked at: its key, its bytes with those of its reply,
               its time. Reads that are looked at are cut into single requests, so that each has a reply of its own. Five
               sketches (_core/sketch) keep what is heaviest.
    slow       requests whose replies took longer than a bound, the latest of them, in a ring, with the times of their stages.
               When it turns out slow, a request's bytes have long gone on: so the key of each is kept aside as it comes.

The worker writes; the main thread reads copies, see sketch_guard. Nothing here is allocated by traffic.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.request cimport request_t
from shotover._core.sketch cimport sketch_t
from shotover._net.loop cimport Loop
from shotover._proxy.session cimport session_t


cdef enum:
    BY_COUNT = 0
    BY_BYTES = 1
    BY_TIME = 2
    BY_PREFIX = 3               # counts, of keys up to their first ':', '/', '.' or '|'; of tables
    BY_CLIENT = 4               # counts, by address
    SKETCHES = 5
    SAMPLES_MAX = 255           # under way at once: request_t.sampled is their place, from 1 on
    SAMPLE_KEY_MAX = 256        # bytes of a key; of a longer one it is not known more
    SEEN = 4096                 # requests under way whose keys are kept aside; a power of two
    SEEN_KEY_MAX = 41
    SLOW_KEY_MAX = 96
    SLOW_WORD_MAX = 32
    SLOW_TEXT_MAX = 256

cdef struct sample_t:           # a request that is looked at, while it is under way
    uint64_t hash
    uint64_t bytes              # of its request, and of its reply as far as that has come
    uint32_t key_size           # of the whole key
    uint8_t  by_pieces          # its reply comes so; else it is gathered
    uint8_t  key[SAMPLE_KEY_MAX]

cdef struct seen_t:             # one cache line
    void    *request
    uint64_t arrived_ns
    uint32_t key_size           # of the whole key
    uint8_t  shown              # bytes of it that are here
    uint8_t  is_word            # it is the name of a command that is in no table, not a key
    uint8_t  key[SEEN_KEY_MAX]

cdef struct slow_t:
    uint64_t wall_ns            # when its reply went out, since 1970
    uint64_t total_ns           # from its arrival on
    uint64_t waited_ns          # before it was handed to a server
    uint64_t upstream_ns
    uint64_t kept_ns            # its reply, until its turn
    uint64_t session            # number of its client
    uint32_t count              # requests of the run that it was part of
    uint32_t key_size
    uint8_t  failed             # as request_t.failed
    uint8_t  word_size
    uint8_t  key_shown
    uint32_t text_size
    uint8_t  word[SLOW_WORD_MAX]
    uint8_t  key[SLOW_KEY_MAX]
    uint8_t  text[SLOW_TEXT_MAX]    # of a statement of CQL, without constants
    char     client[64]

cdef class Inside:
    cdef:
        Loop      loop
        bint      cql
        uint64_t  guard             # of all that readers copy
        # hot keys
        readonly double chance      # of a read to be looked at; 0: nobody asked
        double    log_of_rest
        uint64_t  random
        uint32_t  skip              # reads until the next one
        uint64_t  half_life_ns
        uint64_t  halve_at_ns
        sketch_t *sketches          # SKETCHES of them; NULL: nobody asked
        sample_t *places           # SAMPLES_MAX of them
        uint8_t   free_samples[SAMPLES_MAX]
        uint32_t  free_count
        uint64_t  samples_total
        # slow requests
        readonly uint64_t slow_ns
        seen_t   *seen
        slow_t   *slow
        uint32_t  slow_keep
        uint64_t  slow_total        # so many were written: the next one has the place of the oldest

    cdef bint begins_sample(self) noexcept nogil
    cdef void look(self, request_t *request, bint sampled) noexcept nogil
    cdef void _keep_key(self, request_t *request) noexcept nogil
    cdef void _sample(self, request_t *request) noexcept nogil
    cdef void grew(self, request_t *request, size_t bytes, bint is_reply) noexcept nogil
    cdef void sample_ends(self, session_t *session, request_t *request) noexcept nogil
    cdef void _grow_old(self, uint64_t now) noexcept nogil
    cdef bint _may_wait(self, const request_t *request) noexcept nogil
    cdef void _put_stages(self, slow_t *slow, const request_t *request) noexcept nogil
    cdef void _put_what(self, slow_t *slow, const request_t *request) noexcept nogil
    cdef void sample_lost(self, request_t *request) noexcept nogil
    cdef void was_slow(self, session_t *session, request_t *request, uint64_t total_ns) noexcept nogil
