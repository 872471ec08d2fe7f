"""See _key_router_base.pxd."""

from libc.stdlib cimport calloc, free
from libc.string cimport memset, strlen

from shotover._codec.commands cimport command_t
from shotover._codec.fan cimport fan_free, fan_take
from shotover._codec.fan_join cimport fan_answer, fan_pick
from shotover._codec.resp_cursor cimport cursor_reply
from shotover._codec.key_rules cimport RULE_NONE, KeyRules, rule_reaches, rules_base, rules_find
from shotover._codec.resp cimport resp_words
from shotover._codec.resp_edit cimport resp_facts
from shotover._core.debug cimport invariant, likely, unlikely
from shotover._core.memory cimport chunk_put, chunk_t, slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport (
    WATCHED_BY_STEP, batch_clear, batch_pop, batch_push, batch_unshift, request_drop_reply, request_own,
    request_own_reply,
)
from shotover._proxy.identities cimport session_identity
from shotover._proxy.session cimport session_slots, session_t
from shotover._proxy.step cimport list_item
from shotover.transforms._key_router_state cimport (
    SAVED_NAME, TOLD_UNSURE, TX_OPEN, route_told, saved_t, state_forget, state_next,
    state_reset, state_save,
)

cdef const char *RESET_WIRE = b"*1\r\n$5\r\nRESET\r\n"
cdef const char *ABORTED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
cdef const char *NO_MEMORY = b"shotover: no memory"


cdef void _on_wake(waker_t *waker) noexcept nogil:
    (<KeyRouterBase>waker.owner).read_rules()


