"""See _cassandra_prepared.pxd."""

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from shotover._codec.cql.frame cimport put_short, read_short
from shotover._codec.cql.results cimport cql_column_next, cql_column_t
from shotover._codec.cql.wire cimport wire_read, wire_reader_t


cdef inline uint32_t _hash(const uint8_t *id, size_t size) noexcept nogil:
    """Ids are digests: any four bytes of one will do."""
    cdef uint32_t hash = 0
    if size >= 4:
        memcpy(&hash, id, 4)
    return hash


cdef bint prepared_name(const prepared_t *prepared, uint32_t number, slice_t *name) noexcept nogil:
    """What the value of that number is called."""
    cdef uint8_t *at = prepared.names.data
    cdef uint8_t *end = at + prepared.names.size
    while end - at >= 2:
        name.data = at + 2
        name.size = read_short(at)
        if number == 0:
            return True
        number -= 1
        at += 2 + name.size
    return False


cdef class PreparedCache:

    def __init__(self, uint32_t count_max):
        self.count_max = max(count_max, <uint32_t>1)
        self.room = 64
        while self.room < count_max:
            self.room *= 2
        self.places = <prepared_t **>calloc(self.room, sizeof(void *))
        if self.places is NULL:
            raise MemoryError()

    def __dealloc__(self):
        while self.oldest is not NULL:
            self._drop(self.oldest)
        free(self.places)

    cdef prepared_t *find(self, const uint8_t *id, size_t size) noexcept nogil:
        """NULL: nobody here has had it prepared, or that is long ago. It stays until the next `add`."""
        cdef prepared_t *prepared = self.places[_hash(id, size) & (self.room - 1)]
        while prepared is not NULL:
            if prepared.id_size == size and memcmp(prepared.id, id, size) == 0:
                if prepared is not self.newest:
                    self._unlink(prepared)
                    self._push(prepared)
                return prepared
            prepared = prepared.chain
        return NULL

    cdef prepared_t *add(self, const cql_result_t *result, slice_t text, slice_t session_keyspace, aim_t *aim,
                         int version) noexcept nogil:
        """Keeps what a PREPARE has brought; NULL: it cannot be kept."""
        cdef:
            wire_reader_t reader
            cql_column_t  column
            prepared_t   *prepared
            prepared_t  **place
            uint8_t      *at
            size_t        size = text.size + session_keyspace.size
            uint32_t      index, _
            slice_t       keyspace
            slice_t       table
        if result.id.size > ID_MAX or result.id.size == 0 or text.size > TEXT_MAX:
            return NULL
        keyspace = result.bound.keyspace
        table = result.bound.table
        wire_read(&reader, result.bound.columns.data, result.bound.columns.size)
        for index in range(result.bound.column_count):
            if not cql_column_next(&reader, &result.bound, &column):
                return NULL
            if index == 0:
                keyspace = column.keyspace
                table = column.table
            size += 2 + column.name.size
        size += keyspace.size + table.size
        prepared = self.find(result.id.data, result.id.size)
        if prepared is not NULL:
            self._drop(prepared)
        prepared = <prepared_t *>malloc(sizeof(prepared_t) + size)
        if prepared is NULL:
            return NULL
        memset(prepared, 0, sizeof(prepared_t))
        prepared.size = sizeof(prepared_t) + size
        memcpy(prepared.id, result.id.data, result.id.size)
        prepared.id_size = <uint8_t>result.id.size
        prepared.aim = aim[0]
        prepared.value_count = result.bound.column_count
        if version >= 4 and result.bound.key_count <= KEYS_MAX:
            prepared.key_count = result.bound.key_count
            for index in range(prepared.key_count):
                prepared.keys[index] = read_short(result.bound.keys.data + 2 * index)
        at = <uint8_t *>(prepared + 1)
        at = _keep(at, text, &prepared.text)
        at = _keep(at, session_keyspace, &prepared.session_keyspace)
        at = _keep(at, keyspace, &prepared.keyspace)
        at = _keep(at, table, &prepared.table)
        prepared.names.data = at
        wire_read(&reader, result.bound.columns.data, result.bound.columns.size)
        for _ in range(result.bound.column_count):
            cql_column_next(&reader, &result.bound, &column)
            put_short(at, <uint32_t>column.name.size)
            memcpy(at + 2, column.name.data, column.name.size)
            at += 2 + column.name.size
        prepared.names.size = <size_t>(at - prepared.names.data)
        while self.count and (self.count >= self.count_max or self.bytes + prepared.size > BYTES_MAX):
            self.evicted += 1
            self._drop(self.oldest)
        place = &self.places[_hash(prepared.id, prepared.id_size) & (self.room - 1)]
        prepared.chain = place[0]
        place[0] = prepared
        self._push(prepared)
        self.count += 1
        self.bytes += prepared.size
        return prepared

    cdef void _push(self, prepared_t *prepared) noexcept nogil:
        prepared.newer = NULL
        prepared.older = self.newest
        if self.newest is not NULL:
            self.newest.newer = prepared
        else:
            self.oldest = prepared
        self.newest = prepared

    cdef void _unlink(self, prepared_t *prepared) noexcept nogil:
        if prepared.newer is not NULL:
            prepared.newer.older = prepared.older
        else:
            self.newest = prepared.older
        if prepared.older is not NULL:
            prepared.older.newer = prepared.newer
        else:
            self.oldest = prepared.newer

    cdef void _drop(self, prepared_t *prepared) noexcept nogil:
        cdef prepared_t **link = &self.places[_hash(prepared.id, prepared.id_size) & (self.room - 1)]
        while link[0] is not prepared:
            link = &link[0].chain
        link[0] = prepared.chain
        self._unlink(prepared)
        self.count -= 1
        self.bytes -= prepared.size
        free(prepared)


cdef uint8_t *_keep(uint8_t *at, slice_t bytes, slice_t *kept) noexcept nogil:
    kept.data = at
    kept.size = bytes.size
    if bytes.size:
        memcpy(at, bytes.data, bytes.size)
    return at + bytes.size
