"""See attach.pxd."""

from libc.stdint cimport uint32_t
from libc.string cimport memchr, memcmp, memcpy, strlen

from shotover._codec.commands cimport CONDUCT_STATE, KIND_SESSION
from shotover._codec.cql.compression cimport (
    COMPRESSION_LZ4,
    COMPRESSION_NONE,
    COMPRESSION_SNAPPY,
    frame_unpack,
)
from shotover._codec.cql.facts cimport cql_facts_in, cql_facts_t, facts_add, facts_of_batch, facts_of_prepared, facts_settle
from shotover._codec.cql.frame cimport (
    ERROR_INVALID,
    ERROR_PROTOCOL,
    ERROR_UNPREPARED,
    FLAG_COMPRESSED,
    FLAG_PAYLOAD,
    HEADER_SIZE,
    OP_AUTH_RESPONSE,
    OP_AUTH_SUCCESS,
    OP_BATCH,
    OP_EXECUTE,
    OP_PREPARE,
    OP_QUERY,
    OP_RESULT,
    OP_STARTUP,
    SEGMENTS_FROM,
    frame_error,
    put_int,
    put_string,
    read_int,
    read_short,
    slice_is,
)
from shotover._codec.cql.library cimport keyspace_hash, library_add_prepared, library_prepared, library_text
from shotover._codec.cql.messages cimport (
    PARAM_KEYSPACE,
    PREPARE_KEYSPACE,
    cql_batch_item_t,
    cql_batch_next,
    cql_batch_read,
    cql_batch_t,
    cql_prefix_read,
    cql_prefix_t,
    cql_prepare_read,
    cql_prepare_t,
    cql_query_read,
    cql_query_t,
)
from shotover._codec.cql.peek cimport peek_option, peek_set_keyspace
from shotover._codec.cql.reading cimport cql_body
from shotover._codec.cql.statement cimport STATEMENT_USE
from shotover._codec.cql.wire cimport wire_read, wire_reader_t
from shotover._core.debug cimport likely, unlikely
from shotover._core.facts cimport facts_put
from shotover._core.memory cimport chunk_data, chunk_put, chunk_t, pool_take
from shotover._core.request cimport REFUSED, WATCHED_BY_STEP
from shotover._core.status cimport BAD, LIMIT, NO_MEMORY, OK

cdef enum:
    ERROR_ROOM = 512
    REPLY_PLAIN_MAX = 67108864  # of a compressed reply to PREPARE or USE, decompressed

cdef const char *UNPREPARED = (
    b"Prepared query with this id is not known here; it may have been prepared with another proxy, or before this one started"
)


# ---- frames --------------------------------------------------------------------------------------------------------


cdef status_t _answer(request_t *request, pool_t *pool, uint32_t code, const char *text, slice_t id) noexcept nogil:
    """It goes no further: this is its reply. With an id: behind the message, as in UNPREPARED."""
    cdef:
        chunk_t *chunk = pool_take(pool, ERROR_ROOM + id.size)
        size_t   size
    if chunk is NULL:
        return NO_MEMORY
    size = frame_error(chunk_data(chunk), ERROR_ROOM, request.version, request.stream, code, text, strlen(text))
    if id.data is not NULL:
        size = <size_t>(put_string(chunk_data(chunk) + size, id.data, id.size) - chunk_data(chunk))
        put_int(chunk_data(chunk) + 5, <uint32_t>(size - HEADER_SIZE))
    request.reply.data = chunk_data(chunk)
    request.reply.size = size
    request.reply_owner = chunk
    request.left = 0
    request.failed = REFUSED
    return OK


cdef status_t _unpack(talk_t *talk, request_t *request, pool_t *pool, uint64_t body_max) noexcept nogil:
    """Makes a compressed request a plain one, or answers it."""
    cdef:
        chunk_t *chunk
        size_t   size
        slice_t  none
        status_t status
    none.data = NULL
    none.size = 0
    if talk.compression == COMPRESSION_NONE:
        return _answer(request, pool, ERROR_PROTOCOL, b"A compressed frame, but no compression was agreed upon", none)
    status = frame_unpack(pool, talk.compression, request.wire.data, request.wire.size, body_max, &chunk, &size)
    if status == LIMIT:
        return _answer(request, pool, ERROR_INVALID, b"Request is too big, decompressed (shotover: max_frame_bytes)", none)
    if status == BAD:
        return _answer(request, pool, ERROR_PROTOCOL, b"A compressed frame that cannot be decompressed", none)
    if status != OK:
        return status
    if request.owner is not NULL:
        chunk_put(pool, request.owner)
    request.owner = chunk
    request.wire.data = chunk_data(chunk)
    request.wire.size = size
    request.edited = 1
    return OK


