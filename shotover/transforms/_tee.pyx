"""See _tee.pxd. What the chain that does not answer (the *other*) gets, by what a command does to its connection:

  plain, blocking         a copy, if there is room; a transaction as a whole or not at all
  state, WATCH, RESET     a copy in any case: were it to miss one, later ones would go to the wrong database or user
  subscriptions, MONITOR,
  CLIENT ID and the like  nothing: they concern the one connection that answers; the client is not switched while they last
  QUIT, WAIT              nothing

Of CQL: a handshake and USE go to both, and its client waits for both, whatever the behavior, handshake_timeout_ms at most; if
the other chain does not take part, the client gets no more copies. OPTIONS and REGISTER go to the chain that answers alone. The
mismatch chain hears of all that first, and of what is prepared (_proxy/company).

Room: of one client, one batch may be under way and `buffer_size` more; all copies together hold HELD_BYTES_MAX at most.
Beyond that copies are dropped and counted; the client notices nothing under Ignore. Where it waits for both replies, a
batch without room waits for one.
"""

cimport cython

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memset, strlen

from shotover._codec.commands cimport (
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
    ID_HELLO,
    ID_PING,
    KIND_ADMIN,
    TIP_NONDETERMINISTIC_OUTPUT,
    TIP_NONDETERMINISTIC_OUTPUT_ORDER,
    command_t,
)
from shotover._codec.compare cimport COMPARE_EXACT, COMPARE_OUTCOME, COMPARE_UNORDERED, replies_agree
from shotover._codec.cql.agree cimport cql_replies_agree
from shotover._codec.cql.facts cimport cql_facts, cql_facts_t
from shotover._codec.cql.frame cimport OP_OPTIONS, OP_REGISTER
from shotover._codec.cql.render cimport cql_render_reply, cql_render_request
from shotover._codec.render cimport render_reply_to, render_request
from shotover._core.debug cimport invariant, likely, unlikely
from shotover._core.memory cimport slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport (
    WATCHED_BY_STEP,
    batch_clear,
    batch_pop,
    batch_push,
    request_add_reply,
    request_like,
    request_own,
    request_own_reply,
)
from shotover._proxy.session cimport session_slots, session_t
from shotover._proxy.step cimport LOG_TEXT, LOG_WARNING

cdef enum:
    HELD_BYTES_MAX = 67108864

cdef enum:                      # what becomes of a copy
    FATE_SEND = 0
    FATE_NONE = 1               # the other chain is not concerned
    FATE_DROP = 2               # it should have had it
    FATE_MUST = 3               # as SEND, room or not

BEHAVIORS = {"Ignore": IGNORE, "FailOnMismatch": FAIL, "LogWarningOnMismatch": LOG, "SubchainOnMismatch": SUBCHAIN}
cdef const char *NO_PLACE = b"shotover: the other chain of the Tee had no place within timeout_micros"
cdef const char *DIFFER = b"the replies of the two chains differ (shotover: Tee, FailOnMismatch)"


cdef void _on_timer(timer_t *timer) noexcept nogil:
    (<Tee>timer.owner)._expire()


cdef void _on_half(timer_t *timer) noexcept nogil:
    (<Tee>timer.owner)._expire_halves()


cdef void _go(void *owner, batch_t *batch) noexcept nogil:
    (<Tee>owner)._spread(batch)


