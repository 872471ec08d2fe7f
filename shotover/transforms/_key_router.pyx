"""See _key_router.pxd. Where a request goes, by what it does:

  keys                  by the rules; over several chains it is split, or refused
  no key                a rule for its command, user or database says; else the default chain, *home*
  no key, but the       all chains within the client's reach, and their replies are joined (KEYS, DBSIZE, FLUSHALL,
  server's tips: all    SCRIPT LOAD, CONFIG SET ...); SCAN goes through them one by one, its cursor says where it is
  state                 home; other chains are told it before the client's next request there
  MULTI ... EXEC        answered here until a command names a key: then that chain; a key of another one is refused
  WATCH                 by its keys, and the transaction with it
  subscriptions,
  CLIENT ID, MONITOR    home
  RESET                 home; others where the client has left anything before they are next used

Requests behind one whose reply decides about them (state, BLPOP, WAIT, ...) wait for it, in order.
"""

cimport cython

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memset, strlen

from shotover._codec.commands cimport (
    ACCESS_NOT_KEY, CONDUCT_ALONE, CONDUCT_BLOCK, CONDUCT_DISCARD, CONDUCT_EXEC, CONDUCT_MONITOR, CONDUCT_MULTI,
    CONDUCT_PIN, CONDUCT_PLAIN, CONDUCT_QUIT, CONDUCT_REPLY_MODE, CONDUCT_RESET, CONDUCT_STATE, CONDUCT_SUBSCRIBE,
    CONDUCT_UNSUBSCRIBE, CONDUCT_UNWATCH, CONDUCT_WAIT, CONDUCT_WATCH, ID_CLIENT_TRACKING, ID_PING, ID_RANDOMKEY,
    ID_SCAN, KEYS_NONE,
    KEYS_SPECS, POLICY_ALL_NODES, POLICY_ALL_SHARDS, POLICY_SPECIAL, command_t, word_is,
)
from shotover._codec.fan cimport (
    FAN_CROSS, FAN_NO_KEYS, FAN_ONE, FAN_SPLIT, fan_all, fan_child, fan_free, fan_lost, fan_may_cross, fan_split,
)
from shotover._codec.key_rules cimport RULE_NONE, asker_t, rules_base, rules_find
from shotover._codec.login cimport login_database, login_user
from shotover._codec.resp cimport resp_words
from shotover._codec.resp_edit cimport resp_facts
from shotover._codec.resp_cursor cimport cursor_read, cursor_request
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport chunk_put, slab_take
from shotover._core.request cimport WATCHED_BY_STEP, batch_pop, batch_push, batch_t, request_own
from shotover._core.slice cimport slice_t
from shotover._proxy.session cimport session_slots, session_t
from shotover.transforms._key_router_base cimport (
    HOME, ITEM_ABORTED, ITEM_LEG, ITEM_MULTI, ITEM_NONE, ITEM_OPEN, ITEM_RESET, ITEM_SCAN, ITEM_STATE,
    ITEM_UNSUBSCRIBE, route_item_t,
)
from shotover.transforms._key_router_state cimport (
    SAVED_AUTH, TOLD_UNSURE, TX_NONE, TX_OPEN, TX_UNDECIDED, WORDS_MAX, route_bound, route_told, saved_t,
    state_next, state_what,
)

cdef enum:                      # what _place finds
    PLACE_CHAIN = 0
    PLACE_FAN = 1               # the request is split
    PLACE_ALL = 2               # it has no key, and concerns all chains in reach
    PLACE_REFUSED = 3           # it has been answered
    PLACE_CROSS = 4             # its keys have several chains

cdef const char *OK = b"+OK\r\n"
cdef const char *NOTHING = b"*0\r\n"
cdef const char *ABORTED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
cdef const char *NESTED = b"-ERR MULTI calls can not be nested\r\n"
cdef const char *WATCH_INSIDE = b"-ERR WATCH inside MULTI is not allowed\r\n"
cdef const char *MULTI_WIRE = b"*1\r\n$5\r\nMULTI\r\n"
cdef const char *DISCARD_WIRE = b"*1\r\n$7\r\nDISCARD\r\n"
cdef const char *CROSS = \
    b"shotover: the keys of this request belong to several chains of the KeyRouter; send one request for each"
