"""See _key_router_cql.pxd."""

cimport cython

from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memset, strlen

from shotover._codec.cql.attach cimport talk_t
from shotover._codec.cql.facts cimport cql_facts, cql_facts_in
from shotover._codec.cql.frame cimport (
    FLAG_COMPRESSED,
    HEADER_SIZE,
    OP_AUTH_CHALLENGE,
    OP_AUTH_RESPONSE,
    OP_AUTH_SUCCESS,
    OP_AUTHENTICATE,
    OP_BATCH,
    OP_ERROR,
    OP_EXECUTE,
    OP_PREPARE,
    OP_READY,
    OP_RESULT,
    OP_STARTUP,
)
from shotover._codec.cql.messages cimport (
    cql_batch_item_t,
    cql_batch_next,
    cql_batch_read,
    cql_batch_t,
    cql_prefix_read,
    cql_prefix_t,
)
from shotover._codec.cql.reading cimport cql_body, cql_params_of
from shotover._codec.cql.results cimport RESULT_PREPARED, cql_result_read, cql_result_t
from shotover._codec.cql.statement cimport STATEMENT_USE
from shotover._codec.cql.wire cimport wire_read, wire_reader_t
from shotover._core.debug cimport likely, unlikely
from shotover._core.facts cimport facts_of
from shotover._core.memory cimport chunk_data, chunk_t, slab_close, slab_give, slab_init, slab_take
from shotover._core.slice cimport slice_t
from shotover._core.request cimport (
    LOST,
    batch_clear,
    batch_pop,
    batch_push,
    batch_t,
    request_drop_reply,
    request_like,
    request_own,
    request_own_reply,
)
from shotover._net.timers cimport timer_t
from shotover._proxy.identities cimport identities_fit, identities_free, identities_set
from shotover._proxy.session cimport session_slots, session_t
from shotover._proxy.statement_rules cimport (
    statement_rule_fits,
    statement_rule_free,
    statement_rule_level,
    statement_rule_set,
)
from shotover._proxy.step cimport Chain, list_item
from shotover.transforms._key_router_keys cimport KEY_ANY, key_planned_t, key_rule_holds, keys_of, keys_take

cdef enum:
    HOME = 0                    # the default chain
    APART = -1                  # no one chain: a batch of statements of several, or partitions of several
    UNTOLD = -2                 # it follows from a partition key that cannot be told

cdef uint64_t SENDING = <uint64_t>1 << 63        # in join_t.out: not all are on their way

cdef const char *SEVERAL = b"shotover: the statements of this batch belong to different chains (KeyRouter)"
cdef const char *SEVERAL_KEYS = b"shotover: partitions of this statement belong to different chains; ask one by one (KeyRouter)"
cdef const char *NO_KEY = b"shotover: this statement goes by its partition key, which cannot be told (KeyRouter)"
cdef const char *UNLIKE = b"shotover: the servers of several chains prepare this statement under different ids (KeyRouter)"
cdef const char *NOT_IN = b"shotover: the chain of this statement has not let the client in; connect again (KeyRouter)"
cdef const char *NO_KEYSPACE = b"shotover: the client's keyspace is not to be had in the chain of this statement (KeyRouter)"


cdef void *LATE = <void *>1     # tag of a child that nobody waits for any more


cdef void _on_timer(timer_t *timer) noexcept nogil:
    (<CqlRouter>timer.owner)._expire()


