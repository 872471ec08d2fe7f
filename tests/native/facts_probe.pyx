"""See facts_probe.pxd. Frames are copied into memory of exactly their size: a sanitizer sees the first byte too far."""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from shotover._codec.codec cimport decode_t, resume_t
from shotover._codec.cql.facts cimport cql_facts, cql_facts_t, cql_touch_t
from shotover._codec.cql.library cimport library_t, shelf_t
from shotover._codec.cql.reading cimport cql_consistency, cql_partition_key, cql_statements
from shotover._codec.cql.wire cimport wire_write, wire_writer_t
from shotover._core.memory cimport chunk_data, pool_take, slab_close, slab_init
from shotover._core.request cimport batch_clear, batch_pop, batch_push, request_free, request_own
from shotover._core.slice cimport slice_t

STATUS = ("OK", "NEED_DATA", "BAD", "LIMIT", "NO_MEMORY")


cdef bytes _bytes(slice_t slice):
    return slice.data[:slice.size] if slice.size else b""


cdef dict _touch(const cql_touch_t *touch):
    return {
        "type": touch.type, "object": touch.object, "keyspace": _bytes(touch.keyspace), "table": _bytes(touch.table),
        "count": touch.count,
    }


cdef object _facts(const request_t *request):
    cdef const cql_facts_t *facts = cql_facts(request)
    if facts is NULL:
        return None
    return {
        "kind": facts.kind, "type": facts.type, "object": facts.object, "flags": facts.flags, "binds": facts.bind_count,
        "text": _bytes(facts.text) if facts.text.data is not NULL else None,
        "keyspace": _bytes(facts.keyspace), "table": _bytes(facts.table), "other": _bytes(facts.other),
        "id": _bytes(facts.id), "parts": facts.head.part_count, "more": bool(facts.more),
        "touches": [_touch(&facts.touches[index]) for index in range(<int>facts.touch_count)],
        "where": <size_t>request.facts,
    }


cdef dict _seen(request_t *request):
    cdef:
        uint8_t       room[4096]
        wire_writer_t key
    wire_write(&key, room, sizeof(room))
    known = cql_partition_key(request, &key)
    return {
        "opcode": request.opcode, "kind": request.kind, "conduct": request.conduct, "facts": _facts(request),
        "wire": _bytes(request.wire), "reply": _bytes(request.reply), "left": request.left,
        "consistency": cql_consistency(request), "statements": cql_statements(request),
        "key": room[:key.size] if known else None,
    }


cdef class Client:
    """One client of a source whose chain wants facts."""

    def __cinit__(self, *, bint wants_facts=True, max_prepared_statements=10000, frame_bytes_max=1 << 24,
                  memory_bytes_max=1 << 34):
        self.loop = Loop(memory_bytes_max)
        self.codec = CqlCodec()
        self.codec.configure({"max_prepared_statements": max_prepared_statements})
        self.limits.frame_bytes_max = frame_bytes_max
        self.wants_facts = wants_facts
        slab_init(&self.slab, sizeof(request_t))

    def __dealloc__(self):
        self.forget()
        self.codec.let_go(&self.loop.pool)
        slab_close(&self.slab)

    cdef int _decode(self, uint8_t *data, size_t size, batch_t *batch) noexcept nogil:
        cdef:
            decode_t decode
            resume_t resume
        memset(&decode, 0, sizeof(decode))
        resume.offset = 0
        decode.at = data
        decode.end = data + size
        decode.slab = &self.slab
        decode.pool = &self.loop.pool
        decode.batch = batch
        decode.limits = &self.limits
        decode.resume = &resume
        decode.session = <void *>self
        decode.talk = &self.talk if self.wants_facts else NULL
        return self.codec.decode(&decode)

    def send(self, bytes frames not None):
        """What is known of each whole frame, after which it is held for `answer`."""
        cdef:
            batch_t    batch
            request_t *request
            size_t     size = len(frames)
            uint8_t   *copy = <uint8_t *>malloc(size)
        memcpy(copy, <const char *>frames, size)
        batch_clear(&batch)
        status = self._decode(copy, size, &batch)
        seen = []
        while batch.head is not NULL:
            request = batch_pop(&batch)
            seen.append(_seen(request))
            request_own(&self.loop.pool, request)
            batch_push(&self.held, request)
        free(copy)
        assert status < 2, STATUS[status]
        return seen

    def answer(self, bytes reply not None, int index=-1):
        """The reply of a held request, the last one by default."""
        cdef request_t *request = self.held.head if index >= 0 else self.held.tail
        for _ in range(index):
            request = request.next
        if not request.tells:
            return False
        request.reply_owner = pool_take(&self.loop.pool, len(reply))
        request.reply.data = chunk_data(request.reply_owner)
        request.reply.size = len(reply)
        memcpy(request.reply.data, <const char *>reply, len(reply))
        self.codec.learn(request, &self.talk, &self.loop.pool)
        return True

    def forget(self):
        """Frees what is held."""
        while self.held.head is not NULL:
            request_free(&self.slab, &self.loop.pool, batch_pop(&self.held))

    @property
    def user(self):
        return self.talk.user[:self.talk.user_size]

    @property
    def keyspace(self):
        return self.talk.keyspace[:self.talk.keyspace_size]

    @property
    def alive(self):
        """(requests, chunks, kept chunks, bytes) that are out."""
        return self.slab.live_count, self.loop.pool.live_count, self.loop.pool.kept_count, self.loop.pool.live_bytes

    @property
    def shelves(self):
        """((count, hits, misses, evictions) of texts, the same of prepared statements)."""
        cdef library_t *library = &self.codec.library
        return _shelf(&library.texts), _shelf(&library.prepared)

    def let_go(self):
        self.codec.let_go(&self.loop.pool)

    def often(self, bytes frames not None, int rounds):
        """Decodes the same so often; returns how many requests that made."""
        cdef:
            batch_t  batch
            uint64_t count = 0
            uint8_t *data = <uint8_t *><char *>frames
            size_t   size = len(frames)
            int      _
        with nogil:
            for _ in range(rounds):
                batch_clear(&batch)
                self._decode(data, size, &batch)
                while batch.head is not NULL:
                    request_free(&self.slab, &self.loop.pool, batch_pop(&batch))
                    count += 1
        return count

    def each_once(self, list frames not None):
        """The same for frames that are each decoded once."""
        cdef uint64_t count = 0
        for one in frames:
            count += self.often(one, 1)
        return count


cdef tuple _shelf(const shelf_t *shelf):
    return shelf.count, shelf.hits, shelf.misses, shelf.evictions
