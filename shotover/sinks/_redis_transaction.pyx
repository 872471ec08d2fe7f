"""See _redis_transaction.pxd. The wording of refusals is the server's own."""

from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, strlen

from shotover._codec.commands cimport (
    COMMAND_NO_MULTI,
    CONDUCT_MULTI,
    CONDUCT_SUBSCRIBE,
    CONDUCT_UNSUBSCRIBE,
    CONDUCT_MONITOR,
    CONDUCT_PIN,
    CONDUCT_REPLICATION,
    CONDUCT_REPLY_MODE,
    CONDUCT_STATE,
    CONDUCT_WAIT,
    CONDUCT_WATCH,
    ID_PING,
    POLICY_ALL_NODES,
    POLICY_ALL_SHARDS,
    POLICY_SPECIAL,
    command_t,
)
from shotover._codec.resp cimport resp_frame_size
from shotover._core.memory cimport chunk_data, chunk_put, pool_take
from shotover._core.request cimport WATCHED_BY_SINK
from shotover.sinks._redis_node cimport MADE_WHOLE

cdef enum:
    QUEUE_BYTES_MAX = 67108864
    FIRST_SIZE = 1000
    MULTI_SIZE = 15
    EXEC_SIZE = 14

cdef const char *MULTI_WIRE = b"*1\r\n$5\r\nMULTI\r\n"
cdef const char *EXEC_WIRE = b"*1\r\n$4\r\nEXEC\r\n"


cdef queue_t *queue_new(pool_t *pool) noexcept nogil:
    """An empty queue; NULL: no memory."""
    cdef queue_t *queue = <queue_t *>calloc(1, sizeof(queue_t))
    if queue is NULL:
        return NULL
    queue.chunk = pool_take(pool, FIRST_SIZE)
    if queue.chunk is NULL:
        free(queue)
        return NULL
    memcpy(chunk_data(queue.chunk), MULTI_WIRE, MULTI_SIZE)
    queue.size = MULTI_SIZE
    queue.place = 0xffffffff
    return queue


cdef void queue_free(queue_t *queue, pool_t *pool) noexcept nogil:
    if queue.chunk is not NULL:
        chunk_put(pool, queue.chunk)
    free(queue)


cdef const char *queue_refuses(queue_t *queue, request_t *request) noexcept nogil:
    """Why the command may not be queued, or NULL. Notes when that makes the transaction void."""
    cdef:
        const command_t *command = <const command_t *>request.command
        uint8_t          conduct = request.conduct
        uint8_t          failed = queue.failed
    if conduct == CONDUCT_MULTI:
        return b"MULTI calls can not be nested"
    if conduct == CONDUCT_WATCH:
        return b"WATCH inside MULTI is not allowed"
    queue.failed = 1
    if conduct == CONDUCT_STATE or conduct == CONDUCT_PIN or conduct == CONDUCT_REPLY_MODE or conduct == CONDUCT_WAIT \
            or conduct == CONDUCT_MONITOR or conduct == CONDUCT_SUBSCRIBE or conduct == CONDUCT_UNSUBSCRIBE \
            or conduct == CONDUCT_REPLICATION:
        return b"what changes the connection cannot be part of a transaction before several servers"
    if command is not NULL:
        if (command.arity > 0 and request.argc != <uint32_t>command.arity) or request.argc < <uint32_t>(
            -command.arity if command.arity < 0 else 0
        ):
            return _wrong_words(queue, command)
        if command.flags & COMMAND_NO_MULTI:
            return b"Command not allowed inside a transaction"
        if command.id != ID_PING and (
            command.request_policy == POLICY_ALL_NODES or command.request_policy == POLICY_ALL_SHARDS
            or command.request_policy == POLICY_SPECIAL
        ):
            return b"a transaction runs on one server, this command concerns all of them"
    queue.failed = failed
    return NULL


