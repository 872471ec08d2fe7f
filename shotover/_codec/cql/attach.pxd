"""How requests come to have facts: talk_t, what is known of a client's conversation, and what is done at decode and at a reply.

A request that is known not to be fit to go on is answered here and then (`left` 0): an EXECUTE or BATCH with an id that is not
in the library gets UNPREPARED, upon which every driver prepares again, this time through us; a body that says it is larger
than a request may be, or that cannot be decompressed, gets an error. Bodies of versions 3 and 4 that are compressed go on
plain: any frame may be.
"""

from libc.stdint cimport uint8_t, uint16_t, uint64_t

from shotover._codec.cql.library cimport library_t
from shotover._codec.cql.peek cimport NAME_SIZE_MAX
from shotover._core.memory cimport pool_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t
from shotover._core.status cimport status_t


cdef enum:
    TALK_USER_MAX = 255         # of a user's name; longer ones are as if not told

cdef struct talk_t:             # zero: of a new client
    uint64_t keyspace_hash      # of the library
    uint8_t  keyspace_size      # of the keyspace that it is in; 0: none
    uint8_t  keyspace[NAME_SIZE_MAX]
    uint8_t  compression        # COMPRESSION_*, by its last STARTUP
    uint8_t  user_size          # as whom it has logged in; 0: it has not
    uint8_t  claimed_size       # ... and as whom it is just trying to
    uint8_t  user[TALK_USER_MAX]
    uint8_t  claimed[TALK_USER_MAX]


cdef status_t attach(library_t *library, talk_t *talk, request_t *request, pool_t *pool, uint64_t body_max) noexcept nogil
cdef status_t attach_text(library_t *library, talk_t *talk, request_t *request, pool_t *pool) noexcept nogil
cdef void attach_learn(library_t *library, talk_t *talk, request_t *request, pool_t *pool) noexcept nogil
