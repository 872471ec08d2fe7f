"""See _redis_cache_writes.pxd."""


from libc.stdint cimport uint16_t, uint64_t
from libc.string cimport memcpy, memset, strlen

from shotover._codec.cql.facts cimport cql_facts_in
from shotover._codec.cql.frame cimport OP_ERROR, OP_RESULT, read_int
from shotover._codec.cql.keys cimport KEY_COLUMNS_MAX, cql_keys_at, cql_keys_read
from shotover._codec.cql.messages cimport (
    PARAM_NAMES,
    PARAM_VALUES,
    cql_batch_item_t,
    cql_batch_next,
    cql_batch_read,
    cql_batch_t,
)
from shotover._codec.cql.reading cimport cql_body
from shotover._codec.cql.wire cimport wire_read, wire_reader_t
from shotover._core.debug cimport unlikely
from shotover._core.facts cimport facts_of
from shotover._core.memory cimport chunk_data, chunk_put, chunk_t, pool_take
from shotover._core.request cimport (
    REFUSED,
    WATCHED_BY_STEP,
    batch_clear,
    batch_push,
    batch_t,
    request_own_reply,
)
from shotover.transforms._redis_cache_base cimport (
    PHASE_MARKING,
    PHASE_MENDING,
    PHASE_UNMARKING,
    PHASE_WRITING,
    TOKEN_SIZE,
    cache_compression,
    cache_number,
    cache_text,
    cache_word,
)
from shotover.transforms._redis_cache_plan cimport PLAN_NOTHING
from shotover.transforms._redis_cache_tables cimport TABLE_KNOWN, cached_table_t


cdef uint64_t MEND_AGAIN_NS = 100000000

# KEYS: one. ARGV: + or -, who writes (16 bytes), milliseconds until his mark ends, a new token, milliseconds that it lives.
# A key that is written to says w, then for each writer who he is and when his mark ends, in 13 digits.
cdef const char *MARK = (
    b"local v=redis.call('GET',KEYS[1]) local t=redis.call('TIME') local now=t[1]*1000+math.floor(t[2]/1000) "
    b"local rest,last='',now if v and string.sub(v,1,1)=='w' then for i=2,#v,29 do "
    b"local ends=tonumber(string.sub(v,i+16,i+28)) if ends>now and string.sub(v,i,i+15)~=ARGV[2] then "
    b"rest=rest..string.sub(v,i,i+28) last=math.max(last,ends) end end end "
    b"if ARGV[1]=='+' then local ends=now+ARGV[3] rest=rest..ARGV[2]..string.format('%013d',ends) last=math.max(last,ends) end "
    b"if rest=='' then redis.call('SET',KEYS[1],ARGV[4],'PX',ARGV[5]) "
    b"else redis.call('SET',KEYS[1],'w'..rest,'PX',last-now) end return 1"
)
cdef const char *NOT_TOLD = b"shotover: the cache cannot be told of this write (strict)"


