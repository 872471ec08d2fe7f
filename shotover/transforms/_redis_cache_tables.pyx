"""See _redis_cache_tables.pxd."""

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from shotover._codec.cql.types cimport cql_type_of_text, cql_types_t
from shotover._codec.cql.wire cimport wire_bytes, wire_read, wire_reader_t

cdef enum:
    NODES_MAX = 512             # of the types of one key

QUESTION = "SELECT column_name, kind, type FROM system_schema.columns WHERE keyspace_name = '{}' AND table_name = '{}'"


cdef class CachedTables:

    def __init__(self, schema):
        """`schema`: (keyspace, table, columns of the partition key) of each table, as the server spells them."""
        cdef uint32_t index, column
        self.kept = []
        self.count = len(schema)
        self.names = <cached_names_t *>calloc(self.count, sizeof(cached_names_t))
        self.tables = <cached_table_t *>calloc(self.count, sizeof(cached_table_t))
        if self.names is NULL or self.tables is NULL:
            raise MemoryError()
        for index, (keyspace, table, columns) in enumerate(schema):
            self.names[index].keyspace = self.keep(keyspace)
            self.names[index].table = self.keep(table)
            self.names[index].column_count = len(columns)
            for column, name in enumerate(columns):
                self.names[index].columns[column] = self.keep(name)
            self.tables[index].name = self.keep(f"{keyspace}.{table}")
            self.tables[index].question = self.keep(QUESTION.format(keyspace.replace("'", "''"), table.replace("'", "''")))

    def __dealloc__(self):
        cdef uint32_t index
        if self.tables is not NULL:
            for index in range(self.count):
                self.forget(index)
        free(self.tables)
        free(self.names)

    cdef slice_t keep(self, str text):
        cdef:
            bytes   raw = text.encode()
            slice_t kept
        self.kept.append(raw)
        kept.data = <uint8_t *><const char *>raw
        kept.size = len(raw)
        return kept

    cdef void forget(self, uint32_t table) noexcept nogil:
        """Its columns may be other ones now."""
        free(self.tables[table].nodes)
        free(self.tables[table].texts)
        self.tables[table].nodes = NULL
        self.tables[table].texts = NULL
        self.tables[table].known = TABLE_UNKNOWN
        self.tables[table].asked_ns = 0
        self.tables[table].outdated = self.tables[table].asking

    cdef int learn(self, uint32_t table, const cql_result_t *rows) noexcept nogil:
        """What the server has answered to the table's question: LEARNED*."""
        cdef:
            cached_table_t *known = &self.tables[table]
            cached_names_t *names = &self.names[table]
            wire_reader_t   reader
            cql_types_t     types
            slice_t         cells[3]
            uint32_t        _, column, cell
            uint32_t        found = 0, others = 0
            uint8_t        *text
            uint64_t        asked_ns = known.asked_ns
        self.forget(table)
        known.asked_ns = asked_ns
        known.known = TABLE_ABSENT
        if rows.metadata.column_count != 3 or rows.row_count == 0:
            return LEARNED_ABSENT
        known.nodes = <cql_type_t *>malloc(NODES_MAX * sizeof(cql_type_t))
        known.texts = <uint8_t *>malloc(rows.rows.size)
        if known.nodes is NULL or known.texts is NULL:
            return LEARNED_ABSENT
        types.nodes = known.nodes
        types.room = NODES_MAX
        types.count = 0
        text = known.texts
        wire_read(&reader, rows.rows.data, rows.rows.size)
        for _ in range(rows.row_count):
            for cell in range(3):
                if wire_bytes(&reader, &cells[cell]) < 0 or reader.bad:
                    return LEARNED_ABSENT
            if cells[1].size != 13 or memcmp(cells[1].data, b"partition_key", 13) != 0:
                continue
            others += 1
            for column in range(names.column_count):
                if names.columns[column].size != cells[0].size or \
                        memcmp(names.columns[column].data, cells[0].data, cells[0].size) != 0:
                    continue
                memcpy(text, cells[2].data, cells[2].size)
                known.types[column] = types.nodes + types.count
                if not cql_type_of_text(&types, text, cells[2].size):
                    return LEARNED_ABSENT
                text += cells[2].size
                found += 1
                others -= 1
        if found != names.column_count or others:
            return LEARNED_OTHER
        known.known = TABLE_KNOWN
        return LEARNED
