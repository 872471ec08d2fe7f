"""See _cassandra_route.pxd."""

from libc.string cimport memcmp, memset, strlen

from shotover._codec.cql.facts cimport cql_facts_in, facts_statement
from shotover._codec.cql.frame cimport read_short
from shotover._codec.cql.keys cimport cql_key_plan, cql_keys_at, cql_keys_read
from shotover._codec.cql.messages cimport PARAM_NAMES, cql_value_next, cql_value_t
from shotover._codec.cql.partition cimport partition_key_put, partition_key_size
from shotover._codec.cql.results cimport cql_column_next, cql_column_t
from shotover._codec.cql.ring cimport Placement
from shotover._codec.cql.statement cimport (
    FORM_BIND,
    HAS_COUNTER,
    HAS_FUNCTION,
    HAS_IF,
    NOT_IDEMPOTENT,
    OP_EQ,
    STATEMENT_BATCH,
    STATEMENT_DELETE,
    STATEMENT_INSERT,
    STATEMENT_SELECT,
    STATEMENT_UNKNOWN,
    STATEMENT_UPDATE,
    cql_item_t,
    cql_statement_t,
)
from shotover._codec.cql.wire cimport wire_bytes, wire_read, wire_reader_t
from shotover._core.debug cimport likely

cdef const char *VIRTUAL[3]
VIRTUAL[0] = b"local"
VIRTUAL[1] = b"peers"
VIRTUAL[2] = b"peers_v2"


cdef inline bint _is(slice_t name, const char *other) noexcept nogil:
    return name.size == strlen(other) and memcmp(name.data, other, name.size) == 0


cdef void aim_of(const cql_facts_t *facts, aim_t *out) noexcept nogil:
    cdef:
        uint8_t type = facts.type
        int     index
    memset(out, 0, sizeof(aim_t))
    if type == STATEMENT_UNKNOWN:
        return
    if type != STATEMENT_SELECT and type != STATEMENT_INSERT and type != STATEMENT_UPDATE and type != STATEMENT_DELETE \
            and type != STATEMENT_BATCH:
        out.place = PLACE_HOME
        return
    out.ordered = (facts.flags & HAS_IF) != 0
    out.idempotent = type == STATEMENT_SELECT or not facts.flags & (HAS_IF | HAS_FUNCTION | HAS_COUNTER | NOT_IDEMPOTENT)
    if facts.keyspace.size < 6 or memcmp(facts.keyspace.data, b"system", 6) != 0 or \
            (facts.keyspace.size > 6 and facts.keyspace.data[6] != b'_'):
        return
    out.place = PLACE_HOME
    if type == STATEMENT_SELECT and facts.keyspace.size == 6:
        for index in range(3):
            if _is(facts.table, VIRTUAL[index]):
                out.place = PLACE_TABLE


# ---- once for a statement ------------------------------------------------------------------------------------------


cdef void route_make(Schema schema, const cql_facts_t *facts, key_room_t *room, route_t *route) noexcept nogil:
    """Of a text or a prepared statement; a BATCH goes by its parts. `schema` None: no key is known yet. The generation is the
    caller's to set."""
    cdef:
        slice_t keyspace = facts.touches[0].keyspace        # of a batch that is a text its first statement decides
        slice_t table = facts.touches[0].table
        slice_t key
    memset(route, 0, sizeof(route_t))
    aim_of(facts, &route.aim)
    if schema is None or route.aim.place != PLACE_ANY or facts.type == STATEMENT_UNKNOWN or keyspace.size == 0 or table.size == 0:
        return
    route.entry = schema.find(keyspace.data, keyspace.size, table.data, table.size)
    if facts.bound.key_count:
        _by_metadata(facts, route)
        if route.entry is NULL:                 # a view, or a table that is new: the server has told its key
            route.entry = schema.find(keyspace.data, keyspace.size, NULL, 0)
    elif route.entry is not NULL and route.entry.key_count:
        _by_text(facts, route)
    if route.entry is NULL or route.entry.placement is NULL:
        route.key = KEY_NONE
    if route.key != KEY_FIXED:
        return
    route.key = KEY_OF_ITEMS
    if key_of(route, facts, NULL, room, &key):
        route.copies = (<Placement>route.entry.placement).copies_at(schema.ring.place_of(key.data, key.size))
        route.key = KEY_FIXED
    else:
        route.key = KEY_NONE


