"""See _cassandra_ways.pxd."""

from libc.stdlib cimport free, malloc
from libc.string cimport memset

from shotover._codec.cql.frame cimport HEADER_SIZE, OP_BATCH, OP_EXECUTE, OP_PREPARE, OP_QUERY
from shotover._codec.cql.messages cimport (
    PARAM_KEYSPACE,
    PARAM_NAMES,
    PREPARE_KEYSPACE,
    cql_batch_item_t,
    cql_batch_next,
    cql_batch_read,
    cql_batch_t,
    cql_execute_read,
    cql_execute_t,
    cql_prefix_read,
    cql_prefix_t,
    cql_prepare_read,
    cql_prepare_t,
    cql_query_read,
    cql_query_t,
)
from shotover._codec.cql.partition cimport partition_key_put, partition_key_size
from shotover._codec.cql.ring cimport NO_SERVER, Placement
from shotover._codec.cql.statement cimport STATEMENT_UNKNOWN, cql_parse
from shotover._codec.cql.wire cimport wire_read, wire_reader_t
from shotover._core.debug cimport likely, unlikely
from shotover.sinks._cassandra_node cimport CassandraNode
from shotover.sinks._cassandra_pool cimport FIELD_KEYSPACE
from shotover.sinks._cassandra_prepared cimport prepared_name
from shotover.sinks._cassandra_route cimport (
    KEY_BYTES_MAX,
    PLACE_ANY,
    PLACE_HOME,
    PLACE_TABLE,
    aim_of,
    key_of_statement,
    key_of_values,
    table_of,
    value_at,
)
from shotover.sinks._cassandra_schema cimport KEYS_MAX

cdef enum:
    SERIAL = 8                  # consistencies of reads that end a lightweight transaction
    LOCAL_SERIAL = 9
    BATCH_COUNTER = 2
    BATCH_LOOK = 16             # statements of a batch that are looked at


cdef uint64_t _rank(CassandraNode node, cql_state_t *home, uint64_t number) noexcept nogil:
    """The less, the better; all bits: not at all."""
    cdef uint64_t rank = node.under_way
    if not node.can() or not node.in_center:
        return <uint64_t>-1
    if not node.in_rack:
        rank += <uint64_t>1 << 40
    if not node.is_ready_for(home, number):
        rank += <uint64_t>1 << 36
    return rank


