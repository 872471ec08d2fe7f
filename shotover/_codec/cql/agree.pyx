"""See agree.pxd. Stream and tracing ids, warnings, payloads, paging states and the texts of errors are the servers' own."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp

from shotover._codec.compare cimport COMPARE_OUTCOME
from shotover._codec.cql.frame cimport FLAG_COMPRESSED, HEADER_SIZE, OP_ERROR, OP_RESULT
from shotover._codec.cql.messages cimport cql_prefix_read, cql_prefix_t
from shotover._codec.cql.results cimport (
    METADATA_MORE_PAGES,
    RESULT_PREPARED,
    RESULT_ROWS,
    cql_error_read,
    cql_error_t,
    cql_result_read,
    cql_result_t,
)
from shotover._codec.cql.wire cimport wire_bytes, wire_read, wire_reader_t
from shotover._codec.hashes cimport mix64, xxh64


cdef inline bint _same(slice_t one, slice_t other) noexcept nogil:
    return one.size == other.size and (one.size == 0 or memcmp(one.data, other.data, one.size) == 0)


cdef uint64_t _rows(const cql_result_t *result) noexcept nogil:
    """A sum of the hashes of its rows, which does not depend on their order."""
    cdef:
        wire_reader_t cells
        slice_t       cell
        uint8_t      *start
        uint64_t      sum = 0
        uint32_t      _, __
    wire_read(&cells, result.rows.data, result.rows.size)
    for _ in range(result.row_count):
        start = cells.at
        for __ in range(result.metadata.column_count):
            wire_bytes(&cells, &cell)
        if cells.bad:
            return 0
        sum += mix64(xxh64(start, <size_t>(cells.at - start), 0))
    return sum


cdef bint _results_agree(const cql_result_t *one, const cql_result_t *other) noexcept nogil:
    if one.kind != other.kind:
        return False
    if one.kind == RESULT_ROWS:
        return (
            one.row_count == other.row_count and one.metadata.column_count == other.metadata.column_count
            and (one.metadata.flags ^ other.metadata.flags) & METADATA_MORE_PAGES == 0
            and _same(one.metadata.columns, other.metadata.columns)
            and (_same(one.rows, other.rows) or _rows(one) == _rows(other))
        )
    if one.kind == RESULT_PREPARED:
        return _same(one.id, other.id) and _same(one.bound.columns, other.bound.columns)
    return (
        _same(one.keyspace, other.keyspace) and _same(one.change.change, other.change.change)
        and _same(one.change.target, other.change.target) and _same(one.change.keyspace, other.change.keyspace)
        and _same(one.change.name, other.change.name)
    )


cdef bint cql_replies_agree(const slice_t *one, const slice_t *other, uint8_t how) noexcept nogil:
    """Two whole frames. Of errors the codes must be the same, of rows the rows, in whatever order. Bodies that are compressed are
    compared as they are."""
    cdef:
        cql_prefix_t left, right
        cql_error_t  left_error, right_error
        cql_result_t left_result, right_result
        int          version
    if one.size < HEADER_SIZE or other.size < HEADER_SIZE:
        return one.size == other.size
    if one.data[4] != other.data[4]:
        return False
    if how == COMPARE_OUTCOME or (one.data[4] != OP_ERROR and one.data[4] != OP_RESULT):
        return True
    if (one.data[1] | other.data[1]) & FLAG_COMPRESSED:
        return one.size == other.size and memcmp(one.data + HEADER_SIZE, other.data + HEADER_SIZE, one.size - HEADER_SIZE) == 0
    if not cql_prefix_read(one.data + HEADER_SIZE, one.size - HEADER_SIZE, one.data[1], True, &left) \
            or not cql_prefix_read(other.data + HEADER_SIZE, other.size - HEADER_SIZE, other.data[1], True, &right):
        return False
    if _same(left.body, right.body):
        return True
    version = one.data[0] & 0x7f
    if one.data[4] == OP_ERROR:
        return (
            cql_error_read(left.body.data, left.body.size, version, &left_error)
            and cql_error_read(right.body.data, right.body.size, version, &right_error)
            and left_error.code == right_error.code
        )
    return (
        cql_result_read(left.body.data, left.body.size, version, &left_result)
        and cql_result_read(right.body.data, right.body.size, version, &right_result)
        and _results_agree(&left_result, &right_result)
    )
