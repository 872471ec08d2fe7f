"""See selecting.pxd."""

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from shotover._codec.commands cimport (
    CONDUCT_RESET,
    CONDUCT_STATE,
    KIND_ADMIN,
    KIND_PUBSUB,
    KIND_READ,
    KIND_SCHEMA,
    KIND_UNKNOWN,
    KIND_WRITE,
    command_t,
    word_is,
)
from shotover._codec.cql.attach cimport talk_t
from shotover._codec.cql.facts cimport cql_facts
from shotover._codec.cql.frame cimport HEADER_SIZE, OP_AUTH_RESPONSE, OP_AUTH_SUCCESS, OP_PREPARE
from shotover._codec.login cimport login_user
from shotover._codec.resp cimport resp_words
from shotover._core.debug cimport likely, unlikely
from shotover._core.facts cimport facts_of
from shotover._core.memory cimport chunk_data, chunk_t, pool_take_exact, slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport WATCHED_BY_STEP, batch_pop, request_own
from shotover._net.peer cimport network_fill, peer_in, peer_t
from shotover._proxy.identities cimport identities_fit, identities_free, identities_set
from shotover._proxy.session cimport session_peer, session_slots
from shotover._proxy.statement_rules cimport (
    statement_rule_fits,
    statement_rule_free,
    statement_rule_level,
    statement_rule_set,
)

cdef enum:
    LOGIN_WORDS = 16

QUERY_KINDS = {                 # types are those of users, kinds those of the command table
    "Read": 1 << KIND_READ,
    "Write": 1 << KIND_WRITE | 1 << KIND_ADMIN | 1 << KIND_UNKNOWN,
    "ReadWrite": 1 << KIND_UNKNOWN,
    "SchemaChange": 1 << KIND_SCHEMA,
    "PubSubMessage": 1 << KIND_PUBSUB,
}