cdef void _by_metadata(const cql_facts_t *facts, route_t *route) noexcept nogil:
    """The server has told which values make the key (version 4 on), if they all do."""
    cdef uint32_t index
    if facts.bound.key_count > KEYS_MAX:
        return
    for index in range(facts.bound.key_count):
        route.values[index] = read_short(facts.bound.keys.data + 2 * index)
    route.value_count = <uint8_t>facts.bound.key_count
    route.key = KEY_OF_VALUES


cdef void _by_text(const cql_facts_t *facts, route_t *route) noexcept nogil:
    cdef:
        cql_statement_t   statement
        const cql_item_t *item
        const cql_facts_t *of_text = facts if facts.id.data is NULL else cql_facts_in(facts.head.parts[0])
        uint16_t          which = 1 if facts.type == STATEMENT_BATCH else 0
        uint32_t          index
        uint32_t          bound = 0, fixed = 0
    if not facts_statement(of_text, &statement) or \
            not cql_key_plan(&statement, of_text.text.data, which, route.entry.columns, route.entry.key_count, &route.plan):
        return
    for index in range(route.plan.count):
        item = &statement.item[route.plan.item[index]]
        fixed += item.bind < 0
        if item.form == FORM_BIND and item.op == OP_EQ and index < KEYS_MAX:
            route.values[index] = <uint16_t>item.bind
            bound += 1
    route.key = KEY_OF_ITEMS
    if fixed == route.plan.count:
        route.key = KEY_FIXED
    elif bound == route.plan.count and facts.id.data is not NULL and facts.bound.column_count == facts.bind_count:
        route.value_count = <uint8_t>bound      # prepared in version 3, which tells of no keys
        route.key = KEY_OF_VALUES


# ---- once for a request --------------------------------------------------------------------------------------------


cdef bint key_of(const route_t *route, const cql_facts_t *facts, const cql_params_t *params, key_room_t *room,
                 slice_t *key) noexcept nogil:
    """Borrowed from the request, or put into `room`. `params`: its bound values, or NULL. Not of KEY_FIXED."""
    cdef:
        slice_t            parts[KEYS_MAX]
        cql_statement_t    statement
        const cql_facts_t *of_text
    if likely(route.key == KEY_OF_VALUES):
        if likely(not params.flags & PARAM_NAMES):
            return _values_at(route, params, parts) and _joined(parts, route.value_count, room, key)
        return _values_named(route, facts, params, parts) and _joined(parts, route.value_count, room, key)
    if route.key != KEY_OF_ITEMS:
        return False
    of_text = facts if facts.id.data is NULL else cql_facts_in(facts.head.parts[0])
    if not facts_statement(of_text, &statement) or not cql_keys_read(
            &route.plan, &statement, of_text.text.data, params, route.entry.types, &room.keys) or room.keys.count == 0:
        return False
    cql_keys_at(&room.keys, 0, parts)
    return _joined(parts, route.plan.count, room, key)


cdef bint _values_at(const route_t *route, const cql_params_t *params, slice_t *parts) noexcept nogil:
    """Values without names, those at `route.values`."""
    cdef:
        slice_t       value
        wire_reader_t reader
        uint32_t      index, number
        uint32_t      found = 0
        uint32_t      count = route.value_count
    wire_read(&reader, params.values.data, params.values.size)
    for index in range(params.value_count):
        wire_bytes(&reader, &value)
        for number in range(count):
            if route.values[number] == index:
                if value.data is NULL:
                    return False
                parts[number] = value
                found += 1
        if found == count:
            break
    return found == count and not reader.bad


cdef bint _values_named(const route_t *route, const cql_facts_t *facts, const cql_params_t *params,
                        slice_t *parts) noexcept nogil:
    """... by the names that the server gave them."""
    cdef:
        wire_reader_t columns, values
        cql_column_t  column
        cql_value_t   value
        uint32_t      index, number, _
        uint32_t      found = 0
    wire_read(&columns, facts.bound.columns.data, facts.bound.columns.size)
    for index in range(facts.bound.column_count):
        if not cql_column_next(&columns, &facts.bound, &column):
            return False
        for number in range(route.value_count):
            if route.values[number] != index:
                continue
            parts[number].data = NULL
            wire_read(&values, params.values.data, params.values.size)
            for _ in range(params.value_count):
                if not cql_value_next(&values, params, &value):
                    return False
                if value.name.size == column.name.size and memcmp(value.name.data, column.name.data, column.name.size) == 0:
                    parts[number] = value.value
            if parts[number].data is NULL:
                return False
            found += 1
    return found == route.value_count


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
