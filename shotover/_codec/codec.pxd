"""Codec, base of all: bytes <-> requests. No sockets, no clock, no chain."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.memory cimport chunk_t, pool_t, slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._core.status cimport status_t


cdef enum:
    SCAN_MORE = 0       # all bytes used up, somewhere in or between replies
    SCAN_DONE = 1       # as many replies as were asked for have passed
    SCAN_PUSH = 2       # a push begins here (only between replies)
    SCAN_BAD = 3        # not the protocol

cdef enum:              # which requests of a session may be joined into runs
    MERGE_NONE = 0
    MERGE_KIN = 1       # of one command
    MERGE_ANY = 2

cdef struct limits_t:
    uint64_t frame_bytes_max
    uint32_t arguments_max
    uint32_t inline_bytes_max

cdef struct resume_t:           # how far a cut request had been read; zero: not begun
    uint32_t offset             # bytes of the frame that need not be read again
    uint32_t argc
    uint32_t args_left
    uint32_t name_at
    uint32_t name_size
    uint32_t key_at
    uint32_t key_size

cdef struct follow_t:           # how far a request has come whose head was given out
    uint64_t word_left          # bytes of the word, its line end included, still to come
    uint64_t size               # bytes of the request so far
    uint32_t args_left          # words after this one
    uint32_t line_size
    uint8_t  line[32]           # the beginning of the next word's length
    char     error[64]          # out, with BAD: what the client is told

cdef struct decode_t:           # what decode reads and gives
    uint8_t  *at                # in: first byte; out: first byte of the cut frame
    uint8_t  *end
    chunk_t  *owner             # what [at, end) lies in; NULL: borrowed till the batch has run
    slab_t   *slab
    pool_t   *pool
    batch_t  *batch             # requests are appended here
    const limits_t *limits
    resume_t *resume
    void     *session
    void     *chain
    void     *talk              # what the codec keeps of this conversation, of Codec.talk_size; NULL: nobody wants facts
    uint64_t  now
    uint8_t   merge             # MERGE_*
    uint64_t  stream_min        # cut requests of at least so many bytes may be given out by their head; 0: none
    follow_t *follow            # out, with HEAD: the last request of the batch is only the head of one
    uint64_t  requests          # out: requests decoded
    size_t    need              # out, with NEED_DATA: least size of the cut frame
    const char *error           # out, with BAD: what the client is told, in the protocol's form
    size_t    error_size
    chunk_t  *error_chunk       # out: keeps `error` alive, to be put by the caller; or NULL
    uint8_t   error_whole       # out: `error` is no text but the whole reply, as it goes to the client
    uint8_t   error_limit       # out: what was broken is a limit of the source's, which `error` names

cdef struct scan_t:             # where in a reply the bytes so far end; zero: between replies
    uint64_t pending            # elements still to come in the reply; 0: between replies
    uint64_t number             # length being read, or bytes of a bulk still to come
    uint32_t digits
    uint8_t  state
    uint8_t  type
    uint8_t  negative
    uint8_t  first              # first byte of the reply
    uint8_t  midway             # a part of a reply has passed
    uint32_t errors             # error replies passed since somebody reset it
    uint8_t *error_at           # where the first of them began, among the bytes it was seen in; NULL since somebody reset it

cdef enum:              # what a conversation's frames travel in
    FRAMED_NOT = 0
    FRAMED_PLAIN = 1    # segments of CQL version 5
    FRAMED_LZ4 = 2      # ... compressed

cdef struct head_t:             # of a frame, in protocols that number them
    uint64_t size               # of the whole frame
    uint32_t number             # of the request that it answers
    uint8_t  opcode
    uint8_t  error              # it is an error
    uint8_t  push               # it answers nothing

cdef class Codec:
    cdef readonly str protocol
    cdef readonly bint numbered     # replies bear the numbers of their requests, and may come in any order
    cdef readonly uint32_t head_size    # bytes of a frame that `head` needs, if it is numbered
    cdef uint32_t talk_size             # of what it keeps of a conversation to find facts; 0: it has none to give
    cdef status_t decode(self, decode_t *decode) noexcept nogil
    cdef status_t follow(self, follow_t *follow, const limits_t *limits, uint8_t **at, uint8_t *end) noexcept nogil
    cdef int scan(self, scan_t *scan, uint8_t **at, uint8_t *end, uint32_t *left) noexcept nogil
    cdef int scan_frame(self, scan_t *scan, uint8_t **at, uint8_t *end, uint32_t *left) noexcept nogil
    cdef size_t error(self, uint8_t *out, size_t room, const char *code, const char *text, size_t text_size) noexcept nogil
    cdef size_t error_for(
        self, const request_t *request, uint8_t *out, size_t room, const char *code, const char *text, size_t text_size
    ) noexcept nogil
    cdef status_t head(self, const uint8_t *at, const uint8_t *end, head_t *head) noexcept nogil
    cdef void renumber(self, uint8_t *frame, uint32_t number) noexcept nogil
    cdef int framed_after(self, const request_t *request) noexcept nogil
    cdef void learn(self, request_t *request, void *talk, pool_t *pool) noexcept nogil
    cdef void let_go(self, pool_t *pool) noexcept nogil
    cdef bint key(self, request_t *request, slice_t *key) noexcept nogil
