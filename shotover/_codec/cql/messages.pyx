"""See messages.pxd."""

from libc.string cimport memset

from shotover._codec.cql.wire cimport (
    WIRE_UNSET,
    wire_byte,
    wire_bytes,
    wire_count,
    wire_int,
    wire_left,
    wire_long,
    wire_long_string,
    wire_put,
    wire_put_byte,
    wire_put_bytes,
    wire_put_int,
    wire_put_long,
    wire_put_short,
    wire_put_string,
    wire_read,
    wire_short,
    wire_since,
    wire_slice,
    wire_string,
    wire_value,
)

cdef enum:
    TRACING_SIZE = 16
    PARAMS_V4 = 0x7f        # flags that v3 and v4 know
    PARAMS_V5 = 0x1ff
    PARAMS_BATCH = PARAM_SERIAL | PARAM_TIMESTAMP | PARAM_NAMES | PARAM_KEYSPACE | PARAM_NOW


cdef bint cql_prefix_read(const uint8_t *body, size_t size, uint8_t flags, bint response, cql_prefix_t *out) noexcept nogil:
    """What the flags say stands before a body, and where that begins."""
    cdef:
        wire_reader_t reader
        uint8_t      *start
        slice_t       ignored
        uint32_t      _
    memset(out, 0, sizeof(cql_prefix_t))
    wire_read(&reader, body, size)
    if response and flags & FRAME_TRACING:
        out.tracing = wire_slice(&reader, TRACING_SIZE)
    if response and flags & FRAME_WARNING:
        out.warning_count = wire_count(&reader, wire_short(&reader), 2)
        start = reader.at
        for _ in range(out.warning_count):
            wire_string(&reader)
        out.warnings = wire_since(&reader, start)
    if flags & FRAME_PAYLOAD:
        out.payload_count = wire_count(&reader, wire_short(&reader), 6)
        start = reader.at
        for _ in range(out.payload_count):
            wire_string(&reader)
            wire_bytes(&reader, &ignored)
        out.payload = wire_since(&reader, start)
    out.body = wire_slice(&reader, wire_left(&reader))
    return not reader.bad


cdef void _values(wire_reader_t *reader, cql_params_t *params) noexcept nogil:
    cdef:
        cql_value_t value
        uint8_t    *start
        uint32_t    _
    params.value_count = wire_count(reader, wire_short(reader), 6 if params.flags & PARAM_NAMES else 4)
    start = reader.at
    for _ in range(params.value_count):
        cql_value_next(reader, params, &value)
    params.values = wire_since(reader, start)


cdef void _flags(wire_reader_t *reader, cql_params_t *params, int version) noexcept nogil:
    params.flags = <uint32_t>wire_int(reader) if version >= 5 else wire_byte(reader)
    if params.flags & ~<uint32_t>(PARAMS_V5 if version >= 5 else PARAMS_V4):
        reader.bad = True


cdef void _later_params(wire_reader_t *reader, cql_params_t *params) noexcept nogil:
    """What a BATCH has in common with the others."""
    if params.flags & PARAM_SERIAL:
        params.serial = wire_short(reader)
    if params.flags & PARAM_TIMESTAMP:
        params.timestamp = wire_long(reader)
    if params.flags & PARAM_KEYSPACE:
        params.keyspace = wire_string(reader)
    if params.flags & PARAM_NOW:
        params.now = wire_int(reader)


cdef void _params(wire_reader_t *reader, cql_params_t *params, int version) noexcept nogil:
    params.consistency = wire_short(reader)
    _flags(reader, params, version)
    if params.flags & PARAM_VALUES:
        _values(reader, params)
    if params.flags & PARAM_PAGE_SIZE:
        params.page_size = wire_int(reader)
    if params.flags & PARAM_PAGING_STATE:
        wire_bytes(reader, &params.paging_state)
    _later_params(reader, params)


cdef bint cql_query_read(const uint8_t *body, size_t size, int version, cql_query_t *out) noexcept nogil:
    cdef wire_reader_t reader
    memset(out, 0, sizeof(cql_query_t))
    wire_read(&reader, body, size)
    out.text = wire_long_string(&reader)
    _params(&reader, &out.params, version)
    return not reader.bad


cdef bint cql_prepare_read(const uint8_t *body, size_t size, int version, cql_prepare_t *out) noexcept nogil:
    cdef wire_reader_t reader
    memset(out, 0, sizeof(cql_prepare_t))
    wire_read(&reader, body, size)
    out.text = wire_long_string(&reader)
    if version >= 5:
        out.flags = <uint32_t>wire_int(&reader)
        if out.flags & ~<uint32_t>PREPARE_KEYSPACE:
            return False
        if out.flags & PREPARE_KEYSPACE:
            out.keyspace = wire_string(&reader)
    return not reader.bad


cdef bint cql_execute_read(const uint8_t *body, size_t size, int version, cql_execute_t *out) noexcept nogil:
    cdef wire_reader_t reader
    memset(out, 0, sizeof(cql_execute_t))
    wire_read(&reader, body, size)
    out.id = wire_string(&reader)
    if version >= 5:
        out.metadata_id = wire_string(&reader)
    _params(&reader, &out.params, version)
    return not reader.bad