@cython.final
cdef class Tee(Step):

    def __init__(self, context, *, str name, str behavior, Chain chain, mismatch_chain, timeout_micros, int buffer_size,
                 switch_port, int handshake_timeout_ms):
        self.behavior = BEHAVIORS[behavior]
        self.side = chain
        self.adopt(chain)
        self.aside = mismatch_chain
        if mismatch_chain is not None:
            self.adopt(mismatch_chain)
        self.buffer_size = buffer_size
        if timeout_micros is not None:
            self.timeout_ns = timeout_micros * 1000 or self.behavior != IGNORE
        self.may_wait = self.timeout_ns > 0 or (timeout_micros is None and self.behavior != IGNORE)
        self.tag = 0
        self.wants_slot = True
        self.wants_end = True
        self.wants_replies = True
        self.cql = context.protocol == "cassandra"
        if self.cql and mismatch_chain is not None:
            self.company = Company(self, [mismatch_chain])
            self.company.go = _go
        self.handshake_ns = <uint64_t>handshake_timeout_ms * 1000000
        self.half_timer.fire = _on_half
        self.half_timer.owner = <void *>self
        self.wants_statements = True
        self.wants_each = self.behavior != IGNORE
        slab_init(&self.sessions, sizeof(tee_session_t))
        slab_init(&self.batches, sizeof(tee_batch_t))
        slab_init(&self.items, sizeof(tee_item_t))
        self.timer.fire = _on_timer
        self.timer.owner = <void *>self

    def __dealloc__(self):
        slab_close(&self.sessions)
        slab_close(&self.batches)
        slab_close(&self.items)

    # ---- down ---------------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            batch_t    rest
            request_t *request
        if likely(self.company is None):
            self._spread(batch)
            return
        batch_clear(&rest)
        while batch.head is not NULL:
            request = batch_pop(batch)
            if not self.company.take(request):
                batch_push(&rest, request)
        self._spread(&rest)

    cdef void _spread(self, batch_t *batch) noexcept nogil:
        cdef:
            batch_t        main, side
            request_t     *request
            tee_session_t *client = NULL
            tee_session_t *before = NULL
            tee_batch_t   *copies = NULL
            tee_item_t    *item
            bint           room = False, dropped = False, waits = False
            int            fate
        batch_clear(&main)
        batch_clear(&side)
        while batch.head is not NULL:
            request = batch_pop(batch)
            client = self._session_of(request)
            if unlikely(client is NULL):
                self.refuse_take(request, b"ERR", b"shotover: no memory", 19)
                continue
            if client is not before:
                before = client
                copies = NULL
                dropped = False
                room = client.outstanding <= self.buffer_size and client.waiting_head is NULL
            self._maybe_switch(client, request)
            fate = self._fate(client, request, room or (self.may_wait and (
                self.behavior != IGNORE or client.waiting < self.buffer_size)))
            item = NULL
            if fate == FATE_SEND or fate == FATE_MUST:
                waits = not room and (self.may_wait or client.waiting_head is not NULL)
                item = self._copy(client, request, waits)
                if copies is NULL and item is not NULL:
                    copies = self._batch_for(client, waits)
                    if copies is NULL:
                        self._uncopy(item, request)
                        item = NULL
                if unlikely(item is NULL):
                    self._drop(client)
                    fate = FATE_DROP
            if item is not NULL:
                self._join(item, copies, fate == FATE_MUST)
                if not waits:
                    self._send(item, &main, &side)
            if fate == FATE_DROP and not dropped:
                dropped = True
                self.dropped_total += 1
            if client.side_answers:
                batch_push(&side, request)
            else:
                batch_push(&main, request)
        if main.head is not NULL:
            self.pass_down(&main)
        if side.head is not NULL:
            self.side.run(&side)

    cdef tee_session_t *_session_of(self, request_t *request) noexcept nogil:
        cdef:
            void         **slot
            tee_session_t *client
        if unlikely(request.session is NULL):
            self.orphans.side_answers = self.switched
            return &self.orphans
        slot = session_slots(<session_t *>request.session) + self.slot
        client = <tee_session_t *>slot[0]
        if unlikely(client is NULL):
            client = <tee_session_t *>slab_take(&self.sessions)
            if client is not NULL:
                memset(client, 0, sizeof(tee_session_t))
                client.session = request.session
                client.side_answers = self.switched
                slot[0] = client
        return client

    cdef inline void _maybe_switch(self, tee_session_t *client, request_t *request) noexcept nogil:
        """A client follows the switch as soon as nothing of it is under way, open or tied to one chain."""
        if (
            unlikely(client.side_answers != self.switched)
            and client.outstanding == 0 and client.waiting_head is NULL
            and client.transaction == TX_NONE and not client.bound and not client.lost
            and (not request.queued or (<session_t *>request.session).order_head is request)
        ):
            client.side_answers = self.switched

    cdef int _fate(self, tee_session_t *client, request_t *request, bint room) noexcept nogil:
        """Whether the other chain gets a copy; follows transactions as they pass."""
        cdef uint8_t conduct = request.conduct
        if self.cql and (request.opcode == OP_OPTIONS or request.opcode == OP_REGISTER):
            return FATE_NONE
        if unlikely(self.held_bytes + request.wire.size > HELD_BYTES_MAX):
            room = False
            if client.transaction == TX_COPIED or conduct == CONDUCT_STATE or conduct == CONDUCT_WATCH \
                    or conduct == CONDUCT_RESET:
                client.lost = 1
        if likely(conduct != CONDUCT_MULTI and client.transaction == TX_NONE):
            if conduct == CONDUCT_STATE or conduct == CONDUCT_WATCH or conduct == CONDUCT_UNWATCH \
                    or conduct == CONDUCT_EXEC or conduct == CONDUCT_DISCARD:
                return FATE_DROP if client.lost else FATE_MUST
        elif conduct == CONDUCT_EXEC or conduct == CONDUCT_DISCARD:
            room = client.transaction == TX_COPIED and not client.lost
            client.transaction = TX_NONE
            return FATE_MUST if room else FATE_DROP
        elif conduct == CONDUCT_MULTI and client.transaction == TX_NONE:
            client.vague = 0
            client.transaction = TX_COPIED if room and not client.lost else TX_ALONE
            return FATE_MUST if client.transaction == TX_COPIED else FATE_DROP
        elif conduct != CONDUCT_RESET:
            if conduct == CONDUCT_PIN or conduct == CONDUCT_SUBSCRIBE or conduct == CONDUCT_UNSUBSCRIBE \
                    or conduct == CONDUCT_REPLY_MODE or conduct == CONDUCT_MONITOR or conduct == CONDUCT_WAIT:
                client.vague = 1
            else:
                return FATE_MUST if client.transaction == TX_COPIED and not client.lost else FATE_DROP
        if conduct == CONDUCT_RESET:
            client.transaction = TX_NONE
            client.bound = 0
            return FATE_DROP if client.lost else FATE_MUST
        if conduct == CONDUCT_SUBSCRIBE or conduct == CONDUCT_UNSUBSCRIBE or conduct == CONDUCT_MONITOR \
                or conduct == CONDUCT_PIN or conduct == CONDUCT_REPLY_MODE:
            client.bound = 1
            return FATE_NONE
        if conduct == CONDUCT_QUIT or conduct == CONDUCT_WAIT or conduct == CONDUCT_REPLICATION:
            return FATE_NONE
        return FATE_SEND if room and not client.lost else FATE_DROP

    cdef void _drop(self, tee_session_t *client) noexcept nogil:
        """No memory for a copy: whatever was open on the other chain stays unfinished there."""
        if client.transaction == TX_COPIED:
            client.transaction = TX_ALONE
        client.lost = client is not &self.orphans

    cdef void _join(self, tee_item_t *item, tee_batch_t *batch, bint must) noexcept nogil:
        item.batch = batch
        batch.left += 1
        batch.must = batch.must or must
        if batch.tail is NULL:
            batch.head = item
        else:
            batch.tail.next = item
        batch.tail = item

    cdef tee_batch_t *_batch_for(self, tee_session_t *client, bint waits) noexcept nogil:
        """A batch of copies, counted among those under way or put behind those that wait."""
        cdef tee_batch_t *batch = <tee_batch_t *>slab_take(&self.batches)
        if batch is NULL:
            return NULL
        memset(batch, 0, sizeof(tee_batch_t))
        batch.session = client
        if not waits:
            client.outstanding += 1
            return batch
        client.waiting += 1
        if client.waiting_tail is NULL:
            client.waiting_head = batch
        else:
            client.waiting_tail.next = batch
        client.waiting_tail = batch
        if self.timeout_ns:
            batch.timed = 1
            batch.deadline_ns = self.loop.now + self.timeout_ns
            batch.earlier = self.last_timed
            if self.last_timed is NULL:
                self.first_timed = batch
                self.loop.set_timer(&self.timer, self.timeout_ns)
            else:
                self.last_timed.later = batch
            self.last_timed = batch
        return batch

    cdef tee_item_t *_copy(self, tee_session_t *client, request_t *request, bint waits) noexcept nogil:
        """The copy of a request, tied to it if the client shall wait for both. NULL: no memory."""
        cdef:
            tee_item_t *item = <tee_item_t *>slab_take(&self.items)
            request_t  *copy
        if item is NULL:
            return NULL
        copy = self.hub.request_new(self.chain)
        if copy is NULL or ((waits or self.behavior == SUBCHAIN or self.behavior == LOG)
                            and not request_own(&self.loop.pool, request)):
            if copy is not NULL:
                self.hub.request_free(copy)
            slab_give(&self.items, item)
            return NULL
        memset(item, 0, sizeof(tee_item_t))
        item.copy = copy
        item.to_side = not client.side_answers
        item.bytes = <uint32_t>request.wire.size
        self.held_bytes += item.bytes
        copy.session = request.session
        request_like(copy, request)
        copy.left = request.left
        copy.tags[self.tag] = item
        if self.behavior == IGNORE and not (self.cql and copy.conduct == CONDUCT_STATE):
            # sinks look at the replies of what is not plain, and steps of the side may want to look at all
            copy.discard = copy.conduct == CONDUCT_PLAIN and not (item.to_side and self.side.watched)
        else:
            item.in_transaction = client.transaction != TX_NONE or request.conduct == CONDUCT_EXEC
            item.compare = self._how(client, request)
            item.request = request
            copy.parent = request
            request.tags[self.tag] = item
            request.watched |= WATCHED_BY_STEP
        return item

    cdef void _uncopy(self, tee_item_t *item, request_t *request) noexcept nogil:
        self.held_bytes -= item.bytes
        request.tags[self.tag] = NULL
        self.hub.request_free(item.copy)
        slab_give(&self.items, item)

    cdef uint8_t _how(self, tee_session_t *client, request_t *request) noexcept nogil:
        """How far two replies to this request must agree. What the servers call non-deterministic need not be equal."""
        cdef const command_t *command = <const command_t *>request.command
        cdef uint8_t how = COMPARE_EXACT
        if self.cql:
            return self._how_cql(request)
        if request.conduct == CONDUCT_EXEC:
            return COMPARE_OUTCOME if client.vague else COMPARE_EXACT
        if command is NULL:
            return COMPARE_EXACT
        if command.tips & TIP_NONDETERMINISTIC_OUTPUT or command.kind == KIND_ADMIN or command.id == ID_HELLO \
                or (command.id == ID_PING and client.bound):
            how = COMPARE_OUTCOME
        elif command.tips & TIP_NONDETERMINISTIC_OUTPUT_ORDER:
            how = COMPARE_UNORDERED
        if client.transaction != TX_NONE and how != COMPARE_EXACT:
            client.vague = 1
        return how

    cdef uint8_t _how_cql(self, request_t *request) noexcept nogil:
        """What a server says of itself another one need not say."""
        cdef const cql_facts_t *facts = cql_facts(request)
        if facts is not NULL and facts.keyspace.size >= 6 and memcmp(facts.keyspace.data, b"system", 6) == 0:
            return COMPARE_OUTCOME
        return COMPARE_EXACT

    cdef void _send(self, tee_item_t *item, batch_t *main, batch_t *side) noexcept nogil:
        if item.to_side:
            batch_push(side, item.copy)
        else:
            batch_push(main, item.copy)

    # ---- waiting for a place ------------------------------------------------------------------------------------

    cdef void _unwait(self, tee_batch_t *batch) noexcept nogil:
        """Takes the first waiting batch of a client out of its lists."""
        cdef tee_session_t *client = batch.session
        invariant(client.waiting_head is batch)
        client.waiting_head = batch.next
        if client.waiting_head is NULL:
            client.waiting_tail = NULL
        client.waiting -= 1
        batch.next = NULL
        if batch.timed:
            if batch.earlier is NULL:
                self.first_timed = batch.later
            else:
                batch.earlier.later = batch.later
            if batch.later is NULL:
                self.last_timed = batch.earlier
            else:
                batch.later.earlier = batch.earlier
            batch.timed = 0

    cdef void _hand_over(self, tee_batch_t *batch) noexcept nogil:
        """A waiting batch goes down the other chain."""
        cdef:
            tee_item_t    *item = batch.head
            tee_item_t    *following
            tee_session_t *client = batch.session
            batch_t        main, side
        self._unwait(batch)
        client.outstanding += 1
        batch_clear(&main)
        batch_clear(&side)
        while item is not NULL:
            following = item.next
            item.next = NULL
            item.copy.session = client.session
            self._send(item, &main, &side)
            item = following
        batch.head = NULL
        batch.tail = NULL
        if main.head is not NULL:
            self.pass_down(&main)
        if side.head is not NULL:
            self.side.run(&side)

    cdef void _give_up(self, tee_batch_t *batch) noexcept nogil:
        """It has waited long enough: its copies are answered with an error, which under Ignore nobody sees."""
        cdef:
            tee_item_t *item = batch.head
            tee_item_t *following
            uint8_t     out[256]
        self._unwait(batch)
        self.dropped_total += 1
        batch.session.outstanding += 1          # as if handed over, so that it ends like any other
        batch.head = NULL
        while item is not NULL:
            following = item.next
            item.copy.failed = 1
            if item.request is not NULL:
                request_add_reply(&self.loop.pool, item.copy, out, self.codec.error_for(
                    item.copy, out, sizeof(out), b"ERR", NO_PLACE, strlen(NO_PLACE)))
            self._copy_done(item)
            item = following

    cdef void _expire(self) noexcept nogil:
        """The timer: batches whose time is up. What may not be dropped is handed over instead."""
        cdef tee_batch_t *batch
        while self.first_timed is not NULL and self.first_timed.deadline_ns <= self.loop.now:
            batch = self.first_timed.session.waiting_head
            if batch.must:
                self._hand_over(batch)
            else:
                self._give_up(batch)
        if self.first_timed is not NULL:
            self.loop.set_timer(&self.timer, self.first_timed.deadline_ns - self.loop.now)

    cdef bint on_retire(self, bint force) noexcept nogil:
        if self.items.live_count or self.sessions.live_count or (
                <void *>self.company is not <void *>None and not self.company.retire()):
            return False
        self.loop.cancel_timer(&self.timer)
        self.loop.cancel_timer(&self.half_timer)
        return True

    # ---- up -----------------------------------------------------------------------------------------------------

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t  *request
            tee_item_t *item
        while batch.head is not NULL:
            request = batch_pop(batch)
            item = <tee_item_t *>request.tags[self.tag]
            if item is NULL:
                self.pass_up(request)
            else:
                self._returned(item, request)

    cdef void on_child(self, request_t *child) noexcept nogil:
        cdef tee_item_t *item = <tee_item_t *>child.tags[self.tag]
        if unlikely(self.company is not None and child.chain is <void *>self.aside):
            self.company.back(child)
        elif item is NULL:
            self.pass_up(child)         # a client's own request, answered by the side
        else:
            self._returned(item, child)

    cdef void _returned(self, tee_item_t *item, request_t *request) noexcept nogil:
        """Out of either chain: the copy, the client's own request, or what went aside."""
        cdef request_t *own
        if item.state & ASIDE:
            own = item.request
            own.tags[self.tag] = NULL
            slab_give(&self.items, item)
            self.hub.request_free(request)
            self.pass_up(own)
        elif request is item.copy:
            self._copy_done(item)
        else:
            self._request_back(item)

    cdef void _request_back(self, tee_item_t *item) noexcept nogil:
        item.state |= REQUEST_IN
        if item.state & COPY_IN:
            self._settle(item)
        elif not request_own_reply(&self.loop.pool, item.request):
            item.request.failed = 1
            item.request.reply.size = 0         # its client will be closed rather than answered by half
        elif self.cql and item.request.conduct == CONDUCT_STATE:
            self._wait_half(item)

    cdef void _wait_half(self, tee_item_t *item) noexcept nogil:
        """A handshake, or USE, that lacks the other chain's answer: it is not waited for without end."""
        item.deadline_ns = self.loop.now + self.handshake_ns
        item.later = NULL
        item.earlier = self.last_half
        if self.last_half is NULL:
            self.first_half = item
            self.loop.set_timer(&self.half_timer, self.handshake_ns)
        else:
            self.last_half.later = item
        self.last_half = item

    cdef void _unwait_half(self, tee_item_t *item) noexcept nogil:
        if item.deadline_ns == 0:
            return
        if item.earlier is NULL:
            self.first_half = item.later
        else:
            item.earlier.later = item.later
        if item.later is NULL:
            self.last_half = item.earlier
        else:
            item.later.earlier = item.earlier
        item.deadline_ns = 0

    cdef void _expire_halves(self) noexcept nogil:
        """The timer: these clients go on without the other chain. What it still says is nobody's."""
        cdef:
            tee_item_t    *item
            request_t     *request
            tee_session_t *client
        while self.first_half is not NULL and self.first_half.deadline_ns <= self.loop.now:
            item = self.first_half
            request = item.request
            self._unwait_half(item)
            self.late_total += 1
            if request.queued:
                client = <tee_session_t *>session_slots(<session_t *>request.session)[self.slot]
                if client is not NULL:
                    client.lost = 1
            item.request = NULL
            request.tags[self.tag] = NULL
            self.pass_up(request)
        if self.first_half is not NULL:
            self.loop.set_timer(&self.half_timer, self.first_half.deadline_ns - self.loop.now)

    cdef void _copy_done(self, tee_item_t *item) noexcept nogil:
        """The copy has its reply: makes room for what waits, then settles the pair, if it is one."""
        cdef:
            tee_batch_t *batch = item.batch
            bint         paired = item.request is not NULL
        self.held_bytes -= item.bytes
        item.batch = NULL
        item.state |= COPY_IN
        if not paired:
            self.hub.request_free(item.copy)
            slab_give(&self.items, item)
        elif item.state & REQUEST_IN:
            self._settle(item)
        elif not request_own_reply(&self.loop.pool, item.copy):
            item.copy.reply.size = 0
        batch.left -= 1
        if batch.left == 0:
            self._batch_done(batch)

    cdef void _batch_done(self, tee_batch_t *batch) noexcept nogil:
        cdef tee_session_t *client = batch.session
        slab_give(&self.batches, batch)
        client.outstanding -= 1
        if client.waiting_head is not NULL and client.outstanding <= self.buffer_size:
            self._hand_over(client.waiting_head)
        else:
            self._forget(client)

    cdef void _forget(self, tee_session_t *client) noexcept nogil:
        """Of a client that is gone, once nothing of it is under way."""
        if client.session is NULL and client is not &self.orphans and client.outstanding == 0 \
                and client.waiting_head is NULL:
            slab_give(&self.sessions, client)

    cdef void _settle(self, tee_item_t *item) noexcept nogil:
        """Both replies are in."""
        cdef request_t *request = item.request
        self._unwait_half(item)
        if self.cql and request.conduct == CONDUCT_STATE and request.queued:
            self._check_joined(item)
        if request.queued or not request.discard:
            if self._differ(item):
                self.mismatches_total += 1
                self._differing(item)
                return
        request.tags[self.tag] = NULL
        self.hub.request_free(item.copy)
        slab_give(&self.items, item)
        self.pass_up(request)

    cdef void _check_joined(self, tee_item_t *item) noexcept nogil:
        """A handshake or USE has been answered by both; where the other chain says something else, the client is lost there."""
        cdef tee_session_t *client = <tee_session_t *>session_slots(<session_t *>item.request.session)[self.slot]
        if client is not NULL and not cql_replies_agree(&item.request.reply, &item.copy.reply, COMPARE_OUTCOME):
            client.lost = 1

    cdef bint _differ(self, tee_item_t *item) noexcept nogil:
        """Within a transaction a difference is held against its EXEC: an error before would leave the server in it."""
        cdef:
            request_t     *request = item.request
            tee_session_t *client = NULL
            bint           differ
        if request.mute or item.copy.mute:
            return False
        if self.cql:
            differ = not cql_replies_agree(&request.reply, &item.copy.reply, item.compare)
        else:
            differ = not replies_agree(&request.reply, &item.copy.reply, item.compare)
        if self.behavior != FAIL or not request.queued:
            return differ
        client = <tee_session_t *>session_slots(<session_t *>request.session)[self.slot]
        if client is NULL:
            return differ
        if request.conduct == CONDUCT_DISCARD or request.conduct == CONDUCT_RESET:
            client.differed = 0
        if not item.in_transaction:
            return differ
        if request.conduct == CONDUCT_EXEC:
            differ = differ or client.differed
            client.differed = 0
            return differ
        if differ:
            client.differed = 1
        return False

    cdef void _differing(self, tee_item_t *item) noexcept nogil:
        cdef:
            request_t *request = item.request
            void      *session
            char       line[LOG_TEXT]
            size_t     size
        if self.behavior == SUBCHAIN and self._send_aside(item):
            return
        if self.behavior == LOG and self.cql:
            size = min(cql_render_request(line, 96, request), <size_t>95)
            _append(line, &size, b": the replies of the Tee's chains differ: ")
            size += min(cql_render_reply(line + size, 46, request.reply.data, request.reply.size), <size_t>45)
            _append(line, &size, b" / ")
            cql_render_reply(line + size, sizeof(line) - size, item.copy.reply.data, item.copy.reply.size)
            self.hub.log(LOG_WARNING, line)
        elif self.behavior == LOG:
            size = render_request(line, 72, request)
            _append(line, &size, b": the replies of the Tee's chains differ: ")
            size += render_reply_to(line + size, min(sizeof(line) - size, <size_t>58), request, request.reply.data,
                                    request.reply.size)
            _append(line, &size, b" / ")
            render_reply_to(line + size, sizeof(line) - size, request, item.copy.reply.data, item.copy.reply.size)
            self.hub.log(LOG_WARNING, line)
        request.tags[self.tag] = NULL
        self.hub.request_free(item.copy)
        slab_give(&self.items, item)
        if self.behavior != FAIL:
            self.pass_up(request)
            return
        session = request.session if request.queued and request.conduct == CONDUCT_STATE else NULL
        self.refuse_take(request, b"ERR", DIFFER, 68)
        if session is not NULL:             # told that SELECT has failed, it must not go on in the database it selected
            self.up.on_leave(session)

    cdef bint _send_aside(self, tee_item_t *item) noexcept nogil:
        """The request goes down the mismatch chain, too; its client is answered when that is done. False: it cannot."""
        cdef:
            request_t *request = item.request
            request_t *copy = item.copy
            batch_t    batch
        if item.in_transaction or request.conduct == CONDUCT_STATE or request.conduct == CONDUCT_WATCH \
                or request.conduct == CONDUCT_UNWATCH or request.conduct == CONDUCT_RESET:
            return False
        if not request_own_reply(&self.loop.pool, request):
            return False
        item.copy = self.hub.request_new(self.chain)
        if item.copy is NULL:
            item.copy = copy
            return False
        item.copy.session = request.session if request.queued else NULL
        request_like(item.copy, request)
        item.copy.parent = request
        item.copy.tags[self.tag] = item
        item.state |= ASIDE
        self.hub.request_free(copy)
        batch_clear(&batch)
        batch_push(&batch, item.copy)
        self.aside.run(&batch)
        return True

    # ---- sessions -----------------------------------------------------------------------------------------------

    cdef void on_session_end(self, void *session) noexcept nogil:
        """What still waits for a place goes now, while the session lasts: its state goes with it."""
        cdef tee_session_t *client = <tee_session_t *>session_slots(<session_t *>session)[self.slot]
        if client is NULL:
            return
        client.outstanding += 1                 # keeps it while copies are answered at once
        while client.waiting_head is not NULL:
            self._hand_over(client.waiting_head)
        client.outstanding -= 1
        session_slots(<session_t *>session)[self.slot] = NULL
        client.session = NULL
        self._forget(client)

    cdef bint _left_other(self, void *session, bint side) noexcept nogil:
        """State of this session was lost in one of the chains. True: in the one that does not answer."""
        cdef tee_session_t *client = <tee_session_t *>session_slots(<session_t *>session)[self.slot]
        if client is NULL or client.side_answers == side:
            return False
        if client.transaction == TX_COPIED:
            client.transaction = TX_ALONE
        return True

    cdef void on_leave(self, void *session) noexcept nogil:
        if not self._left_other(session, False):
            self.up.on_leave(session)

    cdef void on_child_leave(self, void *chain, void *session) noexcept nogil:
        if chain is <void *>self.side and not self._left_other(session, True):
            self.up.on_leave(session)

    cdef void on_child_push(self, void *chain, void *session, const uint8_t *data, size_t size) noexcept nogil:
        """Only what clients asked of the chain that answers them reaches them."""
        cdef tee_session_t *client = <tee_session_t *>session_slots(<session_t *>session)[self.slot]
        if client is not NULL and client.side_answers and chain is <void *>self.side:
            self.up.on_push(session, data, size)

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return Step.samples(self) + [
            # other versions give this label, with this value: dashboards look for it
            ("shotover_tee_dropped_messages_count", {"chain": "Tee", "name": self.name}, "counter", self.dropped_total),
            ("shotover_tee_mismatches_count", labels, "counter", self.mismatches_total),
            ("shotover_tee_held_bytes", labels, "gauge", self.held_bytes),
            ("shotover_handshakes_late_count", labels, "counter",
             self.late_total + (0 if self.company is None else self.company.late_total)),
        ]


cdef void _append(char *line, size_t *size, const char *text) noexcept nogil:
    while text[0]:
        line[size[0]] = text[0]
        size[0] += 1
        text += 1
