"""See _protect_values.pxd."""

from libc.stdint cimport uint16_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp

from shotover._codec.cql.json_values cimport (
    JSON_BAD,
    JSON_MEMBER,
    json_column_put,
    json_literal_put,
    json_member_next,
    json_member_t,
    json_read,
    json_reader_t,
)
from shotover._codec.cql.lexer cimport (
    TOKEN_BOOLEAN,
    TOKEN_FLOAT,
    TOKEN_HEX,
    TOKEN_INTEGER,
    TOKEN_UUID,
    cql_span_t,
)
from shotover._codec.cql.literals cimport LITERAL_FINE, LITERAL_NULL, LITERAL_WRONG, cql_literal_put
from shotover._codec.cql.results cimport (
    TYPE_BIGINT,
    TYPE_BLOB,
    TYPE_BOOLEAN,
    TYPE_DOUBLE,
    TYPE_UUID,
    TYPE_VARCHAR,
)
from shotover._codec.cql.types cimport cql_type_read, cql_types_t
from shotover._codec.cql.wire cimport wire_read, wire_reader_t, wire_write, wire_writer_t
from shotover._core.memory cimport chunk_data, chunk_put, pool_take
from shotover.transforms._protect_keys cimport NOT_OURS, NOT_SEALED, OPENED, OPENED_NULL
from shotover.transforms._protect_lookup cimport LOOKUP_SIZE
from shotover.transforms._protect_plan cimport NO_COLUMN, protected_find
from shotover.transforms._protect_rust cimport rust_literal_put, rust_value_read, rust_value_t

cdef const char *NO_MEMORY = b"shotover: no memory"
cdef const char *NOT_A_VALUE = b"shotover: a protected column takes a bound value, null, or a literal of its type"
cdef const char *NOT_JSON = b"shotover: a row with protected columns has to be one JSON object, each column in it once"
cdef const char *NOT_LOOKUP = b"shotover: a look-up column is written by Protect alone"

cdef enum:
    JSON_NAME_MAX = 256         # of a column; longer ones are none of ours
    MEMBERS_MAX = 256           # protected ones of a row
    MEMBER_EXTRA = 64           # bytes that a member takes besides a sealed value and the name of a column
    RUST_GROWTH = 8             # a literal takes at most so many times the bytes that its value has there
    JSON_GROWTH = 16            # a value takes at most so many times the bytes that it has as JSON


cdef cql_type_t _TYPES[6]       # of literals of columns without a declared type


cdef const cql_type_t *protect_type_of_literal(uint8_t literal) noexcept nogil:
    if literal == TOKEN_INTEGER:
        return &_TYPES[0]
    if literal == TOKEN_FLOAT:
        return &_TYPES[1]
    if literal == TOKEN_BOOLEAN:
        return &_TYPES[2]
    if literal == TOKEN_UUID:
        return &_TYPES[3]
    if literal == TOKEN_HEX:
        return &_TYPES[4]
    return &_TYPES[5]


cdef void _set_type(int index, uint16_t id) noexcept nogil:
    _TYPES[index].id = id
    _TYPES[index].span = 1
    _TYPES[index].count = 0


_set_type(0, TYPE_BIGINT)
_set_type(1, TYPE_DOUBLE)
_set_type(2, TYPE_BOOLEAN)
_set_type(3, TYPE_UUID)
_set_type(4, TYPE_BLOB)
_set_type(5, TYPE_VARCHAR)


cdef void protect_put_hex(copier_t *to, const uint8_t *data, size_t size) noexcept nogil:
    cdef:
        const char *digits = b"0123456789abcdef"
        size_t      index
    protect_put(to, b"0x", 2)
    for index in range(size):
        to.out[2 * index] = <uint8_t>digits[data[index] >> 4]
        to.out[2 * index + 1] = <uint8_t>digits[data[index] & 15]
    to.out += 2 * size


cdef void _put_quoted_hex(copier_t *to, const uint8_t *data, size_t size) noexcept nogil:
    protect_put(to, b'"', 1)
    protect_put_hex(to, data, size)
    protect_put(to, b'"', 1)


