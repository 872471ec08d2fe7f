"""See _cassandra_cluster.pxd."""

from libc.errno cimport EACCES
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset, strlen

from shotover._codec.cql.codec cimport CqlCodec
from shotover._codec.cql.compression cimport COMPRESSION_LZ4, COMPRESSION_NONE, COMPRESSION_SNAPPY
from shotover._codec.cql.facts cimport cql_facts, cql_facts_in
from shotover._codec.cql.frame cimport (
    FLAG_COMPRESSED,
    HEADER_SIZE,
    IS_REPLY,
    OP_ERROR,
    OP_EXECUTE,
    OP_OPTIONS,
    OP_PREPARE,
    OP_QUERY,
    OP_RESULT,
    SEGMENTS_FROM,
    frame_error,
    frame_head,
    put_int,
    put_string,
    read_int,
    slice_is,
)
from shotover._codec.cql.library cimport keyspace_hash, library_text
from shotover._codec.cql.messages cimport PARAM_SKIP_METADATA, cql_params_t, cql_prefix_read, cql_prefix_t
from shotover._codec.cql.peek cimport peek_option
from shotover._codec.cql.reading cimport cql_body, cql_params_of
from shotover._codec.cql.results cimport (
    ERROR_BOOTSTRAPPING,
    ERROR_UNPREPARED,
    RESULT_PREPARED,
    cql_error_read,
    cql_error_t,
    cql_result_read,
    cql_result_t,
)
from shotover._codec.cql.ring cimport NO_SERVER
from shotover._codec.cql.selecting cimport values_of
from shotover._codec.cql.statement cimport STATEMENT_UNKNOWN, STATEMENT_USE
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, chunk_t
from shotover._core.request cimport (
    WATCHED_BY_SINK,
    batch_pop,
    batch_push,
    request_drop_reply,
    request_own,
    request_own_reply,
)
from shotover._proxy.retry cimport KEEP_SIZE_MAX, budget_take, keeper_init, keeper_keep
from shotover._proxy.upstream cimport upstream_t
from shotover.sinks._cassandra_pool cimport (
    FIELD_COUNT,
    FIELD_KEYSPACE,
    FIELD_STARTUP,
    S_FIRST_FREE,
    state_fields,
)
from shotover.sinks._cassandra_route cimport PLACE_HOME, PLACE_TABLE
from shotover.sinks._cassandra_single cimport CassandraSinkSingle

from shotover._codec.cql.selecting import Select
from shotover.sinks import cassandra_view

cdef enum:                      # request_t.sink_state
    S_ROUTED = S_FIRST_FREE
    S_REPAIR = S_FIRST_FREE + 1     # the sink's own PREPARE
    S_RUNNER = S_FIRST_FREE + 2     # see race_t

cdef enum:
    ATTEMPTS_MAX = 8            # times a request is sent, all in all
    REFUSED_MAX = 2             # ... of servers that will not have a connection in its client's name
    OWN_MAX = 65536             # longer requests are not kept to be sent again
    RACES_MAX = 256             # at a time
    LOOKS = 4                   # for late ones, in speculative_delay_ms


cdef int _compression_of(const cql_state_t *state) noexcept nogil:
    """What bodies on connections in that state may be compressed by."""
    cdef slice_t value
    if peek_option(state.fields[FIELD_STARTUP], state.sizes[FIELD_STARTUP], b"COMPRESSION", &value) <= 0:
        return COMPRESSION_NONE
    if slice_is(&value, b"LZ4"):
        return COMPRESSION_LZ4
    return COMPRESSION_SNAPPY if slice_is(&value, b"SNAPPY") else COMPRESSION_NONE


cdef void _on_race_timer(timer_t *timer) noexcept nogil:
    (<CassandraSinkCluster>timer.owner).look_for_late()


cdef void _run_for(request_t *runner, const request_t *request) noexcept nogil:
    runner.stream = request.stream
    runner.version = request.version
    runner.opcode = request.opcode
    runner.watched = WATCHED_BY_SINK