cdef const char *_wrong_words(queue_t *queue, const command_t *command) noexcept nogil:
    """As servers word it: subcommands as client|id, all in lower case."""
    cdef:
        char     name[64]
        uint32_t index
    for index in range(min(<uint32_t>command.name_size, <uint32_t>63)):
        name[index] = command.name[index]
        if b'A' <= name[index] <= b'Z':
            name[index] += 32
    name[min(<uint32_t>command.name_size, <uint32_t>63)] = 0
    snprintf(queue.why, sizeof(queue.why), b"wrong number of arguments for '%s' command", name)
    return queue.why


cdef bint _reach(queue_t *queue, pool_t *pool, size_t size) noexcept nogil:
    """Makes room for so many bytes more. False: no memory, or too many."""
    cdef chunk_t *chunk
    if queue.size + size <= queue.chunk.size:
        return True
    if queue.size + size > QUEUE_BYTES_MAX:
        return False
    chunk = pool_take(pool, 2 * queue.size + size)
    if chunk is NULL:
        return False
    memcpy(chunk_data(chunk), chunk_data(queue.chunk), queue.size)
    chunk_put(pool, queue.chunk)
    queue.chunk = chunk
    return True


cdef bint queue_add(queue_t *queue, pool_t *pool, request_t *request) noexcept nogil:
    """Appends the command. False: no memory, or more than QUEUE_BYTES_MAX."""
    if not _reach(queue, pool, request.wire.size):
        return False
    memcpy(chunk_data(queue.chunk) + queue.size, request.wire.data, request.wire.size)
    queue.size += request.wire.size
    queue.count += 1
    return True


cdef bint queue_close(queue_t *queue, pool_t *pool, request_t *exec_request) noexcept nogil:
    """Makes `exec_request` the whole transaction: it awaits a reply for MULTI, each command and EXEC (so many stand in
    `argc`), and is marked as MADE_WHOLE. False: no memory."""
    if not _reach(queue, pool, EXEC_SIZE):
        return False
    memcpy(chunk_data(queue.chunk) + queue.size, EXEC_WIRE, EXEC_SIZE)
    queue.size += EXEC_SIZE
    if exec_request.owner is not NULL:
        chunk_put(pool, exec_request.owner)
    exec_request.owner = queue.chunk
    exec_request.wire.data = chunk_data(queue.chunk)
    exec_request.wire.size = queue.size
    exec_request.key_at = queue.key_at
    exec_request.key_size = queue.key_size
    exec_request.argc = queue.count + 2
    exec_request.left = queue.count + 2
    exec_request.made = MADE_WHOLE
    exec_request.watched |= WATCHED_BY_SINK
    queue.chunk = NULL
    return True


cdef bint transaction_trim(request_t *request) noexcept nogil:
    """Of the replies to a whole transaction, leaves the one to EXEC. If a command was refused when it was queued, EXEC
    only says so: then that refusal is left, and True returned."""
    cdef:
        uint8_t *at = request.reply.data
        uint8_t *end = at + request.reply.size
        uint8_t *refusal = NULL
        uint8_t *last = at
        size_t   size, refusal_size = 0
    while at < end:
        size = resp_frame_size(at, end)
        if size == 0:
            break
        if at[0] == b'-' and refusal is NULL:
            refusal = at
            refusal_size = size
        last = at
        at += size
    request.reply_room = NULL
    if refusal is not NULL and refusal is not last and <size_t>(end - last) > 10 and memcmp(last, b"-EXECABORT", 10) == 0:
        request.reply.data = refusal
        request.reply.size = refusal_size
        return True
    request.reply.data = last
    request.reply.size = <size_t>(at - last)
    return False


cdef void transaction_void(pool_t *pool, request_t *request) noexcept nogil:
    """Its reply is the refusal of a command: makes it what EXEC says then, with the reason."""
    cdef:
        const char *text = b"-EXECABORT Transaction discarded because of: "
        size_t      size = strlen(text)
        chunk_t    *chunk = pool_take(pool, size + request.reply.size)
    if chunk is NULL:
        return
    memcpy(chunk_data(chunk), text, size)
    memcpy(chunk_data(chunk) + size, request.reply.data + 1, request.reply.size - 1)
    chunk_put(pool, request.reply_owner)
    request.reply_owner = chunk
    request.reply_room = NULL
    request.reply.data = chunk_data(chunk)
    request.reply.size += size - 1
