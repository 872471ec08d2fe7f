"""See _key_router_keys.pxd."""

from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from shotover._codec.cql.keys cimport cql_key_plan, cql_keys_at, cql_keys_read
from shotover._codec.cql.lexer cimport cql_name_is, cql_span_t
from shotover._codec.cql.literals cimport LITERAL_FINE, cql_literal_put
from shotover._codec.cql.partition cimport partition_key_put, partition_key_size, token_murmur3
from shotover._codec.cql.results cimport TYPE_ASCII, TYPE_DATE, TYPE_INET, TYPE_TIME, TYPE_TIMESTAMP, TYPE_UDT, TYPE_VARCHAR
from shotover._codec.cql.statement cimport (
    ITEM_STATEMENT,
    STATEMENT_BATCH,
    STATEMENT_DELETE,
    STATEMENT_INSERT,
    STATEMENT_SELECT,
    STATEMENT_UPDATE,
    cql_item_t,
    cql_parse,
)
from shotover._codec.cql.types cimport cql_type_fixed_size, cql_type_of_text, cql_types_t
from shotover._codec.cql.wire cimport wire_write, wire_writer_t
from shotover._codec.key_rules cimport glob_match
from shotover._core.memory cimport chunk_data, pool_take

cdef enum:
    NODES_MAX = 4096            # of the types of all keys
    ITEMS_MAX = 256             # of a statement whose key is looked for
    SLOTS = 16384
    SLOT_SHIFT = 50             # 64 bits of a token, 14 of a slot


cdef class KeyShapes:

    def __init__(self, tables):
        """`tables`: (keyspace, table, [(column, type in CQL)]) of each, names as the servers spell them. ValueError says what is
        wrong with a type."""
        cdef:
            cql_types_t  types
            key_shape_t *shape
            slice_t      text
            uint32_t     index, column
        self.kept = []
        self.names = tuple(f"{keyspace}.{table}" for keyspace, table, _columns in tables)
        self.shapes = <key_shape_t *>calloc(len(tables) or 1, sizeof(key_shape_t))
        self.nodes = <cql_type_t *>calloc(NODES_MAX, sizeof(cql_type_t))
        if self.shapes is NULL or self.nodes is NULL:
            raise MemoryError
        types.nodes = self.nodes
        types.room = NODES_MAX
        types.count = 0
        for index, (keyspace, table, columns) in enumerate(tables):
            shape = &self.shapes[index]
            shape.keyspace = self._keep(keyspace.encode())
            shape.table = self._keep(table.encode())
            for column, (name, type) in enumerate(columns):
                shape.columns[column] = self._keep(name.encode())
                text = self._keep(type.encode())
                shape.types[column] = &self.nodes[types.count]
                if not cql_type_of_text(&types, text.data, text.size) or shape.types[column].id == TYPE_UDT:
                    raise ValueError(f"{name}: {type} is no type of a column of a partition key")
            shape.count = len(columns)
            self.count += 1

    def __dealloc__(self):
        free(self.shapes)
        free(self.nodes)

    cdef slice_t _keep(self, bytes text):
        cdef slice_t kept
        self.kept.append(text)
        kept.data = <uint8_t *><const char *>text
        kept.size = len(text)
        return kept

    def key(self, uint32_t index, str written):
        """The partition key of that table that `written` stands for: its values, between them a colon (\\: is one within a
        value). ValueError: it is none."""
        cdef:
            key_shape_t  *shape = &self.shapes[index]
            slice_t       parts[KEY_COLUMNS_MAX]
            wire_writer_t writer
            cql_span_t    span
            uint32_t      column
            list          found = []
            bytearray     room
            bytes         literal
        values = [written] if shape.count == 1 else _split(written)
        if len(values) != shape.count:
            raise ValueError(f"{self.names[index]} has {shape.count} columns in its partition key, got {len(values)} values")
        for column, value in enumerate(values):
            literal = _literal(shape.types[column].id, value).encode()
            room = bytearray(len(literal) * 2 + 64)
            wire_write(&writer, <uint8_t *>room, len(room))
            span.at = 0
            span.size = <uint32_t>len(literal)
            if cql_literal_put(shape.types[column], <const uint8_t *><const char *>literal, span, &writer) != LITERAL_FINE \
                    or writer.full:
                name = (<bytes>(<char *>shape.columns[column].data)[:shape.columns[column].size]).decode()
                raise ValueError(f"{value!r} is no value of the column {name} of {self.names[index]} that can be told here")
            found.append(bytes(room[: writer.size]))
            parts[column].data = <uint8_t *><const char *><bytes>found[column]
            parts[column].size = writer.size
        room = bytearray(KEY_BYTES_MAX)
        size = partition_key_size(parts, shape.count)
        if not 0 < size <= KEY_BYTES_MAX:
            raise ValueError(f"expected a key of 1 to {KEY_BYTES_MAX} bytes")
        partition_key_put(<uint8_t *>room, parts, shape.count)
        return bytes(room[:size])

    def begins_with_text(self, uint32_t index):
        """Whether the first column is text."""
        return self.shapes[index].types[0].id == TYPE_VARCHAR or self.shapes[index].types[0].id == TYPE_ASCII

    cdef int find(self, slice_t keyspace, slice_t table) noexcept nogil:
        """The number of a table; -1: it has no shape."""
        cdef:
            key_shape_t *shape
            uint32_t     index
        for index in range(self.count):
            shape = &self.shapes[index]
            if shape.table.size == table.size and shape.keyspace.size == keyspace.size and memcmp(
                    shape.table.data, table.data, table.size) == 0 and memcmp(
                    shape.keyspace.data, keyspace.data, keyspace.size) == 0:
                return <int>index
        return -1

    cdef chunk_t *note(self, pool_t *pool, const cql_facts_t *facts) noexcept nogil:
        """What is to be kept with a statement, a key_note_t. NULL: no memory."""
        cdef:
            cql_item_t    items[ITEMS_MAX]
            key_planned_t planned[STATEMENTS_MAX]
            key_note_t    draft
            key_note_t   *made
            chunk_t      *chunk
            size_t        item_bytes = 0
            uint32_t      index
        memset(&draft, 0, sizeof(draft))
        for index in range(facts.touch_count):
            draft.keyed = draft.keyed or self.find(facts.touches[index].keyspace, facts.touches[index].table) >= 0
        if draft.keyed:
            draft.statement.item = items
            draft.statement.item_room = ITEMS_MAX
            cql_parse(facts.text.data, facts.text.size, &draft.statement)
            _plan(self, facts, &draft, planned)
            item_bytes = draft.statement.item_count * sizeof(cql_item_t)
        chunk = pool_take(pool, sizeof(key_note_t) + draft.count * sizeof(key_planned_t) + item_bytes)
        if chunk is NULL:
            return NULL
        made = <key_note_t *>chunk_data(chunk)
        made[0] = draft
        made.planned = <key_planned_t *>(made + 1)
        memcpy(made.planned, planned, draft.count * sizeof(key_planned_t))
        made.statement.item = <cql_item_t *>(made.planned + draft.count)
        if item_bytes:
            memcpy(made.statement.item, items, item_bytes)
        return chunk


