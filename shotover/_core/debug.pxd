from libc.stdint cimport uint64_t


cdef extern from "shotover/_core/debug.h" nogil:
    void invariant(bint)
    bint likely(bint)
    bint unlikely(bint)
    int lowest_bit(uint64_t)
    int SHOTOVER_DEBUG_BUILD
