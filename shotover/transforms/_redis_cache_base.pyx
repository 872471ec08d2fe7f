"""See _redis_cache_base.pxd."""


from libc.stdio cimport snprintf
from libc.string cimport memcpy, memset

from shotover._codec.commands cimport CONDUCT_PLAIN
from shotover._codec.cql.attach cimport talk_t
from shotover._codec.cql.compression cimport COMPRESSION_NONE, frame_unpack
from shotover._codec.cql.facts cimport cql_facts_in
from shotover._codec.cql.frame cimport (
    FLAG_COMPRESSED,
    HEADER_SIZE,
    OP_QUERY,
    OP_RESULT,
    SEGMENTS_FROM,
    frame_head,
    put_int,
    put_short,
)
from shotover._codec.cql.messages cimport cql_prefix_read, cql_prefix_t
from shotover._codec.cql.results cimport RESULT_ROWS, cql_result_read, cql_result_t
from shotover._codec.resp_edit cimport resp_facts, resp_head_size, resp_put_bulk, resp_put_head
from shotover._core.debug cimport unlikely
from shotover._core.facts cimport facts_of
from shotover._core.memory cimport chunk_data, chunk_put, pool_take, slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport WATCHED_BY_STEP, batch_clear, batch_push, request_own
from shotover._core.status cimport OK
from shotover._net.digest cimport DIGEST_SIZE
from shotover._proxy.session cimport session_t
from shotover._proxy.step cimport LOG_TEXT, LOG_WARNING
from shotover.transforms._redis_cache_plan cimport plan_make
from shotover.transforms._redis_cache_tables cimport LEARNED_ABSENT, LEARNED_OTHER, cached_table_t

cdef enum:
    HASH_SIZE = 16              # of a digest, in a name: 32 digits
    CONSISTENCY_ONE = 1
    PLAIN_MAX = 67108864        # of a compressed reply, decompressed

cdef uint64_t ASK_ABSENT_NS = 5000000000
cdef uint64_t COMPLAIN_AGAIN_NS = 60000000000
cdef uint64_t TOKEN_MS_MIN = 3600000            # tokens live longer than entries: their end ends the entries


cdef void _on_timer(timer_t *timer) noexcept nogil:
    (<RedisCacheBase>timer.owner)._expire()


cdef int cache_compression(request_t *request) noexcept nogil:
    """What its client has agreed upon with the server; COMPRESSION_NONE where that cannot be asked any more."""
    cdef talk_t *talk = <talk_t *>(<session_t *>request.session).talk if request.queued else NULL
    return COMPRESSION_NONE if talk is NULL else talk.compression


