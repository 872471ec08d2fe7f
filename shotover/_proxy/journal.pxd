"""journal_t: what one server has missed, in order, within bounds; profile_t: who it was that asked.

Entries stand in the order in which their requests came, whenever they are put in: a request that was sent and then lost
comes to stand before those that came while its fate was not known. An entry stays until the server has answered it. It has
memory of exactly its size: chunks are of 4 KiB at least, which would be a hundred times that of a small write.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.slice cimport slice_t


cdef struct profile_t:          # requests that bring a fresh connection into a session's state; shared, never changed
    uint32_t  refs
    uint32_t  size
    # then: the requests, one behind the other

cdef struct entry_t:
    uint8_t    what             # the owner's own
    uint8_t    sent             # on its way; it may still come back
    uint8_t    lost             # a part of it was not answered
    uint8_t    stirs            # whoever sends it is in another state afterwards
    uint32_t   left             # replies awaited, once sent
    uint64_t   order
    slice_t    wire             # one request, or several that belong together; a copy, behind this struct
    profile_t *profile          # NULL: that of a fresh connection
    entry_t   *next
    entry_t   *previous

cdef struct journal_t:
    entry_t  *head
    entry_t  *tail
    entry_t  *unsent            # the first that is not on its way
    uint64_t  count
    uint64_t  bytes
    uint64_t  count_max
    uint64_t  bytes_max


cdef entry_t *journal_put(journal_t *journal, uint64_t order, slice_t *wire, profile_t *profile) noexcept nogil
cdef void journal_remove(journal_t *journal, entry_t *entry) noexcept nogil
cdef void journal_unsend(journal_t *journal, entry_t *entry) noexcept nogil
cdef void entry_free(entry_t *entry) noexcept nogil

cdef profile_t *profile_new(const uint8_t *data, size_t size) noexcept nogil
cdef bint profile_same(const profile_t *one, const profile_t *other) noexcept nogil

cdef inline uint8_t *profile_data(profile_t *profile) noexcept nogil:
    return <uint8_t *>(profile + 1)

cdef inline profile_t *profile_ref(profile_t *profile) noexcept nogil:
    if profile is not NULL:
        profile.refs += 1
    return profile

cdef void profile_put(profile_t *profile) noexcept nogil