cdef class StatementRoutes:

    def __init__(self, rules, uint32_t generation):
        """rules: (what statement_rule_set takes, user or None, target, what Rule.key_row says of the key or None, whom a
        certificate names or None), in order."""
        cdef uint32_t index
        self.texts = []
        self.generation = generation
        self.routes = <route_t *>calloc(len(rules) or 1, sizeof(route_t))
        if self.routes is NULL:
            raise MemoryError
        for index, (row, user, target, key, certificate) in enumerate(rules):
            statement_rule_set(&self.routes[index].statement, row, self.texts)
            if user is not None:
                self.texts.append(user)
                self.routes[index].user = <const char *><bytes>user
                self.routes[index].user_size = len(user)
                self.of_users = True
            if certificate is not None:
                identities_set(&self.routes[index].identities, [certificate], self.texts)
                self.of_users = True
            if self.routes[index].statement.levels:
                self.of_users = True            # likewise: it follows from the request, not from the statement
            self.routes[index].target = target
            if key is not None:
                self.of_keys = True
                self.texts.append(key[2])
                self.routes[index].key.kind = key[0]
                self.routes[index].key.tables = key[1]
                self.routes[index].key.text.data = <uint8_t *><const char *><bytes>key[2]
                self.routes[index].key.text.size = len(key[2])
                self.routes[index].key.first = key[3]
                self.routes[index].key.last = key[4]
            self.count += 1

    def __dealloc__(self):
        cdef uint32_t index
        for index in range(self.count):
            statement_rule_free(&self.routes[index].statement)
            identities_free(&self.routes[index].identities)
        free(self.routes)


