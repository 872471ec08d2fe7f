"""See _key_router_cql.pxd."""

cimport cython

from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memset, strlen

from shotover._codec.cql.attach cimport talk_t
from shotover._codec.cql.facts cimport cql_facts, cql_facts_in
from shotover._codec.cql.frame cimport (
    HEADER_SIZE,
    OP_AUTH_CHALLENGE,
    OP_AUTH_RESPONSE,
    OP_AUTH_SUCCESS,
    OP_AUTHENTICATE,
    OP_ERROR,
    OP_EXECUTE,
    OP_READY,
    OP_STARTUP,
)
from shotover._codec.cql.statement cimport STATEMENT_USE
from shotover._core.debug cimport likely, unlikely
from shotover._core.facts cimport facts_of
from shotover._core.memory cimport chunk_data, chunk_t, pool_take_exact, slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport (
    batch_clear,
    batch_pop,
    batch_push,
    batch_t,
    request_drop_reply,
    request_like,
    request_own,
    request_own_reply,
)
from shotover._proxy.session cimport session_slots, session_t
from shotover._proxy.statement_rules cimport (
    statement_rule_fits,
    statement_rule_free,
    statement_rule_level,
    statement_rule_set,
)
from shotover._proxy.step cimport Chain, list_item

cdef enum:
    HOME = 0                    # the default chain
    APART = -1                  # no one chain: a batch of statements of several

cdef const char *SEVERAL = b"shotover: the statements of this batch belong to different chains (KeyRouter)"
cdef const char *NOT_IN = b"shotover: the chain of this statement has not let the client in; connect again (KeyRouter)"
cdef const char *NO_KEYSPACE = b"shotover: the client's keyspace is not to be had in the chain of this statement (KeyRouter)"


cdef class StatementRoutes:

    def __init__(self, rules, uint32_t generation):
        """rules: (what statement_rule_set takes, user or None, target), in order."""
        cdef uint32_t index
        self.texts = []
        self.generation = generation
        self.routes = <route_t *>calloc(len(rules) or 1, sizeof(route_t))
        if self.routes is NULL:
            raise MemoryError
        for index, (row, user, target) in enumerate(rules):
            statement_rule_set(&self.routes[index].statement, row, self.texts)
            if user is not None:
                self.texts.append(user)
                self.routes[index].user = <const char *><bytes>user
                self.routes[index].user_size = len(user)
                self.of_users = True
            if self.routes[index].statement.levels:
                self.of_users = True            # likewise: it follows from the request, not from the statement
            self.routes[index].target = target
            self.count += 1

    def __dealloc__(self):
        cdef uint32_t index
        for index in range(self.count):
            statement_rule_free(&self.routes[index].statement)
        free(self.routes)


@cython.final
cdef class CqlRouter(Step):

    def __init__(self, context, *, str name, list chains, list names, StatementRoutes routes):
        self.names = names
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
                self._join(request, client)
                continue
            target = self._target(request)
            if unlikely(target == APART):
                self._refuse(request, b"INVALID", SEVERAL)
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
            note = pool_take_exact(&self.loop.pool, sizeof(uint64_t))
            facts_of(request.facts).notes[self.note] = note
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
            if route.user is not NULL and (talk is NULL or talk.user_size != route.user_size
                                           or memcmp(talk.user, route.user, route.user_size) != 0):
                continue
            if statement_rule_fits(&route.statement, facts) and statement_rule_level(&route.statement, request):
                return <int>route.target
        return HOME

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

    cdef void _join(self, request_t *request, routed_t *client) noexcept nogil:
        """STARTUP goes to every chain, a login to those that ask for one, USE to those that have let the client in."""
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
            join.left += 1
        join.left += 1                                  # until all are on their way
        for index in range(self.chain_count):
            if join.children[index] is not NULL:
                batch_clear(&batch)
                batch_push(&batch, join.children[index])
                (<Chain>list_item(self.chains, index)).run(&batch)
        join.left -= 1
        if join.left == 0:
            self._joined(join)

    cdef void on_child(self, request_t *child) noexcept nogil:
        cdef join_t *join = <join_t *>child.tags[self.tag]
        if likely(join is NULL):
            self.pass_up(child)                         # a client's own request
            return
        if not request_own_reply(&self.loop.pool, child):
            request_drop_reply(&self.loop.pool, child)
        join.left -= 1
        if join.left == 0:
            self._joined(join)

    cdef uint32_t _answering(self, join_t *join) noexcept nogil:
        """The chain whose reply the client gets: of one that asks for credentials; the default one's; of USE one that could."""
        cdef:
            uint32_t index, found = CHAINS_MAX
            uint8_t  opcode = join.request.opcode
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
            else:
                client.astray[index] = answer == OP_ERROR or answer == 0
        if answering == CHAINS_MAX:
            self._refuse(request, b"OOM", b"shotover: no memory")
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
        ] + [
            ("shotover_routed_requests_count", labels | {"to": name}, "counter", self.sent[index])
            for index, name in enumerate(self.names)
        ]


cdef inline uint8_t _answer(const request_t *child) noexcept nogil:
    """The opcode of its reply; an error where there is none."""
    return child.reply.data[4] if child.reply.size >= HEADER_SIZE else OP_ERROR
