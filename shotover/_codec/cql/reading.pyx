"""See reading.pxd."""

from libc.string cimport memcmp

from shotover._codec.cql.facts cimport cql_facts, cql_facts_t
from shotover._codec.cql.frame cimport (
    FLAG_COMPRESSED,
    FLAG_PAYLOAD,
    HEADER_SIZE,
    OP_BATCH,
    OP_EXECUTE,
    OP_QUERY,
    SEGMENTS_FROM,
    read_int,
    read_short,
)
from shotover._codec.cql.messages cimport (
    PARAM_NAMES,
    cql_batch_read,
    cql_batch_t,
    cql_execute_read,
    cql_execute_t,
    cql_prefix_read,
    cql_prefix_t,
    cql_query_read,
    cql_query_t,
    cql_value_next,
    cql_value_t,
)
from shotover._codec.cql.results cimport cql_column_next, cql_column_t
from shotover._codec.cql.wire cimport wire_put, wire_put_byte, wire_put_short, wire_read, wire_reader_t
from shotover._core.debug cimport unlikely


cdef bint cql_body(const request_t *request, slice_t *body) noexcept nogil:
    """What stands behind the header and a custom payload. False: it is compressed, or no body."""
    cdef cql_prefix_t prefix
    if request.wire.size < HEADER_SIZE or request.wire.data[1] & FLAG_COMPRESSED:
        return False
    body.data = request.wire.data + HEADER_SIZE
    body.size = request.wire.size - HEADER_SIZE
    if unlikely(request.wire.data[1] & FLAG_PAYLOAD):
        if not cql_prefix_read(body.data, body.size, FLAG_PAYLOAD, False, &prefix):
            return False
        body[0] = prefix.body
    return True


cdef bint cql_params_of(const request_t *request, cql_params_t *params) noexcept nogil:
    """Of a QUERY, EXECUTE or BATCH. False: it is none of these, or not what it should be."""
    cdef:
        slice_t       body
        cql_query_t   query
        cql_execute_t execute
        cql_batch_t   batch
    if not cql_body(request, &body):
        return False
    if request.opcode == OP_EXECUTE and cql_execute_read(body.data, body.size, request.version, &execute):
        params[0] = execute.params
    elif request.opcode == OP_QUERY and cql_query_read(body.data, body.size, request.version, &query):
        params[0] = query.params
    elif request.opcode == OP_BATCH and cql_batch_read(body.data, body.size, request.version, &batch):
        params[0] = batch.params
    else:
        return False
    return True


cdef int cql_consistency(const request_t *request) noexcept nogil:
    """Its number in the protocol; -1: it has none. Cheap but for a BATCH."""
    cdef:
        slice_t      body
        cql_params_t params
        size_t       at
    if not cql_body(request, &body):
        return -1
    if request.opcode == OP_QUERY and body.size >= 4:
        at = 4 + <size_t>read_int(body.data)
    elif request.opcode == OP_EXECUTE and body.size >= 2:
        at = 2 + <size_t>read_short(body.data)
        if request.version >= SEGMENTS_FROM:
            if at + 2 > body.size:
                return -1
            at += 2 + <size_t>read_short(body.data + at)
    elif request.opcode == OP_BATCH:
        return params.consistency if cql_params_of(request, &params) else -1
    else:
        return -1
    return read_short(body.data + at) if at + 2 <= body.size else -1


cdef uint32_t cql_statements(const request_t *request) noexcept nogil:
    """How many statements it would carry out; 1 for whatever is not known."""
    cdef:
        const cql_facts_t *facts = cql_facts(request)
        uint32_t index, count = 0
    if facts is NULL or facts.touch_count == 1:
        return 1 if facts is NULL else facts.touches[0].count
    if facts.text.data is NULL:
        return facts.head.part_count
    for index in range(facts.touch_count):
        count += facts.touches[index].count
    return count


cdef bint _key_values(const request_t *request, const cql_facts_t *facts, slice_t *parts) noexcept nogil:
    """The values that make the partition key of an EXECUTE, in the order of the key. False: one of them is not there."""
    cdef:
        cql_params_t  params
        cql_value_t   value
        cql_column_t  column
        wire_reader_t values, columns
        slice_t       names[KEY_PARTS_MAX]
        uint32_t      key, index, found = 0
    if not cql_params_of(request, &params) or params.value_count == 0:
        return False
    for key in range(facts.bound.key_count):
        parts[key].data = NULL
    if params.flags & PARAM_NAMES:
        wire_read(&columns, facts.bound.columns.data, facts.bound.columns.size)
        for index in range(facts.bound.column_count):
            if not cql_column_next(&columns, &facts.bound, &column):
                return False
            for key in range(facts.bound.key_count):
                if read_short(facts.bound.keys.data + 2 * key) == index:
                    names[key] = column.name
    wire_read(&values, params.values.data, params.values.size)
    for index in range(params.value_count):
        if not cql_value_next(&values, &params, &value):
            return False
        for key in range(facts.bound.key_count):
            if params.flags & PARAM_NAMES:
                if value.name.size != names[key].size or memcmp(value.name.data, names[key].data, value.name.size) != 0:
                    continue
            elif read_short(facts.bound.keys.data + 2 * key) != index:
                continue
            if value.value.data is NULL:
                return False
            if parts[key].data is NULL:
                found += 1
            parts[key] = value.value
    return found == facts.bound.key_count


cdef bint cql_partition_key(const request_t *request, wire_writer_t *out) noexcept nogil:
    """Writes the partition key of an EXECUTE as the servers know it: what tokens are made of. False: it cannot be told, or
    there is no room (out.full). Of a QUERY it follows from the schema alone."""
    cdef:
        const cql_facts_t *facts = cql_facts(request)
        slice_t            parts[KEY_PARTS_MAX]
        uint32_t           index
    if facts is NULL or request.opcode != OP_EXECUTE:
        return False
    if not 0 < facts.bound.key_count <= KEY_PARTS_MAX or not _key_values(request, facts, parts):
        return False
    if facts.bound.key_count == 1:
        wire_put(out, parts[0].data, parts[0].size)
        return not out.full
    for index in range(facts.bound.key_count):
        if parts[index].size > 0xffff:
            return False
        wire_put_short(out, <uint32_t>parts[index].size)
        wire_put(out, parts[index].data, parts[index].size)
        wire_put_byte(out, 0)
    return not out.full
