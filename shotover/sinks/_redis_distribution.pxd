"""Which of several servers has a key.

ketama, modula, random    as twemproxy has them, to the last bit, so that a proxy can take its place without moving data
rendezvous                the server that the key and its name together hash highest, below

Ketama puts 160 points a server on a circle of 32 bits, more or fewer by its weight, and gives a key to the owner of the
next point. Where they lie depends on the servers' names, and on the weights of all that are live. Modula cuts
hash mod (sum of weights) into ranges by weight. Random looks at neither keys nor weights. Twemproxy puts its servers in
order when it starts, short names first, names of equal size as their bytes compare; how they were listed decides
nothing. That is the order of modula's ranges, and of two equal points of ketama the earlier server's counts.

Rendezvous, in whole numbers so that every machine finds the same:

    h = mix64(xxh64(key) ^ xxh64(name))
    cost = 64 - log2(h), to 20 binary places (see `bits_lost`)

and the server with the least cost / weight has the key; of equals the one with the higher h, then the earlier. A server
that comes or goes moves only its own share of the keys; with equal weights the order is that of h, and only h is looked at.

`live` says which servers take part. Without those that do not, twemproxy builds its distribution as if they had never
been named: so does `rebuild`, and keys of live servers move too, with modula nearly all of them.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from shotover._codec.hashes cimport hash_t
from shotover._core.slice cimport slice_t


cdef enum:
    PLACE_KETAMA
    PLACE_MODULA
    PLACE_RANDOM
    PLACE_RENDEZVOUS
    SERVERS_MAX = 4096
    WEIGHT_MAX = 1000000
    ARCS = 1024                 # of ketama's circle, so that a key's point is looked for among few
    ARC_SHIFT = 22

cdef struct point_t:
    uint32_t value      # ketama: on the circle; modula: the last of the range; else unused
    uint32_t member

cdef struct member_t:   # a server, in the order of names
    slice_t  name       # in `names`
    uint64_t seed       # xxh64 of the name
    uint32_t weight
    uint32_t server     # its index, as listed
    uint8_t  live


cdef class Distribution:
    cdef:
        hash_t    hash
        member_t *members
        point_t  *points
        uint32_t  member_count
        uint32_t  live_count        # 0: no key has a place
        uint32_t  point_count
        uint32_t  point_max         # that there is memory for
        uint32_t  weight_total      # of live members
        uint32_t  arcs[ARCS + 1]    # ketama: index of the first point of each, or behind it
        uint64_t  state             # of random
        uint8_t   kind              # PLACE_*
        uint8_t   opening           # of the tag; 0: keys have none
        uint8_t   closing
        bint      even              # live members weigh the same
        tuple     names             # bytes, kept for `members`

    cdef int32_t place(self, const uint8_t *key, size_t size) noexcept nogil
    cdef void rebuild(self, const uint8_t *live) noexcept nogil
    cdef slice_t name_of(self, uint32_t server) noexcept nogil
    cdef int32_t _highest(self, const uint8_t *key, size_t size) noexcept nogil
    cdef void _build_ketama(self) noexcept nogil
    cdef void _build_modula(self) noexcept nogil
    cdef void _build_even(self) noexcept nogil
    cdef void _add(self, uint32_t value, uint32_t member) noexcept nogil
