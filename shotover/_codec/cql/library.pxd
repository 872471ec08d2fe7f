"""library_t: the statements that clients of one source have sent before, so that each is parsed once.

Two shelves: simple statements by their text and the keyspace that their client is in, prepared ones by their id. A full shelf
gives away what has not been asked for since the hand last passed (clock). A text is put there when it comes for the second time
within some two thousand others: those with values in them neither push out what comes again nor cost more than their parse. One
worker's, as the codec that has it.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.memory cimport chunk_t, pool_t
from shotover._core.slice cimport slice_t


cdef enum:
    TEXT_SIZE_MAX = 16384       # longer ones are parsed each time
    TEXTS_MAX = 4096
    TEXTS_BYTES_MAX = 8388608
    SEEN_SETS = 512             # of texts that are remembered to have come, by a part of their hashes; a power of two
    SEEN_WAYS = 4               # newest first
    PREPARED_DEFAULT = 10000
    PREPARED_BYTES_MAX = 67108864
    NOWHERE = 0xffffffff        # no place

cdef struct place_t:
    chunk_t *facts              # a reference
    uint64_t hash
    uint32_t following          # of its bucket, or of the free places
    uint8_t  used               # asked for since the hand last passed

cdef struct shelf_t:            # zero, but for `most` and `bytes_most`: empty
    place_t  *places
    uint32_t *buckets           # as many as places, a power of two
    uint32_t  room
    uint32_t  count
    uint32_t  most
    uint32_t  free
    uint32_t  hand
    uint64_t  bytes
    uint64_t  bytes_most
    uint64_t  hits, misses, evictions

cdef struct library_t:
    shelf_t  texts
    shelf_t  prepared
    uint32_t seen[SEEN_SETS * SEEN_WAYS]
    uint64_t seed               # so that nobody can choose texts that all fall into one bucket


cdef void library_init(library_t *library, uint64_t seed) noexcept nogil
cdef void library_close(library_t *library, pool_t *pool) noexcept nogil
cdef uint64_t keyspace_hash(slice_t keyspace) noexcept nogil
cdef chunk_t *library_text(
    library_t *library, pool_t *pool, const uint8_t *text, size_t size, slice_t keyspace, uint64_t hash_of_keyspace
) noexcept nogil
cdef chunk_t *library_prepared(library_t *library, slice_t id) noexcept nogil
cdef void library_add_prepared(library_t *library, pool_t *pool, chunk_t *facts) noexcept nogil
