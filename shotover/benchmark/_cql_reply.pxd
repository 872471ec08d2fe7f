"""Whether a frame is what a request of the load generator must be answered with."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover.benchmark._cql_flow cimport cql_frame_t
from shotover.benchmark._reply cimport expect_t


cdef uint8_t cql_reply_flags(
    const cql_frame_t *frame, const expect_t *expect, uint64_t key, const char **text, size_t *text_size
) noexcept nogil
