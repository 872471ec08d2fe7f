"""See again.pxd. Frames are whole; their header goes first, with the new size in it."""

from libc.stdint cimport int64_t, uint32_t

from shotover._codec.cql.frame cimport (
    FLAG_COMPRESSED,
    HEADER_SIZE,
    OP_BATCH,
    OP_ERROR,
    OP_EVENT,
    OP_EXECUTE,
    OP_PREPARE,
    OP_QUERY,
    OP_RESULT,
    put_int,
)
from shotover._codec.cql.messages cimport (
    PARAM_VALUES,
    cql_batch_item_t,
    cql_batch_next,
    cql_batch_read,
    cql_batch_t,
    cql_execute_put,
    cql_execute_read,
    cql_execute_t,
    cql_params_put,
    cql_params_t,
    cql_prefix_read,
    cql_prefix_t,
    cql_prepare_put,
    cql_prepare_read,
    cql_prepare_t,
    cql_query_put,
    cql_query_read,
    cql_query_t,
    cql_value_next,
    cql_value_t,
)
from shotover._codec.cql.results cimport (
    RESULT_ROWS,
    cql_column_next,
    cql_column_t,
    cql_error_put,
    cql_error_read,
    cql_error_t,
    cql_event_put,
    cql_event_read,
    cql_event_t,
    cql_metadata_t,
    cql_result_put,
    cql_result_read,
    cql_result_t,
    cql_rows_check,
)
from shotover._codec.cql.wire cimport (
    wire_put,
    wire_put_byte,
    wire_put_int,
    wire_put_short,
    wire_put_string,
    wire_read,
    wire_reader_t,
)


cdef bint _begin(const uint8_t *frame, size_t size, bint response, cql_prefix_t *prefix, wire_writer_t *writer) noexcept nogil:
    """Writes all that stands before the body. False: it cannot be read."""
    if not cql_prefix_read(frame + HEADER_SIZE, size - HEADER_SIZE, frame[1], response, prefix):
        return False
    wire_put(writer, frame, <size_t>(prefix.body.data - frame))
    return True


cdef int _end(const uint8_t *frame, bint read, uint8_t *start, wire_writer_t *writer) noexcept nogil:
    """Puts the size into the header."""
    if not read:
        return AGAIN_BAD
    if not writer.full:
        put_int(start + 5, <uint32_t>(writer.size - HEADER_SIZE))
    return AGAIN_WRITTEN


cdef bint _values(const cql_params_t *params) noexcept nogil:
    """Whether each of them can be read."""
    cdef:
        wire_reader_t reader
        cql_value_t   value
        uint32_t      _
    wire_read(&reader, params.values.data, params.values.size)
    for _ in range(params.value_count):
        if not cql_value_next(&reader, params, &value):
            return False
    return True


cdef bint _batch(const uint8_t *body, size_t size, int version, wire_writer_t *writer) noexcept nogil:
    cdef:
        cql_batch_t      batch
        cql_batch_item_t item
        wire_reader_t    items
        uint32_t         _
    if not cql_batch_read(body, size, version, &batch):
        return False
    wire_put_byte(writer, batch.type)
    wire_put_short(writer, batch.count)
    wire_read(&items, batch.items.data, batch.items.size)
    for _ in range(batch.count):
        if not cql_batch_next(&items, &item):
            return False
        wire_put_byte(writer, item.prepared)
        if item.prepared:
            wire_put_string(writer, item.text)
        else:
            wire_put_int(writer, <int64_t>item.text.size)
            wire_put(writer, item.text.data, item.text.size)
        wire_put_short(writer, item.value_count)
        wire_put(writer, item.values.data, item.values.size)
    batch.params.flags &= ~<uint32_t>PARAM_VALUES
    cql_params_put(writer, &batch.params, version)
    return True


cdef int cql_request_again(const uint8_t *frame, size_t size, wire_writer_t *writer) noexcept nogil:
    cdef:
        uint8_t      *start = writer.at
        int           version = frame[0] & 0x7f
        uint8_t       opcode = frame[4]
        bint          read = False
        cql_prefix_t  prefix
        cql_query_t   query
        cql_prepare_t prepare
        cql_execute_t execute
    if frame[1] & FLAG_COMPRESSED or (
            opcode != OP_QUERY and opcode != OP_PREPARE and opcode != OP_EXECUTE and opcode != OP_BATCH):
        return AGAIN_OPAQUE
    if not _begin(frame, size, False, &prefix, writer):
        return AGAIN_BAD
    if opcode == OP_QUERY:
        read = cql_query_read(prefix.body.data, prefix.body.size, version, &query) and _values(&query.params)
        if read:
            cql_query_put(writer, &query, version)
    elif opcode == OP_PREPARE:
        read = cql_prepare_read(prefix.body.data, prefix.body.size, version, &prepare)
        if read:
            cql_prepare_put(writer, &prepare, version)
    elif opcode == OP_EXECUTE:
        read = cql_execute_read(prefix.body.data, prefix.body.size, version, &execute) and _values(&execute.params)
        if read:
            cql_execute_put(writer, &execute, version)
    else:
        read = _batch(prefix.body.data, prefix.body.size, version, writer)
    return _end(frame, read, start, writer)


cdef bint _columns(const cql_metadata_t *metadata) noexcept nogil:
    """Whether each of them can be read."""
    cdef:
        wire_reader_t reader
        cql_column_t  column
        uint32_t      _
    if metadata.columns.size == 0:
        return True
    wire_read(&reader, metadata.columns.data, metadata.columns.size)
    for _ in range(metadata.column_count):
        if not cql_column_next(&reader, metadata, &column):
            return False
    return True


cdef int cql_reply_again(const uint8_t *frame, size_t size, wire_writer_t *writer) noexcept nogil:
    cdef:
        uint8_t     *start = writer.at
        int          version = frame[0] & 0x7f
        uint8_t      opcode = frame[4]
        bint         read = False
        cql_prefix_t prefix
        cql_result_t result
        cql_error_t  error
        cql_event_t  event
    if frame[1] & FLAG_COMPRESSED or (opcode != OP_RESULT and opcode != OP_ERROR and opcode != OP_EVENT):
        return AGAIN_OPAQUE
    if not _begin(frame, size, True, &prefix, writer):
        return AGAIN_BAD
    if opcode == OP_RESULT:
        read = cql_result_read(prefix.body.data, prefix.body.size, version, &result) and _columns(&result.bound) \
            and _columns(&result.metadata) and (result.kind != RESULT_ROWS or cql_rows_check(&result))
        if read:
            cql_result_put(writer, &result, version)
    elif opcode == OP_ERROR:
        read = cql_error_read(prefix.body.data, prefix.body.size, version, &error)
        if read:
            cql_error_put(writer, &error, version)
    else:
        read = cql_event_read(prefix.body.data, prefix.body.size, version, &event)
        if read:
            cql_event_put(writer, &event, version)
    return _end(frame, read, start, writer)
