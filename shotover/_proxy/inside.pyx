"""See inside.pxd."""

from libc.math cimport log1p
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset, strlen

from shotover._codec.commands cimport (
    CONDUCT_BLOCK,
    CONDUCT_MONITOR,
    CONDUCT_PLAIN,
    CONDUCT_SUBSCRIBE,
    CONDUCT_UNSUBSCRIBE,
    CONDUCT_WAIT,
    command_t,
)
from shotover._codec.cql.facts cimport cql_facts, cql_facts_t
from shotover._codec.cql.frame cimport OP_BATCH, OP_EXECUTE, OP_PREPARE, OP_QUERY, OP_REGISTER
from shotover._codec.cql.names cimport statement_word
from shotover._codec.cql.reading cimport cql_partition_key
from shotover._codec.cql.redact cimport cql_redact
from shotover._codec.cql.wire cimport wire_write, wire_writer_t
from shotover._codec.resp cimport resp_words
from shotover._core.clock cimport clock_wall_ns
from shotover._core.debug cimport invariant, likely
from shotover._core.request cimport WATCHED_BY_PIECES, took_unpack
from shotover._core.sketch cimport (
    guard_begin,
    guard_close,
    guard_held,
    guard_open,
    sample_skip,
    sketch_add,
    sketch_entries,
    sketch_halve,
    sketch_hash,
)
from shotover._core.slice cimport slice_t
from shotover._net.peer cimport PEER_NAME_MAX, peer_name, peer_t
from shotover._proxy.session cimport session_peer

cdef enum:
    COPY_TRIES = 50             # a change takes less than a microsecond, a copy some ten
    NAME_MAX = 96               # of keyspace and table

cdef uint64_t NO_SLOW = <uint64_t>-1


