"""See _cassandra_route.pxd."""

from libc.string cimport memcmp, memset, strlen

from shotover._codec.cql.keys cimport cql_key_plan, cql_key_plan_t, cql_keys_at, cql_keys_read
from shotover._codec.cql.lexer cimport cql_name_is, cql_name_put, cql_span_t
from shotover._codec.cql.messages cimport PARAM_NAMES, cql_value_next, cql_value_t
from shotover._codec.cql.partition cimport partition_key_put, partition_key_size
from shotover._codec.cql.statement cimport (
    HAS_COUNTER,
    HAS_FUNCTION,
    HAS_IF,
    ITEM_STATEMENT,
    NOT_IDEMPOTENT,
    STATEMENT_BATCH,
    STATEMENT_DELETE,
    STATEMENT_INSERT,
    STATEMENT_SELECT,
    STATEMENT_UNKNOWN,
    STATEMENT_UPDATE,
)
from shotover._codec.cql.wire cimport wire_bytes, wire_read, wire_reader_t
from shotover.sinks._cassandra_schema cimport KEYS_MAX

cdef const char *VIRTUAL[3]
VIRTUAL[0] = b"local"
VIRTUAL[1] = b"peers"
VIRTUAL[2] = b"peers_v2"


cdef slice_t _name(const uint8_t *text, cql_span_t span, uint8_t *room) noexcept nogil:
    """As the servers have it; of size 0: it is none, or too long to be one."""
    cdef slice_t name
    name.data = room
    name.size = cql_name_put(room, text, span) if 0 < span.size <= NAME_ROOM else 0
    return name


cdef void aim_of(const uint8_t *text, const cql_statement_t *statement, slice_t keyspace, aim_t *out) noexcept nogil:
    """`keyspace`: the session's, for a statement that names none."""
    cdef:
        uint8_t type = statement.type
        uint8_t room[NAME_ROOM]
        int     index
    memset(out, 0, sizeof(aim_t))
    if type == STATEMENT_UNKNOWN:
        return
    if type != STATEMENT_SELECT and type != STATEMENT_INSERT and type != STATEMENT_UPDATE and type != STATEMENT_DELETE \
            and type != STATEMENT_BATCH:
        out.place = PLACE_HOME
        return
    out.ordered = (statement.flags & HAS_IF) != 0
    out.idempotent = type == STATEMENT_SELECT or not statement.flags & (HAS_IF | HAS_FUNCTION | HAS_COUNTER | NOT_IDEMPOTENT)
    if statement.keyspace.size:
        keyspace = _name(text, statement.keyspace, room)
    if keyspace.size < 6 or memcmp(keyspace.data, b"system", 6) != 0 or (keyspace.size > 6 and keyspace.data[6] != b'_'):
        return
    out.place = PLACE_HOME
    if type == STATEMENT_SELECT and keyspace.size == 6:
        for index in range(3):
            if cql_name_is(text, statement.table, <const uint8_t *>VIRTUAL[index], strlen(VIRTUAL[index])):
                out.place = PLACE_TABLE
                out.table = <uint8_t>index


cdef const entry_t *table_of(Schema schema, const uint8_t *text, const cql_statement_t *statement,
                             slice_t keyspace) noexcept nogil:
    """The table that it is about, of a batch the first; NULL: nobody knows."""
    cdef:
        uint8_t       keyspace_room[NAME_ROOM]
        uint8_t       table_room[NAME_ROOM]
        cql_span_t    table = statement.table
        cql_span_t    said = statement.keyspace
        slice_t       name
    if statement.type == STATEMENT_BATCH:
        if statement.item_count == 0 or statement.item[0].role != ITEM_STATEMENT:
            return NULL
        table = statement.item[0].name
        said = statement.item[0].more
    if said.size:
        keyspace = _name(text, said, keyspace_room)
    name = _name(text, table, table_room)
    if keyspace.size == 0 or name.size == 0:
        return NULL
    return schema.find(keyspace.data, keyspace.size, name.data, name.size)


cdef bint value_at(const cql_params_t *params, uint32_t number, const slice_t *name, slice_t *value) noexcept nogil:
    """A bound value by its number or, where values are named, by its name; False: there is none, or it is null."""
    cdef:
        wire_reader_t reader
        cql_value_t   found
        uint32_t      index
    wire_read(&reader, params.values.data, params.values.size)
    for index in range(params.value_count):
        if not cql_value_next(&reader, params, &found):
            return False
        if (index == number if not params.flags & PARAM_NAMES
                else found.name.size == name.size and memcmp(found.name.data, name.data, name.size) == 0):
            value[0] = found.value
            return found.value.data is not NULL
    return False


cdef bint key_of_statement(const entry_t *table, const uint8_t *text, const cql_statement_t *statement,
                           const cql_params_t *params, key_room_t *room, slice_t *key) noexcept nogil:
    """The partition key of a statement's rows, of several (IN) the first; borrowed from it or put into `room`. `params`: its
    bound values, or NULL."""
    cdef:
        slice_t        parts[KEYS_MAX]
        cql_key_plan_t plan
        uint16_t       which = 1 if statement.type == STATEMENT_BATCH else 0
    if not cql_key_plan(statement, text, which, table.columns, table.key_count, &plan) or \
            not cql_keys_read(&plan, statement, text, params, table.types, &room.keys) or room.keys.count == 0:
        return False
    cql_keys_at(&room.keys, 0, parts)
    return _joined(parts, table.key_count, room, key)


cdef bint key_of_values(const uint16_t *places, uint32_t count, slice_t values, uint32_t value_count, key_room_t *room,
                        slice_t *key) noexcept nogil:
    """The same of values without names, of which those at `places` are the key."""
    cdef:
        slice_t       parts[KEYS_MAX]
        slice_t       value
        wire_reader_t reader
        uint32_t      index, number
        uint32_t      found = 0
    wire_read(&reader, values.data, values.size)
    for index in range(value_count):
        wire_bytes(&reader, &value)
        for number in range(count):
            if places[number] == index:
                if value.data is NULL:
                    return False
                parts[number] = value
                found += 1
        if found == count:
            break
    return found == count and not reader.bad and _joined(parts, count, room, key)


cdef bint _joined(const slice_t *parts, uint32_t count, key_room_t *room, slice_t *key) noexcept nogil:
    cdef size_t size
    if count == 1:
        key[0] = parts[0]
        return parts[0].size > 0
    size = partition_key_size(parts, count)
    if size == 0 or size > KEY_BYTES_MAX:
        return False
    key.data = room.bytes
    key.size = partition_key_put(room.bytes, parts, count)
    return True