cdef const char *CROSS_WATCH = b"shotover: the keys of WATCH and of its transaction must belong to one chain of the KeyRouter"
cdef const char *CROSS_TX = \
    b"shotover: the keys of a transaction must belong to one chain of the KeyRouter; it will not be carried out"
cdef const char *NOT_IN_TX = \
    b"shotover: this command cannot be in a transaction that goes through a KeyRouter; send it before MULTI"
cdef const char *NO_TRACKING = \
    b"shotover: CLIENT TRACKING would miss the keys of the KeyRouter's other chains; connect to their servers for it"
cdef const char *NO_MEMORY = b"shotover: no memory"
cdef const char *BAD_CURSOR = b"invalid cursor"

cdef struct query_t:            # the context of _target_of
    void          *router
    const asker_t *asker


cdef uint32_t _target_of(void *query, const uint8_t *key, size_t size) noexcept nogil:
    cdef query_t *its = <query_t *>query
    return (<KeyRouter>its.router)._target(its.asker, key, size)


@cython.final
cdef class KeyRouter(KeyRouterBase):

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t       *request
            route_session_t *client
            const command_t *command
            bint             nested = self.flushing     # what is queued then may go later than this call returns
        while batch.head is not NULL:
            request = batch_pop(batch)
            if unlikely(nested and not request_own(&self.loop.pool, request)):
                self.refuse_take(request, b"ERR", NO_MEMORY, strlen(NO_MEMORY))
                continue
            command = <const command_t *>request.command
            client = NULL
            if likely(request.session is not NULL):
                client = <route_session_t *>session_slots(<session_t *>request.session)[self.slot]
            if likely(client is NULL and request.conduct == CONDUCT_PLAIN and request.key_at and not fan_may_cross(command)
                      and not self.rules.of_identities):
                self.fresh.command = command
                self._send(request, self._target(&self.fresh, request.wire.data + request.key_at, request.key_size))
                continue
            if client is NULL:
                client = self._client_of(request)
            if unlikely(client is NULL):
                self.refuse_take(request, b"ERR", NO_MEMORY, strlen(NO_MEMORY))
            else:
                self._take(request, client)
        self._flush()

    cdef route_session_t *_client_of(self, request_t *request) noexcept nogil:
        """What is known of the client; made where it must be. NULL: no memory."""
        cdef route_session_t *client
        if request.session is NULL or (request.conduct == CONDUCT_PLAIN and not self.rules.of_identities):
            return self.nobody
        client = <route_session_t *>slab_take(&self.sessions)
        if client is not NULL:
            memset(client, 0, self.sessions.size)
            client.session = request.session
            client.version = 1
            client.protocol = 2
            session_slots(<session_t *>request.session)[self.slot] = client
        return client

    cdef void _take(self, request_t *request, route_session_t *client) noexcept nogil:
        if client.waiting.head is NULL and client.holds == 0 and self._dispatch(request, client):
            return
        if request_own(&self.loop.pool, request):
            batch_push(&client.waiting, request)
        else:
            self._refuse(request, client, b"ERR", NO_MEMORY)

    cdef bint _dispatch(self, request_t *request, route_session_t *client) noexcept nogil:
        """Sends or answers the request. False: it must wait, and is still the caller's."""
        cdef uint8_t conduct = request.conduct
        if client is self.nobody:
            if conduct == CONDUCT_PLAIN or conduct == CONDUCT_ALONE:
                return self._route(request, client)
            return self._pass(request, client, HOME, ITEM_NONE, False)
        if unlikely(client.transaction != TX_NONE):
            return self._in_transaction(request, client)
        if likely(not route_bound(client) and (conduct == CONDUCT_PLAIN or conduct == CONDUCT_ALONE or conduct == CONDUCT_BLOCK)):
            return self._route(request, client)
        return self._special(request, client)

    cdef bint _special(self, request_t *request, route_session_t *client) noexcept nogil:
        """What concerns the connection, outside of transactions."""
        cdef:
            uint8_t  conduct = request.conduct
            asker_t  asker
            slice_t  words[3]
            uint32_t home
        if conduct == CONDUCT_RESET:
            return self._reset(request, client)
        if conduct == CONDUCT_REPLY_MODE:
            return self._reply_mode(request, client)
        self._ask(client, request, &asker)
        home = client.listening if route_bound(client) else self._target(&asker, NULL, 0)
        if conduct == CONDUCT_QUIT:
            return self._pass_as(request, client, home, ITEM_NONE, False)
        if conduct == CONDUCT_SUBSCRIBE or conduct == CONDUCT_MONITOR:
            if client.subscribed:
                home = client.listening     # where the others are
            if not self._tell(client, home, 0):
                return False
            route_told(client)[home] = max(route_told(client)[home], <uint64_t>1)
            client.listening = home
            client.subscribed = client.subscribed or conduct == CONDUCT_SUBSCRIBE
            client.monitoring = client.monitoring or conduct == CONDUCT_MONITOR
            return self._pass(request, client, home, ITEM_NONE, False)
        if conduct == CONDUCT_UNSUBSCRIBE:
            if client.subscribed:
                return self._pass(request, client, client.listening, ITEM_UNSUBSCRIBE, True)
            return self._pass(request, client, home, ITEM_NONE, False)
        if route_bound(client):
            return self._pass(request, client, home, ITEM_NONE, False)
        if conduct == CONDUCT_STATE:
            return self._state(request, client)
        if conduct == CONDUCT_MULTI:
            return self._multi(request, client)
        if conduct == CONDUCT_WATCH:
            return self._watch(request, client)
        if conduct == CONDUCT_UNWATCH and not client.watching:
            return self._answer(request, client, OK)
        if conduct == CONDUCT_UNWATCH or conduct == CONDUCT_EXEC or conduct == CONDUCT_DISCARD:
            if client.watching:
                home = client.chain
            client.watching = 0
            return self._pass(request, client, home, ITEM_NONE, False)
        if conduct == CONDUCT_WAIT:
            return self._everywhere(request, client, self._in_reach(&asker), True)
        if conduct == CONDUCT_PIN:
            if asker.command.id == ID_CLIENT_TRACKING and self._in_reach(&asker) > 1 and resp_words(
                    request.wire.data, request.wire.data + request.wire.size, words, 3) >= 3 and word_is(&words[2], "ON", 2):
                return self._refuse(request, client, b"ERR", NO_TRACKING)
            route_told(client)[home] = max(route_told(client)[home], <uint64_t>1)
        return self._pass(request, client, home, ITEM_NONE, False)

    # ---- by key, or by the tips ---------------------------------------------------------------------------------

    cdef int _place(self, request_t *request, route_session_t *client, uint32_t *chain, fan_t **fan) noexcept nogil:
        """PLACE_*; sets `chain`, or `fan` or (PLACE_ALL) how many chains are in `reach`."""
        cdef:
            asker_t  asker
            query_t  query
            uint32_t rule
            int      outcome
            const command_t *command = <const command_t *>request.command
        self._ask(client, request, &asker)
        if command is not NULL and request.key_at and not fan_may_cross(command):
            chain[0] = self._target(&asker, request.wire.data + request.key_at, request.key_size)
            return PLACE_CHAIN
        if command is not NULL and command.key_rule != KEYS_NONE and not (
                command.key_rule == KEYS_SPECS and command.spec_count and command.specs[0].access & ACCESS_NOT_KEY):
            query.router = <void *>self
            query.asker = &asker
            outcome = fan_split(&self.loop.pool, command, &request.wire, _target_of, NULL, &query, fan, chain)
            if outcome == FAN_ONE:
                return PLACE_CHAIN
            if outcome == FAN_SPLIT:
                return PLACE_FAN
            if outcome == FAN_CROSS:
                return PLACE_CROSS
            if outcome != FAN_NO_KEYS:
                self._refuse(request, client, b"ERR", NO_MEMORY)
                return PLACE_REFUSED
        rule = rules_find(self.rules, &asker, NULL, 0)
        chain[0] = HOME if rule == RULE_NONE else self.rules.rules[rule].target
        if command is not NULL and rule == asker.base and _concerns_all(command):
            chain[0] = self._in_reach(&asker)
            if chain[0] > 1:
                return PLACE_ALL
            chain[0] = self.reach[0]
        return PLACE_CHAIN

    cdef bint _route(self, request_t *request, route_session_t *client) noexcept nogil:
        cdef:
            uint32_t chain = HOME
            fan_t   *fan = NULL
            int      place = self._place(request, client, &chain, &fan)
        if likely(place == PLACE_CHAIN):
            return self._pass(request, client, chain, ITEM_NONE, request.conduct == CONDUCT_BLOCK)
        if place == PLACE_REFUSED:
            return True
        if place == PLACE_ALL:
            if (<const command_t *>request.command).id == ID_SCAN:
                return self._scan(request, client, chain)
            return self._everywhere(request, client, chain, False)
        if place == PLACE_FAN and self.splits:
            return self._spread(request, client, fan, False)
        if fan is not NULL:
            fan_free(&self.loop.pool, fan)
        return self._refuse(request, client, b"CROSSSLOT", CROSS)

    cdef bint _spread(self, request_t *request, route_session_t *client, fan_t *fan, bint holds) noexcept nogil:
        """The legs of a fan go down their chains, as children of the request."""
        cdef:
            route_item_t *item
            request_t    *child
            uint32_t      index
            bint          silent = client.silent or client.skip
        for index in range(fan.leg_count):
            if not self._tell(client, fan.legs[index].home, 0):
                fan_free(&self.loop.pool, fan)
                return False
        self.splits_total += 1
        client.skip = 0
        fan.owner = request
        request.tags[self.tag] = NULL
        fan.left += 1                       # no leg is the last one before all are under way
        for index in range(fan.leg_count):
            child = self.hub.request_new(self.chain)
            item = NULL if child is NULL else self._item(client, ITEM_LEG, fan.legs[index].home, holds)
            if item is NULL:
                if child is not NULL:
                    self.hub.request_free(child)
                fan_lost(fan, index)
                continue
            item.fan = fan
            item.leg = index
            item.silent = silent
            fan_child(fan, index, request, child)
            child.tags[self.tag] = item
            child.watched |= WATCHED_BY_STEP
            self._send(child, fan.legs[index].home)
        fan.left -= 1
        if fan.left == 0:
            self._joined(fan, silent)
        return True

    cdef bint _everywhere(self, request_t *request, route_session_t *client, uint32_t count, bint holds) noexcept nogil:
        """The same for the first `count` chains of `reach`."""
        cdef:
            fan_t   *fan
            uint32_t index
        if count == 1:
            return self._pass(request, client, self.reach[0], ITEM_NONE, holds)
        for index in range(count):
            if not self._tell(client, self.reach[index], 0):
                return False
        if not request_own(&self.loop.pool, request):
            return self._refuse(request, client, b"ERR", NO_MEMORY)
        fan = fan_all(&self.loop.pool, <const command_t *>request.command, &request.wire, request.owner, self.reach, count)
        if fan is NULL:
            return self._refuse(request, client, b"ERR", NO_MEMORY)
        return self._spread(request, client, fan, holds)

    cdef bint _scan(self, request_t *request, route_session_t *client, uint32_t count) noexcept nogil:
        """SCAN over `count` chains: the cursor says which of them it has come to."""
        cdef:
            uint32_t      place
            route_item_t *item
            uint64_t      cursor = 0
        if request.argc > 1 and not cursor_read(request, 1, &cursor):
            return self._refuse(request, client, b"ERR", BAD_CURSOR)
        place = <uint32_t>(cursor % count)      # without one it is the first chain that refuses it
        if not self._tell(client, self.reach[place], 0):
            return False
        item = self._item(client, ITEM_SCAN, place, False)
        if item is NULL or (request.argc > 1 and not cursor_request(&self.loop.pool, request, 1, cursor // count)):
            if item is not NULL:
                self._let_go(item)
            return self._refuse(request, client, b"ERR", NO_MEMORY)
        item.reach = count
        request.tags[self.tag] = item
        request.watched |= WATCHED_BY_STEP
        self._send(request, self.reach[place])
        return True

    # ---- state --------------------------------------------------------------------------------------------------

    cdef bint _state(self, request_t *request, route_session_t *client) noexcept nogil:
        """Goes to the chain that is home if it succeeds, told before what this command does not set itself.

        A login goes ahead of all else: a server that wants one takes nothing before it.
        """
        cdef:
            slice_t  words[WORDS_MAX]
            asker_t  asker
            saved_t *saved
            route_item_t *item
            uint32_t count, chain
            uint64_t told
            uint8_t  what = 0
            bint     login = False, complete = True
        if not request_own(&self.loop.pool, request):
            return self._refuse(request, client, b"ERR", NO_MEMORY)
        count = resp_words(request.wire.data, request.wire.data + request.wire.size, words, WORDS_MAX)
        self._ask(client, request, &asker)
        if 0 < count <= WORDS_MAX:
            what = state_what(words, count)
            login = login_user(words, count, &asker.user)
            if login or login_database(words, count, &asker.database):
                asker.base = rules_base(self.rules, &asker)
        chain = self._target(&asker, NULL, 0)
        if login:
            told = route_told(client)[chain]
            if told == TOLD_UNSURE and not self._tell_anew(client, chain):
                return False
            saved = state_next(client, told, SAVED_AUTH, NULL)
            while saved is not NULL:
                complete = complete and saved.what == what
                saved = state_next(client, told, SAVED_AUTH, saved)
        elif not self._tell(client, chain, what):
            return False
        item = self._item(client, ITEM_STATE, chain, True)
        if item is NULL:
            return self._refuse(request, client, b"ERR", NO_MEMORY)
        item.complete = complete
        route_told(client)[chain] = max(route_told(client)[chain], <uint64_t>1)
        request.tags[self.tag] = item
        request.watched |= WATCHED_BY_STEP
        self._send(request, chain)
        return True

    cdef bint _reset(self, request_t *request, route_session_t *client) noexcept nogil:
        """Goes home, or where the client listens; if it succeeds, the others are told before they are next used."""
        cdef asker_t asker
        self._ask(client, request, &asker)
        if client.transaction == TX_OPEN or client.watching:
            route_told(client)[client.chain] = max(route_told(client)[client.chain], <uint64_t>1)
        if client.subscribed or client.monitoring:
            return self._pass_as(request, client, client.listening, ITEM_RESET, True)
        return self._pass_as(request, client, self._target(&asker, NULL, 0), ITEM_RESET, True)

    cdef bint _reply_mode(self, request_t *request, route_session_t *client) noexcept nogil:
        """CLIENT REPLY: kept from the servers. What it silences is dropped here."""
        cdef slice_t words[3]
        if resp_words(request.wire.data, request.wire.data + request.wire.size, words, 3) == 3:
            if word_is(&words[2], "ON", 2):
                client.silent = 0
                client.skip = 0
                return self._answer(request, client, OK)
            if word_is(&words[2], "OFF", 3):
                client.silent = 1
                return self._answer(request, client, OK)
            if word_is(&words[2], "SKIP", 4):
                client.skip = 1
                self._answer(request, client, OK)
                client.skip = 1
                return True
        return self._pass(request, client, HOME, ITEM_NONE, False)

    # ---- transactions -------------------------------------------------------------------------------------------

    cdef bint _multi(self, request_t *request, route_session_t *client) noexcept nogil:
        if client.watching or request.argc != 1:
            return self._pass(request, client, client.chain if client.watching else HOME, ITEM_MULTI, True)
        client.transaction = TX_UNDECIDED
        client.broken = 0
        return self._answer(request, client, OK)

    cdef bint _watch(self, request_t *request, route_session_t *client) noexcept nogil:
        cdef:
            uint32_t chain = HOME
            fan_t   *fan = NULL
            int      place = self._place(request, client, &chain, &fan)
        if place == PLACE_REFUSED:
            return True
        if place != PLACE_CHAIN or (client.watching and client.chain != chain):
            if fan is not NULL:
                fan_free(&self.loop.pool, fan)
            return self._refuse(request, client, b"CROSSSLOT", CROSS_WATCH)
        if not self._tell(client, chain, 0):
            return False
        client.watching = 1
        client.chain = chain
        return self._pass(request, client, chain, ITEM_NONE, False)

    cdef bint _in_transaction(self, request_t *request, route_session_t *client) noexcept nogil:
        cdef:
            uint8_t conduct = request.conduct
            bint    decided = client.transaction == TX_OPEN
        if conduct == CONDUCT_EXEC or conduct == CONDUCT_DISCARD:
            return self._end(request, client)
        if conduct == CONDUCT_RESET:
            return self._reset(request, client)
        if conduct == CONDUCT_MULTI or conduct == CONDUCT_WATCH:
            if decided:
                return self._pass(request, client, client.chain, ITEM_NONE, False)
            return self._answer(request, client, NESTED if conduct == CONDUCT_MULTI else WATCH_INSIDE)
        if conduct == CONDUCT_QUIT:
            return self._pass_as(request, client, client.chain if decided else HOME, ITEM_NONE, False)
        if conduct == CONDUCT_STATE or conduct == CONDUCT_SUBSCRIBE or conduct == CONDUCT_UNSUBSCRIBE \
                or conduct == CONDUCT_MONITOR or conduct == CONDUCT_REPLY_MODE:
            client.broken = 1
            return self._refuse(request, client, b"ERR", NOT_IN_TX)
        return self._queue(request, client)

    cdef bint _queue(self, request_t *request, route_session_t *client) noexcept nogil:
        """A command of a transaction: opens it in the chain of its keys, or must belong there."""
        cdef:
            uint32_t chain = HOME
            fan_t   *fan = NULL
            int      place = self._place(request, client, &chain, &fan)
            bint     keyless = request.command is NULL or (<const command_t *>request.command).key_rule == KEYS_NONE
        if place == PLACE_REFUSED:
            client.broken = 1
            return True
        if fan is not NULL:
            fan_free(&self.loop.pool, fan)
        if place == PLACE_CHAIN and keyless and client.transaction == TX_OPEN:
            chain = client.chain
        if place != PLACE_CHAIN or (client.transaction == TX_OPEN and chain != client.chain):
            client.broken = 1
            if place == PLACE_ALL:
                return self._refuse(request, client, b"ERR", NOT_IN_TX)
            return self._refuse(request, client, b"CROSSSLOT", CROSS_TX)
        if client.transaction == TX_OPEN:
            return self._pass(request, client, chain, ITEM_NONE, False)
        if not self._tell(client, chain, 0):
            return False
        client.chain = chain
        if not self._tell_one(client, chain, <const uint8_t *>MULTI_WIRE, strlen(MULTI_WIRE), ITEM_OPEN, True):
            client.broken = 1
            return self._refuse(request, client, b"ERR", NO_MEMORY)
        return False

    cdef bint _end(self, request_t *request, route_session_t *client) noexcept nogil:
        """EXEC or DISCARD. A transaction of which a command was refused is discarded, as by the server."""
        cdef:
            bint    decided = client.transaction == TX_OPEN
            bint    broken = client.broken and request.conduct == CONDUCT_EXEC
            uint8_t kind = ITEM_NONE
        if request.argc != 1:
            client.broken = 1
            return self._pass(request, client, client.chain if decided else HOME, ITEM_NONE, False)
        client.transaction = TX_NONE
        client.broken = 0
        client.watching = 0
        if not decided:
            if request.conduct == CONDUCT_DISCARD:
                return self._answer(request, client, OK)
            return self._answer(request, client, ABORTED if broken else NOTHING)
        if broken:
            if request.owner is not NULL:
                chunk_put(&self.loop.pool, request.owner)
                request.owner = NULL
            request.wire.data = <uint8_t *>DISCARD_WIRE
            request.wire.size = strlen(DISCARD_WIRE)
            request.edited = 1
            resp_facts(request)
            kind = ITEM_ABORTED
        return self._pass(request, client, client.chain, kind, False)


cdef inline bint _concerns_all(const command_t *command) noexcept nogil:
    """Commands without keys whose tips send them to all servers, as far as their replies can be made one; not PING."""
    if command.id == ID_PING or command.conduct == CONDUCT_STATE:
        return False
    if command.request_policy == POLICY_ALL_NODES or command.request_policy == POLICY_ALL_SHARDS:
        return command.response_policy != POLICY_SPECIAL or command.id == ID_RANDOMKEY
    return command.id == ID_SCAN
