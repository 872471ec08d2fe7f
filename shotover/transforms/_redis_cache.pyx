"""See _redis_cache.pxd."""

cimport cython

from libc.stdint cimport uint16_t, uint64_t, uint8_t
from libc.string cimport memcmp, memcpy

from shotover._codec.cql.attach cimport talk_t
from shotover._codec.cql.facts cimport cql_facts
from shotover._codec.cql.frame cimport (
    HEADER_SIZE,
    IS_REPLY,
    OP_AUTH_RESPONSE,
    OP_AUTH_SUCCESS,
    OP_BATCH,
    OP_EXECUTE,
    OP_QUERY,
    OP_READY,
    OP_RESULT,
    OP_STARTUP,
    SEGMENTS_FROM,
    put_short,
    read_int,
)
from shotover._codec.cql.keys cimport KEY_COLUMNS_MAX, cql_keys_at, cql_keys_read
from shotover._codec.cql.messages cimport (
    PARAM_NAMES,
    PARAM_NOW,
    PARAM_PAGE_SIZE,
    PARAM_PAGING_STATE,
    PARAM_SKIP_METADATA,
    PARAM_VALUES,
    cql_execute_read,
    cql_execute_t,
)
from shotover._codec.cql.reading cimport cql_body, cql_params_of
from shotover._codec.cql.results cimport RESULT_ROWS, cql_result_read, cql_result_t
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, chunk_t, pool_take, slab_give
from shotover._core.request cimport WATCHED_BY_STEP, batch_clear, batch_pop, batch_push, batch_t
from shotover._net.digest cimport DIGEST_SIZE
from shotover._proxy.session cimport session_slots, session_t
from shotover.transforms._redis_cache_base cimport (
    PHASE_ASKING,
    PHASE_FETCHING,
    PHASE_FILLING,
    PHASE_LOOKUP,
    PHASE_MARKING,
    PHASE_MENDING,
    PHASE_OPENING,
    PHASE_OVER,
    PHASE_UNMARKING,
    TOKEN_SIZE,
    cache_compression,
    cache_number,
    cache_text,
    cache_word,
)
from shotover.transforms._redis_cache_plan cimport PLAN_NOTHING, PLAN_READ
from shotover.transforms._redis_cache_tables cimport TABLE_KNOWN, cached_table_t


cdef enum:
    FORMAT = 1                  # first byte of an entry: how the rest is to be read
    ENTRY_HEAD = 1 + 2 * TOKEN_SIZE
    CONSISTENCY_SERIAL = 8
    CONSISTENCY_LOCAL_SERIAL = 9

cdef enum:                      # request_t.stream of commands in PHASE_OPENING: whose token
    OF_TABLE = 0
    OF_ROW = 1

cdef uint64_t ASK_AGAIN_NS = 60000000000        # a table may be another one since
# Of what a read asks for: what changes its reply.
cdef uint32_t PARAMS = PARAM_SKIP_METADATA | PARAM_PAGE_SIZE | PARAM_PAGING_STATE | PARAM_NAMES


cdef bint _bulk(const uint8_t **at, const uint8_t *end, slice_t *out) noexcept nogil:
    """One element of a RESP2 array of bulks; data NULL: nil. False: something else."""
    cdef:
        const uint8_t *here = at[0]
        uint64_t       size = 0
    if end - here < 4 or here[0] != b'$':
        return False
    if here[1] == b'-':
        out.data = NULL
        out.size = 0
        at[0] = here + 5
        return end - here >= 5
    here += 1
    while here < end and here[0] >= b'0' and here[0] <= b'9' and size < 0x40000000:
        size = size * 10 + here[0] - 48
        here += 1
    if <uint64_t>(end - here) < size + 4:
        return False
    out.data = <uint8_t *>here + 2
    out.size = <size_t>size
    at[0] = here + 4 + size
    return True