# ---- requests ------------------------------------------------------------------------------------------------------


cdef inline slice_t _keyspace(talk_t *talk) noexcept nogil:
    cdef slice_t found
    found.data = talk.keyspace
    found.size = talk.keyspace_size
    return found


cdef chunk_t *_of_text(
    library_t *library, talk_t *talk, pool_t *pool, const uint8_t *text, size_t size, slice_t own
) noexcept nogil:
    """`own`: the keyspace that the request itself names; of size 0: none."""
    if unlikely(own.size):
        return library_text(library, pool, text, size, own, keyspace_hash(own))
    return library_text(library, pool, text, size, _keyspace(talk), talk.keyspace_hash)


cdef status_t attach(library_t *library, talk_t *talk, request_t *request, pool_t *pool, uint64_t body_max) noexcept nogil:
    """Of a request that decode has just cut. A body that is not what its opcode says gets no facts: the server refuses it."""
    cdef:
        uint8_t *frame
        status_t status
        slice_t  value
    if unlikely(request.opcode == OP_STARTUP):
        talk.compression = COMPRESSION_NONE
        talk.user_size = 0
        if peek_option(request.wire.data + HEADER_SIZE, request.wire.size - HEADER_SIZE, b"COMPRESSION", &value) == 1:
            if slice_is(&value, b"LZ4"):
                talk.compression = COMPRESSION_LZ4
            elif slice_is(&value, b"SNAPPY"):
                talk.compression = COMPRESSION_SNAPPY
        return OK
    if unlikely(request.wire.data[1] & FLAG_COMPRESSED) and request.version < SEGMENTS_FROM:
        status = _unpack(talk, request, pool, body_max)
        if status != OK or request.left == 0:
            return status
    frame = request.wire.data
    if likely(request.opcode == OP_EXECUTE):
        return _execute(library, request, pool)
    if request.opcode == OP_QUERY or request.opcode == OP_PREPARE:
        return attach_text(library, talk, request, pool)
    if request.opcode == OP_BATCH:
        return _batch(library, talk, request, pool)
    if request.opcode == OP_AUTH_RESPONSE:
        _claim(talk, frame, request.wire.size)
        request.tells = 1
        request.watched |= WATCHED_BY_STEP
    return OK


cdef status_t attach_text(library_t *library, talk_t *talk, request_t *request, pool_t *pool) noexcept nogil:
    """Of a QUERY or PREPARE; also of one whose text was edited: what it had goes."""
    cdef:
        slice_t       body, own
        uint64_t      size
        cql_query_t   query
        cql_prepare_t prepare
        chunk_t      *facts
    if request.facts is not NULL:
        facts_put(pool, request.facts)
        request.facts = NULL
    if not cql_body(request, &body) or body.size < 4:
        return OK
    size = read_int(body.data)
    if unlikely(size > body.size - 4):
        return OK
    own.size = 0
    if request.opcode == OP_PREPARE:
        if request.version >= SEGMENTS_FROM and cql_prepare_read(body.data, body.size, request.version, &prepare) \
                and prepare.flags & PREPARE_KEYSPACE:
            own = prepare.keyspace
    elif request.version >= SEGMENTS_FROM and body.size - 4 - size >= 6 and read_int(body.data + 4 + size + 2) & PARAM_KEYSPACE:
        if not cql_query_read(body.data, body.size, request.version, &query):
            return OK
        own = query.params.keyspace
    facts = _of_text(library, talk, pool, body.data + 4, <size_t>size, own)
    if facts is NULL:
        return NO_MEMORY
    request.facts = facts
    if request.opcode == OP_PREPARE:
        request.kind = KIND_SESSION             # it changes nothing, whatever it prepares
        request.tells = 1
        request.watched |= WATCHED_BY_STEP
        return OK
    request.kind = cql_facts_in(facts).kind
    if unlikely(cql_facts_in(facts).type == STATEMENT_USE):
        request.conduct = CONDUCT_STATE
        request.tells = 1
        request.watched |= WATCHED_BY_STEP
    return OK


cdef status_t _execute(library_t *library, request_t *request, pool_t *pool) noexcept nogil:
    cdef:
        slice_t body, id
    if not cql_body(request, &body) or body.size < 2 or read_short(body.data) > body.size - 2:
        return OK
    id.data = body.data + 2
    id.size = read_short(body.data)
    request.facts = library_prepared(library, id)
    if unlikely(request.facts is NULL):
        return _answer(request, pool, ERROR_UNPREPARED, UNPREPARED, id)
    request.kind = cql_facts_in(request.facts).kind
    return OK