def _split(written):
    """The values of a key of several columns."""
    values = []
    value = ""
    escaped = False
    for letter in written:
        if escaped:
            value += letter if letter in ":\\" else "\\" + letter
            escaped = False
        elif letter == "\\":
            escaped = True
        elif letter == ":":
            values.append(value)
            value = ""
        else:
            value += letter
    return [*values, value + "\\" if escaped else value]


cdef str _literal(uint16_t id, str value):
    """As CQL writes it: in quotes, where its type wants them."""
    if id == TYPE_VARCHAR or id == TYPE_ASCII or id == TYPE_DATE or id == TYPE_TIME or id == TYPE_TIMESTAMP or id == TYPE_INET:
        return "'" + value.replace("'", "''") + "'"
    return value


cdef bint _of_rows(uint8_t type) noexcept nogil:
    return type == STATEMENT_SELECT or type == STATEMENT_INSERT or type == STATEMENT_UPDATE or type == STATEMENT_DELETE


cdef void _plan(KeyShapes shapes, const cql_facts_t *facts, key_note_t *note, key_planned_t *planned) noexcept nogil:
    """The statements of a text, each with where its key is."""
    cdef:
        const cql_item_t *item
        uint32_t index
    if facts.type != STATEMENT_BATCH:
        _plan_one(shapes, facts, note, &planned[0], 0, 0, facts.type)
        note.count = 1
        return
    note.over = facts.more or note.statement.truncated
    for index in range(note.statement.item_count):
        item = &note.statement.item[index]
        if item.role != ITEM_STATEMENT:
            continue
        if note.count == STATEMENTS_MAX:
            note.over = 1
            return
        _plan_one(shapes, facts, note, &planned[note.count], item.statement, _touch_of(facts, item), item.op)
        note.count += 1


