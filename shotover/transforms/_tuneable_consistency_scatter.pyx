"""See _tuneable_consistency_scatter.pxd; what all such steps have in common is in _proxy/scatter and _proxy/routes."""

cimport cython

from libc.stdint cimport INT64_MIN, int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memset

from shotover._codec.commands cimport (
    CONDUCT_BLOCK,
    CONDUCT_DISCARD,
    CONDUCT_EXEC,
    CONDUCT_MONITOR,
    CONDUCT_MULTI,
    CONDUCT_PIN,
    CONDUCT_PLAIN,
    CONDUCT_QUIT,
    CONDUCT_REPLICATION,
    CONDUCT_REPLY_MODE,
    CONDUCT_RESET,
    CONDUCT_STATE,
    CONDUCT_SUBSCRIBE,
    CONDUCT_UNSUBSCRIBE,
    CONDUCT_UNWATCH,
    CONDUCT_WAIT,
    CONDUCT_WATCH,
    ID_DBSIZE,
    ID_HSCAN,
    ID_KEYS,
    ID_PUBLISH,
    ID_PUBSUB,
    ID_SCAN,
    ID_SPUBLISH,
    ID_SSCAN,
    ID_ZSCAN,
    KIND_ADMIN,
    KIND_PUBSUB,
    KIND_READ,
    KIND_SCHEMA,
    KIND_SESSION,
    KIND_UNKNOWN,
    KIND_WRITE,
    command_find,
    word_is,
)
from shotover._codec.resp cimport resp_frame_size, resp_words
from shotover._codec.resp_edit cimport resp_facts
from shotover._codec.resp_merge cimport (
    reply_begins,
    reply_elements,
    reply_integer,
    reply_is_away,
    reply_is_error,
    reply_is_excuse,
    reply_is_null,
    vote,
)
from shotover._codec.resp_cursor cimport cursor_read, cursor_reply, cursor_request
from shotover._codec.resp_profile cimport PROFILE_SIZE_MAX, profile_compact, profile_without
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, chunk_t, pool_take
from shotover._core.request cimport request_drop_reply, request_own
from shotover._core.slice cimport slice_t
from shotover._proxy.journal cimport profile_data, profile_new, profile_put, profile_ref, profile_t
from shotover._proxy.routes cimport (
    PROBE_ANSWERED,
    PROBE_FAILED,
    PROBE_MENDING,
    WORTH_AWAY,
    WORTH_ERROR,
    WORTH_EXCUSE,
    WORTH_GOOD,
    bits,
    lowest,
)

cdef enum:
    TX_SIZE_MAX = 67108864      # bytes of a transaction that is kept for routes that miss a part of it
    STAMP_SLACK = 1             # stamps this near are the same: servers' clocks tick once a second, each at its own moment
    TEXT_SIZE = 400

cdef const char *PING = b"*1\r\n$4\r\nPING\r\n"
cdef const char *ROLE = b"*1\r\n$4\r\nROLE\r\n"
cdef const char *MULTI = b"*1\r\n$5\r\nMULTI\r\n"
cdef const char *EXEC = b"*1\r\n$4\r\nEXEC\r\n"
cdef const char *DISCARD = b"*1\r\n$7\r\nDISCARD\r\n"
cdef const char *CLIENT_ID = b"*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n"
cdef const char *RESET = b"*1\r\n$5\r\nRESET\r\n"


