"""See results.pxd."""

from libc.string cimport memcmp, memset

from shotover._codec.cql.wire cimport (
    wire_byte,
    wire_bytes,
    wire_count,
    wire_int,
    wire_left,
    wire_put,
    wire_put_byte,
    wire_put_bytes,
    wire_put_int,
    wire_put_short,
    wire_put_string,
    wire_read,
    wire_short,
    wire_since,
    wire_slice,
    wire_string,
)


cdef inline bint _says(slice_t text, const char *other, size_t size) noexcept nogil:
    return text.size == size and memcmp(text.data, other, size) == 0


cdef slice_t _strings(wire_reader_t *reader, uint32_t *count) noexcept nogil:
    """[string list], without its count."""
    cdef:
        uint8_t *start
        uint32_t _
    count[0] = wire_count(reader, wire_short(reader), 2)
    start = reader.at
    for _ in range(count[0]):
        wire_string(reader)
    return wire_since(reader, start)


# ---- types and columns ---------------------------------------------------------------------------------------------


cdef bint cql_type_skip(wire_reader_t *reader, int depth) noexcept nogil:
    """Goes behind an [option]; `depth`: of how many it is part. False: bad, or nested deeper than TYPE_DEPTH_MAX."""
    cdef:
        uint16_t id = wire_short(reader)
        uint32_t count = 0, _
    if depth > TYPE_DEPTH_MAX:
        reader.bad = True
    elif id == TYPE_CUSTOM:
        wire_string(reader)
    elif id == TYPE_LIST or id == TYPE_SET:
        cql_type_skip(reader, depth + 1)
    elif id == TYPE_MAP:
        cql_type_skip(reader, depth + 1)
        cql_type_skip(reader, depth + 1)
    elif id == TYPE_TUPLE:
        count = wire_count(reader, wire_short(reader), 2)
        for _ in range(count):
            if not cql_type_skip(reader, depth + 1):
                break
    elif id == TYPE_UDT:
        wire_string(reader)
        wire_string(reader)
        count = wire_count(reader, wire_short(reader), 4)
        for _ in range(count):
            wire_string(reader)
            if not cql_type_skip(reader, depth + 1):
                break
    return not reader.bad


cdef bint cql_column_next(wire_reader_t *columns, const cql_metadata_t *metadata, cql_column_t *column) noexcept nogil:
    """The next column of a metadata's; the caller counts them. False: bad."""
    cdef uint8_t *start
    if metadata.flags & METADATA_GLOBAL:
        column.keyspace = metadata.keyspace
        column.table = metadata.table
    else:
        column.keyspace = wire_string(columns)
        column.table = wire_string(columns)
    column.name = wire_string(columns)
    start = columns.at
    cql_type_skip(columns, 0)
    column.type = wire_since(columns, start)
    column.type_id = 0 if columns.bad else <uint16_t>(start[0] << 8 | start[1])
    return not columns.bad


cdef void _metadata(wire_reader_t *reader, cql_metadata_t *metadata, bint prepared, int version) noexcept nogil:
    cdef:
        cql_column_t column
        uint8_t     *start
        int32_t      column_count
        uint32_t     _
    metadata.flags = <uint32_t>wire_int(reader)
    column_count = wire_int(reader)
    if column_count < 0:
        reader.bad = True
    if prepared and version >= 4:
        metadata.key_count = wire_count(reader, wire_int(reader), 2)
        metadata.keys = wire_slice(reader, 2 * <size_t>metadata.key_count)
    if metadata.flags & METADATA_MORE_PAGES:
        wire_bytes(reader, &metadata.paging_state)
    if metadata.flags & METADATA_CHANGED:
        metadata.new_id = wire_string(reader)
    if reader.bad:
        return
    metadata.column_count = <uint32_t>column_count
    if metadata.flags & METADATA_NONE:
        return
    if metadata.flags & METADATA_GLOBAL:
        metadata.keyspace = wire_string(reader)
        metadata.table = wire_string(reader)
    metadata.column_count = wire_count(reader, column_count, 4 if metadata.flags & METADATA_GLOBAL else 8)
    start = reader.at
    for _ in range(metadata.column_count):
        if not cql_column_next(reader, metadata, &column):
            break
    metadata.columns = wire_since(reader, start)


