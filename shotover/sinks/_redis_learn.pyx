"""See _redis_learn.pxd. What is learned stands in the lexicon of the chain's codec (_codec/lexicon.pxd)."""

from libc.stdio cimport snprintf
from libc.string cimport memcpy

from shotover._codec.learned cimport LEARNED_NAME_SIZE_MAX
from shotover._codec.lexicon cimport lexicon_find, lexicon_forget, lexicon_t, lexicon_teach
from shotover._codec.resp cimport RespCodec, resp_words
from shotover._core.slice cimport slice_t

cdef enum:
    PAUSE_NS = 1000000000


cdef class LearningSink(OrderedSink):

    cdef size_t question(self, request_t *request, char *wire) noexcept nogil:
        """Writes COMMAND INFO of the request's first word to `wire`, QUESTION_SIZE_MAX bytes. Returns its size; 0: not now."""
        cdef:
            slice_t name
            size_t  size
        if self.loop.now < self.ask_at_ns or resp_words(
            request.wire.data, request.wire.data + request.wire.size, &name, 1
        ) == 0 or name.size - 1 >= LEARNED_NAME_SIZE_MAX:
            return 0
        size = <size_t>snprintf(wire, QUESTION_SIZE_MAX, b"*3\r\n$7\r\nCOMMAND\r\n$4\r\nINFO\r\n$%zu\r\n", name.size)
        memcpy(wire + size, name.data, name.size)       # it may hold zero bytes
        memcpy(wire + size + name.size, b"\r\n", 2)
        return size + name.size + 2

    cdef const command_t *learn(self, request_t *answer) noexcept nogil:
        """`answer`: that question with its reply. What the command is; NULL: the server did not say."""
        cdef:
            slice_t          words[3]
            const command_t *command = NULL
            lexicon_t       *lexicon = &(<RespCodec>self.codec).lexicon
        if not answer.failed and resp_words(answer.wire.data, answer.wire.data + answer.wire.size, words, 3) == 3:
            if lexicon_teach(lexicon, words[2].data, words[2].size, answer.reply.data, answer.reply.size):
                self.learned_total += 1
            command = lexicon_find(lexicon, words[2].data, words[2].size)
        if command is NULL:
            self.not_learned()
        return command

    cdef void not_learned(self) noexcept nogil:
        """Each question costs a connection: a server that does not answer is left alone for a while."""
        self.ask_at_ns = self.loop.now + PAUSE_NS

    cdef void forget_learned(self) noexcept nogil:
        """It may be another server that answers next."""
        lexicon_forget(&(<RespCodec>self.codec).lexicon)

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return OrderedSink.samples(self) + [("shotover_learned_commands_count", labels, "counter", self.learned_total)]
