"""See _redis_timestamp_tagger.pxd.

A stamp is whole seconds on the worker's clock: when the request came less the idle time that the server told. Requests
that came together are compared exactly, whatever order their replies come in.

Within MULTI nothing is asked: the answers would stand in the client's EXEC.
"""

cimport cython

from libc.stdint cimport uint32_t
from libc.string cimport memcpy, memset

from shotover._codec.commands cimport (
    CONDUCT_DISCARD,
    CONDUCT_EXEC,
    CONDUCT_MULTI,
    CONDUCT_PLAIN,
    CONDUCT_RESET,
    KEYS_NONE,
    KIND_READ,
    command_find,
    command_find_sub,
    command_keys,
    command_t,
)
from shotover._codec.resp cimport resp_integer, resp_words
from shotover._codec.resp_edit cimport resp_head_size, resp_put_bulk
from shotover._core.debug cimport invariant, unlikely
from shotover._core.memory cimport chunk_data, chunk_t, pool_take, slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport (
    REFUSED,
    WATCHED_BY_STEP,
    batch_clear,
    batch_pop,
    batch_push,
    request_own_reply,
)
from shotover._core.slice cimport slice_t
from shotover._proxy.session cimport session_slots, session_t

cdef enum:
    KEYS_MAX = 16               # of one read; with more, nothing is asked
    WORDS_MAX = 64
    EPOCH_SECONDS = 2000000000  # so that no stamp is 0
    QUESTION_SIZE = 30

cdef const char *QUESTION = b"*3\r\n$6\r\nOBJECT\r\n$8\r\nIDLETIME\r\n"


@cython.final
cdef class RedisTimestampTagger(Step):

    def __init__(self, context, *, str name):
        self.tag = 0
        self.wants_each = True
        self.wants_replies = True
        self.wants_slot = True
        slab_init(&self.pairs, sizeof(tagged_t))

    def __dealloc__(self):
        slab_close(&self.pairs)

    # ---- down ---------------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            batch_t    down
            request_t *request
        batch_clear(&down)
        while batch.head is not NULL:
            request = batch_pop(batch)
            if request.conduct != CONDUCT_PLAIN:
                self._follow(request)
            elif request.kind == KIND_READ and request.command is not NULL \
                    and (<const command_t *>request.command).key_rule != KEYS_NONE:
                self._tag(request, &down)
            batch_push(&down, request)
        self.pass_down(&down)

    cdef void _follow(self, request_t *request) noexcept nogil:
        """Notes whether its session is within a transaction."""
        cdef void **slot
        if request.session is NULL:
            return
        slot = session_slots(<session_t *>request.session) + self.slot
        if request.conduct == CONDUCT_MULTI:
            slot[0] = <void *>self
        elif request.conduct == CONDUCT_EXEC or request.conduct == CONDUCT_DISCARD or request.conduct == CONDUCT_RESET:
            slot[0] = NULL

    cdef bint _tag(self, request_t *request, batch_t *down) noexcept nogil:
        """Puts a question for each key ahead of the read. False: it has no stamp."""
        cdef:
            slice_t    words[WORDS_MAX]
            uint32_t   keys[KEYS_MAX]
            uint32_t   argc
            int        count, index
            tagged_t  *tagged
            request_t *question
        if request.session is not NULL and session_slots(<session_t *>request.session)[self.slot] is not NULL:
            return False
        argc = resp_words(request.wire.data, request.wire.data + request.wire.size, words, WORDS_MAX)
        if argc == 0 or argc > WORDS_MAX:
            return False
        count = command_keys(<const command_t *>request.command, words, argc, keys, KEYS_MAX)
        if count <= 0 or count > KEYS_MAX:
            return False
        tagged = <tagged_t *>slab_take(&self.pairs)
        if tagged is NULL:
            return False
        memset(tagged, 0, sizeof(tagged_t))
        tagged.read = request
        tagged.idle = -1
        tagged.left = 1
        for index in range(count):
            question = self._question(request, words[keys[index]].data, words[keys[index]].size)
            if question is NULL:
                break
            question.tags[self.tag] = tagged
            tagged.left += 1
            batch_push(down, question)
        request.tags[self.tag] = tagged
        request.watched |= WATCHED_BY_STEP
        return True

    cdef request_t *_question(self, request_t *request, const unsigned char *key, size_t size) noexcept nogil:
        """OBJECT IDLETIME key; NULL: no memory."""
        cdef:
            request_t *question = self.hub.request_new(self.chain)
            chunk_t   *chunk
            unsigned char *to
        if question is NULL:
            return NULL
        chunk = pool_take(&self.loop.pool, 64 + size)
        if chunk is NULL:
            self.hub.request_free(question)
            return NULL
        to = chunk_data(chunk)
        memcpy(to, QUESTION, QUESTION_SIZE)
        question.owner = chunk
        question.wire.data = to
        to = resp_put_bulk(to + QUESTION_SIZE, key, size)
        question.wire.size = <size_t>(to - chunk_data(chunk))
        question.session = request.session
        question.command = command_find_sub(command_find(b"OBJECT", 6), b"IDLETIME", 8)
        question.kind = KIND_READ
        question.conduct = CONDUCT_PLAIN
        question.argc = 3
        question.key_at = <uint32_t>(QUESTION_SIZE + resp_head_size(size))
        question.key_size = <uint32_t>size
        question.watched = WATCHED_BY_STEP
        return question

    # ---- up -----------------------------------------------------------------------------------------------------

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request
            tagged_t  *tagged
        while batch.head is not NULL:
            request = batch_pop(batch)
            tagged = <tagged_t *>request.tags[self.tag]
            if tagged is NULL:
                self.pass_up(request)
            else:
                self._returned(tagged, request)

    cdef void _returned(self, tagged_t *tagged, request_t *request) noexcept nogil:
        """A read or one of its questions has its reply; the last of them lets the read go up."""
        cdef int64_t idle
        invariant(tagged.left > 0)
        tagged.left -= 1
        if request is not tagged.read:
            if not request.failed and resp_integer(request.reply.data, request.reply.data + request.reply.size, &idle) \
                    and (tagged.idle < 0 or idle < tagged.idle):
                tagged.idle = idle
            self.hub.request_free(request)
        elif tagged.left and unlikely(not request_own_reply(&self.loop.pool, request)):
            request.failed = REFUSED
            request.reply.size = 0
        if tagged.left:
            return
        request = tagged.read
        request.tags[self.tag] = NULL
        if tagged.idle >= 0:
            self.tagged_total += 1
            request.stamp = EPOCH_SECONDS + request.arrived_ns // 1000000000 \
                - min(<uint64_t>tagged.idle, <uint64_t>EPOCH_SECONDS - 1)
        else:
            self.untagged_total += 1
        slab_give(&self.pairs, tagged)
        self.pass_up(request)

    def samples(self):
        labels = {"transform": self.type_name, "chain": self.chain.name, "name": self.name}
        return Step.samples(self) + [
            ("shotover_tagged_reads_count", labels, "counter", self.tagged_total),
            ("shotover_untagged_reads_count", labels, "counter", self.untagged_total),
        ]
