"""Whom a client's certificate names (`stream_identity`), and lists of such names as conditions have them."""

from libc.stdint cimport uint32_t

from shotover._core.slice cimport slice_t
from shotover._proxy.session cimport session_t


cdef struct identities_t:       # of a condition
    slice_t  *names             # NULL: it says nothing of certificates
    uint32_t  count


cdef int identities_set(identities_t *identities, names, list texts) except -1
cdef void identities_free(identities_t *identities) noexcept nogil
cdef bint identities_fit(const identities_t *identities, session_t *session) noexcept nogil
cdef slice_t session_identity(session_t *session) noexcept nogil
