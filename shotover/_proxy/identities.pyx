"""See identities.pxd."""

from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, strlen

from shotover._net.tls cimport stream_identity


cdef int identities_set(identities_t *identities, names, list texts) except -1:
    """`names`: bytes, or None where it does not matter; `texts` keeps them. `identities` must be zero."""
    if names is None:
        return 0
    identities.names = <slice_t *>calloc(len(names) or 1, sizeof(slice_t))
    if identities.names is NULL:
        raise MemoryError
    for name in names:
        texts.append(name)
        identities.names[identities.count].data = <uint8_t *><const char *>name
        identities.names[identities.count].size = len(name)
        identities.count += 1
    return 0


cdef void identities_free(identities_t *identities) noexcept nogil:
    free(identities.names)
    identities.names = NULL
    identities.count = 0


cdef bint identities_fit(const identities_t *identities, session_t *session) noexcept nogil:
    """Whether the condition holds for this client; NULL is one that has gone, and nobody."""
    cdef:
        slice_t  own
        uint32_t index
    if identities.names is NULL:
        return True
    own = session_identity(session)
    for index in range(identities.count if own.size else 0):
        if identities.names[index].size == own.size and memcmp(identities.names[index].data, own.data, own.size) == 0:
            return True
    return False


cdef slice_t session_identity(session_t *session) noexcept nogil:
    """Whom the client's certificate names, as long as the session lives; empty: it has shown none."""
    cdef:
        slice_t     found
        const char *name = NULL if session is NULL else stream_identity(&session.stream)
    found.data = <uint8_t *>name
    found.size = 0 if name is NULL else strlen(name)
    return found