@cython.final
cdef class CqlRouter(Step):

    def __init__(self, context, *, str name, list chains, list names, StatementRoutes routes, KeyShapes shapes, bint lenient,
                 int handshake_timeout_ms):
        """`shapes`: of the tables whose rows rules may ask for; without them those rules never hold. `lenient`: what has a
        partition key that cannot be told goes to the default chain, else it is refused."""
        self.names = names
        self.shapes = shapes
        self.lenient = lenient
        self.handshake_ns = <uint64_t>handshake_timeout_ms * 1000000
        self.timer.fire = _on_timer
        self.timer.owner = <void *>self
        self.kept = []
        self.tag = 0
        self.note = 0
        self.wants_statements = True
        self.wants_slot = True
        self.wants_end = True
        self.wants_each = True
        slab_init(&self.clients, sizeof(routed_t))
        slab_init(&self.joins, sizeof(join_t))
        for chain in chains:
            self.adopt(chain)
        self.chain_count = len(chains)
        self.set_rules(routes)

    def __dealloc__(self):
        slab_close(&self.clients)
        slab_close(&self.joins)

    def set_rules(self, StatementRoutes routes not None):
        """From any thread."""
        self.kept.append(routes)
        self.routes = <void *>routes

    # ---- down -------------------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            batch_t    outs[CHAINS_MAX]
            request_t *request
            routed_t  *client
            const cql_facts_t *facts
            uint64_t   chains
            uint32_t   index
            int        target
        for index in range(self.chain_count):
            batch_clear(&outs[index])
        while batch.head is not NULL:
            request = batch_pop(batch)
            facts = cql_facts(request)
            client = NULL if request.session is NULL else self._client_of(request.session)
            if unlikely(client is NULL):
                self._refuse(request, b"OOM", b"shotover: no memory")
                continue
            request.tags[self.tag] = NULL
            if unlikely(request.opcode == OP_STARTUP or request.opcode == OP_AUTH_RESPONSE or (
                    request.tells and facts is not NULL and facts.type == STATEMENT_USE)):
                self._join(request, client, ~<uint64_t>0)
                continue
            if unlikely(request.opcode == OP_PREPARE and (<StatementRoutes>self.routes).of_keys and facts is not NULL):
                chains = self._reach(facts, request)
                if chains & (chains - 1):               # its executions go to several
                    self._join(request, client, chains)
                    continue
            target = self._target(request)
            if unlikely(target == UNTOLD and self.lenient):
                target = HOME
            if unlikely(target == APART):
                self._refuse(request, b"INVALID", SEVERAL if request.opcode == OP_BATCH else SEVERAL_KEYS)
            elif unlikely(target == UNTOLD):
                self._refuse(request, b"INVALID", NO_KEY)
            elif unlikely(client.phases[target] == CHAIN_CLOSED):
                self._refuse(request, b"OVERLOADED", NOT_IN)
                if request.queued:
                    self.up.on_leave(client.session)        # it may find that chain open next time
            elif unlikely(client.astray[target] and request.opcode != OP_EXECUTE and self._astray(facts)):
                self._refuse(request, b"INVALID", NO_KEYSPACE)
            else:
                self.sent[target] += 1
                batch_push(&outs[target], request)
        for index in range(self.chain_count):
            if outs[index].head is not NULL:
                (<Chain>list_item(self.chains, index)).run(&outs[index])

    cdef void _refuse(self, request_t *request, const char *code, const char *text) noexcept nogil:
        self.refused_total += 1
        self.refuse_take(request, code, text, strlen(text))

    cdef routed_t *_client_of(self, void *session) noexcept nogil:
        cdef:
            void    **slot = &session_slots(<session_t *>session)[self.slot]
            routed_t *client = <routed_t *>slot[0]
        if likely(client is not NULL):
            return client
        client = <routed_t *>slab_take(&self.clients)
        if client is not NULL:
            memset(client, 0, sizeof(routed_t))
            client.session = session
            slot[0] = client
        return client

    cdef void _forget(self, routed_t *client) noexcept nogil:
        if client.session is NULL and client.joins == 0:
            slab_give(&self.clients, client)

    cdef int _target(self, request_t *request) noexcept nogil:
        """The chain of a request; APART: there is no one."""
        cdef:
            const cql_facts_t *facts = cql_facts(request)
            chunk_t  *note
            uint64_t  found
            uint32_t  generation = (<StatementRoutes>self.routes).generation
            uint32_t  index
            int       target, first = HOME
        if facts is NULL:
            return HOME
        if (<StatementRoutes>self.routes).of_keys:
            return self._keyed(request)
        if facts.text.data is NULL:                     # a BATCH: all of it, or nothing
            for index in range(facts.head.part_count):
                target = self._target_of(cql_facts_in(facts.head.parts[index]), request)
                if index and target != first:
                    return APART
                first = target
            return first
        if facts.touch_count > 1 or facts.more:         # the same as a text: of which the tables alone are known
            return self._target_of_text(facts, request)
        if (<StatementRoutes>self.routes).of_users:
            return self._target_of(facts, request)
        note = facts.head.notes[self.note]
        if likely(note is not NULL and <uint32_t>((<uint64_t *>chunk_data(note))[0] >> 32) == generation):
            return <int><uint32_t>(<uint64_t *>chunk_data(note))[0]
        target = self._target_of(facts, request)
        found = <uint64_t>generation << 32 | <uint32_t>target
        if note is NULL:
            note = facts_of(request.facts).notes[self.note] = self.shapes.note(&self.loop.pool, facts)
        if note is not NULL:
            (<uint64_t *>chunk_data(note))[0] = found
        return target

    cdef int _target_of_text(self, const cql_facts_t *facts, request_t *request) noexcept nogil:
        """Of a batch that is a text: as if each of its statements came by itself."""
        cdef:
            cql_facts_t one = facts[0]
            uint32_t    index
            int         target, first = HOME
        if facts.more:
            return APART
        one.touch_count = 1
        for index in range(facts.touch_count):
            one.touches = &facts.touches[index]
            target = self._target_of(&one, request)
            if index and target != first:
                return APART
            first = target
        return first

    cdef int _target_of(self, const cql_facts_t *facts, request_t *request) noexcept nogil:
        """The chain of the first rule that a statement falls under."""
        cdef:
            void    *routes = self.routes
            route_t *route
            talk_t  *talk = NULL
            uint32_t index
        if request.queued:
            talk = <talk_t *>(<session_t *>request.session).talk
        for index in range((<StatementRoutes>routes).count):
            route = &(<StatementRoutes>routes).routes[index]
            if route.key.kind == KEY_ANY and _falls_under(route, facts, talk, request):
                return <int>route.target
        return HOME

    # ---- by partition key -------------------------------------------------------------------------------------------

    cdef const key_note_t *_note_of(self, chunk_t *chunk) noexcept nogil:
        """What is kept with a statement; NULL: no memory."""
        cdef chunk_t *note = facts_of(chunk).notes[self.note]
        if unlikely(note is NULL):
            note = facts_of(chunk).notes[self.note] = self.shapes.note(&self.loop.pool, cql_facts_in(chunk))
        return NULL if note is NULL else <const key_note_t *>chunk_data(note)

    cdef int _keyed(self, request_t *request) noexcept nogil:
        """As _target, where some rule asks for a key."""
        cdef:
            const cql_facts_t *facts = cql_facts(request)
            cql_params_t       params
            cql_batch_t        batch
            cql_batch_item_t   item
            wire_reader_t      items
            slice_t            body
            uint32_t index
            int      target, first = HOME
        if facts.text.data is not NULL:
            return self._keyed_statement(request.facts, &params if cql_params_of(request, &params) else NULL, request)
        if not cql_body(request, &body) or not cql_batch_read(body.data, body.size, request.version, &batch):
            return UNTOLD
        wire_read(&items, batch.items.data, batch.items.size)
        memset(&params, 0, sizeof(params))
        for index in range(facts.head.part_count):
            if not cql_batch_next(&items, &item):
                return UNTOLD
            params.values = item.values
            params.value_count = item.value_count
            target = self._keyed_statement(facts.head.parts[index], &params, request)
            if target < 0 or (index and target != first):
                return min(target, <int>APART)
            first = target
        return first

    cdef int _keyed_statement(self, chunk_t *chunk, const cql_params_t *params, request_t *request) noexcept nogil:
        """The chain of one statement, or of a batch that is one text."""
        cdef:
            const cql_facts_t   *facts = cql_facts_in(chunk)
            const key_note_t    *note = self._note_of(chunk)
            const key_planned_t *planned
            cql_facts_t one
            uint32_t    index, key, count
            int         target, first = HOME
            bint        known, begun = False
        if note is NULL:
            return UNTOLD
        if not note.keyed:
            return self._target_of(facts, request) if facts.touch_count == 1 and not facts.more else \
                self._target_of_text(facts, request)
        if note.over:
            return UNTOLD
        one = facts[0]
        one.touch_count = 1
        for index in range(note.count):
            planned = &note.planned[index]
            if planned.touch >= facts.touch_count:
                return UNTOLD
            one.touches = &facts.touches[planned.touch]
            known = keys_of(self.shapes, note, planned, facts, params, &self.room)
            count = self.room.keys.count if known else 1
            for key in range(max(count, <uint32_t>1)):      # IN (): it is of any chain, so of one
                target = self._route(&one, planned.shape, count and known and keys_take(&self.room, key), request)
                if target < 0 or (begun and target != first):
                    return min(target, <int>APART)
                begun = True
                first = target
        return first

    cdef int _route(self, const cql_facts_t *facts, int shape, bint known, request_t *request) noexcept nogil:
        """The chain of the first rule that a statement falls under, with the key in `room` if that is `known`."""
        cdef:
            void    *routes = self.routes
            route_t *route
            talk_t  *talk = NULL
            uint32_t index
        if request.queued:
            talk = <talk_t *>(<session_t *>request.session).talk
        for index in range((<StatementRoutes>routes).count):
            route = &(<StatementRoutes>routes).routes[index]
            if route.key.kind != KEY_ANY and not route.key.tables >> shape & 1:
                continue
            if not _falls_under(route, facts, talk, request):
                continue
            if route.key.kind == KEY_ANY:
                return <int>route.target
            if not known:
                return UNTOLD
            if key_rule_holds(&route.key, &self.room):
                return <int>route.target
        return HOME

    cdef uint64_t _reach(self, const cql_facts_t *facts, request_t *request) noexcept nogil:
        """Bits of the chains that executions of a statement may go to."""
        cdef:
            void    *routes = self.routes
            route_t *route
            talk_t  *talk = NULL
            cql_facts_t one = facts[0]
            uint64_t found = 0
            uint32_t index, touch
            int      shape
            bint     sure
        if request.queued:
            talk = <talk_t *>(<session_t *>request.session).talk
        one.touch_count = 1
        for touch in range(facts.touch_count):
            one.touches = &facts.touches[touch]
            shape = self.shapes.find(one.touches.keyspace, one.touches.table)
            sure = False
            for index in range((<StatementRoutes>routes).count):
                route = &(<StatementRoutes>routes).routes[index]
                if route.key.kind != KEY_ANY and (shape < 0 or not route.key.tables >> shape & 1):
                    continue
                if _falls_under(route, &one, talk, request):
                    found |= <uint64_t>1 << route.target
                    sure = route.key.kind == KEY_ANY
                    if sure:
                        break
            if not sure:
                found |= <uint64_t>1 << HOME
        return found

    cdef bint _astray(self, const cql_facts_t *facts) noexcept nogil:
        """Whether it may be about the keyspace that the client is in."""
        cdef uint32_t index
        if facts is NULL:
            return False
        if facts.text.data is NULL:
            for index in range(facts.head.part_count):
                if self._astray(cql_facts_in(facts.head.parts[index])):
                    return True
            return False
        for index in range(facts.touch_count):
            if facts.touches[index].keyspace.size == facts.client_keyspace.size and facts.client_keyspace.size and memcmp(
                    facts.touches[index].keyspace.data, facts.client_keyspace.data, facts.client_keyspace.size) == 0:
                return True
        return False

    # ---- what goes to all of them -----------------------------------------------------------------------------------

    cdef void _join(self, request_t *request, routed_t *client, uint64_t chains) noexcept nogil:
        """STARTUP goes to every chain, a login to those that ask for one, USE and PREPARE to those that have let the client in.
        `chains`: bits of those that are meant."""
        cdef:
            join_t    *join = <join_t *>slab_take(&self.joins)
            request_t *child
            batch_t    batch
            uint8_t    wanted = CHAIN_OPEN
            uint32_t   index
        if join is NULL or not request_own(&self.loop.pool, request):
            if join is not NULL:
                slab_give(&self.joins, join)
            self._refuse(request, b"OOM", b"shotover: no memory")
            return
        if request.opcode == OP_AUTH_RESPONSE:
            wanted = CHAIN_LOGIN
        memset(join, 0, sizeof(join_t))
        join.client = client
        join.request = request
        client.joins += 1
        for index in range(self.chain_count):
            if not chains >> index & 1:
                continue
            if request.opcode != OP_STARTUP and client.phases[index] != wanted and not (
                    index == HOME and client.phases[HOME] != CHAIN_OPEN):       # out of its place: for the server to say so
                continue
            child = self.hub.request_new(<Chain>list_item(self.chains, index))
            if child is NULL:
                client.phases[index] = CHAIN_CLOSED
                continue
            request_like(child, request)
            child.session = request.session
            child.tags[self.tag] = join
            join.children[index] = child
            join.out |= <uint64_t>1 << index
        join.deadline_ns = self.loop.now + self.handshake_ns
        join.earlier = self.last_join
        if self.last_join is NULL:
            self.first_join = join
            self.loop.set_timer(&self.timer, self.handshake_ns)
        else:
            self.last_join.later = join
        self.last_join = join
        join.out |= SENDING
        for index in range(self.chain_count):
            if join.children[index] is not NULL:
                batch_clear(&batch)
                batch_push(&batch, join.children[index])
                (<Chain>list_item(self.chains, index)).run(&batch)
        join.out &= ~SENDING
        if join.out == 0:
            self._joined(join)

    cdef void on_child(self, request_t *child) noexcept nogil:
        cdef:
            join_t  *join = <join_t *>child.tags[self.tag]
            uint32_t index
        if likely(join is NULL):
            self.pass_up(child)                         # a client's own request
            return
        if <void *>join is LATE:
            self.hub.request_free(child)
            return
        if not request_own_reply(&self.loop.pool, child):
            request_drop_reply(&self.loop.pool, child)
        for index in range(self.chain_count):
            if join.children[index] is child:
                join.out &= ~(<uint64_t>1 << index)
        if join.out == 0:
            self._joined(join)
        elif join.overdue and not join.out & (1 << HOME | SENDING):
            self._leave_late(join)

    cdef bint on_retire(self, bint force) noexcept nogil:
        if self.first_join is not NULL or self.joins.live_count:
            return False
        self.loop.cancel_timer(&self.timer)
        return True

    cdef void _expire(self) noexcept nogil:
        """The timer: whose chains have had time enough."""
        cdef join_t *join
        while self.first_join is not NULL and self.first_join.deadline_ns <= self.loop.now:
            join = self.first_join
            self._unlist(join)
            join.overdue = 1
            if not join.out & (1 << HOME | SENDING):
                self._leave_late(join)
        if self.first_join is not NULL:
            self.loop.set_timer(&self.timer, self.first_join.deadline_ns - self.loop.now)

    cdef void _unlist(self, join_t *join) noexcept nogil:
        if join.earlier is NULL:
            self.first_join = join.later
        else:
            join.earlier.later = join.later
        if join.later is NULL:
            self.last_join = join.earlier
        else:
            join.later.earlier = join.earlier

    cdef void _leave_late(self, join_t *join) noexcept nogil:
        """Goes on without the chains that have not answered: as if they had let nobody in. What they still say is nobody's."""
        cdef uint32_t index
        self.late_total += 1
        for index in range(self.chain_count):
            if join.out >> index & 1:
                join.children[index].tags[self.tag] = LATE
                join.children[index] = NULL
                if join.request.opcode == OP_STARTUP or join.request.opcode == OP_AUTH_RESPONSE:
                    join.client.phases[index] = CHAIN_CLOSED
                elif join.request.opcode != OP_PREPARE:
                    join.client.astray[index] = 1
        self._joined(join)

    cdef uint32_t _answering(self, join_t *join) noexcept nogil:
        """The chain whose reply the client gets: of one that asks for credentials; the default one's; of USE one that could."""
        cdef:
            uint32_t index, found = CHAINS_MAX
            uint8_t  opcode = join.request.opcode
        if opcode == OP_PREPARE:
            return self._preparing(join)
        for index in range(self.chain_count):
            if join.children[index] is NULL:
                continue
            if found == CHAINS_MAX:
                found = index
            if opcode == OP_STARTUP and join.children[found].reply.size and _answer(join.children[found]) == OP_READY \
                    and _answer(join.children[index]) == OP_AUTHENTICATE:
                return index
            if opcode != OP_STARTUP and opcode != OP_AUTH_RESPONSE and _answer(join.children[found]) == OP_ERROR \
                    and _answer(join.children[index]) != OP_ERROR:
                found = index
        return found

    cdef uint32_t _preparing(self, join_t *join) noexcept nogil:
        """Of a PREPARE: an error that a server gave; else any, as all say the same. A server that is away will say UNPREPARED
        when it is back."""
        cdef:
            request_t *child
            uint32_t   index
            uint32_t   found = CHAINS_MAX
        for index in range(self.chain_count):
            child = join.children[index]
            if child is NULL:
                continue
            if _answer(child) == OP_ERROR and child.failed != LOST and child.reply.size:
                return index
            if found == CHAINS_MAX or (_answer(join.children[found]) == OP_ERROR and _answer(child) != OP_ERROR):
                found = index
        return found

    cdef bint _alike(self, join_t *join, uint32_t answering) noexcept nogil:
        """Whether all that have prepared a statement know it by one id."""
        cdef:
            slice_t  id, other
            uint32_t index
        if not _prepared_id(join.children[answering], &id):
            return True
        for index in range(self.chain_count):
            if join.children[index] is not NULL and _prepared_id(join.children[index], &other) and (
                    id.size != other.size or memcmp(id.data, other.data, id.size) != 0):
                return False
        return True

    cdef void _joined(self, join_t *join) noexcept nogil:
        """All have answered."""
        cdef:
            request_t *request = join.request
            request_t *child
            routed_t  *client = join.client
            uint32_t   answering = self._answering(join)
            uint32_t   index
            uint8_t    answer
            bint       failed, entered = False
        if not join.overdue:
            self._unlist(join)
        for index in range(self.chain_count):
            child = join.children[index]
            if child is NULL:
                continue
            answer = _answer(child)
            if request.opcode == OP_STARTUP or request.opcode == OP_AUTH_RESPONSE:
                client.phases[index] = CHAIN_CLOSED
                if answer == OP_READY or answer == OP_AUTH_SUCCESS:
                    client.phases[index] = CHAIN_OPEN
                elif answer == OP_AUTHENTICATE or answer == OP_AUTH_CHALLENGE:
                    client.phases[index] = CHAIN_LOGIN
                entered = entered or client.phases[index] != CHAIN_CLOSED
                client.astray[index] = 0
            elif request.opcode != OP_PREPARE:
                client.astray[index] = answer == OP_ERROR or answer == 0
        if answering == CHAINS_MAX and request.opcode == OP_PREPARE:
            self._refuse(request, b"OVERLOADED", NOT_IN)
        elif answering == CHAINS_MAX:
            self._refuse(request, b"OOM", b"shotover: no memory")
        elif request.opcode == OP_PREPARE and not self._alike(join, answering):
            self._refuse(request, b"INVALID", UNLIKE)
        else:
            child = join.children[answering]
            request_drop_reply(&self.loop.pool, request)
            request.reply = child.reply
            request.reply_owner = child.reply_owner
            request.failed = child.failed
            child.reply_owner = NULL
            child.reply.size = 0
            failed = request.reply.size >= HEADER_SIZE and request.reply.data[4] == OP_ERROR
            if failed and request.opcode == OP_STARTUP:
                memset(client.phases, CHAIN_NEW, sizeof(client.phases))
            self.reply_take(request)
            if failed and entered and client.session is not NULL:
                self.up.on_leave(client.session)        # some chains know it, and others do not: it begins anew
        for index in range(self.chain_count):
            if join.children[index] is not NULL:
                self.hub.request_free(join.children[index])
        slab_give(&self.joins, join)
        client.joins -= 1
        self._forget(client)

    cdef void on_child_push(self, void *chain, void *session, const uint8_t *data, size_t size) noexcept nogil:
        if chain is list_item(self.chains, HOME):
            self.up.on_push(session, data, size)

    cdef void on_session_end(self, void *session) noexcept nogil:
        cdef routed_t *client = <routed_t *>session_slots(<session_t *>session)[self.slot]
        if client is not NULL:
            session_slots(<session_t *>session)[self.slot] = NULL
            client.session = NULL
            self._forget(client)

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return Step.samples(self) + [
            ("shotover_refusals_count", labels | {"reason": "route"}, "counter", self.refused_total),
            ("shotover_handshakes_late_count", labels, "counter", self.late_total),
        ] + [
            ("shotover_routed_requests_count", labels | {"to": name}, "counter", self.sent[index])
            for index, name in enumerate(self.names)
        ]


