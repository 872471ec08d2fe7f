"""See _redis_shards.pxd."""

cimport cython
from libc.stdint cimport int32_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memset

from shotover._codec.commands cimport CONDUCT_SUBSCRIBE, CONDUCT_UNSUBSCRIBE, ID_PUBLISH, ID_PUBSUB, command_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t
from shotover._proxy.step cimport LOG_TEXT, LOG_WARNING
from shotover.sinks._redis_distribution cimport SERVERS_MAX
from shotover.sinks._redis_holding cimport ALL_BITS, BAD_WORDS, KEYLESS_BIT
from shotover.sinks._redis_node cimport BUSY_QUEUEING, BUSY_TIED, client_t, hold_t
from shotover.sinks._redis_transaction cimport queue_t  # no-cython-lint  # what client_t.queue points to

cdef enum:
    NUMBER_BITS = 12            # of a place: the server; above them the changes
    CHANGES_MASK = 0xffff
    NAME_SHOWN = 80             # bytes of a server's name in the log
    LOADING_NS = 20000000       # what a server refuses while it loads is tried again after that


cdef void _on_rejoin(timer_t *timer) noexcept nogil:
    (<RedisSinkShards>timer.owner)._let_back()


@cython.final
cdef class RedisSinkShards(RedisNodes):

    def __init__(self, context, *, str name, list servers, str distribution, str hash, str hash_tag, bint splits,
                 bint remap, uint32_t failure_limit, double rejoin_timeout, int connect_timeout_ms, read_timeout,
                 double retry_timeout, uint32_t max_held_requests, int connection_count, int max_pending_requests,
                 int max_leases, int retries, tls):
        self.options = dict(
            name=name, connect_timeout_ms=connect_timeout_ms, read_timeout=read_timeout, connection="shared",
            connection_count=connection_count, max_pending_requests=max_pending_requests, max_leases=max_leases,
            retries=retries, tls=tls,
        )
        self.hold_ns = int(retry_timeout * 1e9)
        self.holds_max = max_held_requests
        self.splits = splits
        self.remap = remap
        self.failures_max = failure_limit
        self.rejoin_ns = int(rejoin_timeout * 1e9)
        self.rejoin.fire = _on_rejoin
        self.rejoin.owner = <void *>self
        self.distribution = Distribution(
            distribution, [(member, weight) for _, member, weight in servers], hash=hash, pair=hash_tag
        )
        self.health = <health_t *>calloc(len(servers), sizeof(health_t))
        self.live = <uint8_t *>calloc(len(servers), 1)
        if self.health is NULL or self.live is NULL:
            raise MemoryError
        memset(self.live, 1, <size_t>len(servers))
        for address, _, _ in servers:
            self.add_node(address)

    def __dealloc__(self):
        free(self.health)
        free(self.live)

    # ---- places -------------------------------------------------------------------------------------------------

    cdef uint32_t place_of(self, const uint8_t *key, size_t size) noexcept nogil:
        cdef int32_t number = self.distribution.place(key, size)
        return (self.changes & CHANGES_MASK) << NUMBER_BITS | <uint32_t>number

    cdef uint32_t node_of(self, uint32_t place, request_t *request, client_t *client) noexcept nogil:
        return place & (SERVERS_MAX - 1)

    cdef uint32_t any_node(self, client_t *client) noexcept nogil:
        cdef:
            uint64_t first = 0 if client.session is NULL else client.session.id
            uint32_t index, number
        for index in range(self.node_count):
            number = <uint32_t>((first + index) % self.node_count)
            if not (<RedisNode>self.nodes[number]).down:
                return number
        return 0

    cdef uint32_t home(self) noexcept nogil:
        """Where all that is published meets all who have subscribed."""
        cdef uint32_t number
        for number in range(self.node_count):
            if self.live[number]:
                return number
        return 0

    cdef uint32_t channels_node(self, client_t *client) noexcept nogil:
        return self.home()

    cdef uint32_t all_nodes(self, uint32_t *numbers, bint everyone) noexcept nogil:
        """All but the ejected: those count as not there."""
        cdef uint32_t number, count = 0
        for number in range(self.node_count):
            if self.live[number]:
                numbers[count] = number
                count += 1
        return count

    cdef bint try_any(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        cdef const command_t *command = <const command_t *>request.command
        if command is not NULL and (command.id == ID_PUBLISH or command.parent == ID_PUBSUB):
            hold.bits = <uint64_t>KEYLESS_BIT
            return blocked != <uint64_t>ALL_BITS and self.send(client, request, self.home())
        return RedisNodes.try_any(self, client, request, hold, blocked)

    cdef bint _try_special(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        if (request.conduct == CONDUCT_SUBSCRIBE or request.conduct == CONDUCT_UNSUBSCRIBE) \
                and self.place_of_request(request) >= BAD_WORDS:
            if not client.busy & BUSY_TIED:
                return self.try_alone(client, request, hold, blocked, self.home())
            if client.tied != self.home() and request.conduct == CONDUCT_SUBSCRIBE:
                self.refuse(request, b"no new subscriptions while keys are watched, or while older ones are at another server")
                return True
        return RedisNodes._try_special(self, client, request, hold, blocked)

    cdef bint _exec(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """Keys may have got another server since MULTI: then not all of them have the same any more."""
        if not request.made and client.busy & BUSY_QUEUEING and client.queue.place < BAD_WORDS \
                and client.queue.place >> NUMBER_BITS != self.changes & CHANGES_MASK:
            client.queue.failed = 1
        return RedisNodes._exec(self, client, request, hold, blocked)

    # ---- health -------------------------------------------------------------------------------------------------

    cdef bint retries_reply(self, slice_t *reply) noexcept nogil:
        return reply.size > 8 and memcmp(reply.data, b"-LOADING", 8) == 0

    cdef bint refused(self, RedisNode node, request_t *request) noexcept nogil:
        if self.retries_reply(&request.reply):
            self.later(node, request, 0, LOADING_NS)
            return True
        return False

    cdef void node_lost(self, RedisNode node, int error) noexcept nogil:
        cdef health_t *health = &self.health[node.number]
        if not self.remap or not node.down or health.failed_ns == self.loop.now:
            return
        health.failed_ns = self.loop.now
        health.failures += 1
        if health.failures >= self.failures_max and self.live[node.number]:
            self._eject(node.number)

    cdef void node_back(self, RedisNode node) noexcept nogil:
        self.health[node.number].failures = 0
        if not self.live[node.number]:
            self._let_back()
        RedisNodes.node_back(self, node)

    cdef bint on_retire(self, bint force) noexcept nogil:
        self.loop.cancel_timer(&self.rejoin)
        return RedisNodes.on_retire(self, force)

    cdef void _eject(self, uint32_t number) noexcept nogil:
        self.live[number] = 0
        self.health[number].ejected_ns = self.loop.now
        self.ejected_count += 1
        self.ejected_total += 1
        self._rebuild()
        self._tell(LOG_WARNING, number, b"is dead; its keys go to other servers")
        self.loop.set_timer(&self.tick, 1)          # what is held for it has another server now

    cdef void _let_back(self) noexcept nogil:
        """All that answer and whose time is over. Who does not answer is looked at again when it does."""
        cdef:
            uint32_t number
            uint64_t due, next_ns = 0
            bint     changed = False
        for number in range(self.node_count):
            if self.live[number] or (<RedisNode>self.nodes[number]).down:
                continue
            due = self.health[number].ejected_ns + self.rejoin_ns
            if due > self.loop.now:
                next_ns = due if next_ns == 0 else min(due, next_ns)
                continue
            self.live[number] = 1
            self.ejected_count -= 1
            self.rejoined_total += 1
            changed = True
            self._tell(LOG_WARNING, number, b"is back and has its keys again; what others have of them stays there")
        if changed:
            self._rebuild()
        if next_ns:
            self.loop.set_timer(&self.rejoin, next_ns - self.loop.now)

    cdef void _rebuild(self) noexcept nogil:
        """With nobody left keys belong to whom they did at first, so that requests fail with the reason."""
        self.changes += 1
        self.distribution.rebuild(NULL if self.ejected_count == self.node_count else self.live)

    cdef void _tell(self, int level, uint32_t number, const char *what) noexcept nogil:
        cdef:
            char    text[LOG_TEXT]
            slice_t name = self.distribution.name_of(number)
        snprintf(text, sizeof(text), "%s: server %.*s %s", (<RedisNode>self.nodes[number]).label,
                 <int>min(name.size, <size_t>NAME_SHOWN), <const char *>name.data, what)
        self.hub.log(level, text)

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return RedisNodes.samples(self) + [
            ("shotover_shards_ejected", labels, "gauge", self.ejected_count),
            ("shotover_shards_ejected_count", labels, "counter", self.ejected_total),
            ("shotover_shards_rejoined_count", labels, "counter", self.rejoined_total),
        ]