cdef class ProtectValues(Step):

    def __init__(self, context, *, str name, columns, bytes lookup_key=None, bint opens_rust=False):
        """`columns`: (keyspace, table, name, type or None, its [option], its look-up column or None) of each protected column."""
        self.data_keys = DataKeys(opens_rust)
        self.kept = []
        self.lookup = None if lookup_key is None else LookupHash(lookup_key)
        self._set_columns(columns)

    def _set_columns(self, columns):
        cdef:
            uint32_t            index
            protected_column_t *column
            cql_types_t         types
            wire_reader_t       reader
        self.all.count = len(columns)
        self.all.columns = <protected_column_t *>calloc(len(columns), sizeof(protected_column_t))
        types.room = 64 * len(columns)
        types.nodes = self.nodes = <cql_type_t *>malloc(types.room * sizeof(cql_type_t))
        types.count = 0
        if self.all.columns is NULL or self.nodes is NULL:
            raise MemoryError()
        for index, (keyspace, table, name, written, option, lookup) in enumerate(columns):
            column = &self.all.columns[index]
            column.keyspace = self._keep(keyspace.encode())
            column.table = self._keep(table.encode())
            column.name = self._keep(name.encode())
            column.about = self._keep(f"{keyspace}\0{table}\0{name}\0".encode())
            column.option = self._keep(option)
            if lookup is not None:
                column.lookup = self._keep(lookup.encode())
                column.lookup_quoted = self._keep(b'"%s"' % lookup.replace('"', '""').encode())
            self.type_room = max(self.type_room, <uint32_t>(column.option.size + column.name.size + 8))
            if written is not None:
                column.type = types.nodes + types.count
                wire_read(&reader, column.option.data, column.option.size)
                if not cql_type_read(&types, &reader):
                    raise ValueError(f"the type of {name} is too deep")

    cdef slice_t _keep(self, bytes raw):
        cdef slice_t kept
        self.kept.append(raw)
        kept.data = <uint8_t *><const char *>raw
        kept.size = len(raw)
        return kept

    def __dealloc__(self):
        free(self.all.columns)
        free(self.nodes)

    cdef int _open_cell(self, const protected_column_t *column, slice_t cell, uint8_t *out, size_t *size) noexcept nogil:
        """Writes what was sealed, at most cell.size bytes. As DataKeys.open_value, and OPENED_NULL."""
        cdef:
            rust_value_t      value
            wire_writer_t     writer
            cql_span_t        span
            slice_t           plain
            chunk_t          *chunk
            const cql_type_t *type = column.type
            uint8_t           literal = 0
            int               said = self.data_keys.open_value(column.about, cell, out, size)
        if said != NOT_SEALED or not self.data_keys.opens_rust or not rust_value_read(cell, &value):
            return said
        said = self.data_keys.open_rust(&value, out, size)
        if said != OPENED:
            return said
        plain.data = out
        plain.size = size[0]
        chunk = pool_take(&self.loop.pool, RUST_GROWTH * plain.size)
        if chunk is NULL:
            return NOT_OURS
        wire_write(&writer, chunk_data(chunk), RUST_GROWTH * plain.size)
        said = NOT_OURS
        if rust_literal_put(plain, &writer, &literal) and not writer.full and writer.size < 0x7fffffff:
            span.at = 0
            span.size = <uint32_t>writer.size
            wire_write(&writer, out, cell.size)
            said = cql_literal_put(
                type if type is not NULL else protect_type_of_literal(literal), chunk_data(chunk), span, &writer)
            size[0] = writer.size
            said = OPENED if said == LITERAL_FINE and not writer.full else OPENED_NULL if said == LITERAL_NULL else NOT_OURS
        chunk_put(&self.loop.pool, chunk)
        return said

    # ---- rows as JSON ---------------------------------------------------------------------------------------------

    cdef bint _seal_json(self, const protected_column_t *table, slice_t json, chunk_t **out, size_t *size) noexcept nogil:
        """A row of that table that is JSON, its protected members sealed, in a chunk that the caller gives back. False: why."""
        cdef:
            json_reader_t reader
            json_member_t member
            copier_t      to
            uint8_t       name[JSON_NAME_MAX]
            slice_t       key
            int           said, column
            int           seen[MEMBERS_MAX]
            uint32_t      count = 0, index
            size_t        room = json.size
        self.why = NOT_JSON
        key.data = name
        json_read(&reader, json)
        while True:
            said = json_member_next(&reader, &member)
            if said != JSON_MEMBER:
                break
            if not json_column_put(member.key, name, JSON_NAME_MAX, &key.size):
                return False
            if self._is_lookup(table, key):
                self.why = NOT_LOOKUP
                return False
            column = protected_find(&self.all, table.keyspace, table.table, key) if key.size <= JSON_NAME_MAX else <int>NO_COLUMN
            if column == NO_COLUMN:
                continue
            for index in range(count):
                if seen[index] == column:
                    return False
            if count == MEMBERS_MAX:
                return False
            seen[count] = column
            count += 1
            room += 2 * self.data_keys.sealed_size(JSON_GROWTH * member.value.size) + MEMBER_EXTRA \
                + self.all.columns[column].lookup_quoted.size * 2
        if said == JSON_BAD:
            return False
        self.why = NOT_A_VALUE
        to.chunk = pool_take(&self.loop.pool, room)
        if to.chunk is NULL:
            self.why = NO_MEMORY
            return False
        to.at = json.data
        to.end = json.data + json.size
        to.out = chunk_data(to.chunk)
        json_read(&reader, json)
        index = 0
        while index < count:
            json_member_next(&reader, &member)
            json_column_put(member.key, name, JSON_NAME_MAX, &key.size)
            if key.size > JSON_NAME_MAX or protected_find(&self.all, table.keyspace, table.table, key) != seen[index]:
                continue
            protect_copy(&to, member.value.data)
            if not self._seal_member(&to, &self.all.columns[seen[index]], member.value):
                chunk_put(&self.loop.pool, to.chunk)
                return False
            to.at = member.value.data + member.value.size
            index += 1
        protect_copy(&to, to.end)
        out[0] = to.chunk
        size[0] = <size_t>(to.out - chunk_data(to.chunk))
        return True

    cdef bint _is_lookup(self, const protected_column_t *table, slice_t name) noexcept nogil:
        cdef uint32_t index
        for index in range(self.all.count):
            if self.all.columns[index].lookup.size == name.size and name.size \
                    and memcmp(self.all.columns[index].lookup.data, name.data, name.size) == 0 \
                    and self.all.columns[index].table.size == table.table.size \
                    and memcmp(self.all.columns[index].table.data, table.table.data, table.table.size) == 0 \
                    and self.all.columns[index].keyspace.size == table.keyspace.size \
                    and memcmp(self.all.columns[index].keyspace.data, table.keyspace.data, table.keyspace.size) == 0:
                return True
        return False

    cdef bint _seal_member(self, copier_t *to, const protected_column_t *column, slice_t value) noexcept nogil:
        """Writes what takes the place of a JSON value, and the member with its hash."""
        cdef:
            const cql_type_t *type = column.type if column.type is not NULL else protect_type_of_literal(TOKEN_HEX)
            wire_writer_t     writer
            cql_span_t        span
            slice_t           plain
            chunk_t          *chunk
            size_t            literal_room = 2 * value.size + 2
            size_t            plain_room = JSON_GROWTH * value.size
            int               said = LITERAL_WRONG
            bint              fine = False
        chunk = pool_take(&self.loop.pool, literal_room + plain_room + self.data_keys.sealed_size(plain_room))
        if chunk is NULL:
            self.why = NO_MEMORY
            return False
        wire_write(&writer, chunk_data(chunk), literal_room)
        plain.data = chunk_data(chunk) + literal_room
        if json_literal_put(type, value, &writer) and not writer.full and writer.size < 0x7fffffff:
            span.at = 0
            span.size = <uint32_t>writer.size
            wire_write(&writer, plain.data, plain_room)
            said = cql_literal_put(type, chunk_data(chunk), span, &writer)
        plain.size = writer.size
        if said == LITERAL_NULL:
            protect_put(to, b"null", 4)
            if column.lookup.size:
                self._add_member(to, column)
                protect_put(to, b"null", 4)
            fine = True
        elif said == LITERAL_FINE and not writer.full:
            fine = self.data_keys.seal_value(column.about, plain, plain.data + plain_room)
            _put_quoted_hex(to, plain.data + plain_room, self.data_keys.sealed_size(plain.size))
            if column.lookup.size:
                self._add_member(to, column)
                fine = self.lookup.put(column.about, plain, plain.data + plain_room) and fine
                _put_quoted_hex(to, plain.data + plain_room, LOOKUP_SIZE)
            self.sealed += 1
        chunk_put(&self.loop.pool, chunk)
        return fine

    cdef void _add_member(self, copier_t *to, const protected_column_t *column) noexcept nogil:
        """Writes the name of a look-up column; in quotes within its quotes, so that it stays as it is."""
        protect_put(to, b', "\\"', 5)
        protect_put(to, column.lookup.data, column.lookup.size)
        protect_put(to, b'\\"": ', 5)
