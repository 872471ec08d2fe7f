"""See _cassandra_ways.pxd."""

from libc.stdlib cimport free, malloc
from libc.string cimport memset

from shotover._codec.commands cimport KIND_WRITE
from shotover._codec.cql.facts cimport cql_facts_in, cql_facts_t
from shotover._codec.cql.frame cimport OP_EXECUTE, OP_PREPARE, OP_QUERY
from shotover._codec.cql.messages cimport (
    PARAM_NAMES,
    cql_batch_item_t,
    cql_batch_next,
    cql_batch_read,
    cql_batch_t,
    cql_execute_read,
    cql_execute_t,
    cql_params_t,
    cql_query_read,
    cql_query_t,
)
from shotover._codec.cql.reading cimport cql_body
from shotover._codec.cql.ring cimport NO_SERVER, Placement
from shotover._codec.cql.statement cimport HAS_COUNTER, HAS_FUNCTION, HAS_IF, NOT_IDEMPOTENT
from shotover._codec.cql.wire cimport wire_read, wire_reader_t
from shotover._core.debug cimport likely, unlikely
from shotover._core.facts cimport facts_of
from shotover._core.memory cimport chunk_data, chunk_t, pool_take_exact
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t
from shotover.sinks._cassandra_node cimport CassandraNode
from shotover.sinks._cassandra_route cimport (
    KEY_FIXED,
    KEY_NONE,
    PLACE_HOME,
    PLACE_TABLE,
    aim_of,
    key_of,
    route_make,
    route_t,
)

cdef enum:
    SERIAL = 8                  # consistencies of reads that end a lightweight transaction
    LOCAL_SERIAL = 9
    BATCH_COUNTER = 2
    BATCH_LOOK = 16             # statements of a batch whose key is looked for


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

    def __init__(self, context, **options):
        CassandraControl.__init__(self, context, **options)
        self.wants_statements = True
        self.note = 0

    def __dealloc__(self):
        free(self.rack)

    # ---- what is known of a request -----------------------------------------------------------------------------

    cdef void way_of(self, request_t *request, way_t *way) noexcept nogil:
        """What cannot be read, or has no facts, goes anywhere: the server will say what is wrong."""
        cdef:
            cql_execute_t  execute
            cql_query_t    query
            slice_t        body
            const route_t *route
        memset(way, 0, sizeof(way_t))
        if unlikely(request.facts is NULL or not cql_body(request, &body)):
            return
        if likely(request.opcode == OP_EXECUTE):
            route = self._route(request.facts)
            if unlikely(route is NULL or not cql_execute_read(body.data, body.size, request.version, &execute)):
                return
            way.aim = route.aim
            way.aim.ordered |= execute.params.consistency == SERIAL or execute.params.consistency == LOCAL_SERIAL
            self._copies_of(route, request.facts, &execute.params, way)
        elif request.opcode == OP_QUERY:
            route = self._route(request.facts)
            if unlikely(route is NULL or not cql_query_read(body.data, body.size, request.version, &query)):
                return
            way.aim = route.aim
            way.aim.ordered |= query.params.consistency == SERIAL or query.params.consistency == LOCAL_SERIAL
            if likely(query.text.size == cql_facts_in(request.facts).text.size):    # else a step has changed it
                self._copies_of(route, request.facts, &query.params, way)
        elif request.opcode == OP_PREPARE:
            aim_of(cql_facts_in(request.facts), &way.aim)
        else:
            self._way_of_batch(request, body, way)

    cdef const route_t *_route(self, chunk_t *facts) noexcept nogil:
        """Where a statement's requests go, worked out once for each schema; until the next call. NULL: no memory."""
        cdef:
            chunk_t *note = facts_of(facts).notes[self.note]
            route_t *route
        if unlikely(note is NULL):
            if facts.refs == 1:                 # the request's own: it will not be seen again
                route_make(self.schema, cql_facts_in(facts), &self.room, &self.once)
                return &self.once
            note = pool_take_exact(&self.loop.pool, sizeof(route_t))
            if note is NULL:
                return NULL
            facts_of(facts).notes[self.note] = note
            (<route_t *>chunk_data(note)).generation = <uint64_t>-1
        route = <route_t *>chunk_data(note)
        if unlikely(route.generation != self.generation):
            route_make(self.schema, cql_facts_in(facts), &self.room, route)
            route.generation = self.generation
        return route

    cdef void _way_of_batch(self, request_t *request, slice_t body, way_t *way) noexcept nogil:
        """The first statement whose key is known decides: its coordinator has at least that row."""
        cdef:
            const cql_facts_t *facts = cql_facts_in(request.facts)
            cql_batch_t        batch
            cql_batch_item_t   item
            cql_params_t       params
            wire_reader_t      reader
            chunk_t           *part
            const route_t     *route
            uint32_t           index
        if not cql_batch_read(body.data, body.size, request.version, &batch) or batch.count != facts.head.part_count:
            return
        way.aim.ordered = (facts.flags & HAS_IF) != 0
        way.aim.idempotent = batch.type != BATCH_COUNTER and facts.kind == KIND_WRITE and \
            not facts.flags & (HAS_IF | HAS_FUNCTION | HAS_COUNTER | NOT_IDEMPOTENT)
        wire_read(&reader, batch.items.data, batch.items.size)
        for index in range(min(batch.count, <uint32_t>BATCH_LOOK)):
            if not cql_batch_next(&reader, &item):
                return
            part = facts.head.parts[index]
            route = self._route(part)
            if route is NULL or (not item.prepared and item.text.size != cql_facts_in(part).text.size):
                continue
            params = batch.params
            params.flags &= ~<uint32_t>PARAM_NAMES
            params.values = item.values
            params.value_count = item.value_count
            self._copies_of(route, part, &params, way)
            if way.copies is not NULL:
                return

    cdef void _copies_of(self, const route_t *route, chunk_t *facts, const cql_params_t *params, way_t *way) noexcept nogil:
        cdef slice_t key
        if route.key == KEY_NONE or not self.known:
            return
        if route.key == KEY_FIXED:
            way.copies = route.copies
        elif key_of(route, cql_facts_in(facts), params, &self.room, &key):
            way.copies = (<Placement>route.entry.placement).copies_at(self.schema.ring.place_of(key.data, key.size))
        way.width = (<Placement>route.entry.placement).width

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
