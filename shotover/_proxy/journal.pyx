"""See journal.pxd."""

from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from shotover._core.debug cimport invariant


cdef entry_t *journal_put(journal_t *journal, uint64_t order, slice_t *wire, profile_t *profile) noexcept nogil:
    """Copies the bytes. NULL: beyond a limit, or no memory."""
    cdef:
        entry_t *entry
        entry_t *before = journal.tail
        uint64_t bytes = wire.size + sizeof(entry_t)
    if journal.count >= journal.count_max or journal.bytes + bytes > journal.bytes_max:
        return NULL
    entry = <entry_t *>malloc(bytes)
    if entry is NULL:
        return NULL
    memset(entry, 0, sizeof(entry_t))
    entry.order = order
    entry.wire.data = <uint8_t *>(entry + 1)
    entry.wire.size = wire.size
    memcpy(entry.wire.data, wire.data, wire.size)
    entry.profile = profile_ref(profile)
    while before is not NULL and before.order > order:
        before = before.previous
    entry.previous = before
    entry.next = journal.head if before is NULL else before.next
    if entry.next is NULL:
        journal.tail = entry
    else:
        entry.next.previous = entry
    if before is NULL:
        journal.head = entry
    else:
        before.next = entry
    journal.count += 1
    journal.bytes += bytes
    journal_unsend(journal, entry)
    return entry


cdef void journal_unsend(journal_t *journal, entry_t *entry) noexcept nogil:
    """It is to be sent, for the first time or again."""
    entry.sent = 0
    entry.lost = 0
    if journal.unsent is NULL or journal.unsent.order > entry.order:
        journal.unsent = entry


cdef void journal_remove(journal_t *journal, entry_t *entry) noexcept nogil:
    """Out of the list; it is the caller's then."""
    invariant(journal.count > 0)
    if journal.unsent is entry:
        journal.unsent = entry.next
        while journal.unsent is not NULL and journal.unsent.sent:
            journal.unsent = journal.unsent.next
    if entry.previous is NULL:
        journal.head = entry.next
    else:
        entry.previous.next = entry.next
    if entry.next is NULL:
        journal.tail = entry.previous
    else:
        entry.next.previous = entry.previous
    journal.count -= 1
    journal.bytes -= entry.wire.size + sizeof(entry_t)
    entry.next = NULL
    entry.previous = NULL


cdef void entry_free(entry_t *entry) noexcept nogil:
    profile_put(entry.profile)
    free(entry)


cdef profile_t *profile_new(const uint8_t *data, size_t size) noexcept nogil:
    """One with a copy of the bytes, and one reference. NULL: no memory."""
    cdef profile_t *profile = <profile_t *>malloc(sizeof(profile_t) + size)
    if profile is not NULL:
        profile.refs = 1
        profile.size = <uint32_t>size
        memcpy(profile_data(profile), data, size)
    return profile


cdef bint profile_same(const profile_t *one, const profile_t *other) noexcept nogil:
    if one is other:
        return True
    if one is NULL or other is NULL or one.size != other.size:
        return False
    return memcmp(<const uint8_t *>(one + 1), <const uint8_t *>(other + 1), one.size) == 0


cdef void profile_put(profile_t *profile) noexcept nogil:
    if profile is not NULL:
        profile.refs -= 1
        if profile.refs == 0:
            free(profile)
