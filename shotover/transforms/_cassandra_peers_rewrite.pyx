"""See _cassandra_peers_rewrite.pxd. Replies are edited in place: a port is four bytes, before and after."""

cimport cython

from libc.string cimport memcmp, memcpy, memset, strlen

from shotover._codec.cql.attach cimport talk_t
from shotover._codec.cql.compression cimport COMPRESSION_NONE, body_size, body_unpack
from shotover._codec.cql.facts cimport cql_facts
from shotover._codec.cql.frame cimport (
    FLAG_COMPRESSED,
    HEADER_SIZE,
    OP_EVENT,
    OP_PREPARE,
    OP_RESULT,
    frame_head,
    put_int,
)
from shotover._codec.cql.lexer cimport cql_name_is
from shotover._codec.cql.messages cimport cql_prefix_read, cql_prefix_t
from shotover._codec.cql.results cimport (
    METADATA_NONE,
    RESULT_ROWS,
    cql_column_next,
    cql_column_t,
    cql_event_read,
    cql_event_t,
    cql_metadata_t,
    cql_result_read,
    cql_rows_check,
)
from shotover._codec.cql.statement cimport HAS_STAR, ITEM_SELECT, STATEMENT_SELECT, cql_parse
from shotover._codec.cql.wire cimport wire_bytes, wire_read, wire_reader_t
from shotover._core.debug cimport unlikely
from shotover._core.memory cimport chunk_data, chunk_put, chunk_t, pool_take
from shotover._core.request cimport WATCHED_BY_STEP, batch_pop, batch_t, request_drop_reply, request_own_reply
from shotover._core.slice cimport slice_t
from shotover._core.status cimport OK
from shotover._proxy.session cimport session_t

cdef enum:
    EVENT_ROOM = 512
    PLAIN_SIZE_MAX = 16777216   # of a compressed reply, decompressed

# Columns that hold a port for clients, by the versions of servers that have them.
cdef const char *PORTS[4]
PORTS[0] = b"native_port"
PORTS[1] = b"rpc_port"
PORTS[2] = b"native_transport_port"
PORTS[3] = b"native_transport_port_ssl"


cdef inline bint _is(slice_t name, const char *text) noexcept nogil:
    return name.size == strlen(text) and memcmp(name.data, text, name.size) == 0


cdef bint _tells_ports(const cql_facts_t *facts) noexcept nogil:
    return facts.type == STATEMENT_SELECT and _is(facts.keyspace, b"system") and (
        _is(facts.table, b"peers_v2") or _is(facts.table, b"peers") or _is(facts.table, b"local"))


