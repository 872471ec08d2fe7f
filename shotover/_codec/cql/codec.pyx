"""See codec.pxd. The wording of errors about versions is the server's own: drivers look for it, and step down."""

from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport strcmp, strlen

from shotover._codec.codec cimport FRAMED_LZ4, FRAMED_NOT, FRAMED_PLAIN, head_t
from shotover._codec.commands cimport CONDUCT_PLAIN, CONDUCT_STATE, KIND_SESSION, KIND_UNKNOWN
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_ref, chunk_t, pool_take
from shotover._core.request cimport batch_push, request_free, request_new, request_t
from shotover._core.status cimport BAD, NEED_DATA, NO_MEMORY, OK
from shotover._codec.cql.frame cimport (
    ERROR_BOOTSTRAPPING,
    ERROR_CONFIG,
    ERROR_CREDENTIALS,
    ERROR_INVALID,
    ERROR_OVERLOADED,
    ERROR_PROTOCOL,
    ERROR_SERVER,
    ERROR_SYNTAX,
    ERROR_TRUNCATE,
    ERROR_UNAUTHORIZED,
    FRAME_SIZE_MAX,
    HEADER_SIZE,
    HEADER_SIZE_OLD,
    IS_REPLY,
    OP_AUTH_RESPONSE,
    OP_AUTHENTICATE,
    OP_BATCH,
    OP_ERROR,
    OP_EVENT,
    OP_EXECUTE,
    OP_OPTIONS,
    OP_PREPARE,
    OP_QUERY,
    OP_READY,
    OP_REGISTER,
    OP_STARTUP,
    SEGMENTS_FROM,
    VERSION_MAX,
    VERSION_MIN,
    frame_error,
    put_short,
    read_int,
    read_short,
    slice_is,
)
from shotover._codec.cql.attach cimport attach, attach_learn, talk_t
from shotover._codec.cql.library cimport library_close, library_init
from shotover._codec.cql.peek cimport peek_option
from shotover._core.slice cimport slice_t

import os

cdef enum:
    ERROR_ROOM = 512

# What may stand in a request, as bits by opcode.
cdef uint32_t REQUESTS = (
    1 << OP_STARTUP | 1 << OP_OPTIONS | 1 << OP_QUERY | 1 << OP_PREPARE | 1 << OP_EXECUTE | 1 << OP_REGISTER
    | 1 << OP_BATCH | 1 << OP_AUTH_RESPONSE
)
# ... and those that are about the connection, not about data.
cdef uint32_t SESSION_REQUESTS = 1 << OP_STARTUP | 1 << OP_OPTIONS | 1 << OP_REGISTER | 1 << OP_AUTH_RESPONSE


cdef int startup_framing(const uint8_t *body, size_t size) noexcept nogil:
    """What frames of version 5 travel in after a STARTUP with this body: FRAMED_*."""
    cdef slice_t value
    if peek_option(body, size, b"COMPRESSION", &value) == 1 and slice_is(&value, b"LZ4"):
        return FRAMED_LZ4
    return FRAMED_PLAIN