# ---- RESULT --------------------------------------------------------------------------------------------------------


cdef void _change(wire_reader_t *reader, cql_change_t *change) noexcept nogil:
    change.change = wire_string(reader)
    change.target = wire_string(reader)
    change.keyspace = wire_string(reader)
    if not _says(change.target, b"KEYSPACE", 8):
        change.name = wire_string(reader)
    if _says(change.target, b"FUNCTION", 8) or _says(change.target, b"AGGREGATE", 9):
        change.arguments = _strings(reader, &change.argument_count)


cdef bint cql_result_read(const uint8_t *body, size_t size, int version, cql_result_t *out) noexcept nogil:
    """Cells of rows are not looked at: see cql_rows_check. There are at least four bytes for each."""
    cdef:
        wire_reader_t reader
        int32_t       row_count
    memset(out, 0, sizeof(cql_result_t))
    wire_read(&reader, body, size)
    out.kind = wire_int(&reader)
    if out.kind == RESULT_ROWS:
        _metadata(&reader, &out.metadata, False, version)
        row_count = wire_int(&reader)
        if row_count > 0 and out.metadata.column_count == 0:
            return False
        out.row_count = wire_count(&reader, row_count, 4 * <size_t>max(out.metadata.column_count, 1))
        out.rows = wire_slice(&reader, wire_left(&reader))
    elif out.kind == RESULT_SET_KEYSPACE:
        out.keyspace = wire_string(&reader)
    elif out.kind == RESULT_PREPARED:
        out.id = wire_string(&reader)
        if version >= 5:
            out.metadata_id = wire_string(&reader)
        _metadata(&reader, &out.bound, True, version)
        _metadata(&reader, &out.metadata, False, version)
    elif out.kind == RESULT_SCHEMA_CHANGE:
        _change(&reader, &out.change)
    elif out.kind != RESULT_VOID:
        return False
    return not reader.bad


cdef bint cql_rows_check(const cql_result_t *result) noexcept nogil:
    """Whether the rows hold as many cells as they should, and nothing else."""
    cdef:
        wire_reader_t reader
        slice_t       cell
        uint32_t      _, __
    wire_read(&reader, result.rows.data, result.rows.size)
    for _ in range(result.row_count):
        for __ in range(result.metadata.column_count):
            wire_bytes(&reader, &cell)
        if reader.bad:
            return False
    return reader.at == reader.end


cdef void cql_metadata_put(wire_writer_t *writer, const cql_metadata_t *metadata, bint prepared, int version) noexcept nogil:
    """Up to the columns, and those of `metadata.columns`; a caller who makes them leaves that empty and goes on with
    cql_column_put, `column_count` times."""
    wire_put_int(writer, metadata.flags)
    wire_put_int(writer, metadata.column_count)
    if prepared and version >= 4:
        wire_put_int(writer, metadata.key_count)
        wire_put(writer, metadata.keys.data, metadata.keys.size)
    if metadata.flags & METADATA_MORE_PAGES:
        wire_put_bytes(writer, metadata.paging_state)
    if metadata.flags & METADATA_CHANGED:
        wire_put_string(writer, metadata.new_id)
    if metadata.flags & METADATA_NONE:
        return
    if metadata.flags & METADATA_GLOBAL:
        wire_put_string(writer, metadata.keyspace)
        wire_put_string(writer, metadata.table)
    wire_put(writer, metadata.columns.data, metadata.columns.size)


cdef void cql_column_put(wire_writer_t *writer, const cql_metadata_t *metadata, const cql_column_t *column) noexcept nogil:
    if not metadata.flags & METADATA_GLOBAL:
        wire_put_string(writer, column.keyspace)
        wire_put_string(writer, column.table)
    wire_put_string(writer, column.name)
    wire_put(writer, column.type.data, column.type.size)


