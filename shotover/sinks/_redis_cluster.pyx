"""See _redis_cluster.pxd.

What a cluster says of itself (CLUSTER NODES) is asked of one node after the other: at the start, at intervals, and
whenever a reply shows that the map is wrong or a node is lost. MOVED is believed at once for its one slot.
"""

from libc.errno cimport EHOSTUNREACH
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset, strlen

from shotover._codec.commands cimport (
    CONDUCT_ALONE,
    CONDUCT_EXEC,
    CONDUCT_PLAIN,
    ID_CLUSTER,
    KIND_READ,
    command_t,
)
from shotover._codec.slots cimport key_slot
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, chunk_t, pool_take
from shotover._core.request cimport request_add_reply, request_drop_reply
from shotover._core.slice cimport slice_t
from shotover._net.loop cimport stream_t
from shotover._proxy.session cimport session_t
from shotover._proxy.step cimport LOG_INFO, LOG_TEXT, LOG_WARNING, put_text
from shotover.sinks._redis_holding cimport BAD_WORDS
from shotover.sinks._redis_node cimport BUSY_ALONE, NO_NODE, S_TOPOLOGY, hold_t
from shotover.sinks._redis_state cimport FIELD_AUTH, FIELD_COUNT, redis_state_t

from _socket import SOCK_STREAM
from socket import getaddrinfo
from threading import Thread

from shotover.sinks import redis_cluster_view

cdef enum:
    ASK_AGAIN_NS = 100000000        # between two questions at least
    UNSETTLED_NS = 60000000000
    TOLD_NS = 10000000000
    REFUSED_NS = 20000000           # what a server refused for now is tried again after that

PORTS_REWRITE = ("RedisClusterPortsRewrite", "ValkeyClusterPortsRewrite")
READ_FROM = ["master", "prefer_replica", "replica", "nearest"]

cdef const char *MODE_CLUSTER = b"$4\r\nmode\r\n$7\r\ncluster\r\n"
cdef const char *MODE_ALONE = b"$4\r\nmode\r\n$10\r\nstandalone\r\n"
cdef enum:
    MODE_GROWS = 4
cdef const char *QUESTION = b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nNODES\r\n"


cdef void _on_refresh(timer_t *timer) noexcept nogil:
    (<RedisSinkCluster>timer.owner).ask_topology()


