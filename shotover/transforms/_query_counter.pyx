"""See _query_counter.pxd. One addition a run: runs are of one command here.

Of CQL each statement counts, those of a batch one by one, a prepared one whenever it is executed. Nothing is counted for PREPARE
and for what is about the connection.
"""

cimport cython

from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from shotover._codec.commands cimport command_at, command_count, command_t
from shotover._codec.cql.facts cimport cql_facts, cql_facts_t
from shotover._codec.cql.frame cimport OP_BATCH, OP_EXECUTE, OP_QUERY
from shotover._codec.hashes cimport mix64, xxh64
from shotover._core.debug cimport likely, unlikely
from shotover._core.request cimport batch_t

from shotover._codec.cql.names import statement_name


@cython.final
cdef class QueryCounter(Step):

    def __cinit__(self, context, *args, **kwargs):
        self.known = command_count()
        self.counts = <uint64_t *>calloc(self.known + 1, sizeof(uint64_t))
        if self.counts is NULL:
            raise MemoryError()

    def __init__(self, context, *, str name, str counter_name, uint32_t tables=0):
        self.counter_name = counter_name
        self.wants_kin = True
        self.reads_bodies = False
        self.wants_statements = True
        self.cql = context.protocol == "cassandra"
        self.table_most = tables
        if tables and self.cql:
            self.table_room = 16
            while self.table_room < 2 * tables:
                self.table_room *= 2
            self.tables = <counted_t *>calloc(self.table_room, sizeof(counted_t))
            if self.tables is NULL:
                raise MemoryError()

    def __dealloc__(self):
        free(self.counts)
        free(self.tables)

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t       *request = batch.head
            const command_t *command
        while request is not NULL:
            command = <const command_t *>request.command
            if unlikely(self.cql):
                self._statements(request)
            elif likely(command is not NULL and command.parent < self.known):
                self.counts[command.parent] += request.count
            else:
                self.counts[self.known] += request.count
            request = request.next
        self.pass_down(batch)

    cdef void _statements(self, request_t *request) noexcept nogil:
        cdef:
            const cql_facts_t *facts = cql_facts(request)
            const cql_touch_t *touch
            uint32_t index
        if request.opcode != OP_QUERY and request.opcode != OP_EXECUTE and request.opcode != OP_BATCH:
            return
        if unlikely(facts is NULL):
            self.statements[0] += 1
            return
        for index in range(facts.touch_count):
            touch = &facts.touches[index]
            self.statements[(touch.type & 15) << 4 | (touch.object & 15)] += touch.count
            if self.tables is not NULL and touch.table.size:
                self._table(touch)

    cdef void _table(self, const cql_touch_t *touch) noexcept nogil:
        cdef:
            uint64_t   seed = xxh64(touch.keyspace.data, touch.keyspace.size, touch.type)
            uint64_t   hash = xxh64(touch.table.data, touch.table.size, seed)
            uint32_t   index = <uint32_t>mix64(hash) & (self.table_room - 1)
            counted_t *place = &self.tables[index]
        while place.count:
            if place.hash == hash and place.type == touch.type and place.table_size == touch.table.size \
                    and place.keyspace_size == touch.keyspace.size \
                    and memcmp(place.table, touch.table.data, touch.table.size) == 0 \
                    and (touch.keyspace.size == 0 or memcmp(place.keyspace, touch.keyspace.data, touch.keyspace.size) == 0):
                place.count += touch.count
                return
            index = (index + 1) & (self.table_room - 1)
            place = &self.tables[index]
        if self.table_count == self.table_most or touch.table.size > NAME_KEPT or touch.keyspace.size > NAME_KEPT:
            self.table_others += touch.count
            return
        self.table_count += 1
        place.hash = hash
        place.type = touch.type
        place.table_size = <uint8_t>touch.table.size
        place.keyspace_size = <uint8_t>touch.keyspace.size
        memcpy(place.table, touch.table.data, touch.table.size)
        if touch.keyspace.size:
            memcpy(place.keyspace, touch.keyspace.data, touch.keyspace.size)
        place.count = touch.count

    def samples(self):
        cdef:
            uint32_t index
            list     gathered = Step.samples(self)
        protocol = self.codec.protocol
        for index in range(self.known + 1):
            if self.counts[index]:
                query = command_at(index).name.decode() if index < self.known else "unknown"
                labels = {"name": self.counter_name, "query": query, "type": protocol}
                gathered.append(("shotover_query_count", labels, "counter", self.counts[index]))
        words = {}
        for index in range(STATEMENT_COUNTS):
            if self.statements[index]:
                query = statement_name(index >> 4, index & 15)
                words[query] = words.get(query, 0) + self.statements[index]
        for query, count in words.items():
            labels = {"name": self.counter_name, "query": query, "type": protocol}
            gathered.append(("shotover_query_count", labels, "counter", count))
        for index in range(self.table_room):
            if self.tables[index].count:
                labels = {
                    "name": self.counter_name,
                    "keyspace": self.tables[index].keyspace[:self.tables[index].keyspace_size].decode("utf-8", "replace"),
                    "table": self.tables[index].table[:self.tables[index].table_size].decode("utf-8", "replace"),
                    "query": statement_name(self.tables[index].type, 0),
                }
                gathered.append(("shotover_table_query_count", labels, "counter", self.tables[index].count))
        if self.tables is not NULL:
            labels = {"name": self.counter_name, "keyspace": "", "table": "", "query": "other"}
            gathered.append(("shotover_table_query_count", labels, "counter", self.table_others))
        return gathered
