"""See _cassandra_schema.pxd."""

from libc.stdlib cimport calloc, free
from libc.string cimport memcmp

from shotover._codec.cql.results cimport TYPE_CUSTOM
from shotover._codec.cql.types cimport cql_type_of_text, cql_types_t


cdef uint64_t _hash(const uint8_t *keyspace, size_t keyspace_size, const uint8_t *table, size_t table_size) noexcept nogil:
    """FNV-1a over both, with what no name contains between them."""
    cdef:
        uint64_t hash = 14695981039346656037ULL
        size_t   at
    for at in range(keyspace_size):
        hash = (hash ^ keyspace[at]) * 1099511628211ULL
    hash = (hash ^ 0x2e) * 1099511628211ULL
    for at in range(table_size):
        hash = (hash ^ table[at]) * 1099511628211ULL
    return hash ^ hash >> 32


cdef inline bint _same(slice_t one, const uint8_t *other, size_t size) noexcept nogil:
    return one.size == size and (size == 0 or memcmp(one.data, other, size) == 0)


cdef class Schema:
    """`keyspaces`: name -> replication. `tables`: (keyspace, name) -> ((column, CQL type), ...) of the partition key."""

    def __cinit__(self, *_, **__):
        self.kept = []

    def __init__(self, Ring ring not None, dict keyspaces not None, dict tables not None):
        cdef:
            uint32_t wanted = <uint32_t>(2 * (len(keyspaces) + len(tables)) + 2)
            entry_t *entry
        self.ring = ring
        self.room = 64
        while self.room < wanted:
            self.room *= 2
        self.entries = <entry_t *>calloc(self.room, sizeof(entry_t))
        if self.entries is NULL:
            raise MemoryError()
        placed = {}
        for name, replication in keyspaces.items():
            said = tuple(sorted(replication.items()))
            if said not in placed:
                placed[said] = self._placement(ring, replication)
            entry = self._add(name.encode(), b"")
            entry.placement = <void *>placed[said] if placed[said] is not None else NULL
        self.kept.append(placed)
        for (keyspace, name), columns in tables.items():
            entry = self._add(keyspace.encode(), name.encode())
            said = tuple(sorted(keyspaces.get(keyspace, {}).items()))
            entry.placement = <void *>placed[said] if placed.get(said) is not None else NULL
            if columns and len(columns) <= KEYS_MAX:
                self._add_keys(entry, columns)

    def __dealloc__(self):
        cdef uint32_t index
        if self.entries is not NULL:
            for index in range(self.room):
                free(self.entries[index].columns)
                free(self.entries[index].types)
                free(self.entries[index].nodes)
        free(self.entries)

    def _placement(self, ring, replication):
        try:
            placement = Placement(ring, replication)
        except ValueError:
            return None                         # each server has its own, or nobody knows
        return placement if placement.width else None

    cdef entry_t *_add(self, bytes keyspace, bytes table) except NULL:
        cdef:
            const uint8_t *first = <const uint8_t *><char *>keyspace
            const uint8_t *second = <const uint8_t *><char *>table
            uint64_t       hash = _hash(first, len(keyspace), second, len(table))
            uint32_t       at = <uint32_t>hash & (self.room - 1)
        while self.entries[at].keyspace.data is not NULL:
            at = (at + 1) & (self.room - 1)
        self.kept += [keyspace, table]
        self.count += 1
        self.entries[at].hash = hash
        self.entries[at].keyspace.data = <uint8_t *>first
        self.entries[at].keyspace.size = len(keyspace)
        self.entries[at].table.data = <uint8_t *>second
        self.entries[at].table.size = len(table)
        return &self.entries[at]

    cdef int _add_keys(self, entry_t *entry, columns) except -1:
        cdef:
            cql_types_t types
            bytes       text
            uint32_t    index
        entry.columns = <slice_t *>calloc(len(columns), sizeof(slice_t))
        entry.types = <const cql_type_t **>calloc(len(columns), sizeof(void *))
        entry.nodes = <cql_type_t *>calloc(len(columns) * KEY_NODES_MAX, sizeof(cql_type_t))
        if entry.columns is NULL or entry.types is NULL or entry.nodes is NULL:
            raise MemoryError()
        for index, (name, type_text) in enumerate(columns):
            text = name.encode()
            self.kept.append(text)
            entry.columns[index].data = <uint8_t *><char *>text
            entry.columns[index].size = len(text)
            types.nodes = entry.nodes + index * KEY_NODES_MAX
            types.room = KEY_NODES_MAX
            types.count = 0
            text = type_text.encode()
            self.kept.append(text)              # a type borrows names from it
            if not cql_type_of_text(&types, <const uint8_t *><char *>text, len(text)):
                types.nodes[0].id = TYPE_CUSTOM
            entry.types[index] = types.nodes
        entry.key_count = <uint32_t>len(columns)
        return 0

    cdef const entry_t *find(self, const uint8_t *keyspace, size_t keyspace_size, const uint8_t *table,
                             size_t table_size) noexcept nogil:
        """Of a table, or, where that is empty, of a keyspace; NULL: there is none."""
        cdef:
            uint64_t hash = _hash(keyspace, keyspace_size, table, table_size)
            uint32_t at = <uint32_t>hash & (self.room - 1)
            entry_t *entry
        while self.entries[at].keyspace.data is not NULL:
            entry = &self.entries[at]
            if entry.hash == hash and _same(entry.keyspace, keyspace, keyspace_size) and _same(entry.table, table, table_size):
                return entry
            at = (at + 1) & (self.room - 1)
        return NULL