@cython.final
cdef class TuneableConsistencyScatter(ScatterStep):

    def __init__(self, context, *, str name, list routes, int write_consistency, int read_consistency, int timeout_ms,
                 int probe_ms, journal_requests, journal_bytes):
        for route, chain in routes:
            self.add_route(route, chain, journal_requests, journal_bytes)
        self.write_consistency = write_consistency
        self.read_consistency = read_consistency
        self.timeout_ns = <uint64_t>timeout_ms * 1000000
        self.probe_ns = <uint64_t>probe_ms * 1000000
        self.reset_wire = RESET
        self.pin_wire = CLIENT_ID
        self.ping = command_find(b"PING", 4)
        self.role = command_find(b"ROLE", 4)

    # ---- which way ----------------------------------------------------------------------------------------------

    cdef void take(self, request_t *request, client_t *client) noexcept nogil:
        cdef uint8_t conduct = request.conduct
        if unlikely(client.quitting):
            request.mute = 1
            self.reply_take(request)
        elif unlikely(client.session is NULL and conduct != CONDUCT_PLAIN):
            self.refuse_take(request, b"ERR", b"shotover: the client is gone", 28)
        elif likely(conduct == CONDUCT_PLAIN):
            if unlikely(client.in_tx):
                self._queue(request, client)
            else:
                self._spread(request, client)
        elif conduct == CONDUCT_MULTI and not client.in_tx:
            self._begin(request, client)
        elif conduct == CONDUCT_EXEC or conduct == CONDUCT_DISCARD:
            self._end(request, client)
        elif conduct == CONDUCT_RESET:
            self._state(request, client)
        elif conduct == CONDUCT_QUIT:
            self._quit(request, client)
        elif conduct == CONDUCT_REPLY_MODE:
            self._reply_mode(request)
        elif client.in_tx:
            self._queue(request, client)
        elif conduct == CONDUCT_STATE:
            self._state(request, client)
        elif conduct == CONDUCT_WATCH or conduct == CONDUCT_UNWATCH:
            self._watch(request, client)
        elif conduct == CONDUCT_SUBSCRIBE or conduct == CONDUCT_UNSUBSCRIBE or conduct == CONDUCT_MONITOR \
                or conduct == CONDUCT_PIN:
            self._go_home(request, client, True)
        elif conduct == CONDUCT_REPLICATION:
            self._go_home(request, client, False)
        else:
            self._spread(request, client)

    cdef void _spread(self, request_t *request, client_t *client) noexcept nogil:
        """A command that stands by itself."""
        cdef const command_t *command = <const command_t *>request.command
        if command is not NULL and command.parent == ID_PUBSUB:
            self._go_home(request, client, False)       # where those who came this way have subscribed
        elif command is not NULL and (request.kind == KIND_READ or request.kind == KIND_SESSION):
            if client.bound and request.kind == KIND_SESSION and request.conduct == CONDUCT_PLAIN:
                self._go_home(request, client, True)
            elif command.id == ID_SCAN:
                self._scan(request, client, 1)
            elif command.id == ID_HSCAN or command.id == ID_SSCAN or command.id == ID_ZSCAN:
                self._scan(request, client, 2)
            else:
                self._read(request, client)
        else:
            self._write(request, client)

    cdef bint _few(self, request_t *request, uint32_t routes, uint32_t needed, const char *wanted) noexcept nogil:
        """Refuses at once what cannot get as many answers as it needs. True: it did."""
        cdef:
            char     text[TEXT_SIZE]
            uint32_t route
            int      size
        if likely(bits(routes) >= needed):
            return False
        self.not_enough_total += 1
        size = snprintf(text, sizeof(text), b"Not enough responses (shotover: %u of %u routes can answer, %s is %u; not there:",
                        bits(routes), self.route_count, wanted, needed)
        for route in range(self.route_count):
            if not routes >> route & 1 and <size_t>size < sizeof(text) - 80:
                size += snprintf(text + size, sizeof(text) - size, b" %s", self.routes[route].name)
        size += snprintf(text + size, sizeof(text) - size, b")")
        self.refuse_take(request, b"ERR", text, <size_t>size)
        return True

    cdef void _go_home(self, request_t *request, client_t *client, bint stays) noexcept nogil:
        """To one route alone, and always the same while the client is tied to it."""
        cdef uint32_t up = self.routes_up()
        if not client.bound:
            if self._few(request, up, 1, b"what such a command needs"):
                return
            client.home = <uint8_t>lowest(up)
        if stays:
            client.bound = 1
        self.send_home(request, client)

    cdef void _shared(self, request_t *request, client_t *client, uint32_t routes, uint32_t needed) noexcept nogil:
        """To these routes, for the reply that most of them give."""
        cdef item_t *item = self.item_new(request, client)
        if item is NULL:
            self.refuse_take(request, b"ERR", b"shotover: no memory", 19)
            return
        item.needed = needed
        item.enough = needed
        self.item_send(item, routes)

    # ---- reads and writes ---------------------------------------------------------------------------------------

    cdef void _read(self, request_t *request, client_t *client) noexcept nogil:
        cdef:
            const command_t *command = <const command_t *>request.command
            uint32_t up = self.routes_up()
            item_t  *item
        if self._few(request, up, self.read_consistency, b"read_consistency"):
            return
        item = self.item_new(request, client)
        if item is NULL:
            self.refuse_take(request, b"ERR", b"shotover: no memory", 19)
            return
        item.needed = self.read_consistency
        item.enough = self.read_consistency
        item.rule = RULE_NEWEST
        item.reads = 1
        item.waits = request.conduct == CONDUCT_BLOCK or request.conduct == CONDUCT_WAIT
        if request.conduct == CONDUCT_WAIT:
            item.rule = RULE_MIN
        elif command.id == ID_DBSIZE or command.id == ID_KEYS:
            item.rule = RULE_MAX if command.id == ID_DBSIZE else RULE_LONGEST
            item.needed = bits(up)
        self.item_send(item, up)

    cdef void _write(self, request_t *request, client_t *client) noexcept nogil:
        cdef:
            const command_t *command = <const command_t *>request.command
            bint     kept = request.kind == KIND_WRITE or request.kind == KIND_SCHEMA or request.kind == KIND_UNKNOWN
            uint32_t routes = self.routes_open()
            item_t  *item
        if self._few(request, routes, self.write_consistency, b"write_consistency"):
            return
        item = self.item_new(request, client)
        if item is NULL:
            self.refuse_take(request, b"ERR", b"shotover: no memory", 19)
            return
        item.needed = self.write_consistency
        item.enough = self.write_consistency
        item.waits = request.conduct == CONDUCT_BLOCK
        item.conditional = item.waits
        if request.kind == KIND_PUBSUB and (command.id == ID_PUBLISH or command.id == ID_SPUBLISH):
            item.rule = RULE_SUM
            item.needed = bits(routes)
        if kept and not self._keep(item, request):
            self.refuse_item(item, b"shotover: no memory")
            self._finish(item)
            return
        if kept and item.conditional:
            item.late = self.all_routes() & ~routes
        elif kept:
            self.item_miss(item, self.all_routes() & ~routes)
        self.item_send(item, routes)

    cdef bint _keep(self, item_t *item, request_t *request) noexcept nogil:
        """Notes what journals are to get. What may block goes within a transaction, where it does not."""
        cdef:
            chunk_t *chunk
            bint     kept
        if not request_own(&self.loop.pool, request):
            return False
        if not item.waits:
            return self.item_keep(item, request.wire.data, request.wire.size)
        chunk = pool_take(&self.loop.pool, request.wire.size + 32)
        if chunk is NULL:
            return False
        memcpy(chunk_data(chunk), MULTI, 15)
        memcpy(chunk_data(chunk) + 15, request.wire.data, request.wire.size)
        memcpy(chunk_data(chunk) + 15 + request.wire.size, EXEC, 14)
        kept = self.item_keep(item, chunk_data(chunk), request.wire.size + 29)
        chunk_put(&self.loop.pool, chunk)
        return kept

    cdef void _scan(self, request_t *request, client_t *client, uint32_t cursor_at) noexcept nogil:
        """One route walks its own table: the cursor says which one it is."""
        cdef:
            uint32_t up = self.routes_up()
            uint32_t route = lowest(up)
            uint64_t cursor = 0
            item_t  *item
        if self._few(request, up, self.read_consistency, b"read_consistency"):
            return
        if cursor_read(request, cursor_at, &cursor) and cursor:
            route = <uint32_t>(cursor % self.route_count)
            if not up >> route & 1:
                self.refuse_take(request, b"ERR", b"shotover: the route that this cursor is of is away; begin the scan anew", 71)
                return
            if not cursor_request(&self.loop.pool, request, cursor_at, cursor // self.route_count):
                self.refuse_take(request, b"ERR", b"shotover: no memory", 19)
                return
        item = self.item_new(request, client)
        if item is NULL:
            self.refuse_take(request, b"ERR", b"shotover: no memory", 19)
            return
        item.needed = 1
        item.enough = 1
        item.rule = RULE_CURSOR
        item.reads = 1
        self.item_send(item, <uint32_t>1 << route)

    # ---- the session's state ------------------------------------------------------------------------------------

    cdef void _state(self, request_t *request, client_t *client) noexcept nogil:
        cdef:
            uint32_t routes = self.routes_open()
            uint32_t missing = self.all_routes() & ~routes
            item_t  *item
        if request.conduct == CONDUCT_RESET:
            self._forget_tx(client)
            client.bound = 0
            client.watching = 0
            client.tx_skip = 0
        if self._few(request, routes, 1, b"what such a command needs"):
            return
        # Its words are looked at again when routes refuse it (not_changed).
        item = self.item_new(request, client) if request_own(&self.loop.pool, request) else NULL
        if item is NULL:
            self.refuse_take(request, b"ERR", b"shotover: no memory", 19)
            return
        item.all = 1
        if request.conduct == CONDUCT_RESET:
            profile_put(client.profile)
            client.profile = NULL
            client.reset |= missing
        elif not self._remember(client, request):
            self.refuse_item(item, b"shotover: this client's state is too long to be told to other routes")
            self._finish(item)
            return
        item.changes = 1
        item.after = profile_ref(client.profile)
        client.behind |= missing
        self.item_send(item, routes)

    cdef bint _remember_tx(self, client_t *client) noexcept nogil:
        """The profile with what the transaction does to it. False: nothing, or it is too long to be told elsewhere."""
        cdef:
            request_t part
            uint8_t  *at = client.tx
            uint8_t  *end = client.tx + client.tx_size
            bint      done = False
        memset(&part, 0, sizeof(part))
        while at < end:
            part.wire.data = at
            part.wire.size = resp_frame_size(at, end)
            if part.wire.size == 0:
                break
            resp_facts(&part)
            if part.conduct == CONDUCT_STATE and self._remember(client, &part):
                done = True
            at += part.wire.size
        return done

    cdef bint _remember(self, client_t *client, request_t *request) noexcept nogil:
        """The client's profile with this request behind it."""
        cdef:
            uint8_t    out[PROFILE_SIZE_MAX]
            profile_t *profile = client.profile
            size_t     size = 0 if profile is NULL else profile.size
        if size + request.wire.size > PROFILE_SIZE_MAX and size:
            size = profile_compact(out, profile_data(profile), size)
        elif size:
            memcpy(out, profile_data(profile), size)
        if size + request.wire.size > PROFILE_SIZE_MAX:
            return False
        memcpy(out + size, request.wire.data, request.wire.size)
        return self._set_profile(client, out, size + request.wire.size)

    cdef bint _set_profile(self, client_t *client, uint8_t *data, size_t size) noexcept nogil:
        cdef profile_t *profile = profile_new(data, size)
        if profile is NULL:
            return False
        profile_put(client.profile)
        client.profile = profile
        return True

    cdef void not_changed(self, client_t *client, slice_t *wire) noexcept nogil:
        cdef:
            uint8_t out[PROFILE_SIZE_MAX]
            size_t  size = profile_without(out, profile_data(client.profile), client.profile.size, wire)
        if size == 0:
            profile_put(client.profile)
            client.profile = NULL
        else:
            self._set_profile(client, out, size)

    cdef void changed(self, client_t *client) noexcept nogil:
        cdef:
            uint8_t out[PROFILE_SIZE_MAX]
            size_t  size
        if client.profile is not NULL:
            size = profile_compact(out, profile_data(client.profile), client.profile.size)
            if size < client.profile.size:
                self._set_profile(client, out, size)

    cdef void _quit(self, request_t *request, client_t *client) noexcept nogil:
        if request.queued:
            client.session.leaving = 1
        client.quitting = 1
        self.answer_take(request, b"+OK\r\n", 5)

    cdef void _reply_mode(self, request_t *request) noexcept nogil:
        cdef:
            slice_t words[3]
            bint    three = resp_words(request.wire.data, request.wire.data + request.wire.size, words, 3) == 3
        if three and word_is(&words[2], b"ON", 2):
            self.answer_take(request, b"+OK\r\n", 5)
        elif not three or not (word_is(&words[2], b"OFF", 3) or word_is(&words[2], b"SKIP", 4)):
            self.answer_take(request, b"-ERR syntax error\r\n", 19)
        else:
            self.refuse_take(request, b"ERR", b"shotover: CLIENT REPLY OFF and SKIP cannot pass a scatter", 57)

    # ---- transactions -------------------------------------------------------------------------------------------

    cdef void _begin(self, request_t *request, client_t *client) noexcept nogil:
        cdef uint32_t routes = self.routes_open() & ~client.tx_skip
        if self._few(request, routes, self.write_consistency, b"write_consistency"):
            return
        client.in_tx = 1
        client.tx_routes = routes
        client.tx_size = 0
        client.tx_over = 0
        client.tx_broken = 0
        client.tx_state = 0
        client.tx_writes = 0
        self._add_tx(client, MULTI, 15)
        self._shared(request, client, routes, self.write_consistency)

    cdef void _queue(self, request_t *request, client_t *client) noexcept nogil:
        """Between MULTI and EXEC."""
        if request.conduct == CONDUCT_SUBSCRIBE or request.conduct == CONDUCT_MONITOR:
            client.tx_broken = 1                # every route would take it up, and each message come many times
            self.refuse_take(request, b"ERR", b"shotover: a subscription cannot stand in a transaction before a scatter", 71)
            return
        if request.kind == KIND_WRITE or request.kind == KIND_SCHEMA or request.kind == KIND_UNKNOWN:
            client.tx_writes = 1
        elif request.conduct == CONDUCT_STATE:
            client.tx_state = 1
        self._add_tx(client, <const char *>request.wire.data, request.wire.size)
        if not self._few(request, client.tx_routes, self.write_consistency, b"write_consistency"):
            self._shared(request, client, client.tx_routes, self.write_consistency)

    cdef void _add_tx(self, client_t *client, const char *data, size_t size) noexcept nogil:
        cdef:
            size_t   room = max(client.tx_room, <size_t>256)
            uint8_t *tx
        while room < client.tx_size + size:
            room *= 2
        if room > client.tx_room:
            tx = NULL if room > TX_SIZE_MAX or client.session is NULL else <uint8_t *>realloc(client.tx, room)
            if tx is NULL:
                client.tx_over = 1
                return
            client.tx = tx
            client.tx_room = room
        memcpy(client.tx + client.tx_size, data, size)
        client.tx_size += size

    cdef void _forget_tx(self, client_t *client) noexcept nogil:
        client.in_tx = 0
        client.tx_size = 0
        client.tx_routes = 0
        if client.tx_room > 4096:
            free(client.tx)
            client.tx = NULL
            client.tx_room = 0

    cdef void _end(self, request_t *request, client_t *client) noexcept nogil:
        """EXEC or DISCARD."""
        cdef:
            uint32_t routes = client.tx_routes if client.in_tx else self.routes_open()
            uint32_t route
            bint     carried = request.conduct == CONDUCT_EXEC and client.in_tx and client.tx_writes
            bint     watching = client.watching
            item_t  *item
        client.watching = 0
        client.tx_skip = 0
        if unlikely(bits(routes) < self.write_consistency or (carried and client.tx_over)
                    or (client.in_tx and client.tx_broken)):
            for route in range(self.route_count):
                if client.in_tx and routes >> route & 1:
                    self.tell(client, route, DISCARD, 17)
            self._forget_tx(client)
            self.not_enough_total += 1
            self.refuse_take(request, b"EXECABORT", b"Transaction discarded: not enough routes have all of it (shotover), "
                             b"or it is too long", 85)
            return
        item = self.item_new(request, client)
        if item is NULL:
            self.refuse_take(request, b"ERR", b"shotover: no memory", 19)
            return
        item.needed = self.write_consistency
        item.enough = self.write_consistency
        item.conditional = watching and client.in_tx and request.conduct == CONDUCT_EXEC
        if request.conduct == CONDUCT_EXEC and client.in_tx and client.tx_state and self._remember_tx(client):
            item.changes = 1
            item.after = profile_ref(client.profile)
            client.behind |= self.all_routes() & ~routes
        if carried:
            self._add_tx(client, EXEC, 14)
            if client.tx_over or not self.item_keep(item, client.tx, client.tx_size):
                self.refuse_item(item, b"shotover: no memory")
                self._finish(item)
                return
            if watching:
                item.late = self.all_routes() & ~routes
            else:
                self.item_miss(item, self.all_routes() & ~routes)
        self._forget_tx(client)
        self.item_send(item, routes)

    cdef void _watch(self, request_t *request, client_t *client) noexcept nogil:
        cdef uint32_t routes = self.routes_open()
        if self._few(request, routes, self.write_consistency, b"write_consistency"):
            return
        if request.conduct == CONDUCT_WATCH:
            client.watching = 1
            client.tx_skip |= self.all_routes() & ~routes
        else:
            client.watching = 0
            client.tx_skip = 0
        self._shared(request, client, routes, self.write_consistency)

    # ---- whose reply --------------------------------------------------------------------------------------------

    cdef int judge(self, request_t *child) noexcept nogil:
        if likely(not reply_is_error(&child.reply)):
            return WORTH_GOOD
        if reply_is_away(&child.reply):
            return WORTH_AWAY
        return WORTH_EXCUSE if reply_is_excuse(&child.reply) else WORTH_ERROR

    cdef bint applied(self, item_t *item, request_t *child) noexcept nogil:
        return not reply_is_null(&child.reply)

    cdef request_t *merge(self, item_t *item, uint32_t routes) noexcept nogil:
        cdef:
            const slice_t *replies[ROUTES_MAX]
            request_t     *children[ROUTES_MAX]
            request_t     *child
            uint64_t       newest = 0
            uint32_t       route
            int            count = 0, at
        for route in range(self.route_count):
            if routes >> route & 1 and item.children[route] is not NULL:
                newest = max(newest, item.children[route].stamp)
        for route in range(self.route_count):
            child = item.children[route]
            if child is NULL or not routes >> route & 1:
                continue
            if item.rule == RULE_NEWEST and child.stamp + STAMP_SLACK < newest:
                continue
            at = count                          # the newer stands before the older, of the same age the preferred route
            while at > 0 and item.rule == RULE_NEWEST and children[at - 1].stamp < child.stamp:
                children[at] = children[at - 1]
                replies[at] = replies[at - 1]
                at -= 1
            children[at] = child
            replies[at] = &child.reply
            count += 1
        if count == 0:
            return NULL
        child = children[vote(replies, count)]
        if item.changes and not item.all and (item.bad & routes or reply_is_null(&child.reply)):
            self.unchanged(item)                # EXEC was not carried out
        if item.bad & routes or item.rule <= RULE_NEWEST:
            return child
        if item.rule == RULE_LONGEST:
            for at in range(count):
                if reply_elements(&children[at].reply) > reply_elements(&child.reply):
                    child = children[at]
        elif item.rule == RULE_CURSOR:
            if not cursor_reply(&self.loop.pool, child, self.route_count, lowest(routes), 0):
                request_drop_reply(&self.loop.pool, child)
        else:
            self._number(child, item, routes)
        return child

    cdef void _number(self, request_t *child, item_t *item, uint32_t routes) noexcept nogil:
        """The greatest, the least or the sum of the numbers takes the place of the child's reply."""
        cdef:
            int64_t  found = INT64_MIN, number
            uint32_t route
            char     text[32]
            int      size
            chunk_t *chunk
        for route in range(self.route_count):
            if not routes >> route & 1 or item.children[route] is NULL:
                continue
            number = reply_integer(&item.children[route].reply)
            if number == INT64_MIN:
                continue
            if found == INT64_MIN:
                found = number
            elif item.rule == RULE_SUM:
                found += number
            elif (number > found) == (item.rule == RULE_MAX):
                found = number
        if found == INT64_MIN:
            return
        size = snprintf(text, sizeof(text), b":%lld\r\n", <long long>found)
        chunk = pool_take(&self.loop.pool, <size_t>size)
        if chunk is NULL:
            return
        memcpy(chunk_data(chunk), text, <size_t>size)
        request_drop_reply(&self.loop.pool, child)
        child.reply_owner = chunk
        child.reply.data = chunk_data(chunk)
        child.reply.size = <size_t>size

    cdef void too_few(self, item_t *item, bint late) noexcept nogil:
        cdef:
            char       text[TEXT_SIZE]
            request_t *child
            int        size
            size_t     error_size
        self.not_enough_total += 1
        size = snprintf(text, sizeof(text), b"Not enough responses (shotover: %u of the %u that are needed%s%s", bits(item.good),
                        max(item.enough, <uint32_t>1), b", within timeout_ms" if late else b"",
                        b"; what was sent may still be carried out" if item.owner is not NULL else b"")
        if item.bad:
            child = item.children[lowest(item.bad)]
            if child is not NULL and child.reply.size > 3:
                error_size = min(child.reply.size - 3, <size_t>120)
                size += snprintf(text + size, sizeof(text) - size, b"; route %s: %.*s", self.routes[lowest(item.bad)].name,
                                 <int>error_size, <const char *>child.reply.data + 1)
        size += snprintf(text + size, sizeof(text) - size, b")")
        text[sizeof(text) - 1] = 0
        self.refuse_item(item, text)

    # ---- what was missed ----------------------------------------------------------------------------------------

    cdef size_t cut(self, request_t *child, uint8_t *at, uint8_t *end) noexcept nogil:
        cdef size_t size = resp_frame_size(at, end)
        child.wire.data = at
        child.wire.size = size
        if size:
            resp_facts(child)
        return size

    cdef bint probe(self, request_t *child, bint stale) noexcept nogil:
        cdef chunk_t *chunk = pool_take(&self.loop.pool, 16)
        if chunk is NULL:
            return False
        memcpy(chunk_data(chunk), ROLE if stale else PING, 14)
        child.owner = chunk
        child.wire.data = chunk_data(chunk)
        child.wire.size = 14
        child.command = self.role if stale else self.ping
        child.argc = 1
        child.kind = KIND_ADMIN if stale else KIND_SESSION
        child.conduct = CONDUCT_PLAIN
        return True

    cdef int probed(self, request_t *child) noexcept nogil:
        if child.reply.size == 0 or reply_is_away(&child.reply):
            return PROBE_FAILED
        if child.command is not self.role:
            return PROBE_ANSWERED
        if reply_begins(&child.reply, b"*5\r\n$5\r\nslave\r\n") and _contains(&child.reply, b"$9\r\nconnected\r\n", 15):
            return PROBE_MENDING
        return PROBE_ANSWERED


cdef bint _contains(slice_t *reply, const char *text, size_t size) noexcept nogil:
    cdef size_t at = 0
    while at + size <= reply.size:
        if memcmp(reply.data + at, text, size) == 0:
            return True
        at += 1
    return False