cdef class CqlCodec(Codec):

    def __cinit__(self):
        self.protocol = "cassandra"
        self.numbered = True
        self.head_size = HEADER_SIZE
        self.talk_size = sizeof(talk_t)
        self.prepared_most = 0xffffffff
        library_init(&self.library, int.from_bytes(os.urandom(8), "little"))

    def configure(self, dict options):
        most = options.get("max_prepared_statements", self.library.prepared.most)
        self.library.prepared.most = min(<uint32_t>most, self.prepared_most)

    cdef status_t decode(self, decode_t *decode) noexcept nogil:
        cdef:
            uint8_t   *at
            size_t     have
            uint64_t   size
            uint8_t    opcode
            request_t *request
        while decode.at < decode.end:
            at = decode.at
            have = <size_t>(decode.end - at)
            if unlikely(at[0] < VERSION_MIN or at[0] > VERSION_MAX):
                if have < (HEADER_SIZE_OLD if at[0] < VERSION_MIN else HEADER_SIZE):
                    return self._cut(decode, HEADER_SIZE_OLD if at[0] < VERSION_MIN else HEADER_SIZE)
                return self._refuse_version(decode)
            if unlikely(have < HEADER_SIZE):
                return self._cut(decode, HEADER_SIZE)
            opcode = at[4]
            if unlikely(opcode > OP_AUTH_RESPONSE or not REQUESTS >> opcode & 1):
                return self._refuse(decode, ERROR_PROTOCOL, b"Unknown opcode, or one that only a server may send")
            size = HEADER_SIZE + <uint64_t>read_int(at + 5)
            if unlikely(size > decode.limits.frame_bytes_max):
                decode.error_limit = 1
                return self._refuse(decode, ERROR_INVALID, b"Request is too big (shotover: max_frame_bytes)")
            if unlikely(have < size):
                return self._cut(decode, <size_t>size)
            request = request_new(decode.slab)
            if unlikely(request is NULL):
                return NO_MEMORY
            request.session = decode.session
            request.chain = decode.chain
            request.arrived_ns = decode.now
            request.wire.data = at
            request.wire.size = <size_t>size
            if decode.owner is not NULL:
                request.owner = chunk_ref(decode.owner)
            request.stream = read_short(at + 2)
            request.version = at[0]
            request.opcode = opcode
            request.kind = KIND_UNKNOWN         # what a statement does is known to whoever parses it
            request.conduct = CONDUCT_PLAIN
            if unlikely(SESSION_REQUESTS >> opcode & 1):
                request.kind = KIND_SESSION
                request.conduct = CONDUCT_STATE
                if opcode == OP_STARTUP and at[0] >= SEGMENTS_FROM:
                    request.argc = startup_framing(at + HEADER_SIZE, <size_t>size - HEADER_SIZE)
            if unlikely(decode.talk is not NULL) and attach(
                    &self.library, <talk_t *>decode.talk, request, decode.pool,
                    decode.limits.frame_bytes_max - HEADER_SIZE) == NO_MEMORY:
                request_free(decode.slab, decode.pool, request)
                return NO_MEMORY
            batch_push(decode.batch, request)
            decode.requests += 1
            decode.at = at + size
        return OK

    cdef void learn(self, request_t *request, void *talk, pool_t *pool) noexcept nogil:
        attach_learn(&self.library, <talk_t *>talk, request, pool)

    cdef void let_go(self, pool_t *pool) noexcept nogil:
        library_close(&self.library, pool)

    cdef status_t _cut(self, decode_t *decode, size_t need) noexcept nogil:
        decode.need = need
        return NEED_DATA

    cdef status_t _refuse_version(self, decode_t *decode) noexcept nogil:
        """The answer is in a version that whoever asked can read: an old one's own, else the highest that we have."""
        cdef:
            uint8_t  *at = decode.at
            uint8_t   version = at[0] & ~IS_REPLY
            uint16_t  stream = at[2] if version < VERSION_MIN else read_short(at + 2)
            chunk_t  *chunk = pool_take(decode.pool, ERROR_ROOM)
            char      text[160]
            char      versions[64]
            int       number
            size_t    used = 0
        if chunk is NULL:
            return NO_MEMORY
        for number in range(VERSION_MIN, VERSION_MAX + 1):
            used += <size_t>snprintf(versions + used, sizeof(versions) - used, b"%s%d/v%d",
                                     b", " if used else b"", number, number)
        if at[0] & IS_REPLY:
            snprintf(text, sizeof(text), b"Wrong protocol message direction: expected a request")
        else:
            snprintf(text, sizeof(text), b"Invalid or unsupported protocol version (%d); supported versions are (%s)",
                     <int>version, versions)
        decode.error = <const char *>chunk_data(chunk)
        decode.error_size = frame_error(
            chunk_data(chunk), ERROR_ROOM, version if 1 <= version <= VERSION_MAX else VERSION_MAX, stream,
            ERROR_PROTOCOL, text, strlen(text))
        decode.error_chunk = chunk
        decode.error_whole = 1
        return BAD

    cdef status_t _refuse(self, decode_t *decode, uint32_t code, const char *text) noexcept nogil:
        """The frame at decode.at, of which the header is there, ends the conversation."""
        cdef chunk_t *chunk = pool_take(decode.pool, ERROR_ROOM)
        if chunk is NULL:
            return NO_MEMORY
        decode.error = <const char *>chunk_data(chunk)
        decode.error_size = frame_error(
            chunk_data(chunk), ERROR_ROOM, decode.at[0], read_short(decode.at + 2), code, text, strlen(text))
        decode.error_chunk = chunk
        decode.error_whole = 1
        return BAD

    cdef status_t head(self, const uint8_t *at, const uint8_t *end, head_t *head) noexcept nogil:
        if unlikely(end - at < HEADER_SIZE):
            return NEED_DATA
        if unlikely(at[0] < (IS_REPLY | VERSION_MIN) or at[0] > (IS_REPLY | VERSION_MAX)):
            return BAD
        head.size = HEADER_SIZE + <uint64_t>read_int(at + 5)
        head.number = read_short(at + 2)
        head.opcode = at[4]
        head.error = head.opcode == OP_ERROR
        head.push = head.opcode == OP_EVENT
        return OK if likely(head.size <= HEADER_SIZE + FRAME_SIZE_MAX) else BAD

    cdef void renumber(self, uint8_t *frame, uint32_t number) noexcept nogil:
        put_short(frame + 2, number)

    cdef int framed_after(self, const request_t *request) noexcept nogil:
        if likely(request.opcode != OP_STARTUP) or request.reply.size < HEADER_SIZE:
            return FRAMED_NOT
        if request.reply.data[4] == OP_READY or request.reply.data[4] == OP_AUTHENTICATE:
            return <int>request.argc        # kept there by decode
        return FRAMED_NOT

    cdef size_t error(self, uint8_t *out, size_t room, const char *code, const char *text, size_t text_size) noexcept nogil:
        """To nobody in particular: in the lowest version, which every client reads, for its first request."""
        return frame_error(out, room, VERSION_MIN, 0, _number_of(code), text, text_size)

    cdef size_t error_for(
        self, const request_t *request, uint8_t *out, size_t room, const char *code, const char *text, size_t text_size
    ) noexcept nogil:
        return frame_error(
            out, room, request.version if request.version else VERSION_MIN, request.stream, _number_of(code), text, text_size)