cdef class RedisCacheBase(Step):

    def __init__(self, context, *, str name, Chain chain, schema, str key_prefix, double ttl, double write_window,
                 int timeout_ms, uint64_t max_entry_bytes, bint cache_empty, bint strict):
        self.store = chain
        self.adopt(chain)
        self.tables = CachedTables(schema)
        self.digest = Digest()
        self.prefix = self.tables.keep(key_prefix)
        self.entry_ms = max(1, int(ttl * 1000))
        self.token_ms = max(self.entry_ms * 10, TOKEN_MS_MIN)
        self.window_ms = max(1, int(write_window * 1000))
        self.wait_ns = <uint64_t>timeout_ms * 1000000
        self.entry_max = max_entry_bytes
        self.keeps_empty = cache_empty
        self.strict = strict
        self.origin = self.loop.poller.system.chance(self.loop.poller)
        self.tag = 0
        self.note = 0
        self.wants_statements = True
        self.wants_replies = True
        self.wants_slot = True          # set once its client is through its handshake
        self.timer.fire = _on_timer
        self.timer.owner = <void *>self
        slab_init(&self.ops, sizeof(op_t))

    def __dealloc__(self):
        slab_close(&self.ops)

    # ---- what waits for Redis -----------------------------------------------------------------------------------

    cdef op_t *_begin(self, request_t *request, uint8_t phase) noexcept nogil:
        """NULL: no memory. With a request: it is held, and waits from now on."""
        cdef op_t *op = <op_t *>slab_take(&self.ops)
        if op is NULL:
            return NULL
        memset(op, 0, sizeof(op_t) - 2 * sizeof(name_t))
        op.phase = phase
        if request is not NULL:
            if not request_own(&self.loop.pool, request):
                slab_give(&self.ops, op)
                return NULL
            op.request = request
            request.tags[self.tag] = op
            self._wait(op)
        return op

    cdef bint on_retire(self, bint force) noexcept nogil:
        if self.first is not NULL or self.ops.live_count:
            return False
        self.loop.cancel_timer(&self.timer)
        return True

    cdef void _wait(self, op_t *op) noexcept nogil:
        op.deadline_ns = self.loop.now + self.wait_ns
        op.next = NULL
        op.previous = self.last
        if self.last is not NULL:
            self.last.next = op
        else:
            self.first = op
            self.loop.set_timer(&self.timer, self.wait_ns)
        self.last = op

    cdef void _wait_no_more(self, op_t *op) noexcept nogil:
        if op.deadline_ns == 0:
            return
        op.deadline_ns = 0
        if op.previous is not NULL:
            op.previous.next = op.next
        else:
            self.first = op.next
        if op.next is not NULL:
            op.next.previous = op.previous
        else:
            self.last = op.previous

    cdef void overdue(self, op_t *op) noexcept nogil:
        """Redis has not answered within `wait_ns`; op.failed is set. The op must not wait any more when this returns."""
        self._end(op)

    cdef void _expire(self) noexcept nogil:
        cdef op_t *op
        while self.first is not NULL and self.first.deadline_ns <= self.loop.now:
            op = self.first
            op.failed = 1
            self.failures += 1
            self.overdue(op)
        if self.first is not NULL:
            self.loop.set_timer(&self.timer, self.first.deadline_ns - self.loop.now)

    cdef void _end(self, op_t *op) noexcept nogil:
        """Nobody waits for it any more; if it holds a request, that has its reply."""
        cdef request_t *request = op.request
        self._wait_no_more(op)
        op.request = NULL
        op.phase = PHASE_OVER
        if op.marks is not NULL:
            chunk_put(&self.loop.pool, op.marks)
            op.marks = NULL
        if op.waiting == 0:
            slab_give(&self.ops, op)
        if request is not NULL:
            request.tags[self.tag] = NULL
            self.pass_up(request)

    cdef void _token(self, uint8_t sign, uint8_t *out) noexcept nogil:
        """One that nobody has ever made or will make."""
        self.tokens_made += 1
        out[0] = sign
        memcpy(out + 1, &self.origin, 8)
        memcpy(out + 9, &self.tokens_made, 8)

    cdef void _name(self, name_t *name, uint8_t kind, uint32_t table, const uint8_t *hash) noexcept nogil:
        """prefix, kind, table and, unless NULL, the hash in hexadecimal digits."""
        cdef:
            uint8_t     *at = name.data
            uint32_t     index
            const char  *digits = b"0123456789abcdef"
        memcpy(at, self.prefix.data, self.prefix.size)
        at += self.prefix.size
        at[0] = kind
        at[1] = b':'
        memcpy(at + 2, self.tables.tables[table].name.data, self.tables.tables[table].name.size)
        at += 2 + self.tables.tables[table].name.size
        if hash is not NULL:
            at[0] = b':'
            for index in range(HASH_SIZE):
                at[1 + 2 * index] = <uint8_t>digits[hash[index] >> 4]
                at[2 + 2 * index] = <uint8_t>digits[hash[index] & 15]
            at += 1 + 2 * HASH_SIZE
        name.table = <uint16_t>table
        name.whole = hash is NULL
        name.size = <uint8_t>(at - name.data)

    cdef bint _row_name(self, name_t *name, uint32_t table, const slice_t *parts, uint32_t count) noexcept nogil:
        cdef:
            uint8_t  hash[DIGEST_SIZE]
            uint32_t index
        self.digest.begin()
        for index in range(count):
            self.digest.add_sized(parts[index])
        if not self.digest.end(hash):
            return False
        self._name(name, b'r', table, hash)
        return True

    cdef bint _send(self, op_t *op, const slice_t *words, uint32_t count, uint16_t which) noexcept nogil:
        """A command to Redis; its reply comes to on_child. False: no memory."""
        cdef:
            size_t     size = resp_head_size(count)
            uint32_t   index
            chunk_t   *chunk
            uint8_t   *at
            request_t *request = self.hub.request_new(self.store)
        if request is NULL:
            return False
        for index in range(count):
            size += resp_head_size(words[index].size) + words[index].size + 2
        chunk = pool_take(&self.loop.pool, size)
        if chunk is NULL:
            self.hub.request_free(request)
            return False
        at = resp_put_head(chunk_data(chunk), b'*', count)
        for index in range(count):
            at = resp_put_bulk(at, words[index].data, words[index].size)
        request.owner = chunk
        request.wire.data = chunk_data(chunk)
        request.wire.size = size
        resp_facts(request)
        request.conduct = CONDUCT_PLAIN         # the script, too: it is ours
        request.arrived_ns = self.loop.now
        request.watched = WATCHED_BY_STEP
        request.stream = which
        request.tags[self.tag] = op
        op.waiting += 1
        self.store.submit(request)
        return True

    cdef void _complain(self, request_t *child) noexcept nogil:
        """Once a minute: what Redis, or the way there, has said."""
        cdef:
            char text[LOG_TEXT]
            int  size = 0
        if self.complained_ns and self.loop.now < self.complained_ns + COMPLAIN_AGAIN_NS:
            return
        self.complained_ns = self.loop.now
        while <size_t>size < child.reply.size and child.reply.data[size] != b'\r' and size < LOG_TEXT // 2:
            size += 1
        snprintf(text, sizeof(text), b"RedisCache: a command has failed: %.*s", size, <const char *>child.reply.data)
        self.hub.log(LOG_WARNING, text)

    cdef const plan_t *_plan(self, chunk_t *facts) noexcept nogil:
        """NULL: no memory."""
        cdef chunk_t *plan = facts_of(facts).notes[self.note]
        if unlikely(plan is NULL):
            plan = plan_make(&self.loop.pool, self.tables.names, self.tables.count, cql_facts_in(facts))
            if plan is NULL:
                return NULL
            facts_of(facts).notes[self.note] = plan
        return <const plan_t *>chunk_data(plan)

    cdef bint _body(self, request_t *request, int compression, chunk_t **plain, slice_t *frame, slice_t *body) noexcept nogil:
        """The reply as a plain frame, and its body behind warnings and the like. False: it cannot be read.

        *plain: to be given back by the caller, unless NULL.
        """
        cdef:
            cql_prefix_t prefix
        frame[0] = request.reply
        if frame.size < HEADER_SIZE:
            return False
        if frame.data[1] & FLAG_COMPRESSED:
            if frame_unpack(&self.loop.pool, compression, frame.data, frame.size, PLAIN_MAX, plain, &frame.size) != OK:
                return False
            frame.data = chunk_data(plain[0])
        if not cql_prefix_read(frame.data + HEADER_SIZE, frame.size - HEADER_SIZE, frame.data[1], True, &prefix):
            return False
        body[0] = prefix.body
        return True

    # ---- what the tables are ------------------------------------------------------------------------------------

    cdef void _ask(self, request_t *request, uint32_t table) noexcept nogil:
        """Asks the server for the columns of a table, as the client whose request this is."""
        cdef:
            cached_table_t *known = &self.tables.tables[table]
            slice_t         question = known.question
            size_t          size = 4 + question.size + 2 + (4 if request.version >= SEGMENTS_FROM else 1)
            request_t      *ask
            op_t           *op
            batch_t         batch
            uint8_t        *at
        if known.asking or (known.asked_ns and self.loop.now < known.asked_ns + ASK_ABSENT_NS):
            return
        op = self._begin(NULL, PHASE_ASKING)
        ask = self.hub.request_new(self.chain) if op is not NULL else NULL
        if ask is not NULL:
            ask.owner = pool_take(&self.loop.pool, HEADER_SIZE + size)
        if ask is NULL or ask.owner is NULL:
            if ask is not NULL:
                self.hub.request_free(ask)
            if op is not NULL:
                self._end(op)
            return
        at = chunk_data(ask.owner)
        ask.wire.data = at
        ask.wire.size = HEADER_SIZE + size
        at += frame_head(at, request.version, 0, OP_QUERY, size)
        put_int(at, <uint32_t>question.size)
        memcpy(at + 4, question.data, question.size)
        put_short(at + 4 + question.size, CONSISTENCY_ONE)
        memset(at + 6 + question.size, 0, size - 6 - question.size)
        ask.session = request.session
        ask.version = request.version
        ask.opcode = OP_QUERY
        ask.arrived_ns = self.loop.now
        ask.watched = WATCHED_BY_STEP
        ask.tags[self.tag] = op
        op.table = <uint16_t>table
        op.compression = <uint8_t>cache_compression(request)
        known.asking = 1
        known.asked_ns = self.loop.now
        batch_clear(&batch)
        batch_push(&batch, ask)
        self.pass_down(&batch)

    cdef void _asked(self, op_t *op, request_t *request) noexcept nogil:
        cdef:
            cached_table_t *known = &self.tables.tables[op.table]
            cql_result_t    result
            slice_t         frame, body
            chunk_t        *plain = NULL
            char            text[LOG_TEXT]
            const char     *why
            int             said = -1
        known.asking = 0
        if known.outdated:
            known.outdated = 0
            known.asked_ns = 0
        elif not request.failed and self._body(request, op.compression, &plain, &frame, &body) and frame.data[4] == OP_RESULT \
                and cql_result_read(body.data, body.size, request.version, &result) and result.kind == RESULT_ROWS:
            said = self.tables.learn(op.table, &result)
        if said == LEARNED_OTHER or said == LEARNED_ABSENT:
            why = b"the server has no such table"
            if said == LEARNED_OTHER:
                why = b"its partition key is another one than caching_schema says"
            snprintf(text, sizeof(text), b"RedisCache: %.*s is not cached: %s",
                     <int>known.name.size, <const char *>known.name.data, why)
            self.hub.log(LOG_WARNING, text)
        if plain is not NULL:
            chunk_put(&self.loop.pool, plain)
        self.hub.request_free(request)
        self._end(op)
