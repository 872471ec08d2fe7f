"""Bodies written anew from what was read of them: of requests and of replies. For what wants to be sure that nothing is lost."""

from libc.stdint cimport uint8_t

from shotover._codec.cql.wire cimport wire_writer_t


cdef enum:                      # what they say
    AGAIN_WRITTEN = 0           # if the writer had room
    AGAIN_OPAQUE = 1            # it has no parts here: compressed, or an opcode that only the server and its clients read
    AGAIN_BAD = 2               # it is not what its opcode says


cdef int cql_request_again(const uint8_t *frame, size_t size, wire_writer_t *writer) noexcept nogil
cdef int cql_reply_again(const uint8_t *frame, size_t size, wire_writer_t *writer) noexcept nogil