cdef void _put_change(wire_writer_t *writer, const cql_change_t *change) noexcept nogil:
    wire_put_string(writer, change.change)
    wire_put_string(writer, change.target)
    wire_put_string(writer, change.keyspace)
    if not _says(change.target, b"KEYSPACE", 8):
        wire_put_string(writer, change.name)
    if _says(change.target, b"FUNCTION", 8) or _says(change.target, b"AGGREGATE", 9):
        wire_put_short(writer, change.argument_count)
        wire_put(writer, change.arguments.data, change.arguments.size)


cdef void cql_result_put(wire_writer_t *writer, const cql_result_t *result, int version) noexcept nogil:
    wire_put_int(writer, result.kind)
    if result.kind == RESULT_ROWS:
        cql_metadata_put(writer, &result.metadata, False, version)
        wire_put_int(writer, result.row_count)
        wire_put(writer, result.rows.data, result.rows.size)
    elif result.kind == RESULT_SET_KEYSPACE:
        wire_put_string(writer, result.keyspace)
    elif result.kind == RESULT_PREPARED:
        wire_put_string(writer, result.id)
        if version >= 5:
            wire_put_string(writer, result.metadata_id)
        cql_metadata_put(writer, &result.bound, True, version)
        cql_metadata_put(writer, &result.metadata, False, version)
    elif result.kind == RESULT_SCHEMA_CHANGE:
        _put_change(writer, &result.change)


# ---- ERROR ---------------------------------------------------------------------------------------------------------


cdef void _failures(wire_reader_t *reader, cql_error_t *error, int version) noexcept nogil:
    cdef:
        uint8_t *start
        uint32_t count, _
    error.failure_count = wire_int(reader)
    if version < 5:
        return
    count = wire_count(reader, error.failure_count, 3)
    start = reader.at
    for _ in range(count):
        wire_slice(reader, wire_byte(reader))
        wire_short(reader)
    error.failures = wire_since(reader, start)


cdef bint cql_error_read(const uint8_t *body, size_t size, int version, cql_error_t *out) noexcept nogil:
    """A code that is not known has no fields of its own."""
    cdef:
        wire_reader_t reader
        int32_t       code
    memset(out, 0, sizeof(cql_error_t))
    wire_read(&reader, body, size)
    code = out.code = wire_int(&reader)
    out.message = wire_string(&reader)
    if code == ERROR_UNAVAILABLE:
        out.consistency = wire_short(&reader)
        out.required = wire_int(&reader)
        out.received = wire_int(&reader)
    elif code in (ERROR_WRITE_TIMEOUT, ERROR_READ_TIMEOUT, ERROR_READ_FAILURE, ERROR_WRITE_FAILURE, ERROR_CAS_WRITE_UNKNOWN):
        out.consistency = wire_short(&reader)
        out.received = wire_int(&reader)
        out.required = wire_int(&reader)
        if code == ERROR_READ_FAILURE or code == ERROR_WRITE_FAILURE:
            _failures(&reader, out, version)
        if code == ERROR_READ_TIMEOUT or code == ERROR_READ_FAILURE:
            out.data_present = wire_byte(&reader)
        elif code != ERROR_CAS_WRITE_UNKNOWN:
            out.write_type = wire_string(&reader)
        if code == ERROR_WRITE_TIMEOUT and version >= 5 and _says(out.write_type, b"CAS", 3):
            out.has_contentions = wire_left(&reader) > 0
            if out.has_contentions:
                out.contentions = wire_short(&reader)
    elif code == ERROR_FUNCTION_FAILURE:
        out.keyspace = wire_string(&reader)
        out.name = wire_string(&reader)
        out.arguments = _strings(&reader, &out.argument_count)
    elif code == ERROR_ALREADY_EXISTS:
        out.keyspace = wire_string(&reader)
        out.name = wire_string(&reader)
    elif code == ERROR_UNPREPARED:
        out.id = wire_string(&reader)
    return not reader.bad


