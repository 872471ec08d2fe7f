"""What statements, consistencies and the like are called by people; both ways. For metrics, conditions and guests, with the GIL
or without."""

from libc.stdint cimport uint8_t


cdef enum:
    STATEMENT_TYPES = 16        # STATEMENT_* and OBJECT_* are smaller
    OBJECT_TYPES = 16
    CONSISTENCIES = 11

cdef const char *statement_word(uint8_t type) noexcept nogil
cdef const char *object_word(uint8_t object) noexcept nogil
cdef const char *consistency_word(int consistency) noexcept nogil
