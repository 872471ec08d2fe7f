"""See _cassandra_route.pxd."""

from libc.string cimport memcmp, memset, strlen

from shotover._codec.cql.lexer cimport cql_name_is, cql_name_put, cql_span_t
from shotover._codec.cql.literals cimport LITERAL_FINE, cql_literal_put
from shotover._codec.cql.messages cimport PARAM_NAMES, cql_value_next, cql_value_t
from shotover._codec.cql.partition cimport partition_key_put, partition_key_size
from shotover._codec.cql.statement cimport (
    FORM_BIND,
    FORM_CONSTANT,
    HAS_COUNTER,
    HAS_FUNCTION,
    HAS_IF,
    ITEM_COLUMN,
    ITEM_STATEMENT,
    ITEM_TOKEN,
    ITEM_TUPLE,
    ITEM_WHERE,
    NOT_IDEMPOTENT,
    OP_EQ,
    STATEMENT_BATCH,
    STATEMENT_DELETE,
    STATEMENT_INSERT,
    STATEMENT_SELECT,
    STATEMENT_UNKNOWN,
    STATEMENT_UPDATE,
    cql_item_t,
)
from shotover._codec.cql.wire cimport wire_bytes, wire_read, wire_reader_t, wire_write, wire_writer_t
from shotover.sinks._cassandra_schema cimport KEYS_MAX, key_column_t

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


cdef void facts_of(const uint8_t *text, const cql_statement_t *statement, slice_t keyspace, facts_t *out) noexcept nogil:
    """`keyspace`: the session's, for a statement that names none."""
    cdef:
        uint8_t type = statement.type
        uint8_t room[NAME_ROOM]
        int     index
    memset(out, 0, sizeof(facts_t))
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


cdef bint _part(const key_column_t *column, const uint8_t *text, const cql_item_t *item, const cql_params_t *params,
                wire_writer_t *writer, slice_t *part) noexcept nogil:
    """What an item gives to the key."""
    cdef:
        uint8_t *start = writer.at
        slice_t  name
    if item.form == FORM_BIND:
        # A mark is bound by its name, which is that after the colon; one without has its column's.
        name.data = <uint8_t *>column.name.data
        name.size = column.name.size
        if item.value.size > 1 and text[item.value.at] == b':':
            name.data = <uint8_t *>text + item.value.at + 1
            name.size = item.value.size - 1
        return params is not NULL and value_at(params, <uint32_t>item.bind, &name, part)
    if item.form != FORM_CONSTANT or column.nodes[0].span == 0:
        return False
    if cql_literal_put(column.nodes, text, item.value, writer) != LITERAL_FINE or writer.full:
        return False
    part.data = start
    part.size = <size_t>(writer.at - start)
    return True


cdef bint key_of_statement(const entry_t *table, const uint8_t *text, const cql_statement_t *statement,
                           const cql_params_t *params, key_room_t *room, slice_t *key) noexcept nogil:
    """The partition key of a statement's rows, borrowed from it or put into `room`. `params`: its bound values, or NULL."""
    cdef:
        slice_t       parts[KEYS_MAX]
        wire_writer_t writer
        uint16_t      which = 1 if statement.type == STATEMENT_BATCH else 0
        cql_item_t   *item
        uint32_t      number, index
    wire_write(&writer, room.literals, KEY_ROOM)
    for number in range(table.key_count):
        for index in range(statement.item_count):
            item = &statement.item[index]
            if item.statement != which or (item.role != ITEM_COLUMN and item.role != ITEM_WHERE):
                continue
            if item.role == ITEM_WHERE and (item.op != OP_EQ or item.flags & (ITEM_TOKEN | ITEM_TUPLE) or item.more.size):
                continue
            if cql_name_is(text, item.name, table.keys[number].name.data, table.keys[number].name.size):
                if not _part(&table.keys[number], text, item, params, &writer, &parts[number]):
                    return False
                break
        else:
            return False
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
    if size == 0 or size > KEY_ROOM:
        return False
    key.data = room.bytes
    key.size = partition_key_put(room.bytes, parts, count)
    return True
