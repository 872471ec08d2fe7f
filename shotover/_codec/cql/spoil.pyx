"""See spoil.pxd."""

from libc.stdint cimport uint32_t

from shotover._codec.cql.frame cimport FLAG_COMPRESSED, HEADER_SIZE, OP_RESULT
from shotover._codec.cql.messages cimport cql_prefix_read, cql_prefix_t
from shotover._codec.cql.results cimport RESULT_ROWS, cql_result_read, cql_result_t
from shotover._codec.cql.wire cimport wire_bytes, wire_read, wire_reader_t
from shotover._core.slice cimport slice_t

cdef enum:
    CELLS_MAX = 1024            # of a reply among which one is chosen


cdef bint cql_spoil_value(uint8_t *reply, size_t size, uint64_t chance) noexcept nogil:
    """Changes one bit of a cell, so that the reply says something else and is still well formed.

    `reply` is a whole frame. `chance` (random bits) chooses the cell and the bit. False: there is no cell that is not empty,
    or none can be seen, as the body is compressed.
    """
    cdef:
        cql_prefix_t  prefix
        cql_result_t  result
        wire_reader_t cells
        slice_t       cell, chosen
        uint64_t      seen = 0
        uint32_t      _, __
    if size < HEADER_SIZE or reply[4] != OP_RESULT or reply[1] & FLAG_COMPRESSED:
        return False
    if not cql_prefix_read(reply + HEADER_SIZE, size - HEADER_SIZE, reply[1], True, &prefix):
        return False
    if not cql_result_read(prefix.body.data, prefix.body.size, reply[0] & 0x7f, &result) or result.kind != RESULT_ROWS:
        return False
    chosen.data = NULL
    chosen.size = 0
    wire_read(&cells, result.rows.data, result.rows.size)
    for _ in range(result.row_count):
        for __ in range(result.metadata.column_count):
            wire_bytes(&cells, &cell)
            if cells.bad or seen == CELLS_MAX:
                break
            if cell.size == 0:
                continue
            seen += 1
            if chance % seen == 0:              # each of them is as likely as another
                chosen = cell
            chance = chance * <uint64_t>6364136223846793005 + <uint64_t>1442695040888963407
        if cells.bad or seen == CELLS_MAX:
            break
    if chosen.size == 0:
        return False
    chosen.data[(chance >> 33) % chosen.size] ^= <uint8_t>1 << (chance >> 61)
    return True


cdef bint cql_spoil_frame(uint8_t *reply, size_t size) noexcept nogil:
    """The frame is one of a version that there is not. False: there is none."""
    if size == 0:
        return False
    reply[0] |= 0x40
    return True
