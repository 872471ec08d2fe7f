"""Frames of CQL as the load generator and the scripted server take them from a socket: whole, and one by one.

    bytes of a read -- inflow_begin -- inflow_next, until there is none -- inflow_end, which keeps what is cut

In version 5 what comes are segments, with frames in them. Nothing is compressed. Not Shotover's own codec, see _reply.pxd.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef extern from "shotover/benchmark/cql_sums.h":
    ctypedef struct cql_sums_t:
        pass
    void cql_sums_make(cql_sums_t *) noexcept nogil

cdef enum:
    CQL_HEAD = 9                    # version, flags, stream (2), opcode, length (4)
    CQL_FRAME_MAX = 16 << 20        # of what is taken; nothing that is measured comes near
    SEGMENT_HEAD = 6
    SEGMENT_AROUND = 10             # head and trailer
    SEGMENT_PAYLOAD = 131071
    CQL_IS_REPLY = 0x80
    OP_ERROR = 0
    OP_STARTUP = 1
    OP_READY = 2
    OP_OPTIONS = 5
    OP_SUPPORTED = 6
    OP_QUERY = 7
    OP_RESULT = 8
    OP_PREPARE = 9
    OP_EXECUTE = 10
    OP_REGISTER = 11
    OP_BATCH = 13
    RESULT_VOID = 1
    RESULT_ROWS = 2

cdef enum flow_status:
    FLOW_DRY                        # no whole frame is left
    FLOW_FRAME
    FLOW_GARBAGE                    # what no peer may send, or no memory

ctypedef struct kept_t:             # bytes that belong to what is cut
    uint8_t *data                   # owned
    size_t   size
    size_t   capacity

ctypedef struct inflow_t:
    bint           segmented
    const uint8_t *at               # of this read, or of `cut` where that holds something
    const uint8_t *end
    const uint8_t *payload_at       # of the segment that is looked at
    const uint8_t *payload_end
    kept_t         cut              # a frame, or in version 5 a segment, that has come in part
    kept_t         joined           # a frame that goes over several segments
    bint           joined_used      # it has been handed out: to be forgotten

ctypedef struct cql_frame_t:
    const uint8_t *data             # the whole frame; good until the next inflow_next
    size_t         size


cdef inline uint32_t int_at(const uint8_t *at) noexcept nogil:
    return <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3]

cdef inline uint16_t short_at(const uint8_t *at) noexcept nogil:
    return <uint16_t>(at[0] << 8 | at[1])

cdef bint inflow_begin(inflow_t *flow, const void *data, size_t size) noexcept nogil
cdef flow_status inflow_next(inflow_t *flow, const cql_sums_t *sums, cql_frame_t *frame) noexcept nogil
cdef bint inflow_end(inflow_t *flow) noexcept nogil
cdef void inflow_free(inflow_t *flow) noexcept nogil
cdef void segment_close(uint8_t *segment, size_t payload, const cql_sums_t *sums) noexcept nogil
