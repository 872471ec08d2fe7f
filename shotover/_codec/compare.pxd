"""Whether two replies to the same request say the same."""

from libc.stdint cimport uint8_t

from shotover._core.slice cimport slice_t


cdef enum:
    COMPARE_EXACT = 0       # byte for byte
    COMPARE_UNORDERED = 1   # the elements of an aggregate in any order
    COMPARE_OUTCOME = 2     # only whether they are errors

cdef bint replies_agree(const slice_t *one, const slice_t *other, uint8_t how) noexcept nogil
