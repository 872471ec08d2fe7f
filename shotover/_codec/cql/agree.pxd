"""Whether two replies to the same request of CQL say the same; see _codec/compare.pxd."""

from libc.stdint cimport uint8_t

from shotover._core.slice cimport slice_t


cdef bint cql_replies_agree(const slice_t *one, const slice_t *other, uint8_t how) noexcept nogil