cdef class RedisCacheWrites(RedisCacheBase):

    # ---- writes -------------------------------------------------------------------------------------------------

    cdef bint _scope(self, uint32_t table, const slice_t *parts, uint32_t count) noexcept nogil:
        """One more mark for the request at hand; parts NULL: of the table. False: there is no room for it."""
        cdef uint32_t index
        for index in range(self.scope_count):
            if self.scopes[index].whole and self.scopes[index].table == table:
                return True
        if self.scope_count == SCOPES_MAX:
            return False
        if parts is NULL:
            self._name(&self.scopes[self.scope_count], b't', table, NULL)
        elif not self._row_name(&self.scopes[self.scope_count], table, parts, count):
            return False
        self.scope_count += 1
        return True

    cdef void _scopes_of(self, const plan_t *plan, const cql_facts_t *facts, const cql_params_t *params) noexcept nogil:
        """The marks of a statement. Where there is no room for one, all tables are marked instead."""
        cdef:
            uint32_t index, key, table
            bint     fine = True
            slice_t  parts[KEY_COLUMNS_MAX]
        for index in range(plan.count):
            table = plan.touched[index].table
            if plan.touched[index].whole or self.tables.tables[table].known != TABLE_KNOWN or not cql_keys_read(
                    &plan.touched[index].key, &plan.statement, facts.text.data, params, self.tables.tables[table].types,
                    &self.keys):
                fine = self._scope(table, NULL, 0) and fine
                continue
            for key in range(self.keys.count):
                cql_keys_at(&self.keys, key, parts)
                fine = self._scope(table, parts, self.keys.columns) and fine
        if not fine:
            self.scope_count = 0
            for table in range(self.tables.count):
                self._scope(table, NULL, 0)

    cdef bint _scopes_of_batch(self, request_t *request, uint8_t *schema) noexcept nogil:
        """Of a BATCH frame. False: its body cannot be read."""
        cdef:
            chunk_t          *part
            const plan_t     *plan
            cql_batch_t       batch
            cql_batch_item_t  item
            cql_params_t      params
            wire_reader_t     items
            slice_t           body
            uint32_t          index
        if not cql_body(request, &body) or not cql_batch_read(body.data, body.size, request.version, &batch):
            return False
        memset(&params, 0, sizeof(params))
        wire_read(&items, batch.items.data, batch.items.size)
        for index in range(batch.count):
            cql_batch_next(&items, &item)
            if index >= facts_of(request.facts).part_count:
                return False
            part = facts_of(request.facts).parts[index]
            plan = self._plan(part)
            if plan is NULL or plan.what == PLAN_NOTHING:
                continue
            params.flags = PARAM_VALUES
            params.value_count = item.value_count
            params.values = item.values
            schema[0] |= plan.schema
            self._scopes_of(plan, cql_facts_in(part), NULL if batch.params.flags & PARAM_NAMES else &params)
        return True

    cdef bint _write(self, request_t *request, bint schema) noexcept nogil:
        """Marks what it may change. True: it waits for that, or was refused."""
        cdef:
            op_t    *op = self._begin(request, PHASE_MARKING)
            slice_t  name
            uint32_t index
            name_t  *marks
        if op is NULL:
            self.refuse_take(request, b"OOM", b"shotover: no memory", 19)
            return True
        op.marks = pool_take(&self.loop.pool, self.scope_count * sizeof(name_t))
        if op.marks is NULL:
            op.request = NULL
            request.tags[self.tag] = NULL
            self._end(op)
            self.refuse_take(request, b"OOM", b"shotover: no memory", 19)
            return True
        self.writes += 1
        marks = <name_t *>chunk_data(op.marks)
        memcpy(marks, self.scopes, self.scope_count * sizeof(name_t))
        op.mark_count = self.scope_count
        op.schema = schema
        self._token(b'w', op.mark)
        for index in range(op.mark_count):
            name = cache_word(marks[index].data, marks[index].size)
            if not self._mark(op, b"+", &name):
                op.failed = 1
        if op.waiting == 0:
            self._marked(op)
        return True

    cdef void _marked(self, op_t *op) noexcept nogil:
        """Redis knows of the write, or will not hear of it in time."""
        cdef:
            request_t *request = op.request
            name_t    *marks = <name_t *>chunk_data(op.marks)
            batch_t    batch
            uint32_t   index
            slice_t    name
            cached_table_t *tables
        self._wait_no_more(op)
        op.request = NULL
        if unlikely(op.failed):
            if self.strict:
                self.refused += 1
                for index in range(op.mark_count):
                    name = cache_word(marks[index].data, marks[index].size)
                    self._mark(op, b"-", &name)
                request.tags[self.tag] = NULL
                self._end(op)
                self.refuse_take(request, b"BUSY", NOT_TOLD, strlen(NOT_TOLD))
                return
            op.unmarked = 1
            self._doubt(op)
            tables = self.tables.tables
            for index in range(op.mark_count):
                tables[marks[index].table].unmarked += 1
        op.phase = PHASE_WRITING
        request.watched |= WATCHED_BY_STEP
        batch_clear(&batch)
        batch_push(&batch, request)
        self.pass_down(&batch)

    cdef void _doubt(self, op_t *op) noexcept nogil:
        """What Redis has of the tables of this write may be older than what the server has."""
        cdef:
            name_t         *marks = <name_t *>chunk_data(op.marks)
            cached_table_t *tables = self.tables.tables
            uint32_t        index
        for index in range(op.mark_count):
            tables[marks[index].table].distrusted = 1
            tables[marks[index].table].doubts += 1

    cdef void _written(self, op_t *op, request_t *request) noexcept nogil:
        """The server has answered a write. Where that does not tell whether it will be carried out, the mark stays until it
        goes by itself."""
        cdef:
            name_t  *marks = <name_t *>chunk_data(op.marks)
            slice_t  frame, body, name
            chunk_t *plain = NULL
            uint32_t index
            bint     known = request.failed == REFUSED
            cached_table_t *tables = self.tables.tables
        if not request.failed and self._body(request, cache_compression(request), &plain, &frame, &body):
            # Errors from 0x2000 on, and those of a wrong message or login, come before anything was done.
            known = frame.data[4] == OP_RESULT or (
                frame.data[4] == OP_ERROR and body.size >= 4 and (
                    read_int(body.data) >= 0x2000 or (0 < read_int(body.data) <= 0x0100)))
        if plain is not NULL:
            chunk_put(&self.loop.pool, plain)
        for index in range(op.mark_count):
            if op.schema:
                self.tables.forget(marks[index].table)
            if op.unmarked:
                tables[marks[index].table].unmarked -= 1
                if not known:
                    tables[marks[index].table].open_until_ns = self.loop.now + self.window_ms * 1000000
        if op.unmarked:
            self._doubt(op)
        if known and request_own_reply(&self.loop.pool, request):
            op.failed = 0
            op.phase = PHASE_UNMARKING
            for index in range(op.mark_count):
                name = cache_word(marks[index].data, marks[index].size)
                self._mark(op, b"-", &name)
        if op.phase == PHASE_UNMARKING and op.waiting:
            op.request = request
            self._wait(op)
            return
        op.request = request
        self._end(op)

    cdef bint _mark(self, op_t *op, const char *sign, const slice_t *name) noexcept nogil:
        """+: op's writer is about to write. -: he has; when no other writes, there is a new token."""
        cdef:
            slice_t words[9]
            char    window[24]
            char    life[24]
            uint8_t token[TOKEN_SIZE]
        self._token(b'g', token)
        words[0] = cache_text(b"EVAL")
        words[1] = cache_text(MARK)
        words[2] = cache_text(b"1")
        words[3] = name[0]
        words[4] = cache_text(sign)
        words[5] = cache_word(op.mark + 1, TOKEN_SIZE - 1)
        words[6] = cache_number(self.window_ms, window)
        words[7] = cache_word(token, TOKEN_SIZE)
        words[8] = cache_number(self.token_ms, life)
        return self._send(op, words, 9, 0)

    cdef void _mend(self, uint32_t table) noexcept nogil:
        """Everything that Redis has of a table that is distrusted becomes void, once no write is under way unmarked."""
        cdef:
            cached_table_t *known = &self.tables.tables[table]
            name_t          of_table
            slice_t         name
            op_t           *op
        if known.unmarked or known.mending or self.loop.now < max(known.open_until_ns, known.mended_ns + MEND_AGAIN_NS):
            return
        op = self._begin(NULL, PHASE_MENDING)
        if op is NULL:
            return
        op.table = <uint16_t>table
        op.doubts = known.doubts
        self._name(&of_table, b't', table, NULL)
        name = cache_word(of_table.data, of_table.size)
        self._token(b'w', op.mark)              # nobody's: whatever stands there but another's mark gives way
        if not self._mark(op, b"-", &name):
            self._end(op)
            return
        known.mending = 1
        known.mended_ns = self.loop.now