@cython.final
cdef class RedisCache(RedisCacheWrites):

    # ---- down ---------------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request
            batch_t    rest
        batch_clear(&rest)
        while batch.head is not NULL:
            request = batch_pop(batch)
            if not self._take(request):
                batch_push(&rest, request)
        self.pass_down(&rest)

    cdef bint _take(self, request_t *request) noexcept nogil:
        """True: it is held here, or has its reply."""
        cdef:
            const cql_facts_t *facts
            const plan_t      *plan
            cql_params_t       params
            uint8_t            schema = 0
        if unlikely(request.session is NULL or not request.queued):
            return False
        if unlikely(request.opcode == OP_STARTUP or request.opcode == OP_AUTH_RESPONSE):
            request.watched |= WATCHED_BY_STEP
            return False
        # Before it is let in the server refuses whatever it sends: it shall see nothing, and mark nothing.
        if unlikely(session_slots(<session_t *>request.session)[self.slot] is NULL) or request.facts is NULL:
            return False
        self.scope_count = 0
        if request.opcode == OP_BATCH:
            if not self._scopes_of_batch(request, &schema):
                return False
        elif request.opcode == OP_QUERY or request.opcode == OP_EXECUTE:
            facts = cql_facts(request)
            plan = self._plan(request.facts)
            if plan is NULL or plan.what == PLAN_NOTHING:
                return False
            if plan.what == PLAN_READ:
                return self._read(request, plan, facts)
            self._scopes_of(plan, facts, &params if cql_params_of(request, &params) else NULL)
            schema = plan.schema
        return self.scope_count > 0 and self._write(request, schema)

    # ---- what waits for Redis -----------------------------------------------------------------------------------

    cdef void overdue(self, op_t *op) noexcept nogil:
        """Redis has taken too long: the request goes on without it."""
        if op.phase == PHASE_MARKING:
            self._marked(op)
        elif op.phase == PHASE_UNMARKING:
            self._end(op)
        else:
            self._fetch(op, False)

    cdef void on_child(self, request_t *child) noexcept nogil:
        """Redis has answered a command."""
        cdef:
            op_t *op = <op_t *>child.tags[self.tag]
            bint  bad = child.failed or child.reply.size == 0 or child.reply.data[0] == b'-'
        op.waiting -= 1
        if unlikely(bad) and op.phase != PHASE_OVER:
            op.failed = 1
            self.failures += 1
            self._complain(child)
        if op.phase == PHASE_LOOKUP:
            self._looked_up(op, child)
        elif op.phase == PHASE_OPENING:
            self._opened(op, child)
        elif op.phase == PHASE_MARKING:
            if op.waiting == 0:
                self._marked(op)
        elif op.phase == PHASE_UNMARKING or op.phase == PHASE_FILLING:
            if op.waiting == 0:
                self._end(op)
        elif op.phase == PHASE_MENDING:
            if not op.failed and self.tables.tables[op.table].doubts == op.doubts:
                self.tables.tables[op.table].distrusted = 0
            self.tables.tables[op.table].mending = 0
            self._end(op)
        elif op.phase == PHASE_OVER and op.waiting == 0:
            slab_give(&self.ops, op)
        self.hub.request_free(child)

    # ---- reads --------------------------------------------------------------------------------------------------

    cdef bint _read(self, request_t *request, const plan_t *plan, const cql_facts_t *facts) noexcept nogil:
        """True: it is looked for in Redis."""
        cdef:
            uint32_t        table = plan.touched[0].table
            cached_table_t *known = &self.tables.tables[table]
            slice_t         parts[KEY_COLUMNS_MAX]
            slice_t         words[4]
            cql_params_t    params
            name_t          of_table
            op_t           *op
        self.bypassed += 1
        if unlikely(self.loop.now - known.asked_ns >= ASK_AGAIN_NS or known.known != TABLE_KNOWN):
            self._ask(request, table)
        if unlikely(known.known != TABLE_KNOWN):
            return False
        if unlikely(known.distrusted):
            self._mend(table)
            return False
        # Tracing, payloads and what is read within a transaction are the server's business.
        if request.wire.data[1] != 0 or not cql_params_of(request, &params) or params.flags & PARAM_NOW \
                or params.consistency == CONSISTENCY_SERIAL or params.consistency == CONSISTENCY_LOCAL_SERIAL:
            return False
        if not cql_keys_read(&plan.touched[0].key, &plan.statement, facts.text.data, &params, known.types, &self.keys) \
                or self.keys.count != 1:
            return False
        op = self._begin(request, PHASE_LOOKUP)
        if op is NULL:
            return False
        cql_keys_at(&self.keys, 0, parts)
        op.table = <uint16_t>table
        self._name(&of_table, b't', table, NULL)
        words[0] = cache_text(b"MGET")
        words[1] = cache_word(of_table.data, of_table.size)
        if self._row_name(&op.row, table, parts, self.keys.columns) and \
                self._entry_name(&op.entry, request, table, facts, &params):
            words[2] = cache_word(op.row.data, op.row.size)
            words[3] = cache_word(op.entry.data, op.entry.size)
            if self._send(op, words, 4, 0):
                self.bypassed -= 1
                return True
        op.request = NULL
        request.tags[self.tag] = NULL
        self._end(op)
        return False

    cdef bint _entry_name(
        self, name_t *name, request_t *request, uint32_t table, const cql_facts_t *facts, const cql_params_t *params
    ) noexcept nogil:
        """By all that the reply depends on, who asks included: what one may read another may not."""
        cdef:
            talk_t       *talk = <talk_t *>(<session_t *>request.session).talk
            uint8_t       hash[DIGEST_SIZE]
            cql_execute_t execute
            slice_t       body
        self.digest.begin()
        self.digest.add_number(request.version << 8 | request.opcode)
        self.digest.add_number(params.consistency)
        self.digest.add_number(params.flags & PARAMS)
        self.digest.add_number(<uint32_t>params.page_size if params.flags & PARAM_PAGE_SIZE else 0)
        self.digest.add_sized(params.paging_state if params.flags & PARAM_PAGING_STATE else cache_word(NULL, 0))
        self.digest.add_sized(cache_word(talk.user, talk.user_size) if talk is not NULL else cache_word(NULL, 0))
        self.digest.add_sized(facts.keyspace)
        self.digest.add_sized(facts.text)
        if request.opcode == OP_EXECUTE and request.version >= SEGMENTS_FROM:
            if not cql_body(request, &body) or not cql_execute_read(body.data, body.size, request.version, &execute):
                return False
            self.digest.add_sized(execute.metadata_id)
        self.digest.add_sized(params.values if params.flags & PARAM_VALUES else cache_word(NULL, 0))
        if not self.digest.end(hash):
            return False
        self._name(name, b'e', table, hash)
        return True

    cdef void _looked_up(self, op_t *op, request_t *child) noexcept nogil:
        cdef:
            request_t     *request = op.request
            const uint8_t *at = child.reply.data + 4
            const uint8_t *end = child.reply.data + child.reply.size
            slice_t        found[3]
            slice_t        words[6]
            name_t         of_table
            char           digits[24]
            uint32_t       index
        if op.failed or child.reply.size < 4 or memcmp(child.reply.data, b"*3\r\n", 4) != 0 \
                or not _bulk(&at, end, &found[0]) or not _bulk(&at, end, &found[1]) or not _bulk(&at, end, &found[2]):
            self._fetch(op, False)
            return
        for index in range(2):
            if found[index].data is not NULL:
                if found[index].size != TOKEN_SIZE or found[index].data[0] != b'g':
                    self._fetch(op, False)          # somebody writes
                    return
                memcpy(op.tokens[index], found[index].data, TOKEN_SIZE)
        if likely(found[0].data is not NULL and found[1].data is not NULL):
            if found[2].size < ENTRY_HEAD + HEADER_SIZE or found[2].data[0] != FORMAT \
                    or memcmp(found[2].data + 1, op.tokens, 2 * TOKEN_SIZE) != 0 \
                    or found[2].data[ENTRY_HEAD] != (request.version | IS_REPLY) \
                    or read_int(found[2].data + ENTRY_HEAD + 5) != found[2].size - ENTRY_HEAD - HEADER_SIZE:
                self._fetch(op, True)
                return
            self.hits += 1
            put_short(found[2].data + ENTRY_HEAD + 2, request.stream)
            op.request = NULL
            request.tags[self.tag] = NULL
            self._end(op)
            self.answer_take(request, found[2].data + ENTRY_HEAD, found[2].size - ENTRY_HEAD)
            return
        op.phase = PHASE_OPENING
        words[0] = cache_text(b"SET")
        words[3] = cache_text(b"NX")
        words[4] = cache_text(b"PX")
        words[5] = cache_number(self.token_ms, digits)
        self._name(&of_table, b't', op.table, NULL)
        for index in range(2):
            if found[index].data is NULL:
                self._token(b'g', op.tokens[index])
                words[1] = cache_word(of_table.data, of_table.size) if index == OF_TABLE else cache_word(op.row.data, op.row.size)
                words[2] = cache_word(op.tokens[index], TOKEN_SIZE)
                if not self._send(op, words, 6, <uint16_t>index):
                    op.failed = 1
        if op.waiting == 0:
            self._fetch(op, False)

    cdef void _opened(self, op_t *op, request_t *child) noexcept nogil:
        """A token was set, unless somebody else was faster."""
        if child.reply.size < 3 or memcmp(child.reply.data, b"+OK", 3) != 0:
            op.failed = 1
        if op.waiting == 0:
            self._fetch(op, not op.failed)

    cdef void _fetch(self, op_t *op, bint keep) noexcept nogil:
        """The server is asked; what it says is kept if the tokens are known."""
        cdef:
            request_t *request = op.request
            batch_t    batch
        self.misses += 1
        op.request = NULL
        if keep:
            self._wait_no_more(op)
            op.phase = PHASE_FETCHING
            request.watched |= WATCHED_BY_STEP
        else:
            request.tags[self.tag] = NULL
            self._end(op)
        batch_clear(&batch)
        batch_push(&batch, request)
        self.pass_down(&batch)

    cdef void _fetched(self, op_t *op, request_t *request) noexcept nogil:
        """Keeps the reply, if it is one to be kept."""
        cdef:
            slice_t      frame, body
            cql_result_t result
            chunk_t     *plain = NULL
            chunk_t     *entry = NULL
            slice_t      words[5]
            char         digits[24]
            uint8_t     *at
        if not request.failed and request.reply.size <= self.entry_max \
                and self._body(request, cache_compression(request), &plain, &frame, &body) \
                and frame.data[1] == 0 and frame.data[4] == OP_RESULT and frame.size <= self.entry_max \
                and cql_result_read(body.data, body.size, request.version, &result) and result.kind == RESULT_ROWS \
                and (result.row_count > 0 or self.keeps_empty):
            entry = pool_take(&self.loop.pool, ENTRY_HEAD + frame.size)
        if entry is not NULL:
            at = chunk_data(entry)
            at[0] = FORMAT
            memcpy(at + 1, op.tokens, 2 * TOKEN_SIZE)
            memcpy(at + ENTRY_HEAD, frame.data, frame.size)
            put_short(at + ENTRY_HEAD + 2, 0)
            words[0] = cache_text(b"SET")
            words[1] = cache_word(op.entry.data, op.entry.size)
            words[2] = cache_word(at, ENTRY_HEAD + frame.size)
            words[3] = cache_text(b"PX")
            words[4] = cache_number(self.entry_ms, digits)
            op.phase = PHASE_FILLING
            self.fills += self._send(op, words, 5, 0)
            chunk_put(&self.loop.pool, entry)
        if plain is not NULL:
            chunk_put(&self.loop.pool, plain)
        if op.waiting == 0:
            self._end(op)
        self.pass_up(request)

    # ---- up -----------------------------------------------------------------------------------------------------

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request
            op_t      *op
            uint8_t    said
        while batch.head is not NULL:
            request = batch_pop(batch)
            op = <op_t *>request.tags[self.tag]
            if op is NULL:
                if unlikely(request.queued and request.session is not NULL and request.reply.size >= HEADER_SIZE):
                    said = request.reply.data[4]
                    if (request.opcode == OP_STARTUP and said == OP_READY) \
                            or (request.opcode == OP_AUTH_RESPONSE and said == OP_AUTH_SUCCESS):
                        session_slots(<session_t *>request.session)[self.slot] = <void *>self
                self.pass_up(request)
                continue
            request.tags[self.tag] = NULL
            if op.phase == PHASE_FETCHING:
                self._fetched(op, request)
            elif op.phase == PHASE_ASKING:
                self._asked(op, request)
            else:
                self._written(op, request)

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return RedisCacheWrites.samples(self) + [
            ("shotover_cache_hits_count", labels, "counter", self.hits),
            ("shotover_cache_misses_count", labels, "counter", self.misses),
            ("shotover_cache_bypassed_count", labels, "counter", self.bypassed),
            ("shotover_cache_fills_count", labels, "counter", self.fills),
            ("shotover_cache_writes_count", labels, "counter", self.writes),
            ("shotover_cache_failures_count", labels, "counter", self.failures),
            ("shotover_refusals_count", labels | {"reason": "cache"}, "counter", self.refused),
        ]