cdef class Inside:
    """One worker's, of one source. `chance`: of a read to be looked at for hot keys, 0: none is. `half_life`: seconds after which
    what was seen counts half. `slow_ns`: replies that took so long are kept, `slow_keep` of them; 0: none are."""

    def __init__(self, hub, *, bint cql, double chance=0, double half_life=60, uint64_t slow_ns=0, uint32_t slow_keep=0,
                 uint64_t seed=1):
        self.loop = hub.loop
        self.cql = cql
        self.chance = chance
        self.slow_ns = slow_ns if slow_keep else NO_SLOW
        self.random = sketch_hash(<uint8_t *>&seed, sizeof(seed)) | 1    # small numbers would be a bad beginning
        self.half_life_ns = <uint64_t>(half_life * 1e9)
        if chance > 0:
            self.log_of_rest = log1p(-chance) if chance < 1 else 0
            self.skip = sample_skip(&self.random, self.log_of_rest)
            self.sketches = <sketch_t *>calloc(SKETCHES, sizeof(sketch_t))
            self.places = <sample_t *>calloc(SAMPLES_MAX, sizeof(sample_t))
            if self.sketches is NULL or self.places is NULL:
                raise MemoryError
            for place in range(SAMPLES_MAX):
                self.free_samples[<size_t>place] = <uint8_t>(SAMPLES_MAX - place)
            self.free_count = SAMPLES_MAX
        if slow_keep:
            self.slow_keep = slow_keep
            self.seen = <seen_t *>calloc(SEEN, sizeof(seen_t))
            self.slow = <slow_t *>calloc(slow_keep, sizeof(slow_t))
            if self.seen is NULL or self.slow is NULL:
                raise MemoryError

    def __dealloc__(self):
        free(self.sketches)
        free(self.places)
        free(self.seen)
        free(self.slow)

    # ---- requests come ----------------------------------------------------------------------------------------------

    cdef bint begins_sample(self) noexcept nogil:
        """Whether the requests of this read are looked at."""
        if likely(self.skip > 0):
            self.skip -= 1
            return False
        self.skip = sample_skip(&self.random, self.log_of_rest)
        return True

    cdef void look(self, request_t *request, bint sampled) noexcept nogil:
        """A request has joined its session's order; its bytes are still there."""
        if self.seen is not NULL:
            self._keep_key(request)
        if sampled and request.count == 1 and (request.conduct == CONDUCT_PLAIN or request.streamed) and not request.mute:
            self._sample(request)

    cdef void _keep_key(self, request_t *request) noexcept nogil:
        cdef:
            seen_t *seen = &self.seen[_place_of(request)]
            slice_t word
        seen.request = request
        seen.arrived_ns = request.arrived_ns
        seen.is_word = 0
        seen.key_size = 0
        seen.shown = 0
        if likely(request.key_at):
            seen.key_size = request.key_size
            seen.shown = <uint8_t>min(request.key_size, <uint32_t>SEEN_KEY_MAX)
            memcpy(seen.key, request.wire.data + request.key_at, seen.shown)
        elif request.command is NULL and not self.cql and request.count == 1:
            if resp_words(request.wire.data, request.wire.data + request.wire.size, &word, 1) > 0:
                seen.is_word = 1
                seen.shown = <uint8_t>min(word.size, <size_t>SLOW_WORD_MAX)
                memcpy(seen.key, word.data, seen.shown)

    cdef void _sample(self, request_t *request) noexcept nogil:
        """Nothing is looked at where more are under way than there are places for: they are as likely one as another."""
        cdef:
            sample_t *sample
            slice_t   key
            uint8_t   room[NAME_MAX + SAMPLE_KEY_MAX]
        if self.free_count == 0:
            return
        if self.cql:
            if not _cql_key(request, room, &key):
                return
        elif request.key_at == 0:
            return
        else:
            key.data = request.wire.data + request.key_at
            key.size = request.key_size
        self.free_count -= 1
        request.sampled = self.free_samples[self.free_count]
        sample = &self.places[request.sampled - 1]
        sample.hash = sketch_hash(key.data, key.size)
        sample.bytes = request.wire.size
        sample.by_pieces = 0
        sample.key_size = <uint32_t>key.size
        memcpy(sample.key, key.data, min(key.size, <size_t>SAMPLE_KEY_MAX))
        if request.watched == 0:
            request.watched = WATCHED_BY_PIECES     # so that its reply's bytes come by SourceTop

    # ---- replies go -------------------------------------------------------------------------------------------------

    cdef void grew(self, request_t *request, size_t bytes, bint is_reply) noexcept nogil:
        """More of a request with `sampled`, or of its reply, has come."""
        if is_reply:
            self.places[request.sampled - 1].by_pieces = 1
        self.places[request.sampled - 1].bytes += bytes

    cdef void sample_ends(self, session_t *session, request_t *request) noexcept nogil:
        """It has been answered."""
        cdef:
            sample_t     *sample = &self.places[request.sampled - 1]
            const peer_t *peer = session_peer(session)
            char          name[PEER_NAME_MAX]
            size_t        size = min(sample.key_size, <uint32_t>SAMPLE_KEY_MAX)
            size_t        prefix = _prefix(sample.key, size, self.cql)
            uint64_t      now = self.loop.now
        if not sample.by_pieces:
            sample.bytes += request.reply.size
        name[0] = 0
        if peer is not NULL:
            peer_name(peer, name, sizeof(name))
            _without_port(name)
        guard_open(&self.guard)
        if now >= self.halve_at_ns:
            self._grow_old(now)
        sketch_add(&self.sketches[BY_COUNT], sample.key, sample.key_size, sample.hash, 1)
        sketch_add(&self.sketches[BY_BYTES], sample.key, sample.key_size, sample.hash, sample.bytes)
        sketch_add(&self.sketches[BY_TIME], sample.key, sample.key_size, sample.hash, now - request.arrived_ns)
        if prefix:
            sketch_add(&self.sketches[BY_PREFIX], sample.key, prefix, sketch_hash(sample.key, prefix), 1)
        if name[0]:
            size = strlen(name)
            sketch_add(&self.sketches[BY_CLIENT], <uint8_t *>name, size, sketch_hash(<uint8_t *>name, size), 1)
        self.samples_total += 1
        guard_close(&self.guard)
        self.sample_lost(request)

    cdef void sample_lost(self, request_t *request) noexcept nogil:
        """Its place is free; its client has gone, or it has been counted."""
        invariant(self.free_count < SAMPLES_MAX)
        self.free_samples[self.free_count] = request.sampled
        self.free_count += 1
        request.sampled = 0

    cdef void _grow_old(self, uint64_t now) noexcept nogil:
        cdef int index
        if self.halve_at_ns:
            for index in range(SKETCHES):
                sketch_halve(&self.sketches[index])
        self.halve_at_ns = now + self.half_life_ns

    cdef void was_slow(self, session_t *session, request_t *request, uint64_t total_ns) noexcept nogil:
        """Its reply goes out, after so long. Who waits as long as a command says is not slow."""
        cdef:
            slow_t *slow = &self.slow[self.slow_total % self.slow_keep]
            seen_t *seen = &self.seen[_place_of(request)]
            const peer_t *peer
        if request.count == 0 or request.mute or self._may_wait(request):
            return
        peer = session_peer(session)
        guard_open(&self.guard)
        memset(slow, 0, sizeof(slow_t))
        slow.wall_ns = clock_wall_ns()
        slow.total_ns = total_ns
        self._put_stages(slow, request)
        slow.session = session.id
        slow.count = request.count
        slow.failed = request.failed
        self._put_what(slow, request)
        if seen.request is request and seen.arrived_ns == request.arrived_ns:
            if seen.is_word:
                slow.word_size = seen.shown
                memcpy(slow.word, seen.key, seen.shown)
            else:
                slow.key_size = seen.key_size
                slow.key_shown = seen.shown
                memcpy(slow.key, seen.key, seen.shown)
        if peer is not NULL:
            peer_name(peer, slow.client, sizeof(slow.client))
        self.slow_total += 1
        guard_close(&self.guard)

    cdef bint _may_wait(self, const request_t *request) noexcept nogil:
        if self.cql:
            return request.opcode == OP_REGISTER
        return (request.conduct == CONDUCT_BLOCK or request.conduct == CONDUCT_WAIT or request.conduct == CONDUCT_MONITOR
                or request.conduct == CONDUCT_SUBSCRIBE or request.conduct == CONDUCT_UNSUBSCRIBE)

    cdef void _put_stages(self, slow_t *slow, const request_t *request) noexcept nogil:
        """`sent_ns` is when its reply was whole, but for one that no server has answered. Where `took` is not set, it was less
        than a millisecond before a server had answered."""
        cdef uint64_t since
        if request.sent_ns == 0:
            slow.waited_ns = slow.total_ns
            return
        since = min(self.loop.now - request.sent_ns, slow.total_ns)
        if request.took:
            slow.kept_ns = since
            slow.upstream_ns = min(took_unpack(request.took), slow.total_ns - since)
        elif request.failed:
            slow.upstream_ns = since
        else:
            slow.kept_ns = since
        slow.waited_ns = slow.total_ns - slow.kept_ns - slow.upstream_ns

    cdef void _put_what(self, slow_t *slow, const request_t *request) noexcept nogil:
        cdef:
            const cql_facts_t *facts
            const command_t   *command
            const char        *word = NULL
            size_t             size = 0
        if self.cql:
            facts = cql_facts(request)
            if facts is not NULL and request.opcode != OP_PREPARE and request.opcode != OP_BATCH:
                word = statement_word(facts.type)
            if facts is not NULL and facts.text.data is not NULL:
                slow.text_size = <uint32_t>cql_redact(slow.text, SLOW_TEXT_MAX, facts.text.data, facts.text.size)
            if word is NULL:
                word = _opcode_word(request.opcode)
            size = strlen(word)
        elif request.command is not NULL:
            command = <const command_t *>request.command
            word = command.name
            size = command.name_size
        slow.word_size = <uint8_t>min(size, <size_t>SLOW_WORD_MAX)
        if word is not NULL:
            memcpy(slow.word, word, slow.word_size)

    # ---- for the main thread ----------------------------------------------------------------------------------------

    def hot(self):
        """(requests looked at, [for each sketch (total, [(key, its whole size, weight, error)])]); None: nobody asked.
        TimeoutError: the worker changes it all the time; on its own thread this cannot be."""
        cdef:
            sketch_t *copy
            uint64_t  seen
            int       index
        if self.sketches is NULL:
            return None
        copy = <sketch_t *>malloc(SKETCHES * sizeof(sketch_t))
        if copy is NULL:
            raise MemoryError
        try:
            for _ in range(COPY_TRIES):
                seen = guard_begin(&self.guard)
                memcpy(copy, self.sketches, SKETCHES * sizeof(sketch_t))
                if guard_held(&self.guard, seen):
                    found = []
                    for index in range(SKETCHES):
                        found.append((copy[index].total, sketch_entries(&copy[index])))
                    return self.samples_total, found
            raise TimeoutError("the worker was always about to change it")
        finally:
            free(copy)

    def slowest(self):
        """The requests in the ring, as maps, the latest first. TimeoutError: as in `hot`."""
        cdef:
            slow_t  *copy
            slow_t  *one
            uint64_t seen, total = 0, back
            size_t   size = self.slow_keep * sizeof(slow_t)
        if self.slow is NULL:
            return []
        copy = <slow_t *>malloc(size)
        if copy is NULL:
            raise MemoryError
        try:
            for _ in range(COPY_TRIES):
                seen = guard_begin(&self.guard)
                memcpy(copy, self.slow, size)
                total = self.slow_total
                if guard_held(&self.guard, seen):
                    break
            else:
                raise TimeoutError("the worker was always about to change it")
            found = []
            for back in range(1, min(total, <uint64_t>self.slow_keep) + 1):
                one = &copy[(total - back) % self.slow_keep]
                found.append({
                    "time": one.wall_ns / 1e9,
                    "ms": one.total_ns / 1e6,
                    "waited_ms": one.waited_ns / 1e6,
                    "upstream_ms": one.upstream_ns / 1e6,
                    "kept_ms": one.kept_ns / 1e6,
                    "client": one.session,
                    "address": (<bytes>one.client).decode(),
                    "command": <bytes>one.word[:one.word_size],
                    "key": <bytes>one.key[:one.key_shown],
                    "key_bytes": one.key_size,
                    "statement": <bytes>one.text[:one.text_size],
                    "requests": one.count,
                    "failed": bool(one.failed),
                })
            return found
        finally:
            free(copy)

    def samples(self, dict labels):
        found = []
        if self.sketches is not NULL:
            found.append(("shotover_hot_key_samples_count", labels, "counter", self.samples_total))
        if self.slow is not NULL:
            found.append(("shotover_slow_requests_count", labels, "counter", self.slow_total))
        return found