cdef uint32_t _number_of(const char *code) noexcept nogil:
    """Words of Codec.error, and those of errors that only Cassandra has: of ones that are no more than a code and a text."""
    if code is NULL or strcmp(code, b"ERR") == 0:
        return ERROR_SERVER
    if strcmp(code, b"PROTO") == 0:
        return ERROR_PROTOCOL
    if strcmp(code, b"INVALID") == 0:
        return ERROR_INVALID
    if strcmp(code, b"BUSY") == 0 or strcmp(code, b"OOM") == 0 or strcmp(code, b"THROTTLED") == 0:
        return ERROR_OVERLOADED
    if strcmp(code, b"NOAUTH") == 0 or strcmp(code, b"WRONGPASS") == 0:
        return ERROR_CREDENTIALS
    if strcmp(code, b"NOPERM") == 0 or strcmp(code, b"UNAUTHORIZED") == 0:
        return ERROR_UNAUTHORIZED
    if strcmp(code, b"OVERLOADED") == 0:
        return ERROR_OVERLOADED
    if strcmp(code, b"BOOTSTRAPPING") == 0:
        return ERROR_BOOTSTRAPPING
    if strcmp(code, b"TRUNCATE") == 0:
        return ERROR_TRUNCATE
    if strcmp(code, b"SYNTAX") == 0:
        return ERROR_SYNTAX
    if strcmp(code, b"CONFIG") == 0:
        return ERROR_CONFIG
    return ERROR_SERVER