cdef inline uint8_t _answer(const request_t *child) noexcept nogil:
    """The opcode of its reply; an error where there is none."""
    return child.reply.data[4] if child.reply.size >= HEADER_SIZE else OP_ERROR


cdef bint _prepared_id(const request_t *child, slice_t *id) noexcept nogil:
    """The id that a server gave. False: it gave none."""
    cdef cql_result_t result
    cdef cql_prefix_t prefix
    if _answer(child) != OP_RESULT or child.reply.data[1] & FLAG_COMPRESSED or not cql_prefix_read(
            child.reply.data + HEADER_SIZE, child.reply.size - HEADER_SIZE, child.reply.data[1], True, &prefix):
        return False
    if not cql_result_read(prefix.body.data, prefix.body.size, child.version, &result) or result.kind != RESULT_PREPARED:
        return False
    id[0] = result.id
    return True


cdef inline bint _falls_under(
    const route_t *route, const cql_facts_t *facts, const talk_t *talk, const request_t *request
) noexcept nogil:
    """Whether all conditions but that on the key hold."""
    if route.user is not NULL and (talk is NULL or talk.user_size != route.user_size
                                   or memcmp(talk.user, route.user, route.user_size) != 0):
        return False
    if not identities_fit(&route.identities, <session_t *>request.session if request.queued else NULL):
        return False
    return statement_rule_fits(&route.statement, facts) and statement_rule_level(&route.statement, request)
