"""See _cql_flow.pxd."""

from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove

cdef extern from "shotover/benchmark/cql_sums.h":
    uint32_t cql_sum_24(const uint8_t *, size_t) noexcept nogil
    uint32_t cql_sum_32(const cql_sums_t *, const uint8_t *, size_t) noexcept nogil


cdef bint kept_add(kept_t *kept, const uint8_t *data, size_t size) noexcept nogil:
    """False without memory: nothing has changed."""
    cdef:
        size_t   capacity = kept.capacity
        uint8_t *grown
    while kept.size + size > capacity:
        capacity = capacity * 2 if capacity else 4096
    if capacity != kept.capacity:
        grown = <uint8_t *>realloc(kept.data, capacity)
        if grown is NULL:
            return False
        kept.data = grown
        kept.capacity = capacity
    memcpy(kept.data + kept.size, data, size)
    kept.size += size
    return True


cdef bint inflow_begin(inflow_t *flow, const void *data, size_t size) noexcept nogil:
    """Bytes that are good until inflow_end. False without memory."""
    if flow.cut.size == 0:
        flow.at = <const uint8_t *>data
        flow.end = flow.at + size
        return True
    if not kept_add(&flow.cut, <const uint8_t *>data, size):
        return False
    flow.at = flow.cut.data
    flow.end = flow.at + flow.cut.size
    return True


cdef bint inflow_end(inflow_t *flow) noexcept nogil:
    """Keeps what is left for the next time. False without memory."""
    cdef size_t left = <size_t>(flow.end - flow.at)
    if flow.cut.size:
        memmove(flow.cut.data, flow.at, left)
        flow.cut.size = left
        return True
    return left == 0 or kept_add(&flow.cut, flow.at, left)


cdef void inflow_free(inflow_t *flow) noexcept nogil:
    free(flow.cut.data)
    free(flow.joined.data)


cdef flow_status cut_frame(const uint8_t **at, const uint8_t *end, cql_frame_t *frame) noexcept nogil:
    """The frame at `*at`, which moves behind it."""
    if end - at[0] < CQL_HEAD:
        return FLOW_DRY
    frame.data = at[0]
    frame.size = CQL_HEAD + <size_t>int_at(at[0] + 5)
    if frame.size > CQL_FRAME_MAX:
        return FLOW_GARBAGE
    if <size_t>(end - at[0]) < frame.size:
        return FLOW_DRY
    at[0] += frame.size
    return FLOW_FRAME


cdef flow_status inflow_next(inflow_t *flow, const cql_sums_t *sums, cql_frame_t *frame) noexcept nogil:
    """The next whole frame."""
    cdef:
        const uint8_t *segment
        const uint8_t *joined
        uint32_t       word
        size_t         payload
        flow_status    status
    if not flow.segmented:
        return cut_frame(&flow.at, flow.end, frame)
    while True:
        if flow.payload_at != flow.payload_end:
            status = cut_frame(&flow.payload_at, flow.payload_end, frame)
            return status if status == FLOW_FRAME else FLOW_GARBAGE     # such a segment holds whole frames
        if flow.joined_used:
            flow.joined.size = 0
            flow.joined_used = False
        segment = flow.at
        if flow.end - segment < SEGMENT_HEAD:
            return FLOW_DRY
        word = segment[0] | <uint32_t>segment[1] << 8 | <uint32_t>segment[2] << 16
        if cql_sum_24(segment, 3) != (segment[3] | <uint32_t>segment[4] << 8 | <uint32_t>segment[5] << 16):
            return FLOW_GARBAGE
        payload = word & SEGMENT_PAYLOAD
        if <size_t>(flow.end - segment) < payload + SEGMENT_AROUND:
            return FLOW_DRY
        flow.at += payload + SEGMENT_AROUND
        segment += SEGMENT_HEAD
        if cql_sum_32(sums, segment, payload) != (
            segment[payload] | <uint32_t>segment[payload + 1] << 8 | <uint32_t>segment[payload + 2] << 16
            | <uint32_t>segment[payload + 3] << 24
        ):
            return FLOW_GARBAGE
        if word >> 17 & 1:
            flow.payload_at = segment
            flow.payload_end = segment + payload
            continue
        if flow.joined.size + payload > CQL_FRAME_MAX or not kept_add(&flow.joined, segment, payload):
            return FLOW_GARBAGE
        joined = flow.joined.data
        status = cut_frame(&joined, joined + flow.joined.size, frame)
        if status != FLOW_DRY:
            flow.joined_used = True
            return status


cdef void segment_close(uint8_t *segment, size_t payload, const cql_sums_t *sums) noexcept nogil:
    """Writes head and trailer around whole frames that lie SEGMENT_HEAD bytes behind `segment`."""
    cdef:
        uint32_t word = <uint32_t>payload | 1 << 17
        uint32_t sum
    segment[0] = <uint8_t>word
    segment[1] = <uint8_t>(word >> 8)
    segment[2] = <uint8_t>(word >> 16)
    sum = cql_sum_24(segment, 3)
    segment[3] = <uint8_t>sum
    segment[4] = <uint8_t>(sum >> 8)
    segment[5] = <uint8_t>(sum >> 16)
    segment += SEGMENT_HEAD
    sum = cql_sum_32(sums, segment, payload)
    segment[payload] = <uint8_t>sum
    segment[payload + 1] = <uint8_t>(sum >> 8)
    segment[payload + 2] = <uint8_t>(sum >> 16)
    segment[payload + 3] = <uint8_t>(sum >> 24)