cdef class KeyRouterBase(Step):

    def __init__(self, context, *, str name, list chains, list names, KeyRules rules, bint splits):
        """`chains[0]` is the default; targets of rules are indexes into `chains`."""
        self.names = names
        self.chain_count = len(chains)
        self.splits = splits
        self.tag = 0
        self.wants_each = True
        self.wants_end = True
        self.wants_slot = True
        slab_init(&self.sessions, sizeof(route_session_t) + self.chain_count * sizeof(uint64_t))
        slab_init(&self.items, sizeof(route_item_t))
        self.queues = <batch_t *>calloc(self.chain_count, sizeof(batch_t))
        self.dirty = <uint32_t *>calloc(self.chain_count, sizeof(uint32_t))
        self.marks = <uint8_t *>calloc(self.chain_count, 1)
        self.reach = <uint32_t *>calloc(self.chain_count, sizeof(uint32_t))
        self.routed = <uint64_t *>calloc(self.chain_count, sizeof(uint64_t))
        self.nobody = <route_session_t *>calloc(1, sizeof(route_session_t) + self.chain_count * sizeof(uint64_t))
        if not (self.queues and self.dirty and self.marks and self.reach and self.routed and self.nobody):
            raise MemoryError
        self.nobody.version = 1
        for chain in chains:
            self.adopt(chain)
        self.held = []
        self.set_rules(rules)
        self.read_rules()
        self.waker.run = _on_wake
        self.waker.owner = <void *>self
        self.hub.add_waker(&self.waker)

    def __dealloc__(self):
        free(self.queues)
        free(self.dirty)
        free(self.marks)
        free(self.reach)
        free(self.routed)
        free(self.nobody)
        slab_close(&self.sessions)
        slab_close(&self.items)

    def close(self):
        self.hub.remove_waker(&self.waker)

    # ---- rules --------------------------------------------------------------------------------------------------

    def set_rules(self, KeyRules rules):
        """From any thread: requests that come from the worker's next turn on go by these."""
        old = self.held
        self.held = [one for index, one in enumerate(old) if index >= len(old) - 3 or self._uses(one)]
        self.held.append(rules)
        self.next_rules = &rules.table
        self.loop.wake()

    def _uses(self, KeyRules rules):
        return self.rules is &rules.table or self.next_rules is &rules.table

    cdef void read_rules(self) noexcept nogil:
        cdef const rules_t *following = self.next_rules
        if following is NULL or following is self.rules:
            return
        self.rules = following
        self.generation += 1
        self.fresh.user.data = <uint8_t *>b"default"
        self.fresh.user.size = 7
        self.fresh.base = rules_base(self.rules, &self.fresh)

    cdef void _ask(self, route_session_t *client, const request_t *request, asker_t *asker) noexcept nogil:
        """What the rules are asked about this request; its key aside."""
        if client.user is NULL:
            asker.user = self.fresh.user
        else:
            asker.user.data = client.user
            asker.user.size = client.user_size
        asker.database = client.database
        asker.identity = session_identity(<session_t *>client.session if self.rules.of_identities else NULL)
        if client.generation != self.generation:
            client.generation = self.generation
            client.base = rules_base(self.rules, asker)
        asker.base = client.base
        asker.command = <const command_t *>request.command
        if asker.command is NULL:
            asker.word.size = 0
            resp_words(request.wire.data, request.wire.data + request.wire.size, &asker.word, 1)

    cdef inline uint32_t _target(self, const asker_t *asker, const uint8_t *key, size_t size) noexcept nogil:
        cdef uint32_t rule = rules_find(self.rules, asker, key, size)
        return HOME if rule == RULE_NONE else self.rules.rules[rule].target

    cdef uint32_t _in_reach(self, const asker_t *asker) noexcept nogil:
        """Writes to `reach` the chains that some request of this client may go to; returns how many."""
        cdef uint32_t index, count = 0
        memset(self.marks, 0, self.chain_count)
        self.marks[HOME if asker.base == RULE_NONE else self.rules.rules[asker.base].target] = 1
        for index in range(min(asker.base, self.rules.count)):
            if rule_reaches(self.rules, index, asker):
                self.marks[self.rules.rules[index].target] = 1
        for index in range(self.chain_count):
            if self.marks[index]:
                self.reach[count] = index
                count += 1
        return count

    # ---- down ---------------------------------------------------------------------------------------------------

    cdef inline void _send(self, request_t *request, uint32_t chain) noexcept nogil:
        """Goes down before the router returns."""
        if self.queues[chain].head is NULL:
            self.dirty[self.dirty_count] = chain
            self.dirty_count += 1
        batch_push(&self.queues[chain], request)
        self.routed[chain] += 1

    cdef void _flush(self) noexcept nogil:
        """What a chain brings back in the meantime may add to the queues of others, behind what is there."""
        cdef:
            batch_t  batch
            uint32_t chain
        if self.flushing:
            return
        self.flushing = True
        while self.dirty_count:
            self.dirty_count -= 1
            chain = self.dirty[self.dirty_count]
            batch = self.queues[chain]
            batch_clear(&self.queues[chain])
            (<Chain>list_item(self.chains, chain)).run(&batch)
        self.flushing = False

    cdef bint _pass(self, request_t *request, route_session_t *client, uint32_t chain, uint8_t kind, bint holds) noexcept nogil:
        """The client's own request goes down a chain, once that chain knows what it must. As _dispatch."""
        return self._tell(client, chain, 0) and self._pass_as(request, client, chain, kind, holds)

    cdef bint _pass_as(self, request_t *request, route_session_t *client, uint32_t chain, uint8_t kind,
                       bint holds) noexcept nogil:
        """The same at once. Always True: the request is dealt with."""
        cdef route_item_t *item
        if unlikely(kind != ITEM_NONE or holds or client.silent or client.skip):
            if holds and kind == ITEM_NONE:
                kind = ITEM_WAIT
            item = self._item(client, kind, chain, holds)
            if item is NULL:
                return self._refuse(request, client, b"ERR", NO_MEMORY)
            request.tags[self.tag] = item
            request.watched |= WATCHED_BY_STEP
        self._send(request, chain)
        return True

    cdef bint _tell(self, route_session_t *client, uint32_t chain, uint8_t without) noexcept nogil:
        """Whether the chain knows the client's state. False: it is being told; the client's requests must wait.

        `without`: SAVED_* that it need not know, since the request itself sets it.
        """
        cdef:
            saved_t *saved = NULL
            uint64_t told = route_told(client)[chain]
        if likely(told != TOLD_UNSURE and (client.version == 1 or told >= client.version)):
            return True
        if without and client.told_version == client.version and client.telling == chain and client.told_without == without:
            return True
        if told == TOLD_UNSURE:
            return self._tell_anew(client, chain)
        saved = state_next(client, told, without, NULL)
        if saved is NULL:
            if without == 0:
                route_told(client)[chain] = client.version
            return True
        route_told(client)[chain] = max(told, <uint64_t>1)      # whatever becomes of it: RESET is for this chain, too
        client.telling = chain
        client.told_without = without
        client.told_version = 0
        while saved is not NULL:
            if not self._tell_one(client, chain, <uint8_t *>(saved + 1), saved.size, ITEM_TELL,
                                  saved.what <= SAVED_NAME):
                client.problem.data = <uint8_t *>b"-ERR shotover: no memory\r\n"
                client.problem.size = 26
                break
            self.told_total += 1
            saved = state_next(client, told, without, saved)
        if client.holds == 0:
            client.problem.size = 0         # none could be sent: tried again with the next request
            return True
        return False

    cdef bint _tell_anew(self, route_session_t *client, uint32_t chain) noexcept nogil:
        """A chain that may still be in a state from before a RESET: that first. It is told the rest when it has succeeded."""
        client.telling = chain
        client.told_without = 0
        if self._tell_one(client, chain, <const uint8_t *>RESET_WIRE, strlen(RESET_WIRE), ITEM_ANEW, True):
            self.told_total += 1
            return False
        return True                             # no memory: as for all that is told

    cdef bint _tell_one(self, route_session_t *client, uint32_t chain, const uint8_t *wire, size_t size, uint8_t kind,
                        bint vital) noexcept nogil:
        """A request of the router's own for this client. False: no memory."""
        cdef:
            request_t    *child = self.hub.request_new(self.chain)
            route_item_t *item = NULL if child is NULL else self._item(client, kind, chain, True)
        if item is NULL:
            if child is not NULL:
                self.hub.request_free(child)
            return False
        item.vital = vital
        item.silent = 0
        child.session = client.session
        child.wire.data = <uint8_t *>wire
        child.wire.size = size
        resp_facts(child)
        if kind == ITEM_TELL and not request_own(&self.loop.pool, child):    # what is saved may be replaced
            self._let_go(item)
            self.hub.request_free(child)
            return False
        child.tags[self.tag] = item
        child.watched |= WATCHED_BY_STEP
        self._send(child, chain)
        return True

    cdef route_item_t *_item(self, route_session_t *client, uint8_t kind, uint32_t chain, bint holds) noexcept nogil:
        """Counted among the client's. NULL: no memory."""
        cdef route_item_t *item = <route_item_t *>slab_take(&self.items)
        if item is NULL:
            return NULL
        memset(item, 0, sizeof(route_item_t))
        item.client = client
        item.kind = kind
        item.chain = chain
        item.holds = holds
        client.items += 1
        client.holds += holds
        if kind < ITEM_TELL:
            item.silent = client.silent or client.skip
            client.skip = 0
        return item

    # ---- answers ------------------------------------------------------------------------------------------------

    cdef bint _answer(self, request_t *request, route_session_t *client, const char *reply) noexcept nogil:
        """Always True: the request is dealt with."""
        if client.silent or client.skip:
            client.skip = 0
            request.mute = 1
        self.answer_take(request, <const uint8_t *>reply, strlen(reply))
        return True

    cdef bint _refuse(self, request_t *request, route_session_t *client, const char *code, const char *text) noexcept nogil:
        """Likewise."""
        self.refused_total += request.count
        if client.silent or client.skip:
            client.skip = 0
            request.mute = 1
        self.refuse_take(request, code, text, strlen(text))
        return True

    # ---- up -----------------------------------------------------------------------------------------------------

    cdef void on_child(self, request_t *child) noexcept nogil:
        cdef route_item_t *item = <route_item_t *>child.tags[self.tag]
        if likely(item is NULL):
            self.pass_up(child)
            return
        child.tags[self.tag] = NULL
        if item.kind == ITEM_LEG:
            self._leg_back(item, child)
        else:
            self._back(item, child)
        self._flush()

    cdef void _back(self, route_item_t *item, request_t *request) noexcept nogil:
        """A reply on which something hangs."""
        cdef:
            route_session_t *client = item.client
            uint64_t        *told = route_told(client)
            uint8_t          first = request.reply.data[0] if request.reply.size else b'-'
            bint             error = first == b'-' or first == b'!'
            bint             own = item.kind >= ITEM_TELL
        if item.kind == ITEM_STATE and not error and client.session is not NULL:
            if not state_save(client, request):
                self.up.on_leave(client.session)        # other chains could not be told
            told[item.chain] = client.version if item.complete else 1
        elif item.kind == ITEM_MULTI:
            if not error:
                client.transaction = TX_OPEN
                client.chain = item.chain
                client.broken = 0
        elif item.kind == ITEM_ABORTED and first == b'+':
            request_drop_reply(&self.loop.pool, request)
            request.reply.data = <uint8_t *>ABORTED
            request.reply.size = strlen(ABORTED)
        elif item.kind == ITEM_UNSUBSCRIBE and _ends(request, b":0\r\n"):
            client.subscribed = 0
        elif item.kind == ITEM_SCAN:
            self._scanned(item, request)
        elif item.kind == ITEM_RESET and not error:
            state_reset(client, item.chain, self.chain_count)
        elif item.kind == ITEM_TELL or item.kind == ITEM_OPEN or item.kind == ITEM_ANEW:
            if error and item.vital and client.problem.size == 0:
                if request_own_reply(&self.loop.pool, request) and request.reply.size:
                    client.problem = request.reply
                    client.problem_owner = request.reply_owner
                    request.reply_owner = NULL
                    request.reply.size = 0
                else:
                    client.problem.data = <uint8_t *>b"-ERR shotover: the chain did not answer\r\n"
                    client.problem.size = 41
            if item.kind == ITEM_OPEN:
                client.broken = client.broken or error
                if not error:
                    client.transaction = TX_OPEN
                    told[item.chain] = max(told[item.chain], <uint64_t>1)
            elif item.kind == ITEM_ANEW:
                if not error:
                    told[item.chain] = 1
            elif client.holds == 1 and client.problem.size == 0:
                told[client.telling] = client.version if client.told_without == 0 else 1
                client.told_version = client.version
        if own:
            self.hub.request_free(request)
        else:
            if item.silent:
                request_drop_reply(&self.loop.pool, request)
                request.mute = 1
            self.pass_up(request)
        self._let_go(item)

    cdef void _leg_back(self, route_item_t *item, request_t *child) noexcept nogil:
        cdef:
            fan_t *fan = item.fan
            bint   silent = item.silent
        fan_take(&self.loop.pool, fan, item.leg, child)
        self.hub.request_free(child)
        if fan.left == 0:
            self._joined(fan, silent)
        self._let_go(item)

    cdef void _joined(self, fan_t *fan, bint silent) noexcept nogil:
        """All parts have been answered, and so is the request."""
        cdef request_t *request = <request_t *>fan.owner
        request.mute = request.mute or silent
        if not fan_answer(&self.loop.pool, fan, request):
            fan_pick(&self.loop.pool, fan, request, self.loop.now)
        fan_free(&self.loop.pool, fan)
        self.reply_take(request)

    cdef void _scanned(self, route_item_t *item, request_t *request) noexcept nogil:
        if request.reply.size and not cursor_reply(
            &self.loop.pool, request, item.reach, item.chain, item.reach
        ):
            request.failed = 1
            request_drop_reply(&self.loop.pool, request)        # its client will be closed rather than go round in circles

    cdef void _let_go(self, route_item_t *item) noexcept nogil:
        """The item is done; what waited for it goes on."""
        cdef:
            route_session_t *client = item.client
            bint             held = item.holds
        slab_give(&self.items, item)
        invariant(client.items > 0)
        if held:
            client.holds -= 1
            if client.holds == 0:
                self._go_on(client)         # still counts this item, so that it is not forgotten meanwhile
        client.items -= 1
        self._forget(client)

    cdef void _go_on(self, route_session_t *client) noexcept nogil:
        cdef:
            request_t *request
            slice_t    problem
            chunk_t   *owner
        while client.holds == 0 and client.waiting.head is not NULL:
            request = batch_pop(&client.waiting)
            if client.problem.size:
                problem = client.problem
                owner = client.problem_owner
                client.problem.size = 0
                client.problem_owner = NULL
                if client.silent or client.skip:
                    client.skip = 0
                    request.mute = 1
                request.failed = 1
                self.answer_take(request, problem.data, problem.size)
                if owner is not NULL:
                    chunk_put(&self.loop.pool, owner)
            elif not self._dispatch(request, client):
                batch_unshift(&client.waiting, request)
                break

    cdef bint _dispatch(self, request_t *request, route_session_t *client) noexcept nogil:
        """To be overridden. Sends or answers the request. False: it must wait, and is still the caller's."""
        return False

    cdef void _forget(self, route_session_t *client) noexcept nogil:
        """Of a client that is gone and has nothing under way."""
        if client.session is NULL and client.items == 0 and client is not self.nobody:
            if client.problem_owner is not NULL:
                chunk_put(&self.loop.pool, client.problem_owner)
            state_forget(client)
            slab_give(&self.sessions, client)

    cdef void on_session_end(self, void *session) noexcept nogil:
        """What waits is not carried out: what it waits for has not been answered."""
        cdef:
            route_session_t *client = <route_session_t *>session_slots(<session_t *>session)[self.slot]
            request_t       *request
        if client is NULL:
            return
        session_slots(<session_t *>session)[self.slot] = NULL
        client.session = NULL
        client.items += 1
        while client.waiting.head is not NULL:
            request = batch_pop(&client.waiting)
            request.session = NULL
            self.reply_take(request)
        client.items -= 1
        self._forget(client)

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return Step.samples(self) + [
            ("shotover_routed_requests_count", labels | {"to": name}, "counter", self.routed[index])
            for index, name in enumerate(self.names)
        ] + [
            ("shotover_split_requests_count", labels, "counter", self.splits_total),
            ("shotover_route_refusals_count", labels, "counter", self.refused_total),
            ("shotover_refusals_count", labels | {"reason": "route"}, "counter", self.refused_total),
            ("shotover_route_state_count", labels, "counter", self.told_total),
            ("shotover_route_rules", labels, "gauge", self.rules.count),
        ]


cdef inline bint _ends(const request_t *request, const char *text) noexcept nogil:
    """Whether the reply ends with these four bytes."""
    cdef size_t size = request.reply.size, index
    if size < 4:
        return False
    for index in range(4):
        if request.reply.data[size - 4 + index] != <uint8_t>text[index]:
            return False
    return True