cdef uint32_t _touch_of(const cql_facts_t *facts, const cql_item_t *item) noexcept nogil:
    """Which of the facts' touches a statement of a batch is in; none: their number."""
    cdef:
        uint32_t index
        slice_t  keyspace
    for index in range(facts.touch_count):
        keyspace = facts.touches[index].keyspace
        if facts.touches[index].type != item.op or not cql_name_is(
                facts.text.data, item.name, facts.touches[index].table.data, facts.touches[index].table.size):
            continue
        if cql_name_is(facts.text.data, item.more, keyspace.data, keyspace.size) if item.more.size else (
                keyspace.size == facts.client_keyspace.size
                and memcmp(keyspace.data, facts.client_keyspace.data, keyspace.size) == 0):
            return index
    return facts.touch_count


cdef void _plan_one(KeyShapes shapes, const cql_facts_t *facts, const key_note_t *note, key_planned_t *planned, uint16_t which,
                    uint32_t touch, uint8_t type) noexcept nogil:
    cdef int shape = -1
    memset(planned, 0, sizeof(key_planned_t))
    planned.which = which
    planned.touch = <uint16_t>touch
    if touch < facts.touch_count:
        shape = shapes.find(facts.touches[touch].keyspace, facts.touches[touch].table)
    if shape >= 0:
        planned.shape = <uint8_t>shape
        planned.known = _of_rows(type) and cql_key_plan(
            &note.statement, facts.text.data, which, shapes.shapes[shape].columns, shapes.shapes[shape].count, &planned.plan)


cdef bint keys_of(
    KeyShapes shapes, const key_note_t *note, const key_planned_t *planned, const cql_facts_t *facts,
    const cql_params_t *params, key_room_t *room
) noexcept nogil:
    """Reads the partitions that one request names in one of its statements: `room.keys.count` of them. False: they cannot be
    told."""
    cdef key_shape_t *shape = &shapes.shapes[planned.shape]
    room.columns = shape.count
    room.keys.count = 0
    return planned.known and cql_keys_read(
        &planned.plan, &note.statement, facts.text.data, params, shape.types, &room.keys) and _fits(shape, &room.keys)


cdef bint _fits(const key_shape_t *shape, const cql_keys_t *keys) noexcept nogil:
    """Whether bound values can be of the types that were said: if not, the table is another one than was thought."""
    cdef:
        uint32_t column, index
        int      size
    for column in range(shape.count):
        size = cql_type_fixed_size(shape.types[column])
        for index in range(keys.first[column], keys.first[column] + keys.many[column]):
            if keys.values[index].data is NULL or (size > 0 and keys.values[index].size != <size_t>size):
                return False
    return True


cdef bint keys_take(key_room_t *room, uint32_t index) noexcept nogil:
    """Brings one of its keys up, for key_rule_holds. False: it is longer than is followed."""
    cdef size_t size
    cql_keys_at(&room.keys, index, room.parts)
    room.slot = SLOTS
    size = partition_key_size(room.parts, room.columns)
    if not 0 < size <= KEY_BYTES_MAX:
        return False
    if room.columns == 1:
        room.whole = room.parts[0]
        return True
    room.whole.data = room.bytes
    room.whole.size = partition_key_put(room.bytes, room.parts, room.columns)
    return True


cdef bint key_rule_holds(const key_rule_t *rule, key_room_t *room) noexcept nogil:
    """Whether the condition on the key holds for the one that was taken."""
    cdef slice_t first = room.parts[0]
    if rule.kind == KEY_IS:
        return rule.text.size == room.whole.size and memcmp(rule.text.data, room.whole.data, room.whole.size) == 0
    if rule.kind == KEY_PREFIX:
        return rule.text.size <= first.size and memcmp(rule.text.data, first.data, rule.text.size) == 0
    if rule.kind == KEY_GLOB:
        return glob_match(rule.text.data, rule.text.size, first.data, first.size)
    if rule.kind == KEY_SLOTS:
        if room.slot == SLOTS:
            room.slot = <uint32_t>((<uint64_t>token_murmur3(room.whole.data, room.whole.size) ^ <uint64_t>1 << 63) >> SLOT_SHIFT)
        return rule.first <= room.slot <= rule.last
    return True