cdef class RedisSinkCluster(RedisNodes):

    def __init__(self, context, *, str name, list first_contact_points, int connect_timeout_ms, read_timeout,
                 int connection_count, int max_pending_requests, int max_leases, int retries, float retry_timeout,
                 int max_held_requests, int max_redirects, float refresh_interval, present_as, username, password,
                 dict address_map, direct_destination, str multi_key, str read_from, tls):
        cdef uint32_t slot, index
        self.options = dict(
            name=name, connect_timeout_ms=connect_timeout_ms, read_timeout=read_timeout, connection="shared",
            connection_count=connection_count, max_pending_requests=max_pending_requests, max_leases=max_leases,
            retries=retries, tls=tls,
        )
        self.read_from = READ_FROM.index(read_from)
        self.options["readonly"] = self.read_from != FROM_MASTER
        self.hold_ns = int(retry_timeout * 1e9)
        self.holds_max = max_held_requests
        self.attempts_max = max_redirects
        self.refresh_ns = int(refresh_interval * 1e9)
        self.present_as = present_as
        if password is not None:
            self._log_in((username or "default").encode(), password.encode())
        self.renamed = {(a.host, a.port): (b.host, b.port) for a, b in address_map.items()}
        self.numbers = {}
        self.found = {}
        self.splits = multi_key == "split"
        self.direct = NO_NODE
        for slot in range(SLOT_COUNT):
            self.table[slot] = NO_OWNER
            for index in range(OWNERS_KEPT):
                self.was[slot][index] = NO_OWNER
        self.refresh.fire = _on_refresh
        self.refresh.owner = <void *>self
        self.contact_points = first_contact_points
        refused = None
        for address in first_contact_points:
            try:
                self.number_of(address.host, address.port)
            except OSError as error:
                refused = error
        if not self.numbers:
            raise refused
        if direct_destination is not None:
            self.direct = self.number_of(direct_destination.host, direct_destination.port)

    def __dealloc__(self):
        free(self.masters)
        free(self.readers)

    def _log_in(self, bytes user, bytes password):
        """The words of AUTH that its own questions are asked with."""
        words = b"".join(len(word).to_bytes(2, "little") + word for word in (user, password))
        if len(words) > AUTH_SIZE_MAX:
            raise ValueError("username and password are too long")
        memcpy(self.auth, <const char *>words, len(words))
        self.auth_size = len(words)

    def on_linked(self):
        RedisNodes.on_linked(self)
        put_text(self.label, sizeof(self.label), self.name)
        if self.present_as is None and any([step.type_name in PORTS_REWRITE for step in self.chain.steps]):
            self.present_as = "nodes"
        self.cluster_like = self.present_as in ("cluster", "nodes")
        self.shows_nodes = self.present_as == "nodes"
        self.loop.set_timer(&self.refresh, 1)

    cdef bint on_retire(self, bint force) noexcept nogil:
        self.loop.cancel_timer(&self.refresh)
        return RedisNodes.on_retire(self, force)

    # ---- the map ------------------------------------------------------------------------------------------------

    def number_of(self, str host, int port, str called=""):
        """The number of the node with that address, made if need be; `called` is what its certificate must name.

        OSError: its name cannot be resolved; BlockingIOError: not yet.
        """
        key = self.renamed.get((host, port), (host, port))
        number = self.numbers.get(key)
        if number is None:
            if self.node_count >= NO_OWNER:
                raise OSError(0, "too many nodes")
            host = key[0] if self.chain is None else self._address_of(key[0])
            number = self.numbers[key] = self.add_node(redis_cluster_view.Endpoint(host, key[1], called or key[0])).number
        return number

    def _address_of(self, str host):
        """An address for a name, which another thread looks up: the worker waits for nobody. Raises as number_of."""
        if redis_cluster_view.is_literal(host):
            return host
        address = self.found.get(host, host)
        if address is host:
            self.found[host] = None
            Thread(target=self._find_address, args=(host,), daemon=True).start()
        if isinstance(address, str) and address is not host:
            return address
        if isinstance(address, OSError):
            del self.found[host]
            raise address
        raise BlockingIOError(0, f"the name {host} is being looked up")

    def _find_address(self, host):
        try:
            self.found[host] = getaddrinfo(host, None, type=SOCK_STREAM)[0][4][0]
        except OSError as error:
            self.found[host] = OSError(0, f"cannot resolve {host}: {error.strerror}")

    cdef void want_topology(self) noexcept nogil:
        """Soon, but not more often than is good for the servers."""
        cdef uint64_t due = self.asked_ns + ASK_AGAIN_NS
        if self.asking or self.wanted:
            self.wanted = True
            return
        self.wanted = True
        self.loop.set_timer(&self.refresh, due - self.loop.now if due > self.loop.now else 1)

    cdef void ask_topology(self) noexcept nogil:
        cdef:
            uint32_t       _
            redis_state_t *state
        self.asked_ns = self.loop.now
        self.wanted = False
        for _ in range(self.node_count):
            self.turn = (self.turn + 1) % self.node_count
            if (<RedisNode>self.nodes[self.turn]).down:
                continue
            state = self._question_state(<RedisNode>self.nodes[self.turn])
            if state is not NULL and (<RedisNode>self.nodes[self.turn]).ask(state, QUESTION, strlen(QUESTION), S_TOPOLOGY):
                self.asking = True
                return
        self.wanted = True
        self.loop.set_timer(&self.refresh, ASK_AGAIN_NS)
        self._look_up()

    cdef bint _look_up(self) noexcept nogil:
        """No node can be reached. They may all have moved behind their names: these are looked up again, elsewhere."""
        if self.looking_up and <void *>self.looked_up is <void *>None:
            return False
        with gil:
            self._look_up_names()
        return True

    def _look_up_names(self):
        found, self.looked_up = self.looked_up, None
        if found is None:
            names = [(point.host, point.port) for point in self.contact_points if not point.is_literal]
            if names:
                self.looking_up = True
                Thread(target=self._resolve, args=(names,), daemon=True).start()
            return
        self.looking_up = False
        for host, port in found:
            try:
                self.number_of(host, port)
            except OSError:
                pass

    def _resolve(self, names):
        found = []
        for host, port in names:
            try:
                found += [(entry[4][0], port) for entry in getaddrinfo(host, port, type=SOCK_STREAM)]
            except OSError:
                pass
        self.looked_up = found

    cdef redis_state_t *_question_state(self, RedisNode node) noexcept nogil:
        """Who asks: the sink itself, or, where that is not enough, any client that has logged in."""
        cdef:
            slice_t        fields[FIELD_COUNT]
            redis_state_t *known = self.states
        memset(fields, 0, sizeof(fields))
        if self.auth_size:
            fields[FIELD_AUTH].data = self.auth
            fields[FIELD_AUTH].size = self.auth_size
        elif self.locked:
            while known is not NULL and known.sizes[FIELD_AUTH] == 0:
                known = known.next
            if known is NULL:
                return node.fresh
            fields[FIELD_AUTH].data = known.fields[FIELD_AUTH]
            fields[FIELD_AUTH].size = known.sizes[FIELD_AUTH]
        else:
            return node.fresh
        return node._state_for(fields)

    cdef bint in_doubt(self, RedisNode node) noexcept nogil:
        """While nobody was logged in nobody could ask."""
        return self.locked and self.auth_size == 0 and self.learned_ns < node.down_ns

    cdef void no_topology(self, RedisNode node) noexcept nogil:
        self.asking = False
        self.wanted = False
        self.want_topology()

    cdef void on_topology(self, RedisNode node, request_t *answer) noexcept nogil:
        cdef:
            bint good = False
        self.asking = False
        if answer.failed or answer.reply.size == 0:
            pass
        elif answer.reply.data[0] == b'-':
            if begins(answer.reply.data, answer.reply.size, b"-NOAUTH"):
                self.locked = True
            elif not begins(answer.reply.data, answer.reply.size, b"-LOADING"):
                self._told_why(answer)
        else:
            with gil:
                good = self._learn(node, answer.reply.data[:answer.reply.size])
        if good:
            self.refreshes_total += 1
            self.learned_ns = self.loop.now
            self.loop.set_timer(&self.refresh, ASK_AGAIN_NS if self.wanted else self.refresh_ns)
            if self.read_from == FROM_NEAREST:
                self._time_nodes()
            self.wanted = False
            self.go_on_all()
        elif self.locked and not self.auth_size and self.view is None:
            self.wanted = False             # until somebody logs in
        else:
            self.wanted = False
            self.want_topology()

    cdef void _told_why(self, request_t *answer) noexcept nogil:
        """A node will not give the map: the log says why, now and then."""
        cdef char text[LOG_TEXT]
        if self.loop.now < self.told_ns:
            return
        self.told_ns = self.loop.now + TOLD_NS
        snprintf(text, sizeof(text), b"%s: no map of the cluster: %.*s", self.label,
                 <int>min(answer.reply.size - 3, <size_t>120), answer.reply.data + 1)
        self.hub.log(LOG_WARNING, text)

    cdef void _time_nodes(self) noexcept nogil:
        """How far each node is."""
        cdef uint32_t number
        for number in range(self.node_count):
            if not (<RedisNode>self.nodes[number]).down:
                (<RedisNode>self.nodes[number]).time()

    def _learn(self, RedisNode node, bytes reply):
        """Takes over the map. True: it is one; whatever is wrong with it is logged, and the old one stays."""
        cdef uint16_t *masters
        host, _, port = node.address.rpartition(":")
        try:
            view = redis_cluster_view.parse(reply, host.strip("[]"), int(port))
            numbers = [
                self.number_of(member.host, member.port, member.names[0] if member.names else "")
                for member in view.masters + view.replicas
            ]
        except BlockingIOError:
            return False                        # it is asked again soon
        except (ValueError, OSError) as error:
            self.hub.note(LOG_WARNING, "what a node says of its cluster cannot be used",
                          {"node": node.address, "error": str(error), "sink": self.name})
            return False
        if not view.masters:
            return False
        for number, member in zip(numbers, view.masters + view.replicas):
            for name in member.names:           # by which MOVED may call it
                self.numbers.setdefault((name, member.port), number)
        masters = <uint16_t *>malloc(len(numbers) * sizeof(uint16_t))
        if masters is NULL:
            return False
        free(self.masters)
        self.masters = masters
        self.master_count = len(view.masters)
        self.replica_count = len(view.replicas)
        owners = [NO_OWNER] * SLOT_COUNT
        for index, number in enumerate(numbers):
            self.masters[index] = number
        for number, master in zip(numbers, view.masters):
            for first, last in master.slots:
                owners[first:last + 1] = [number] * (last + 1 - first)
        if self.read_from != FROM_MASTER and not self._note_readers(view):
            return False
        for slot, number in enumerate(owners):
            if self.table[slot] != number:
                self._moved(slot, number)
        if self.view != view:
            self.hub.note(LOG_INFO, "the cluster has changed" if self.view else "the cluster is known",
                          {"masters": len(view.masters), "node": node.address, "sink": self.name})
        self.view = view
        return True

    def _note_readers(self, view):
        cdef:
            uint32_t   master
            readers_t *readers = <readers_t *>calloc(self.node_count, sizeof(readers_t))
        if readers is NULL:
            return False
        by_id = {member.id: self.number_of(member.host, member.port) for member in view.masters}
        for replica in view.replicas:
            number = by_id.get(replica.replica_of)
            if number is not None and readers[<uint32_t>number].count < READERS_MAX:
                master = number
                readers[master].numbers[readers[master].count] = self.number_of(replica.host, replica.port)
                readers[master].count += 1
        free(self.readers)
        self.readers = readers
        self.readers_count = self.node_count
        return True

    cdef void _moved(self, uint32_t slot, uint32_t number) noexcept nogil:
        if self.table[slot] == number:
            return                              # the second of many requests that were on their way: `was` must stay
        if self.table[slot] != NO_OWNER:
            self._note_owner(slot, self.table[slot])
        if self.was[slot][0] != NO_OWNER or self.locked:    # ... though nobody may have had it in between
            self.unsettled_ns = self.loop.now + UNSETTLED_NS
        self.table[slot] = <uint16_t>number

    cdef void _note_owner(self, uint32_t slot, uint16_t number) noexcept nogil:
        """Puts it first among those that had a slot, or some of its keys."""
        cdef:
            uint16_t *was = self.was[slot]
            uint32_t  index = 0
        while index + 1 < OWNERS_KEPT and was[index] != number:
            index += 1
        while index > 0:
            was[index] = was[index - 1]
            index -= 1
        was[0] = number

    # ---- which node ---------------------------------------------------------------------------------------------

    cdef uint32_t place_of(self, const uint8_t *key, size_t size) noexcept nogil:
        return key_slot(key, size)

    cdef uint32_t node_of(self, uint32_t place, request_t *request, client_t *client) noexcept nogil:
        cdef:
            uint16_t number = self.table[place]
            uint32_t any_number
        if likely(number != NO_OWNER):
            if unlikely(self.read_from) and request is not NULL and request.kind == KIND_READ \
                    and request.conduct == CONDUCT_PLAIN and request.attempts == 0:
                return self._reader(number)
            return number
        if not self.locked or self.master_count:
            return <uint32_t>NO_NODE
        any_number = self.any_node(client)      # it will say that a login is needed, or who has the slot
        client.astray = any_number + 1
        return any_number

    cdef uint32_t _reader(self, uint32_t master) noexcept nogil:
        """Where a read for this master's slots goes."""
        cdef:
            readers_t *readers
            uint32_t   index, _, number, best = master
            uint64_t   least
        if master >= self.readers_count:
            return NO_NODE if self.read_from == FROM_REPLICA else master
        readers = &self.readers[master]
        if self.read_from == FROM_NEAREST:
            least = (<RedisNode>self.nodes[master]).round_trip_ns
            if (<RedisNode>self.nodes[master]).down:
                least = <uint64_t>-1
            for index in range(readers.count):
                number = readers.numbers[index]
                if not (<RedisNode>self.nodes[number]).down and (<RedisNode>self.nodes[number]).round_trip_ns < least:
                    least = (<RedisNode>self.nodes[number]).round_trip_ns
                    best = number
            return best
        for _ in range(readers.count):
            readers.turn = (readers.turn + 1) % readers.count
            number = readers.numbers[readers.turn]
            if not (<RedisNode>self.nodes[number]).down:
                return number
        return NO_NODE if self.read_from == FROM_REPLICA else master

    cdef uint32_t any_node(self, client_t *client) noexcept nogil:
        cdef:
            uint64_t first = 0 if client.session is NULL else client.session.id
            uint32_t count = self.master_count if self.master_count else self.node_count
            uint32_t index, number
        if self.direct != NO_NODE:
            return self.direct
        for index in range(count):
            number = <uint32_t>((first + index) % count)
            if self.master_count:
                number = self.masters[number]
            if not (<RedisNode>self.nodes[number]).down:
                return number
        return NO_NODE

    cdef uint32_t all_nodes(self, uint32_t *numbers, bint everyone) noexcept nogil:
        cdef uint32_t index
        for index in range(self.master_count):
            numbers[index] = self.masters[index]
        if not everyone:
            return self.master_count
        for index in range(self.replica_count):
            numbers[self.master_count + index] = self.masters[self.master_count + index]
        return self.master_count + self.replica_count

    cdef bint must_wait(self, uint32_t place, client_t *client, hold_t *hold) noexcept nogil:
        cdef uint32_t index, old
        if likely(self.loop.now >= self.unsettled_ns):
            return False
        for index in range(OWNERS_KEPT):
            old = self.was[place][index]
            if old == NO_OWNER and index == 0 and client.astray:
                old = client.astray - 1
            if old == NO_OWNER:
                return False
            if old < client.place_count and old != self.table[place] \
                    and client.places[old].sent != client.places[old].done:
                if hold is not NULL:
                    hold.node = old
                    hold.seq = client.places[old].sent
                return True
        return False

    cdef void nowhere(self, uint32_t place) noexcept nogil:
        self.want_topology()

    cdef void node_lost(self, RedisNode node, int error) noexcept nogil:
        self.want_topology()

    cdef void state_changed(self, RedisNode node, session_t *session, redis_state_t *state) noexcept nogil:
        RedisNodes.state_changed(self, node, session, state)
        if self.locked and self.view is None:
            self.want_topology()

    # ---- redirects ----------------------------------------------------------------------------------------------

    cdef bint refused(self, RedisNode node, request_t *request) noexcept nogil:
        cdef:
            const uint8_t *text = request.reply.data
            size_t         size = request.reply.size
            uint32_t       number, slot = 0
            client_t      *client = self.client_of_tag(request)
            bint           asks
        if begins(text, size, b"-MOVED ") or begins(text, size, b"-ASK "):
            asks = text[1] == b'A'
            number = self._target(node, request, &slot)
            if request.attempts >= self.attempts_max:
                self.refused_total += 1
                self._say_instead(request, b"shotover: the nodes have sent this request on too often (max_redirects)")
                return False
            request.attempts += 1
            if number == NO_NODE:               # somebody of whom the map may tell more
                self.want_topology()
                request_drop_reply(&self.loop.pool, request)
                self.later(node, request, EHOSTUNREACH, REFUSED_NS)
                return True
            if asks:
                self.asked_total += 1
                if request.conduct != CONDUCT_PLAIN and request.conduct != CONDUCT_ALONE:
                    request_drop_reply(&self.loop.pool, request)
                    self.later(node, request, EHOSTUNREACH, REFUSED_NS)
                    return True
                if number != self.table[slot]:      # it may send them back, should it not get the slot after all
                    self._note_owner(slot, <uint16_t>number)
                    self.unsettled_ns = self.loop.now + UNSETTLED_NS
            else:
                self.moved_total += 1
                self._moved(slot, number)
                self.want_topology()
            if self.goes_behind(client, node, request):
                return True
            self.uncount(node, request)
            self.as_new(request)
            if asks or not self._stops_short(client, request):
                self.send_on(client, request, number, asks)
            if client.session is NULL:
                self.after(client)
            return True
        if begins(text, size, b"-TRYAGAIN") or begins(text, size, b"-CLUSTERDOWN") or begins(text, size, b"-LOADING") \
                or begins(text, size, b"-MASTERDOWN") or begins(text, size, b"-READONLY"):
            if not (text[1] == b'T' or text[1] == b'L'):
                self.want_topology()
            self.later(node, request, 0, REFUSED_NS)
            return True
        return begins(text, size, b"-NOSCRIPT") and self.restore_script(node, request)

    cdef bint _stops_short(self, client_t *client, request_t *request) noexcept nogil:
        """A node has named the slot's owner, but older requests of the client may still be with another one, which will send
        them on later: True if it waits for that."""
        cdef:
            hold_t   hold
            uint32_t place = self.place_of_request(request)
        if place >= BAD_WORDS:
            return False
        memset(&hold, 0, sizeof(hold))
        if not self.must_wait(place, client, &hold):
            return False
        self.stand_behind(client, request, &hold)
        return True

    cdef void _say_instead(self, request_t *request, const char *text) noexcept nogil:
        """An error of the proxy's own in place of a node's, which would tell the client where the nodes are."""
        cdef:
            uint8_t out[200]
            size_t  size = self.codec.error(out, sizeof(out), b"ERR", text, strlen(text))
        request_drop_reply(&self.loop.pool, request)
        request_add_reply(&self.loop.pool, request, out, size)
        request.failed = 1

    cdef void send_on(self, client_t *client, request_t *request, uint32_t number, bint asking) noexcept nogil:
        """To the node that a redirect has named."""
        if not self.make_room(client, number):
            self.send(client, request, number)      # which says so
            return
        if request.conduct != CONDUCT_PLAIN and request.conduct != CONDUCT_ALONE and request.conduct != CONDUCT_EXEC \
                and client is not &self.orphan:
            client.alone = request
            client.busy |= BUSY_ALONE
        if asking:
            (<RedisNode>self.nodes[number]).take_asking(request, client)
        else:
            (<RedisNode>self.nodes[number]).take(request, client)

    cdef uint32_t _target(self, RedisNode node, request_t *request, uint32_t *slot) noexcept nogil:
        """The node that "-MOVED 3999 127.0.0.1:6381" or "-ASK ..." names; NO_NODE: none that can be reached."""
        cdef:
            uint8_t *at = request.reply.data
            uint8_t *end = at + request.reply.size - 2
            uint32_t number = 0
            size_t   size
        while at < end and at[0] != b' ':
            at += 1
        at += 1
        while at < end and 48 <= at[0] <= 57:
            number = number * 10 + at[0] - 48
            at += 1
        if number >= SLOT_COUNT or at >= end:
            return <uint32_t>NO_NODE
        slot[0] = number
        at += 1
        size = <size_t>(end - at)
        if at < end and at[0] == b':':
            self.redirect_size = 0                  # ":6381": a port of the node that says it
        elif size == self.redirect_size and memcmp(at, self.redirect, size) == 0:
            return self.redirect_number
        with gil:
            number = self._number_of_text(node, at[:size])
        if number != NO_NODE and size <= REDIRECT_SIZE_MAX and at[0] != b':':
            memcpy(self.redirect, at, size)
            self.redirect_size = size
            self.redirect_number = number
        return number

    def _number_of_text(self, RedisNode node, bytes text):
        host, _, port = text.decode("ascii", "replace").rpartition(":")
        try:
            return self.number_of(host.strip("[]") or node.address.rpartition(":")[0].strip("[]"), int(port))
        except BlockingIOError:
            return <uint32_t>NO_NODE
        except (ValueError, OSError) as error:
            self.hub.note(LOG_WARNING, "a node sends on to an address that cannot be used",
                          {"node": node.address, "address": text.decode("ascii", "replace"), "error": str(error)})
            return <uint32_t>NO_NODE

    cdef void edit_hello(self, request_t *request) noexcept nogil:
        """To a client that shall see one server, it is one."""
        cdef:
            size_t   size = strlen(MODE_CLUSTER)
            uint8_t *at = request.reply.data
            uint8_t *end
            chunk_t *chunk
            size_t   before
        if self.cluster_like or request.reply.size < size:
            return                          # too short, or dropped: its client has gone
        end = at + request.reply.size - size
        while at <= end and memcmp(at, MODE_CLUSTER, size) != 0:
            at += 1
        if at > end:
            return
        chunk = pool_take(&self.loop.pool, request.reply.size + MODE_GROWS)
        if chunk is NULL:
            return
        before = <size_t>(at - request.reply.data)
        memcpy(chunk_data(chunk), request.reply.data, before)
        memcpy(chunk_data(chunk) + before, MODE_ALONE, size + MODE_GROWS)
        memcpy(chunk_data(chunk) + before + size + MODE_GROWS, at + size, request.reply.size - before - size)
        if request.reply_owner is not NULL:
            chunk_put(&self.loop.pool, request.reply_owner)
        request.reply_owner = chunk
        request.reply_room = NULL
        request.reply.data = chunk_data(chunk)
        request.reply.size += MODE_GROWS

    # ---- CLUSTER ------------------------------------------------------------------------------------------------

    cdef bint try_send(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        cdef const command_t *command = <const command_t *>request.command
        if command is not NULL and command.parent == ID_CLUSTER and not client.busy and self.direct == NO_NODE \
                and not self.shows_nodes:
            return self._cluster_command(client, request)
        return RedisNodes.try_send(self, client, request, hold, blocked)

    cdef bint try_keyless(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        cdef const command_t *command = <const command_t *>request.command
        if self.direct != NO_NODE:
            return self.try_any(client, request, hold, blocked)
        if command is not NULL and command.parent == ID_CLUSTER:
            if self.shows_nodes:
                return self.try_any(client, request, hold, blocked)
            return self._cluster_command(client, request)
        if self.locked and self.master_count == 0 and (client.state is NULL or client.state.sizes[FIELD_AUTH] == 0):
            return self.try_any(client, request, hold, blocked)     # which will say that a login is needed
        return RedisNodes.try_keyless(self, client, request, hold, blocked)

    cdef bint _cluster_command(self, client_t *client, request_t *request) noexcept nogil:
        with gil:
            self._answer_cluster(client, request)
        return True

    cdef void _answer_cluster(self, client_t *client, request_t *request) noexcept:
        cdef:
            uint32_t count = 0, index
            bytes    answer
        if not self.cluster_like:
            self.refuse_take(request, b"ERR", b"This instance has cluster support disabled", 42)
            return
        self.read_words(request, &count)
        words = [self.words[index].data[:self.words[index].size] for index in range(count)]
        if client.session is NULL:
            self.refuse(request, b"the client is gone")
            return
        own = self.loop.name_of((<stream_t *>client.session).handle.fd)
        resp3 = client.state is not NULL and client.state.sizes[0] > 0
        answer = redis_cluster_view.answer(words, own, self.view, resp3)
        self.answer_take(request, <const uint8_t *><const char *>answer, len(answer))

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return RedisNodes.samples(self) + [
            ("shotover_cluster_moved_count", labels, "counter", self.moved_total),
            ("shotover_cluster_ask_count", labels, "counter", self.asked_total),
            ("shotover_cluster_redirects_failed_count", labels, "counter", self.refused_total),
            ("shotover_cluster_refreshes_count", labels, "counter", self.refreshes_total),
            ("shotover_cluster_masters", labels, "gauge", self.master_count),
        ]


cdef inline bint begins(const uint8_t *reply, size_t size, const char *text) noexcept nogil:
    cdef size_t text_size = strlen(text)
    return size >= text_size and memcmp(reply, text, text_size) == 0
