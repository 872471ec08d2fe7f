"""LookupHash: the keyed hash that a column may have beside its sealed values, so that equal ones can be found.

It is HMAC-SHA-256 (RFC 2104) of the column (keyspace, table and name, a zero byte behind each) and the value's bytes, cut to
LOOKUP_SIZE: the same value in another column has another hash, and two values with one hash are not met in practice.
"""

from libc.stdint cimport uint8_t

from shotover._core.slice cimport slice_t
from shotover._net.digest cimport Digest


cdef enum:
    LOOKUP_SIZE = 16
    HMAC_BLOCK = 64             # of SHA-256

cdef class LookupHash:
    """One key. Used by one thread at a time."""
    cdef:
        Digest  digest
        uint8_t inner[HMAC_BLOCK]
        uint8_t outer[HMAC_BLOCK]

    cdef bint put(self, slice_t column, slice_t value, uint8_t *out) noexcept nogil