cdef inline bint _has_id(const cql_facts_t *facts, slice_t id) noexcept nogil:
    return facts.id.size == id.size and memcmp(facts.id.data, id.data, id.size) == 0


cdef const cql_facts_t *_prepared_in(const request_t *request, slice_t id) noexcept nogil:
    """What is known of the statement with that id, which an EXECUTE is of, or some part of a BATCH. NULL: neither has it."""
    cdef:
        const cql_facts_t *facts = cql_facts(request)
        uint32_t index
    if facts is NULL or _has_id(facts, id):
        return facts
    for index in range(facts.head.part_count if facts.text.data is NULL else 0):
        if _has_id(cql_facts_in(facts.head.parts[index]), id):
            return cql_facts_in(facts.head.parts[index])
    return NULL


cdef class CassandraSinkCluster(CassandraWays):

    def __init__(self, context, *, str name, int retry_percent, max_prepared_statements, speculative_delay_ms,
                 int speculative_percent, **options):
        CassandraWays.__init__(self, context, **options)
        self.retry_percent = retry_percent
        self.prepared_most = 0xffffffff if max_prepared_statements is None else max_prepared_statements
        keeper_init(&self.keeper, self.loop)
        self.race_delay_ns = int((speculative_delay_ms or 0) * 1e6)
        self.race_percent = speculative_percent
        self.race_timer.fire = _on_race_timer
        self.race_timer.owner = <void *>self

    def __dealloc__(self):
        cdef repair_t *repair
        cdef race_t   *race
        while self.races is not NULL:
            race = self.races
            self.races = race.next
            free(race)
        while self.repairs is not NULL:
            repair = self.repairs
            self.repairs = repair.next
            free(repair)

    def on_linked(self):
        CassandraWays.on_linked(self)
        (<CqlCodec>self.codec).prepared_most = min((<CqlCodec>self.codec).prepared_most, self.prepared_most)

    # ---- down ---------------------------------------------------------------------------------------------------

    cdef void _plain(self, request_t *request, cql_session_t *cs) noexcept nogil:
        cdef:
            way_t   way
            uint8_t opcode = request.opcode
            uint8_t type
        if unlikely(cs.alone) and opcode != OP_QUERY:
            CassandraSinkSingle._plain(self, request, cs)
            return
        if unlikely(opcode == OP_OPTIONS):
            self._options(request)
            return
        if opcode == OP_QUERY or opcode == OP_PREPARE:
            if unlikely(request.facts is NULL):
                self._find_facts(request, cs.state)
            type = STATEMENT_UNKNOWN if request.facts is NULL else cql_facts_in(request.facts).type
            if unlikely(type == STATEMENT_USE or type == STATEMENT_UNKNOWN) and self._use_in(request, cs):
                CassandraSinkSingle._plain(self, request, cs)
                return
        self.way_of(request, &way)
        if unlikely(way.aim.place == PLACE_TABLE and opcode != OP_PREPARE):
            self.hold(request)
            return
        if unlikely(cs.alone):
            CassandraSinkSingle._plain(self, request, cs)
            return
        if way.aim.idempotent or opcode == OP_PREPARE:
            request.made |= MADE_IDEMPOTENT
            if way.aim.ordered or way.aim.place == PLACE_HOME or opcode == OP_PREPARE:
                request.made |= MADE_ORDERED
            elif unlikely(self.race_delay_ns) and self.race_timer.home is NULL:
                self.loop.set_timer(&self.race_timer, self.race_delay_ns)
        elif way.aim.place == PLACE_HOME:
            self.changed_ns = self.loop.now         # the schema, perhaps
        if likely(request.wire.size <= KEEP_SIZE_MAX):
            keeper_keep(&self.keeper, request)
        elif request.wire.size <= OWN_MAX:
            request_own(&self.loop.pool, request)
        self.routed_total += 1
        if unlikely(not self._send_off(request, cs.state, cs.session.id, &way)):
            self._refuse(request, b"BUSY" if self.crowded else b"ERR", self.nobody)

    cdef void _find_facts(self, request_t *request, cql_state_t *home) noexcept nogil:
        """Of a query that a step above has made up itself."""
        cdef:
            slice_t keyspace, body
        keyspace.data = home.fields[FIELD_KEYSPACE]
        keyspace.size = home.sizes[FIELD_KEYSPACE]
        if cql_body(request, &body) and body.size >= 4 and read_int(body.data) <= body.size - 4:
            request.facts = library_text(&(<CqlCodec>self.codec).library, &self.loop.pool, body.data + 4, read_int(body.data),
                                         keyspace, keyspace_hash(keyspace))

    cdef bint _send_off(self, request_t *request, cql_state_t *home, uint64_t number, const way_t *way) noexcept nogil:
        """Takes over a request. False: no server can have it, `nobody` says why; it is still the caller's."""
        cdef:
            uint32_t tries = 0
            uint32_t found = self.home
        self.crowded = False
        while tries < ATTEMPTS_MAX:
            tries += 1
            found = self.node_for(way, home, number)
            if likely((<CassandraNode>self.nodes[found]).take(request, home, number, S_ROUTED)):
                return True
            if not (<CassandraNode>self.nodes[found]).down:
                self.crowded = True
                snprintf(self.nobody, sizeof(self.nobody), b"shotover: too many requests wait for %s (max_pending_requests)",
                         (<CassandraNode>self.nodes[found]).text)
                return False
            if found == self.home:
                self._hop()
                if found == self.home:
                    break
        self._note_nobody(<CassandraNode>self.nodes[found])
        return False

    cdef void _note_nobody(self, CassandraNode node) noexcept nogil:
        cdef const char *why = node.refusal
        if node.refusal[0] == 0:
            why = node.reason(node.connect_error)
        snprintf(self.nobody, sizeof(self.nobody),
                 b"shotover: no server of the cluster can be reached; the last one tried was %s: %.150s (%.150s)",
                 node.text, why, self.place)

    cdef void _say_unprepared(self, request_t *request, slice_t id) noexcept nogil:
        """A server does not know that statement, and cannot be helped: its client prepares it again."""
        cdef:
            uint8_t     out[512]
            const char *text = b"shotover: this prepared statement cannot be prepared again at the server that has the row"
            size_t      size
        size = frame_error(out, sizeof(out), request.version, request.stream, ERROR_UNPREPARED, text, strlen(text))
        size = <size_t>(put_string(out + size, id.data, id.size) - out)
        put_int(out + 5, <uint32_t>(size - HEADER_SIZE))
        self.answer_take(request, out, size)

    # ---- up -----------------------------------------------------------------------------------------------------

    cdef void answered(self, CassandraNode node, upstream_t *upstream, request_t *request) noexcept nogil:
        cdef:
            uint8_t      state = request.sink_state
            cql_state_t *home
        if likely(not request.watched & WATCHED_BY_SINK):
            request.sink_state = 0
            self.complete(request)
            return
        if state == S_REPAIR:
            self._repaired(node, request, True)
            return
        if state == S_RUNNER:
            self._run_in(node, upstream, request, False, 0)
            return
        home = (<cql_state_t *>upstream.state).home if upstream.state is not NULL else NULL
        if home is not NULL and not request.failed and request.reply.size > HEADER_SIZE and request.reply.data[4] == OP_ERROR \
                and self._not_the_last_word(node, home, request):
            return
        self._let_through(request)

    cdef bint not_answered(self, CassandraNode node, upstream_t *upstream, request_t *request, int error) noexcept nogil:
        cdef:
            cql_state_t *home = (<cql_state_t *>upstream.state).home if upstream.state is not NULL else NULL
            bint         unsent = not upstream.ready
        if request.sink_state == S_REPAIR:
            self._repaired(node, request, False)
            return True
        if request.sink_state == S_RUNNER:
            self._run_in(node, upstream, request, True, error)
            return True
        if error == EACCES and request.attempts >= REFUSED_MAX:
            home = NULL                         # it is the client who is not welcome, not one server who is away
        if home is not NULL and upstream.stream.closed and (unsent or (
                request.made & MADE_IDEMPOTENT and self.retry_percent
                and budget_take(&self.retry_budget, self.routed_total, self.retry_percent, 1))):
            self.nobody[0] = 0
            if self._send_again(request, home):
                self.retries_total += not unsent
                return True
            if unsent and self.nobody[0]:
                request.sink_state = 0
                self._refuse(request, b"ERR", self.nobody)
                return True
        request.sink_state = 0
        request.watched &= ~<uint8_t>WATCHED_BY_SINK
        return False

    cdef bint _send_again(self, request_t *request, cql_state_t *home) noexcept nogil:
        """To wherever it should go now. False: nowhere; it is still the caller's."""
        cdef way_t way
        if request.owner is NULL or request.attempts >= ATTEMPTS_MAX:
            return False
        request.attempts += 1
        request_drop_reply(&self.loop.pool, request)
        request.left = request.count
        request.watched &= ~<uint8_t>WATCHED_BY_SINK
        self.way_of(request, &way)
        return self._send_off(request, home, request.stream, &way)

    cdef bint _not_the_last_word(self, CassandraNode node, cql_state_t *home, request_t *request) noexcept nogil:
        """An error of a server. True: something is done about it, and the request has been taken over."""
        cdef:
            cql_prefix_t prefix
            cql_error_t  error
            uint8_t     *reply = request.reply.data
            size_t       size = request.reply.size
            chunk_t     *plain = NULL
            bint         done = False
        if reply[1] & FLAG_COMPRESSED:
            plain = self._unpacked(reply, size, _compression_of(home), &size)
            if plain is NULL:
                return False
            reply = chunk_data(plain)
        if cql_prefix_read(reply + HEADER_SIZE, size - HEADER_SIZE, reply[1] & ~<uint8_t>FLAG_COMPRESSED, True, &prefix) \
                and cql_error_read(prefix.body.data, prefix.body.size, request.version, &error):
            if error.code == ERROR_UNPREPARED:
                done = self._repair(node, home, request, error.id)
            elif error.code == ERROR_BOOTSTRAPPING:     # it has done nothing, and says so
                node.fall()
                done = self._send_again(request, home)
        if plain is not NULL:
            chunk_put(&self.loop.pool, plain)
        return done

    # ---- rivals -------------------------------------------------------------------------------------------------

    cdef bint on_retire(self, bint force) noexcept nogil:
        self.loop.cancel_timer(&self.race_timer)
        return CassandraWays.on_retire(self, force)

    cdef void look_for_late(self) noexcept nogil:
        cdef uint32_t number
        cdef bint     left = False
        for number in range(self.node_count):
            if (<CassandraNode>self.nodes[number]).under_way:
                (<CassandraNode>self.nodes[number]).look_for_overdue(self.loop.now - self.race_delay_ns)
                left = True
        if left:
            self.loop.set_timer(&self.race_timer, self.race_delay_ns // LOOKS)

    cdef request_t *overdue(self, CassandraNode node, upstream_t *upstream, request_t *request) noexcept nogil:
        cdef:
            cql_state_t  *home = (<cql_state_t *>upstream.state).home if upstream.state is not NULL else NULL
            race_t       *race
            uint32_t      rival
        if request.sink_state != S_ROUTED or request.made & (MADE_IDEMPOTENT | MADE_ORDERED | MADE_RACED) != MADE_IDEMPOTENT \
                or request.owner is NULL or home is NULL or self.race_count >= RACES_MAX:
            return NULL
        rival = self._rival(request, node, home)
        if rival == NO_SERVER or not budget_take(&self.race_budget, self.routed_total, self.race_percent, 1):
            return NULL
        race = <race_t *>malloc(sizeof(race_t))
        if race is NULL:
            return NULL
        race.request = request
        race.first = self._own_request(b"", HEADER_SIZE)
        race.second = self._own_request(b"", request.wire.size)
        if race.first is not NULL and race.second is not NULL:
            _run_for(race.first, request)
            _run_for(race.second, request)
            race.first.sink_state = S_RUNNER
            race.first.sent_ns = request.sent_ns
            memcpy(race.second.wire.data, request.wire.data, request.wire.size)
            if (<CassandraNode>self.nodes[rival]).take(race.second, home, request.stream, S_RUNNER):
                race.next = self.races
                self.races = race
                self.race_count += 1
                self.raced_total += 1
                request.made |= MADE_RACED
                return race.first
        if race.first is not NULL:
            self.hub.request_free(race.first)
        if race.second is not NULL:
            self.hub.request_free(race.second)
        free(race)
        return NULL

    cdef uint32_t _rival(self, request_t *request, CassandraNode node, cql_state_t *home) noexcept nogil:
        """Another server that has the row, or any other if nobody knows who has, whose connection is ready; or NO_SERVER."""
        cdef:
            way_t    way
            uint32_t index, found
        self.way_of(request, &way)
        for index in range(way.width if way.copies is not NULL else self.rack_count):
            self.turn += 1
            found = way.copies[index] if way.copies is not NULL else self.rack[(index + self.turn) % self.rack_count]
            if found == NO_SERVER:
                break
            if found != node.number and (<CassandraNode>self.nodes[found]).can() and \
                    (<CassandraNode>self.nodes[found]).in_center and \
                    (<CassandraNode>self.nodes[found]).is_ready_for(home, request.stream):
                return found
        return NO_SERVER

    cdef void _run_in(self, CassandraNode node, upstream_t *upstream, request_t *runner, bint lost, int error) noexcept nogil:
        """A runner has its reply, or will have none. Takes it over."""
        cdef:
            race_t     **link = &self.races
            race_t      *race
            request_t   *request
            cql_state_t *home = (<cql_state_t *>upstream.state).home if upstream.state is not NULL else NULL
            bint         failed, last
        while link[0] is not NULL and link[0].first is not runner and link[0].second is not runner:
            link = &link[0].next
        race = link[0]
        if race is NULL:                        # the other one was faster
            self.hub.request_free(runner)
            return
        last = race.first is NULL or race.second is NULL
        failed = lost or runner.failed or runner.reply.size < HEADER_SIZE or runner.reply.data[4] == OP_ERROR
        if failed and not last:                 # the other one may yet do better
            if race.first is runner:
                race.first = NULL
            else:
                race.second = NULL
            self.hub.request_free(runner)
            return
        request = race.request
        self.overtaken_total += not failed and race.second is runner
        link[0] = race.next
        self.race_count -= 1
        free(race)
        if lost:
            self.hub.request_free(runner)
            if home is not NULL and upstream.stream.closed and self.retry_percent and budget_take(
                    &self.retry_budget, self.routed_total, self.retry_percent, 1) and self._send_again(request, home):
                self.retries_total += 1
                return
            request.sink_state = 0
            if upstream.stream.closed:
                self.fail_errno(request, b"upstream connection lost", error)
            else:
                self.fail(request, b"the server has not answered in time (read_timeout)")
            return
        if not request_own_reply(&self.loop.pool, runner):
            self.hub.request_free(runner)
            request.sink_state = 0
            self.fail(request, b"no memory")
            return
        request.reply = runner.reply
        request.reply_owner = runner.reply_owner
        request.left = 0
        request.failed = runner.failed
        runner.reply_owner = NULL
        runner.reply_room = NULL
        self.hub.request_free(runner)
        if not failed or home is NULL or not self._not_the_last_word(node, home, request):
            self._let_through(request)

    # ---- prepared statements ------------------------------------------------------------------------------------

    cdef bint _repair(self, CassandraNode node, cql_state_t *home, request_t *request, slice_t id) noexcept nogil:
        """A node does not know a statement: it is prepared there, once for all who wait, and they are sent once more. True:
        the request has been taken over. False: its client has to prepare it again."""
        cdef:
            repair_t          *repair = self.repairs
            const cql_facts_t *prepared
        if request.owner is NULL or request.attempts >= ATTEMPTS_MAX or id.size > ID_MAX or id.size == 0:
            return False
        while repair is not NULL:
            if repair.number == node.number and repair.home is home and repair.id_size == id.size and \
                    memcmp(repair.id, id.data, id.size) == 0:
                break
            repair = repair.next
        if repair is NULL:
            prepared = _prepared_in(request, id)
            repair = <repair_t *>malloc(sizeof(repair_t)) if prepared is not NULL else NULL
            if repair is NULL:
                return False
            memset(repair, 0, sizeof(repair_t))
            repair.number = node.number
            repair.home = home
            repair.id_size = <uint32_t>id.size
            memcpy(repair.id, id.data, id.size)
            if not self._prepare_at(node, repair, prepared):
                free(repair)
                return False
            home.users += 1
            repair.next = self.repairs
            self.repairs = repair
            self.repairs_total += 1
        request_drop_reply(&self.loop.pool, request)
        request.left = request.count
        request.watched &= ~<uint8_t>WATCHED_BY_SINK
        request.attempts += 1
        batch_push(&repair.waiting, request)
        return True

    cdef bint _prepare_at(self, CassandraNode node, repair_t *repair, const cql_facts_t *prepared) noexcept nogil:
        """Sends a PREPARE of the sink's own, in the keyspace in which the client's was."""
        cdef:
            slice_t      fields[FIELD_COUNT]
            cql_state_t *state
            request_t   *question
            uint8_t     *at
            size_t       size = 4 + prepared.sent.size + (4 if repair.home.version >= SEGMENTS_FROM else 0)
            bint         sent
        state_fields(repair.home, fields)
        fields[FIELD_KEYSPACE] = prepared.client_keyspace
        state = self._state_for(repair.home.version, fields)
        question = self._own_request(b"", HEADER_SIZE + size)
        if state is NULL or question is NULL:
            if state is not NULL:
                self._leave_state(state)
            if question is not NULL:
                self.hub.request_free(question)
            return False
        at = question.wire.data
        at += frame_head(at, repair.home.version, 0, OP_PREPARE, size)
        put_int(at, <uint32_t>prepared.sent.size)
        memcpy(at + 4, prepared.sent.data, prepared.sent.size)
        if repair.home.version >= SEGMENTS_FROM:
            put_int(at + 4 + prepared.sent.size, 0)
        question.version = repair.home.version
        question.opcode = OP_PREPARE
        question.watched = WATCHED_BY_SINK
        repair.question = question
        sent = node.take(question, state, repair.number, S_REPAIR)
        self._leave_state(state)
        if not sent:
            self.hub.request_free(question)
        return sent

    cdef void _repaired(self, CassandraNode node, request_t *question, bint good) noexcept nogil:
        """That PREPARE has been answered, or will not be. Takes it over."""
        cdef:
            repair_t **link = &self.repairs
            repair_t  *repair
            request_t *request
            slice_t    id
        while link[0] is not NULL and link[0].question is not question:
            link = &link[0].next
        repair = link[0]
        if repair is NULL:
            self.hub.request_free(question)
            return
        id.data = repair.id
        id.size = repair.id_size
        good = good and not question.failed and self._was_prepared(question, repair.home, id)
        self.hub.request_free(question)
        link[0] = repair.next
        while repair.waiting.head is not NULL:
            request = batch_pop(&repair.waiting)
            if good and node.take(request, repair.home, request.stream, S_ROUTED):
                continue
            request.sink_state = 0
            self._say_unprepared(request, id)       # its client may know better
        self._leave_state(repair.home)
        free(repair)

    cdef bint _was_prepared(self, request_t *question, cql_state_t *home, slice_t id) noexcept nogil:
        """Whether the reply says PREPARED, and under that id: with another one the requests would be refused once more."""
        cdef:
            cql_prefix_t prefix
            cql_result_t result
            uint8_t     *reply = question.reply.data
            size_t       size = question.reply.size
            chunk_t     *plain = NULL
            bint         same
        if size <= HEADER_SIZE or reply[4] != OP_RESULT:
            return False
        if reply[1] & FLAG_COMPRESSED:
            plain = self._unpacked(reply, size, _compression_of(home), &size)
            if plain is NULL:
                return False
            reply = chunk_data(plain)
        same = cql_prefix_read(reply + HEADER_SIZE, size - HEADER_SIZE, reply[1] & ~<uint8_t>FLAG_COMPRESSED, True, &prefix) \
            and cql_result_read(prefix.body.data, prefix.body.size, question.version, &result) \
            and result.kind == RESULT_PREPARED and result.id.size == id.size and memcmp(result.id.data, id.data, id.size) == 0
        if plain is not NULL:
            chunk_put(&self.loop.pool, plain)
        return same

    # ---- the tables that the proxy answers ----------------------------------------------------------------------

    cdef void answer_held(self, request_t *request) noexcept nogil:
        cdef:
            uint8_t *out = NULL
            size_t   size = 0
        if self.hold_on(request):
            return
        with gil:
            body = self._shown(request)
            if isinstance(body, bytes):
                size = HEADER_SIZE + len(body)
                out = <uint8_t *>malloc(size)
                if out is not NULL:
                    frame_head(out, request.version | IS_REPLY, request.stream, OP_RESULT, len(body))
                    memcpy(out + HEADER_SIZE, <const char *>body, len(body))
            else:
                text = body.encode()[:sizeof(self.nobody) - 1]
                memcpy(self.nobody, <const char *>text, len(text) + 1)
        if out is not NULL:
            self.answer_take(request, out, size)
            free(out)
        else:
            self._refuse(request, b"INVALID", self.nobody)

    cdef object _shown(self, request_t *request):
        """The body of the answer; or text that says why there is none."""
        cdef:
            cql_params_t       params
            const cql_facts_t *facts = cql_facts_in(request.facts)
        if not cql_params_of(request, &params):
            return "shotover: a request that cannot be read"
        try:
            select = Select(facts.text.data[:facts.text.size])
            table = self._tables().get(select.table)
            if table is None:
                return f"table {select.table} does not exist"
            return select.answer(table, values_of(&params, select.marks),
                                 request.opcode == OP_EXECUTE and params.flags & PARAM_SKIP_METADATA)
        except (ValueError, IndexError) as error:
            return str(error)

    def _tables(self):
        """What clients see in place of the servers' own tables, as of the last look at the ring."""
        return cassandra_view.tables(self.view, self.proxies, self.own, self.versions)

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        gathered = CassandraWays.samples(self) + [
            ("shotover_out_of_rack_requests_count", labels, "counter", self.out_of_rack_total),
            ("shotover_cluster_requests_by_key_count", labels, "counter", self.by_key_total),
            ("shotover_cluster_speculative_requests_count", labels, "counter", self.raced_total),
            ("shotover_cluster_speculative_replies_count", labels, "counter", self.overtaken_total),
            ("shotover_cluster_refreshes_count", labels, "counter", self.refreshes_total),
            ("shotover_cluster_repairs_count", labels, "counter", self.repairs_total),
            ("shotover_cluster_prepared_statements", labels, "gauge", (<CqlCodec>self.codec).library.prepared.count),
            ("shotover_cluster_nodes", labels, "gauge", sum(1 for node in self.node_list if node.member)),
            ("shotover_cluster_nodes_down", labels, "gauge", sum(1 for node in self.node_list if node.member and node.down)),
        ]
        for node in self.node_list:
            gathered.extend(node.samples())
        return gathered