cdef bint cql_batch_read(const uint8_t *body, size_t size, int version, cql_batch_t *out) noexcept nogil:
    """Every statement is looked at once, so cql_batch_next over `items` cannot fail."""
    cdef:
        wire_reader_t    reader
        cql_batch_item_t item
        uint8_t         *start
        uint32_t         _
    memset(out, 0, sizeof(cql_batch_t))
    wire_read(&reader, body, size)
    out.type = wire_byte(&reader)
    out.count = wire_count(&reader, wire_short(&reader), 5)
    start = reader.at
    for _ in range(out.count):
        cql_batch_next(&reader, &item)
    out.items = wire_since(&reader, start)
    out.params.consistency = wire_short(&reader)
    _flags(&reader, &out.params, version)
    out.params.flags &= PARAMS_BATCH
    _later_params(&reader, &out.params)
    return not reader.bad and out.type <= 2


cdef bint cql_batch_next(wire_reader_t *items, cql_batch_item_t *item) noexcept nogil:
    """The next statement of a batch. Its values have no names, whatever the flags say: they come before those. False: bad."""
    cdef:
        uint8_t  kind = wire_byte(items)
        uint8_t *start
        slice_t  ignored
        uint32_t _
    if kind > 1:
        items.bad = True
    item.prepared = kind == 1
    item.text = wire_string(items) if item.prepared else wire_long_string(items)
    item.value_count = wire_count(items, wire_short(items), 4)
    start = items.at
    for _ in range(item.value_count):
        wire_value(items, &ignored)
    item.values = wire_since(items, start)
    return not items.bad


cdef bint cql_value_next(wire_reader_t *values, const cql_params_t *params, cql_value_t *value) noexcept nogil:
    """The next bound value; the caller counts them. False: bad."""
    value.name.data = NULL
    value.name.size = 0
    if params.flags & PARAM_NAMES:
        value.name = wire_string(values)
    value.unset = wire_value(values, &value.value) == WIRE_UNSET
    return not values.bad


cdef bint cql_options_read(const uint8_t *body, size_t size, uint32_t *count) noexcept nogil:
    """Of a STARTUP: how many options there are, each a name and a value; they begin at body + 2."""
    cdef:
        wire_reader_t reader
        slice_t       name, value
        uint32_t      _
    wire_read(&reader, body, size)
    count[0] = wire_count(&reader, wire_short(&reader), 4)
    for _ in range(count[0]):
        cql_option_next(&reader, &name, &value)
    return not reader.bad


cdef bint cql_option_next(wire_reader_t *options, slice_t *name, slice_t *value) noexcept nogil:
    name[0] = wire_string(options)
    value[0] = wire_string(options)
    return not options.bad


cdef bint cql_register_read(const uint8_t *body, size_t size, uint32_t *count) noexcept nogil:
    """Of a REGISTER: how many event types are named, each a [string]; they begin at body + 2."""
    cdef:
        wire_reader_t reader
        uint32_t      _
    wire_read(&reader, body, size)
    count[0] = wire_count(&reader, wire_short(&reader), 2)
    for _ in range(count[0]):
        wire_string(&reader)
    return not reader.bad


cdef bint cql_token_read(const uint8_t *body, size_t size, slice_t *token) noexcept nogil:
    """Of an AUTH_RESPONSE, AUTH_CHALLENGE or AUTH_SUCCESS; data NULL: none."""
    cdef wire_reader_t reader
    wire_read(&reader, body, size)
    wire_bytes(&reader, token)
    return not reader.bad


# ---- writing -------------------------------------------------------------------------------------------------------


cdef void cql_params_put(wire_writer_t *writer, const cql_params_t *params, int version) noexcept nogil:
    """What v3 and v4 do not know is left off."""
    cdef uint32_t flags = params.flags & <uint32_t>(PARAMS_V5 if version >= 5 else PARAMS_V4)
    wire_put_short(writer, params.consistency)
    if version >= 5:
        wire_put_int(writer, flags)
    else:
        wire_put_byte(writer, <uint8_t>flags)
    if flags & PARAM_VALUES:
        wire_put_short(writer, params.value_count)
        wire_put(writer, params.values.data, params.values.size)
    if flags & PARAM_PAGE_SIZE:
        wire_put_int(writer, params.page_size)
    if flags & PARAM_PAGING_STATE:
        wire_put_bytes(writer, params.paging_state)
    if flags & PARAM_SERIAL:
        wire_put_short(writer, params.serial)
    if flags & PARAM_TIMESTAMP:
        wire_put_long(writer, params.timestamp)
    if flags & PARAM_KEYSPACE:
        wire_put_string(writer, params.keyspace)
    if flags & PARAM_NOW:
        wire_put_int(writer, params.now)


cdef void cql_query_put(wire_writer_t *writer, const cql_query_t *query, int version) noexcept nogil:
    wire_put_int(writer, <int64_t>query.text.size)
    wire_put(writer, query.text.data, query.text.size)
    cql_params_put(writer, &query.params, version)


cdef void cql_prepare_put(wire_writer_t *writer, const cql_prepare_t *prepare, int version) noexcept nogil:
    wire_put_int(writer, <int64_t>prepare.text.size)
    wire_put(writer, prepare.text.data, prepare.text.size)
    if version >= 5:
        wire_put_int(writer, prepare.flags)
        if prepare.flags & PREPARE_KEYSPACE:
            wire_put_string(writer, prepare.keyspace)


cdef void cql_execute_put(wire_writer_t *writer, const cql_execute_t *execute, int version) noexcept nogil:
    wire_put_string(writer, execute.id)
    if version >= 5:
        wire_put_string(writer, execute.metadata_id)
    cql_params_put(writer, &execute.params, version)