cdef void cql_error_put(wire_writer_t *writer, const cql_error_t *error, int version) noexcept nogil:
    cdef int32_t code = error.code
    wire_put_int(writer, code)
    wire_put_string(writer, error.message)
    if code == ERROR_UNAVAILABLE:
        wire_put_short(writer, error.consistency)
        wire_put_int(writer, error.required)
        wire_put_int(writer, error.received)
    elif code in (ERROR_WRITE_TIMEOUT, ERROR_READ_TIMEOUT, ERROR_READ_FAILURE, ERROR_WRITE_FAILURE, ERROR_CAS_WRITE_UNKNOWN):
        wire_put_short(writer, error.consistency)
        wire_put_int(writer, error.received)
        wire_put_int(writer, error.required)
        if code == ERROR_READ_FAILURE or code == ERROR_WRITE_FAILURE:
            wire_put_int(writer, error.failure_count)
            if version >= 5:
                wire_put(writer, error.failures.data, error.failures.size)
        if code == ERROR_READ_TIMEOUT or code == ERROR_READ_FAILURE:
            wire_put_byte(writer, error.data_present)
        elif code != ERROR_CAS_WRITE_UNKNOWN:
            wire_put_string(writer, error.write_type)
        if version >= 5 and error.has_contentions:
            wire_put_short(writer, error.contentions)
    elif code == ERROR_FUNCTION_FAILURE:
        wire_put_string(writer, error.keyspace)
        wire_put_string(writer, error.name)
        wire_put_short(writer, error.argument_count)
        wire_put(writer, error.arguments.data, error.arguments.size)
    elif code == ERROR_ALREADY_EXISTS:
        wire_put_string(writer, error.keyspace)
        wire_put_string(writer, error.name)
    elif code == ERROR_UNPREPARED:
        wire_put_string(writer, error.id)


# ---- EVENT, SUPPORTED ----------------------------------------------------------------------------------------------


cdef bint cql_event_read(const uint8_t *body, size_t size, int version, cql_event_t *out) noexcept nogil:
    cdef:
        wire_reader_t reader
        uint8_t       address_size
    memset(out, 0, sizeof(cql_event_t))
    wire_read(&reader, body, size)
    out.type = wire_string(&reader)
    if _says(out.type, b"SCHEMA_CHANGE", 13):
        _change(&reader, &out.schema)
        return not reader.bad
    if not _says(out.type, b"TOPOLOGY_CHANGE", 15) and not _says(out.type, b"STATUS_CHANGE", 13):
        return False
    out.change = wire_string(&reader)
    address_size = wire_byte(&reader)
    if address_size != 4 and address_size != 16:
        return False
    out.address = wire_slice(&reader, address_size)
    out.port = wire_int(&reader)
    return not reader.bad


cdef void cql_event_put(wire_writer_t *writer, const cql_event_t *event, int version) noexcept nogil:
    wire_put_string(writer, event.type)
    if _says(event.type, b"SCHEMA_CHANGE", 13):
        _put_change(writer, &event.schema)
        return
    wire_put_string(writer, event.change)
    wire_put_byte(writer, <uint8_t>event.address.size)
    wire_put(writer, event.address.data, event.address.size)
    wire_put_int(writer, event.port)


cdef bint cql_supported_read(const uint8_t *body, size_t size, uint32_t *count) noexcept nogil:
    """How many options there are; they begin at body + 2."""
    cdef:
        wire_reader_t reader
        slice_t       name, values
        uint32_t      value_count, _
    wire_read(&reader, body, size)
    count[0] = wire_count(&reader, wire_short(&reader), 4)
    for _ in range(count[0]):
        if not cql_supported_next(&reader, &name, &values, &value_count):
            break
    return not reader.bad


cdef bint cql_supported_next(wire_reader_t *reader, slice_t *name, slice_t *values, uint32_t *value_count) noexcept nogil:
    """The next option of a SUPPORTED, with its [string]s."""
    name[0] = wire_string(reader)
    values[0] = _strings(reader, value_count)
    return not reader.bad