cdef status_t _batch(library_t *library, talk_t *talk, request_t *request, pool_t *pool) noexcept nogil:
    cdef:
        slice_t          body, own
        cql_batch_t      batch
        cql_batch_item_t item
        wire_reader_t    items
        chunk_t         *chunk
        chunk_t         *part
        cql_facts_t     *facts
        uint32_t         _
    if not cql_body(request, &body) or not cql_batch_read(body.data, body.size, request.version, &batch):
        return OK
    own.size = 0
    if batch.params.flags & PARAM_KEYSPACE:
        own = batch.params.keyspace
    chunk = facts_of_batch(pool, batch.count)
    if chunk is NULL:
        return NO_MEMORY
    facts = <cql_facts_t *>chunk_data(chunk)
    wire_read(&items, batch.items.data, batch.items.size)
    for _ in range(batch.count):
        cql_batch_next(&items, &item)
        if item.prepared:
            part = library_prepared(library, item.text)
        else:
            part = _of_text(library, talk, pool, item.text.data, item.text.size, own)
        if unlikely(part is NULL):
            facts_put(pool, chunk)
            return _answer(request, pool, ERROR_UNPREPARED, UNPREPARED, item.text) if item.prepared else NO_MEMORY
        facts_add(facts, part)
    facts_settle(facts)
    request.facts = chunk
    request.kind = facts.kind
    return OK


cdef void _claim(talk_t *talk, const uint8_t *frame, size_t size) noexcept nogil:
    """AUTH_RESPONSE: the name in a token of SASL's PLAIN, which is: who to act as, 0, name, 0, password."""
    cdef:
        const uint8_t *at = frame + HEADER_SIZE + 4
        const uint8_t *end = frame + size
        const uint8_t *zero
    talk.claimed_size = 0
    if size < HEADER_SIZE + 4 or frame[1] & (FLAG_PAYLOAD | FLAG_COMPRESSED) or read_int(at - 4) != <size_t>(end - at):
        return
    zero = <const uint8_t *>memchr(at, 0, <size_t>(end - at))
    if zero is NULL:
        return
    at = zero + 1
    zero = <const uint8_t *>memchr(at, 0, <size_t>(end - at))
    if zero is NULL or zero - at > TALK_USER_MAX:
        return
    talk.claimed_size = <uint8_t>(zero - at)
    memcpy(talk.claimed, at, talk.claimed_size)


cdef slice_t _changed_text(const request_t *request) noexcept nogil:
    """The text of a PREPARE as it went on, if a step has changed it; else of size 0."""
    cdef:
        slice_t       body
        slice_t       text
        cql_prepare_t prepare
        const cql_facts_t *facts = cql_facts_in(request.facts)
    text.data = NULL
    text.size = 0
    if request.edited and request.owner is not NULL and cql_body(request, &body) \
            and cql_prepare_read(body.data, body.size, request.version, &prepare) \
            and (prepare.text.size != facts.text.size or memcmp(prepare.text.data, facts.text.data, facts.text.size) != 0):
        text = prepare.text
    return text


# ---- replies -------------------------------------------------------------------------------------------------------


cdef void attach_learn(library_t *library, talk_t *talk, request_t *request, pool_t *pool) noexcept nogil:
    """See Codec.learn."""
    cdef:
        uint8_t     *reply = request.reply.data
        size_t       size = request.reply.size
        chunk_t     *chunk = NULL
        chunk_t     *facts
        cql_prefix_t prefix
        slice_t      name
    if size < HEADER_SIZE:
        return
    if request.opcode == OP_AUTH_RESPONSE:
        if reply[4] == OP_AUTH_SUCCESS:
            talk.user_size = talk.claimed_size
            memcpy(talk.user, talk.claimed, talk.claimed_size)
        return
    if reply[4] != OP_RESULT or request.facts is NULL:
        return
    if reply[1] & FLAG_COMPRESSED:
        if talk.compression == COMPRESSION_NONE or \
                frame_unpack(pool, talk.compression, reply, size, REPLY_PLAIN_MAX, &chunk, &size) != OK:
            return
        reply = chunk_data(chunk)
    if request.opcode == OP_QUERY:
        if peek_set_keyspace(reply, size, &name):
            if name.size > NAME_SIZE_MAX:       # no server has such
                name.size = 0
            talk.keyspace_size = <uint8_t>name.size
            memcpy(talk.keyspace, name.data, name.size)
            talk.keyspace_hash = keyspace_hash(name)
    elif cql_prefix_read(reply + HEADER_SIZE, size - HEADER_SIZE, reply[1], True, &prefix):
        facts = facts_of_prepared(pool, request.facts, prefix.body.data, prefix.body.size, request.version,
                                  _changed_text(request))
        if facts is not NULL:
            library_add_prepared(library, pool, facts)
    if chunk is not NULL:
        chunk_put(pool, chunk)