cdef class CassandraWays(CassandraControl):

    def __init__(self, context, *, int max_prepared_statements, **options):
        CassandraControl.__init__(self, context, **options)
        self.prepared = PreparedCache(max_prepared_statements)

    def __dealloc__(self):
        free(self.rack)

    # ---- what is known of a request -----------------------------------------------------------------------------

    cdef void way_of(self, const cql_state_t *home, const uint8_t *frame, size_t size, way_t *way) noexcept nogil:
        """Of a frame whose body is not compressed. What cannot be read goes anywhere: the server will say what is wrong."""
        cdef:
            cql_prefix_t  prefix
            cql_prepare_t prepare
            slice_t       keyspace
            int           version = frame[0]
            uint8_t       opcode = frame[4]
        memset(way, 0, sizeof(way_t))
        if not cql_prefix_read(frame + HEADER_SIZE, size - HEADER_SIZE, frame[1], False, &prefix):
            return
        keyspace.data = home.fields[FIELD_KEYSPACE]
        keyspace.size = home.sizes[FIELD_KEYSPACE]
        if likely(opcode == OP_EXECUTE):
            self._way_of_execute(prefix.body, version, way)
        elif opcode == OP_QUERY:
            self._way_of_query(keyspace, prefix.body, version, way)
        elif opcode == OP_BATCH:
            self._way_of_batch(keyspace, prefix.body, version, way)
        elif opcode == OP_PREPARE and cql_prepare_read(prefix.body.data, prefix.body.size, version, &prepare):
            self.read_statement(prepare.text, prepare.keyspace if prepare.flags & PREPARE_KEYSPACE else keyspace, &way.aim)

    cdef void read_statement(self, slice_t text, slice_t keyspace, aim_t *aim) noexcept nogil:
        self.statement.item = self.items
        self.statement.item_room = ITEMS_MAX
        cql_parse(text.data, text.size, &self.statement)
        aim_of(text.data, &self.statement, keyspace, aim)

    cdef void _way_of_query(self, slice_t keyspace, slice_t body, int version, way_t *way) noexcept nogil:
        cdef cql_query_t query
        if not cql_query_read(body.data, body.size, version, &query):
            return
        if query.params.flags & PARAM_KEYSPACE:
            keyspace = query.params.keyspace
        self.read_statement(query.text, keyspace, &way.aim)
        way.aim.ordered |= query.params.consistency == SERIAL or query.params.consistency == LOCAL_SERIAL
        if way.aim.place == PLACE_ANY:
            self._copies_of(query.text, keyspace, &query.params, way)

    cdef void _way_of_execute(self, slice_t body, int version, way_t *way) noexcept nogil:
        cdef:
            cql_execute_t execute
            prepared_t   *prepared
        if not cql_execute_read(body.data, body.size, version, &execute):
            return
        prepared = self.prepared.find(execute.id.data, execute.id.size)
        if unlikely(prepared is NULL):
            way.unknown = execute.id
            return
        way.aim = prepared.aim
        way.aim.ordered |= execute.params.consistency == SERIAL or execute.params.consistency == LOCAL_SERIAL
        if way.aim.place == PLACE_ANY:
            self._copies_of_prepared(prepared, &execute.params, way)

    cdef void _way_of_batch(self, slice_t keyspace, slice_t body, int version, way_t *way) noexcept nogil:
        """The first statement whose key is known decides: its coordinator has at least that row."""
        cdef:
            cql_batch_t      batch
            cql_batch_item_t item
            cql_params_t     params
            wire_reader_t    reader
            prepared_t      *prepared
            aim_t          aim
            uint32_t         _
            bint             idempotent
        if not cql_batch_read(body.data, body.size, version, &batch):
            return
        if batch.params.flags & PARAM_KEYSPACE:
            keyspace = batch.params.keyspace
        idempotent = batch.type != BATCH_COUNTER and batch.count <= BATCH_LOOK
        wire_read(&reader, batch.items.data, batch.items.size)
        for _ in range(min(batch.count, <uint32_t>BATCH_LOOK)):
            if not cql_batch_next(&reader, &item):
                return
            params = batch.params
            params.flags &= ~<uint32_t>PARAM_NAMES
            params.values = item.values
            params.value_count = item.value_count
            if item.prepared:
                prepared = self.prepared.find(item.text.data, item.text.size)
                if prepared is NULL:
                    idempotent = False
                    continue
                aim = prepared.aim
                if way.copies is NULL:
                    self._copies_of_prepared(prepared, &params, way)
            else:
                self.read_statement(item.text, keyspace, &aim)
                if way.copies is NULL:
                    self._copies_of(item.text, keyspace, &params, way)
            idempotent = idempotent and aim.idempotent
            way.aim.ordered |= aim.ordered
        way.aim.idempotent = idempotent

    cdef void _copies_of(self, slice_t text, slice_t keyspace, const cql_params_t *params, way_t *way) noexcept nogil:
        """Of the statement that was read last, which is that text."""
        cdef:
            const entry_t *entry
            slice_t        key
        if not self.known or self.statement.type == STATEMENT_UNKNOWN or self.statement.truncated:
            return
        entry = table_of(self.schema, text.data, &self.statement, keyspace)
        if entry is not NULL and entry.placement is not NULL and entry.key_count and \
                key_of_statement(entry, text.data, &self.statement, params, &self.room, &key):
            self._copies_at(entry, key, way)

    cdef void _copies_of_prepared(self, const prepared_t *prepared, const cql_params_t *params, way_t *way) noexcept nogil:
        cdef:
            const entry_t *entry
            slice_t        key, name
            slice_t        parts[KEYS_MAX]
            uint32_t       index
        if not self.known or prepared.key_count == 0:
            return
        entry = self.schema.find(prepared.keyspace.data, prepared.keyspace.size, prepared.table.data, prepared.table.size)
        if entry is NULL:
            entry = self.schema.find(prepared.keyspace.data, prepared.keyspace.size, NULL, 0)
        if entry is NULL or entry.placement is NULL:
            return
        if likely(not params.flags & PARAM_NAMES):
            if key_of_values(prepared.keys, prepared.key_count, params.values, params.value_count, &self.room, &key):
                self._copies_at(entry, key, way)
            return
        for index in range(prepared.key_count):
            if not prepared_name(prepared, prepared.keys[index], &name) or not value_at(params, 0, &name, &parts[index]):
                return
        if 0 < partition_key_size(parts, prepared.key_count) <= KEY_BYTES_MAX:
            key.data = self.room.bytes
            key.size = partition_key_put(self.room.bytes, parts, prepared.key_count)
            self._copies_at(entry, key, way)

    cdef void _copies_at(self, const entry_t *entry, slice_t key, way_t *way) noexcept nogil:
        way.copies = (<Placement>entry.placement).copies_at(self.schema.ring.place_of(key.data, key.size))
        way.width = (<Placement>entry.placement).width

    # ---- which node ---------------------------------------------------------------------------------------------

    cdef uint32_t node_for(self, const way_t *way, cql_state_t *home, uint64_t number) noexcept nogil:
        """The number of a node; that of home if there is no better one."""
        cdef uint32_t found
        if way.aim.place == PLACE_HOME or way.aim.place == PLACE_TABLE:
            return self.home
        if way.copies is not NULL:
            found = self._node_by_key(way, home, number)
            if likely(found != NO_SERVER):
                return found
        return self._any_node()

    cdef uint32_t _node_by_key(self, const way_t *way, cql_state_t *home, uint64_t number) noexcept nogil:
        """The best of those that have the row. One with a connection goes before one without, which gets one meanwhile."""
        cdef:
            uint32_t step
            uint32_t best = NO_SERVER
            uint16_t found
            uint64_t rank
            uint64_t best_rank = <uint64_t>-1
            uint32_t width = way.width
        while width and way.copies[width - 1] == NO_SERVER:
            width -= 1
        if width == 0:
            return NO_SERVER
        self.turn += 1
        for step in range(width):
            found = way.copies[step if way.aim.ordered else (step + self.turn) % width]
            rank = _rank(<CassandraNode>self.nodes[found], home, number)
            if rank < best_rank:
                best_rank = rank
                best = found
                if way.aim.ordered:
                    break
        if best != NO_SERVER:
            self.by_key_total += 1
            self.out_of_rack_total += not (<CassandraNode>self.nodes[best]).in_rack
        return best

    cdef uint32_t _any_node(self) noexcept nogil:
        cdef:
            uint16_t *numbers = self.rack
            uint32_t  count = self.rack_count
            uint32_t  first, second
        if unlikely(count == 0):
            numbers = self.center
            count = self.center_count
        if unlikely(count == 0 and self.remote):
            numbers = self.far
            count = self.far_count
        if unlikely(count == 0):
            return self.home
        if count == 1:
            return numbers[0]
        self.random ^= self.random << 13
        self.random ^= self.random >> 7
        self.random ^= self.random << 17
        first = <uint32_t>self.random % count
        second = (first + 1 + <uint32_t>(self.random >> 32) % (count - 1)) % count
        first = numbers[first]
        second = numbers[second]
        return first if (<CassandraNode>self.nodes[first]).under_way <= (<CassandraNode>self.nodes[second]).under_way else second

    cdef void topology_changed(self) noexcept nogil:
        """Room for the numbers of all nodes, three times."""
        free(self.rack)
        self.rack = <uint16_t *>malloc(3 * <size_t>self.node_count * sizeof(uint16_t))
        self.center = self.rack + self.node_count
        self.far = self.center + self.node_count
        self.count_nodes()

    cdef void count_nodes(self) noexcept nogil:
        cdef uint32_t number
        self.rack_count = 0
        self.center_count = 0
        self.far_count = 0
        if self.rack is NULL:
            return                              # there was no memory: home serves
        for number in range(<uint32_t>(self.center - self.rack)):
            if not (<CassandraNode>self.nodes[number]).can():
                continue
            if (<CassandraNode>self.nodes[number]).in_rack:
                self.rack[self.rack_count] = <uint16_t>number
                self.rack_count += 1
            if (<CassandraNode>self.nodes[number]).in_center:
                self.center[self.center_count] = <uint16_t>number
                self.center_count += 1
            else:
                self.far[self.far_count] = <uint16_t>number
                self.far_count += 1

    cdef void node_changed(self, CassandraNode node) noexcept nogil:
        CassandraControl.node_changed(self, node)
        if not node.watching:
            self.count_nodes()