cdef class SelectingStep(RefusingStep):

    def __cinit__(self, context, *args, **kwargs):
        self.wants_end = True
        self.texts = []
        self.client_size = sizeof(selected_t)
        self.cql = context.protocol == "cassandra"
        self.wants_statements = self.cql
        self.note = 0 if self.cql else -1

    def __dealloc__(self):
        cdef uint32_t index
        for index in range(self.rule_count):
            free(self.rules[index].commands)
            free(self.rules[index].networks)
            free(self.rules[index].users)
            identities_free(&self.rules[index].identities)
            statement_rule_free(&self.rules[index].statement)
        slab_close(&self.clients)

    def set_rules(self, rows):
        """Once, while it is built. Each row: (commands, query types, networks, users, certificates, what statement_rule_set
        takes), None where it does not matter."""
        cdef:
            rule_t  *rule
            uint64_t bit
        if len(rows) > RULES_MAX:
            raise ValueError(f"at most {RULES_MAX} rules")
        slab_init(&self.clients, self.client_size)
        for commands, query_types, networks, users, certificates, statement in rows:
            rule = &self.rules[self.rule_count]
            bit = <uint64_t>1 << self.rule_count
            self.rule_count += 1
            self.rules_all |= bit
            for query_type in query_types or ():
                rule.kinds |= <uint32_t>QUERY_KINDS[query_type]
            statement_rule_set(&rule.statement, statement, self.texts)
            if rule.statement.levels:
                self.rules_of_levels |= bit
            if commands is not None:
                rule.commands = self._slices(commands)
                rule.command_count = len(commands)
            if users is not None:
                rule.users = self._slices(users)
                rule.user_count = len(users)
                self.knows_users = True
            if networks is not None:
                rule.networks = <network_t *>calloc(len(networks) or 1, sizeof(network_t))
                if rule.networks is NULL:
                    raise MemoryError
                for packed, bits in networks:
                    network_fill(&rule.networks[rule.network_count], packed, bits)
                    rule.network_count += 1
            identities_set(&rule.identities, certificates, self.texts)
            if users is None and networks is None and certificates is None:
                self.rules_of_anyone |= bit
        self.knows_clients = self.rules_of_anyone != self.rules_all

    cdef slice_t *_slices(self, texts) except NULL:
        cdef slice_t *slices = <slice_t *>calloc(len(texts) or 1, sizeof(slice_t))
        if slices is NULL:
            raise MemoryError
        for index, text in enumerate(texts):
            self.texts.append(text)
            slices[<size_t>index].data = <uint8_t *><const char *>text
            slices[<size_t>index].size = len(text)
        return slices

    cdef selected_t *client_of(self, void *session) noexcept nogil:
        """What is known of a session, from now on if it is new here. NULL: no memory."""
        cdef:
            void      **slot = &session_slots(<session_t *>session)[self.slot]
            selected_t *client = <selected_t *>slot[0]
        if likely(client is not NULL):
            return client
        client = <selected_t *>slab_take(&self.clients)
        if client is NULL:
            return NULL
        memset(client, 0, self.client_size)
        client.session = <session_t *>session
        slot[0] = client
        self._find_rules(client)
        self.client_begins(client)
        return client

    cdef void _find_rules(self, selected_t *client) noexcept nogil:
        cdef:
            const peer_t *peer
            rule_t       *rule
            uint32_t      index, inner
            uint64_t      bit
        client.addressed = self.rules_all
        if self.knows_clients:
            peer = session_peer(client.session)
            for index in range(self.rule_count):
                rule = &self.rules[index]
                bit = <uint64_t>1 << index
                if not identities_fit(&rule.identities, client.session):
                    client.addressed &= ~bit
                    continue
                if rule.networks is NULL:
                    continue
                client.addressed &= ~bit
                for inner in range(rule.network_count):
                    if peer is not NULL and peer_in(peer, &rule.networks[inner]):
                        client.addressed |= bit
        self._find_users(client)

    cdef void _find_users(self, selected_t *client) noexcept nogil:
        cdef:
            rule_t        *rule
            const uint8_t *user = <const uint8_t *>b"anonymous" if self.cql else <const uint8_t *>b"default"
            size_t         size = 9 if self.cql else 7
            uint32_t       index, inner
        if client.user is not NULL:
            user = client.user
            size = client.user_size
        client.fits = client.addressed
        for index in range(self.rule_count if self.knows_users else 0):
            rule = &self.rules[index]
            if rule.users is NULL:
                continue
            client.fits &= ~(<uint64_t>1 << index)
            for inner in range(rule.user_count):
                if rule.users[inner].size == size and memcmp(rule.users[inner].data, user, size) == 0:
                    client.fits |= client.addressed & <uint64_t>1 << index

    cdef uint64_t select(self, request_t *request, selected_t *client) noexcept nogil:
        """The rules that a request falls under. `client`: NULL for one whose client is gone."""
        cdef uint64_t fits = self.rules_of_anyone if client is NULL else client.fits
        if fits == 0:
            return 0
        if self.cql:
            return fits & self.rules_of_statement(request)
        return fits & self.rules_of_command(request)

    cdef uint64_t rules_of_command(self, request_t *request) noexcept nogil:
        cdef size_t place = <size_t>request.command >> 4 & (COMMANDS_CACHED - 1)
        if unlikely(request.command is NULL):
            return self._naming(request)
        if unlikely(self.cached[place] is not request.command):     # commands live as long as the process
            self.cached_rules[place] = self._naming(request)
            self.cached[place] = request.command
        return self.cached_rules[place]

    cdef uint64_t rules_of_statement(self, request_t *request) noexcept nogil:
        """The rules that hold for a request of CQL. What follows from its statement is worked out once, and noted with that."""
        cdef:
            const cql_facts_t *facts = cql_facts(request)
            chunk_t    *note
            uint64_t    found, levels
            uint32_t    index
        if facts is NULL or request.opcode == OP_PREPARE:       # to prepare is not to do
            found = self._stating(request.kind, NULL)
        elif facts.text.data is NULL:                           # a BATCH, whose facts are its own
            found = self._stating(facts.kind, facts)
        else:
            note = facts.head.notes[self.note]
            if likely(note is not NULL):
                found = (<uint64_t *>chunk_data(note))[0]
            else:
                found = self._stating(facts.kind, facts)
                note = pool_take_exact(&self.loop.pool, sizeof(uint64_t))
                if note is not NULL:
                    (<uint64_t *>chunk_data(note))[0] = found
                    facts_of(request.facts).notes[self.note] = note
        levels = found & self.rules_of_levels
        for index in range(self.rule_count if levels else 0):
            if levels >> index & 1 and not statement_rule_level(&self.rules[index].statement, request):
                found &= ~(<uint64_t>1 << index)
        return found

    cdef uint64_t _stating(self, uint8_t kind, const cql_facts_t *facts) noexcept nogil:
        """Those of which all conditions on the statement but its consistency hold."""
        cdef:
            uint64_t found = 0
            uint32_t index
        for index in range(self.rule_count):
            if self.rules[index].kinds and not self.rules[index].kinds >> kind & 1:
                continue
            if statement_rule_fits(&self.rules[index].statement, facts):
                found |= <uint64_t>1 << index
        return found

    cdef uint64_t _naming(self, request_t *request) noexcept nogil:
        """The rules that hold for a command, looked at one by one. A container's name stands for all its subcommands."""
        cdef:
            const command_t *command = <const command_t *>request.command
            rule_t  *rule
            slice_t *name
            slice_t  word[1]
            uint64_t found = 0
            uint32_t index, inner, words = 0
            bint     named
        if command is NULL:
            words = resp_words(request.wire.data, request.wire.data + request.wire.size, word, 1)
        for index in range(self.rule_count):
            rule = &self.rules[index]
            if rule.kinds and not rule.kinds >> request.kind & 1:
                continue
            named = rule.commands is NULL
            for inner in range(rule.command_count):
                name = &rule.commands[inner]
                if command is NULL:
                    named = named or (words > 0 and word_is(&word[0], <const char *>name.data, name.size))
                elif name.size <= command.name_size and memcmp(name.data, command.name, name.size) == 0:
                    named = named or name.size == command.name_size or command.name[name.size] == b'|'
            if named:
                found |= <uint64_t>1 << index
        return found

    cdef size_t *transaction(self, void *session) noexcept nogil:
        cdef selected_t *client = <selected_t *>session_slots(<session_t *>session)[self.slot]
        if unlikely(client is NULL):        # there was no memory for it
            self.nobody = 0
            return &self.nobody
        return &client.tx

    # ---- who it is --------------------------------------------------------------------------------------------------

    cdef void follow_login(self, request_t *request) noexcept nogil:
        """To be called for what goes on and is not plain: the reply of a login will be looked at (see_login)."""
        if self.cql or not self.knows_users or not request.queued:
            return
        if request.conduct == CONDUCT_STATE or request.conduct == CONDUCT_RESET:
            if request_own(&self.loop.pool, request):
                request.watched |= WATCHED_BY_STEP

    cdef void see_login(self, request_t *request) noexcept nogil:
        """To be called for each reply on its way up. Until then, what the client sent behind the login is its old user's."""
        cdef:
            slice_t     words[LOGIN_WORDS]
            slice_t     user
            uint32_t    count
            selected_t *client
            uint8_t    *name = NULL
        if unlikely(self.cql):
            self._see_login_of_cql(request)
            return
        if not self.knows_users or not request.queued or request.reply.size == 0 or request.reply.data[0] == b'-':
            return
        if request.conduct != CONDUCT_STATE and request.conduct != CONDUCT_RESET:
            return
        if request.reply.size >= 7 and memcmp(request.reply.data, b"+QUEUED", 7) == 0:
            return
        client = self.client_of(request.session)
        count = resp_words(request.wire.data, request.wire.data + request.wire.size, words, LOGIN_WORDS)
        if client is NULL or not 0 < count <= LOGIN_WORDS:
            return
        if request.conduct == CONDUCT_STATE:
            if not login_user(words, count, &user):
                return
            name = <uint8_t *>malloc(user.size + 1)
            if name is NULL:
                return
            memcpy(name, user.data, user.size)
            client.user_size = user.size
        free(client.user)
        client.user = name
        self._find_users(client)

    cdef void _see_login_of_cql(self, request_t *request) noexcept nogil:
        cdef:
            selected_t *client
            talk_t     *talk
            uint8_t    *name
        if request.opcode != OP_AUTH_RESPONSE or not self.knows_users or not request.queued:
            return
        talk = <talk_t *>(<session_t *>request.session).talk
        if talk is NULL or request.reply.size < HEADER_SIZE or request.reply.data[4] != OP_AUTH_SUCCESS:
            return
        client = self.client_of(request.session)
        name = <uint8_t *>malloc(talk.claimed_size + 1) if client is not NULL else NULL
        if name is NULL:
            return
        memcpy(name, talk.claimed, talk.claimed_size)
        free(client.user)
        client.user = name
        client.user_size = talk.claimed_size
        self._find_users(client)

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef request_t *request
        while batch.head is not NULL:
            request = batch_pop(batch)
            self.see_login(request)
            if not self.abort_answer(request):
                self.pass_up(request)

    cdef void on_session_end(self, void *session) noexcept nogil:
        cdef:
            void      **slot = &session_slots(<session_t *>session)[self.slot]
            selected_t *client = <selected_t *>slot[0]
        if client is NULL:
            return
        self.client_ends(client)
        slot[0] = NULL
        free(client.user)
        slab_give(&self.clients, client)

    # ---- for subclasses ---------------------------------------------------------------------------------------------

    cdef void client_begins(self, selected_t *client) noexcept nogil:
        """Its first request is here; all of its struct behind the selected_t is zero."""
        pass

    cdef void client_ends(self, selected_t *client) noexcept nogil:
        """It has left; its session is good until this returns."""
        pass