@cython.final
cdef class CassandraPeersRewrite(Step):

    def __init__(self, context, *, str name, int port):
        self.port = port
        self.wants_replies = True
        self.wants_statements = True
        self.reads_bodies = False

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef request_t *request = batch.head
        while request is not NULL:
            if request.facts is not NULL and unlikely(_tells_ports(cql_facts(request))) and request.opcode != OP_PREPARE:
                request.watched |= WATCHED_BY_STEP
            request = request.next
        self.pass_down(batch)

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef request_t *request
        while batch.head is not NULL:
            request = batch_pop(batch)
            if request.facts is not NULL and _tells_ports(cql_facts(request)) and request.opcode != OP_PREPARE \
                    and request.reply.size > HEADER_SIZE and request.reply.data[4] == OP_RESULT:
                if self._plain_reply(request):
                    self._rewrite(request, cql_facts(request))
                else:
                    request_drop_reply(&self.loop.pool, request)    # told of a port that is not ours, it would go there
                    request.failed = 1
            self.pass_up(request)

    cdef bint _plain_reply(self, request_t *request) noexcept nogil:
        """Makes the reply the request's own, and its body plain. False: no memory, or it cannot be read."""
        cdef:
            session_t *session = <session_t *>request.session if request.queued else NULL
            int        compression
            size_t     size
            chunk_t   *chunk
        if not request.reply.data[1] & FLAG_COMPRESSED:
            return request_own_reply(&self.loop.pool, request)
        if session is NULL or session.talk is NULL:
            return False
        compression = (<talk_t *>session.talk).compression
        if compression == COMPRESSION_NONE or body_size(
                compression, request.reply.data + HEADER_SIZE, request.reply.size - HEADER_SIZE, PLAIN_SIZE_MAX, &size) != OK:
            return False
        chunk = pool_take(&self.loop.pool, HEADER_SIZE + size)
        if chunk is NULL:
            return False
        frame_head(chunk_data(chunk), request.reply.data[0], request.stream, OP_RESULT, size)
        chunk_data(chunk)[1] = request.reply.data[1] & ~<uint8_t>FLAG_COMPRESSED
        if body_unpack(compression, request.reply.data + HEADER_SIZE, request.reply.size - HEADER_SIZE,
                       chunk_data(chunk) + HEADER_SIZE, size) != OK:
            chunk_put(&self.loop.pool, chunk)
            return False
        request_drop_reply(&self.loop.pool, request)
        request.reply.data = chunk_data(chunk)
        request.reply.size = HEADER_SIZE + size
        request.reply_owner = chunk
        return True

    cdef void _rewrite(self, request_t *request, const cql_facts_t *facts) noexcept nogil:
        cdef:
            cql_prefix_t  prefix
            cql_result_t  result
            wire_reader_t reader
            slice_t       cell
            bint          is_port[COLUMNS_MAX]
            uint32_t      _, column
            uint8_t      *reply = request.reply.data
        if not cql_prefix_read(reply + HEADER_SIZE, request.reply.size - HEADER_SIZE, reply[1], True, &prefix) \
                or not cql_result_read(prefix.body.data, prefix.body.size, request.version, &result) \
                or result.kind != RESULT_ROWS or not cql_rows_check(&result) or not self._ports_in(facts, &result, is_port):
            return
        self.rewritten_total += 1
        wire_read(&reader, result.rows.data, result.rows.size)
        for _ in range(result.row_count):
            for column in range(result.metadata.column_count):
                if wire_bytes(&reader, &cell) == 4 and column < COLUMNS_MAX and is_port[column]:
                    put_int(cell.data, self.port)

    cdef bint _ports_in(self, const cql_facts_t *facts, const cql_result_t *result, bint *is_port) noexcept nogil:
        """Which columns of the answer are ports, whatever they are called there. False: none."""
        cdef:
            const cql_metadata_t *metadata = &result.metadata
            wire_reader_t         reader
            cql_column_t          column
            uint32_t              index
            uint32_t              place = 0
            int                   which
            bint                  found = False
        memset(is_port, 0, COLUMNS_MAX * sizeof(bint))
        if facts.flags & HAS_STAR:
            if metadata.flags & METADATA_NONE:
                metadata = &facts.metadata          # the client has the names since PREPARE
            wire_read(&reader, metadata.columns.data, metadata.columns.size)
            for index in range(min(metadata.column_count, <uint32_t>COLUMNS_MAX)):
                if not cql_column_next(&reader, metadata, &column):
                    break
                for which in range(4):
                    if _is(column.name, PORTS[which]):
                        is_port[index] = found = True
            return found
        self.statement.item = self.items
        self.statement.item_room = ITEMS_MAX
        if not cql_parse(facts.text.data, facts.text.size, &self.statement):
            return False
        for index in range(self.statement.item_count):
            if self.items[index].role != ITEM_SELECT:
                continue
            for which in range(4):
                if place < COLUMNS_MAX and self.items[index].name.size and cql_name_is(
                        facts.text.data, self.items[index].name, <const uint8_t *>PORTS[which], strlen(PORTS[which])):
                    is_port[place] = found = True
            place += 1
        return found

    cdef void on_push(self, void *session, const uint8_t *data, size_t size) noexcept nogil:
        """STATUS_CHANGE and TOPOLOGY_CHANGE end with an address and its port."""
        cdef:
            uint8_t      out[EVENT_ROOM]
            cql_prefix_t prefix
            cql_event_t  event
            size_t       plain
            talk_t      *talk = <talk_t *>(<session_t *>session).talk
        if size <= HEADER_SIZE or size > EVENT_ROOM or data[4] != OP_EVENT:
            self.up.on_push(session, data, size)
            return
        memcpy(out, data, size)
        if data[1] & FLAG_COMPRESSED:
            if talk is NULL or body_size(talk.compression, data + HEADER_SIZE, size - HEADER_SIZE, EVENT_ROOM - HEADER_SIZE,
                                         &plain) != OK \
                    or body_unpack(talk.compression, data + HEADER_SIZE, size - HEADER_SIZE, out + HEADER_SIZE, plain) != OK:
                self.up.on_push(session, data, size)
                return
            size = HEADER_SIZE + plain
            put_int(out + 5, <uint32_t>plain)
            out[1] &= ~<uint8_t>FLAG_COMPRESSED
        if cql_prefix_read(out + HEADER_SIZE, size - HEADER_SIZE, out[1], True, &prefix) \
                and cql_event_read(prefix.body.data, prefix.body.size, out[0] & 0x7f, &event) and event.address.size:
            put_int(event.address.data + event.address.size, self.port)
            self.rewritten_total += 1
        self.up.on_push(session, out, size)
