"""See _redis_subscribing.pxd."""

from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, strlen

from shotover._core.request cimport request_t
from shotover.sinks._redis_holding cimport TICK_NS
from shotover.sinks._redis_node cimport BUSY_LOST, NO_NODE, SUB_CHANNEL, SUB_PATTERN, SUB_SHARD

cdef enum:
    AGAIN_NS = 50000000             # a node that would not have them is not asked again before that
    SUBSCRIPTIONS_MAX = 65536       # of one client; with more it is disconnected, as by a server, when they are lost

cdef const char *VERBS[3]
VERBS[SUB_CHANNEL] = b"SUBSCRIBE"
VERBS[SUB_PATTERN] = b"PSUBSCRIBE"
VERBS[SUB_SHARD] = b"SSUBSCRIBE"


cdef class SubscribingSink(SpreadingSink):

    # ---- what is subscribed to ----------------------------------------------------------------------------------

    cdef bint subscription_changed(self, RedisNode node, session_t *session, uint8_t kind, bint adds, const slice_t *name,
                                   bint asked) noexcept nogil:
        cdef:
            client_t        *client = self.client_of(session)
            subscription_t **link
            subscription_t  *subscription
        if client is NULL or name.data is NULL:
            return True
        link = <subscription_t **>&client.subscriptions
        while link[0] is not NULL and not (
            link[0].kind == kind and link[0].size == name.size and memcmp(link[0] + 1, name.data, name.size) == 0
        ):
            link = &link[0].next
        subscription = link[0]
        if adds:
            if subscription is NULL and client.subscription_count < SUBSCRIPTIONS_MAX:
                subscription = <subscription_t *>malloc(sizeof(subscription_t) + name.size)
                if subscription is NULL:
                    return True
                memcpy(subscription + 1, name.data, name.size)
                subscription.next = NULL
                subscription.size = <uint32_t>name.size
                subscription.kind = kind
                link[0] = subscription
                client.subscription_count += 1
            if subscription is not NULL:
                subscription.node = node.number
                subscription.lost = 0
        elif subscription is not NULL and not asked:
            subscription.lost = 1               # the channel's slot has moved: its new node has it from now on
            self._list(client)
            return False
        elif subscription is not NULL:
            link[0] = subscription.next
            free(subscription)
            client.subscription_count -= 1
        return True

    cdef uint32_t shard_subscriber(self, client_t *client) noexcept nogil:
        """The node that has its sharded channels; NO_NODE: there are none; NO_NODE - 1: several nodes have some."""
        cdef:
            subscription_t *subscription = <subscription_t *>client.subscriptions
            uint32_t        found = NO_NODE
        while subscription is not NULL:
            if subscription.kind == SUB_SHARD:
                if found != NO_NODE and found != subscription.node:
                    return <uint32_t>NO_NODE - 1
                found = subscription.node
            subscription = subscription.next
        return found

    cdef void free_subscriptions(self, client_t *client) noexcept nogil:
        cdef subscription_t *subscription
        self._unlist(client)
        while client.subscriptions is not NULL:
            subscription = <subscription_t *>client.subscriptions
            client.subscriptions = subscription.next
            free(subscription)
        client.subscription_count = 0

    # ---- what is lost -------------------------------------------------------------------------------------------

    cdef bint lost_subscriptions(self, RedisNode node, session_t *session) noexcept nogil:
        """The connection of a client that has nothing on it but subscriptions is gone. True: they will be had again."""
        cdef:
            client_t       *client = self.client_of(session)
            subscription_t *subscription
            uint32_t        found = 0
        if client is NULL or client.subscription_count >= SUBSCRIPTIONS_MAX:
            return False
        subscription = <subscription_t *>client.subscriptions
        while subscription is not NULL:
            if subscription.node == node.number:
                subscription.lost = 1
                found += 1
            subscription = subscription.next
        if found:
            self._list(client)
        return found > 0

    cdef void subscribing_failed(self, RedisNode node, session_t *session) noexcept nogil:
        if self.lost_subscriptions(node, session):
            self.client_of(session).lost_again_ns = self.loop.now + AGAIN_NS

    cdef void _list(self, client_t *client) noexcept nogil:
        if not client.busy & BUSY_LOST:
            client.busy |= BUSY_LOST
            client.lost_until_ns = self.loop.now + self.hold_ns
            client.next_loser = self.losers
            self.losers = client
        self.nowhere(0)                         # somebody has moved, or is gone
        if self.tick.home is NULL:
            self.loop.set_timer(&self.tick, TICK_NS)

    cdef void _unlist(self, client_t *client) noexcept nogil:
        cdef client_t **link = &self.losers
        if not client.busy & BUSY_LOST:
            return
        client.busy &= ~<uint8_t>BUSY_LOST
        while link[0] is not client:
            link = &link[0].next_loser
        link[0] = client.next_loser

    cdef void go_on_all(self) noexcept nogil:
        cdef:
            client_t *client = self.losers
            client_t *following
        while client is not NULL:
            following = client.next_loser
            if client.lost_again_ns <= self.loop.now and self._again(client):
                self._unlist(client)
            elif client.lost_until_ns <= self.loop.now:
                self._give_up_client(client)
            client = following
        SpreadingSink.go_on_all(self)
        if self.losers is not NULL and self.tick.home is NULL:
            self.loop.set_timer(&self.tick, TICK_NS)

    cdef void _give_up_client(self, client_t *client) noexcept nogil:
        """It is disconnected. What has waited for its subscriptions must not go to a connection without them."""
        self._unlist(client)
        self.up.on_leave(client.session)
        client.going = 1
        while client.held is not NULL:
            self._expire(client, client.held)
        client.going = 0

    cdef bint _again(self, client_t *client) noexcept nogil:
        """Subscribes to all that is lost. False: not all of it can be had now."""
        cdef:
            subscription_t *subscription = <subscription_t *>client.subscriptions
            uint32_t        number
            bint            all_sent = True
        while subscription is not NULL:
            if subscription.lost:
                number = self._where(client, subscription)
                if number == NO_NODE or (<RedisNode>self.nodes[number]).down or not self._again_at(client, number):
                    all_sent = False
                    break
            subscription = subscription.next
        return all_sent

    cdef uint32_t channels_node(self, client_t *client) noexcept nogil:
        """Where it subscribes to channels and patterns: any node of a cluster hears what is published at another."""
        return self.any_node(client)

    cdef uint32_t _where(self, client_t *client, subscription_t *subscription) noexcept nogil:
        if subscription.kind != SUB_SHARD:
            return self.channels_node(client)
        return self.node_of(self.place_of(<uint8_t *>(subscription + 1), subscription.size), NULL, client)

    cdef bint _again_at(self, client_t *client, uint32_t number) noexcept nogil:
        """Sends one request for each kind, with everything lost that this node shall have."""
        cdef:
            subscription_t *subscription
            uint8_t         kind
            uint32_t        count
            size_t          size
            request_t      *request
            uint8_t        *out
            char            head[64]
        if not self.make_room(client, number):
            return False
        for kind in range(3):
            count = 0
            size = 64
            subscription = <subscription_t *>client.subscriptions
            while subscription is not NULL:
                if subscription.lost and subscription.kind == kind and self._where(client, subscription) == number:
                    count += 1
                    size += subscription.size + 20
                subscription = subscription.next
            if count == 0:
                continue
            request = (<RedisNode>self.nodes[number])._own_request(b"", size)
            if request is NULL:
                return False
            out = request.wire.data
            size = <size_t>snprintf(head, sizeof(head), b"*%u\r\n$%zu\r\n%s\r\n", count + 1, strlen(VERBS[kind]), VERBS[kind])
            memcpy(out, head, size)
            out += size
            subscription = <subscription_t *>client.subscriptions
            while subscription is not NULL:
                if subscription.lost and subscription.kind == kind and self._where(client, subscription) == number:
                    subscription.lost = 0
                    subscription.node = number
                    size = <size_t>snprintf(head, sizeof(head), b"$%u\r\n", subscription.size)
                    memcpy(out, head, size)
                    memcpy(out + size, subscription + 1, subscription.size)
                    memcpy(out + size + subscription.size, b"\r\n", 2)
                    out += size + subscription.size + 2
                subscription = subscription.next
            request.wire.size = <size_t>(out - request.wire.data)
            request.left = count
            if not (<RedisNode>self.nodes[number]).subscribe(client.session, request):
                self.lost_subscriptions(<RedisNode>self.nodes[number], client.session)
                return False
            self.again_total += count
        self._retie(client)                     # what it sends from here on comes behind that
        return True

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return SpreadingSink.samples(self) + [
            ("shotover_subscriptions_renewed_count", labels, "counter", self.again_total),
        ]