cdef inline size_t _place_of(const request_t *request) noexcept nogil:
    """Requests lie one behind the other in slabs, so that those under way at once rarely meet."""
    return (<size_t>request // sizeof(request_t)) & (SEEN - 1)


cdef size_t _prefix(const uint8_t *key, size_t size, bint cql) noexcept nogil:
    """Bytes of a key up to its first mark, this included; of a partition its table. 0: it has none."""
    cdef size_t index
    for index in range(size):
        if key[index] == b'/' or (not cql and (key[index] == b':' or key[index] == b'.' or key[index] == b'|')):
            return index + 1
    return 0


cdef void _without_port(char *name) noexcept nogil:
    """127.0.0.1:5000 -> 127.0.0.1, [::1]:5000 -> [::1]"""
    cdef size_t at = strlen(name)
    while at > 0:
        at -= 1
        if name[at] == b':':
            name[at] = 0
            return
        if name[at] == b']':
            return


cdef bint _cql_key(const request_t *request, uint8_t *room, slice_t *key) noexcept nogil:
    """Table and partition key of a statement; the table alone where the key cannot be told. False: no facts, or no table."""
    cdef:
        const cql_facts_t *facts = cql_facts(request)
        wire_writer_t writer
        size_t size
    if facts is NULL or facts.table.size == 0 or request.opcode == OP_PREPARE \
            or facts.keyspace.size + facts.table.size + 2 > NAME_MAX:
        return False
    memcpy(room, facts.keyspace.data, facts.keyspace.size)
    size = facts.keyspace.size
    room[size] = b'.'
    memcpy(room + size + 1, facts.table.data, facts.table.size)
    size += 1 + facts.table.size
    if request.opcode == OP_EXECUTE:
        wire_write(&writer, room + size + 1, SAMPLE_KEY_MAX)
        if cql_partition_key(request, &writer):
            room[size] = b'/'
            size = <size_t>(writer.at - room)
    key.data = room
    key.size = size
    return True


cdef const char *_opcode_word(uint8_t opcode) noexcept nogil:
    if opcode == OP_QUERY:
        return b"QUERY"
    if opcode == OP_EXECUTE:
        return b"EXECUTE"
    if opcode == OP_PREPARE:
        return b"PREPARE"
    return b"BATCH" if opcode == OP_BATCH else b"OTHER"
