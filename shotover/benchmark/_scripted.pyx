"""See _scripted.pxd."""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from cpython.exc cimport PyErr_CheckSignals

from shotover.benchmark._cql_flow cimport (
    CQL_HEAD, FLOW_DRY, FLOW_FRAME, OP_BATCH, OP_EXECUTE, OP_OPTIONS, OP_PREPARE, OP_QUERY, OP_REGISTER,
    OP_STARTUP, SEGMENT_AROUND, SEGMENT_HEAD, SEGMENT_PAYLOAD, cql_frame_t, cql_sums_make, flow_status, inflow_begin,
    inflow_end, inflow_free, inflow_next, int_at, segment_close, short_at,
)
from shotover.benchmark._load cimport (
    MSG_NOSIGNAL, READ_BYTES, WAIT_READ, WAIT_WRITE, wait_accept, wait_close, wait_next, wait_open, wait_set,
)
from shotover.benchmark._reply cimport KEY_BYTES

cdef extern from "sys/socket.h" nogil:
    ssize_t c_send "send"(int, const void *, size_t, int)
    ssize_t c_recv "recv"(int, void *, size_t, int)

cdef extern from "unistd.h" nogil:
    int c_close "close"(int)

cdef extern from "string.h" nogil:
    void *memmem(const void *, size_t, const void *, size_t)

cdef enum:
    SLICE_NS = 100000000            # how long it waits without looking at signals
    SLICE_TURNS = 256               # and how many turns it takes


cdef bint room_for(client_t *client, size_t size) noexcept nogil:
    """Room for `size` bytes behind what is filled. False without memory."""
    cdef:
        size_t capacity = client.capacity
        char  *out
    while client.filled + size > capacity:
        capacity = capacity * 2 if capacity else 16384
    if capacity == client.capacity:
        return True
    out = <char *>realloc(client.out, capacity)
    if out is NULL:
        return False
    client.out = out
    client.capacity = capacity
    return True


cdef void client_close(server_t *server, client_t *client) noexcept nogil:
    if client.fd >= 0:
        wait_set(&server.wait, client.fd, <uint32_t>(client - server.clients), client.watched, 0)
        c_close(client.fd)
    free(client.out)
    inflow_free(&client.inflow)
    memset(client, 0, sizeof(client_t))
    client.fd = -1


cdef void client_watch(server_t *server, client_t *client, uint32_t interest) noexcept nogil:
    if client.watched != interest:
        wait_set(&server.wait, client.fd, <uint32_t>(client - server.clients), client.watched, interest)
        client.watched = interest


cdef void client_flush(server_t *server, client_t *client) noexcept nogil:
    """Sends what is filled; what the socket does not take waits, and nothing more is read meanwhile."""
    cdef ssize_t sent
    while client.sent < client.filled:
        sent = c_send(client.fd, client.out + client.sent, client.filled - client.sent, MSG_NOSIGNAL)
        if sent >= 0:
            client.sent += <size_t>sent
        elif errno == EAGAIN:
            client_watch(server, client, WAIT_WRITE)
            return
        elif errno != EINTR:
            client_close(server, client)
            return
    client.sent = 0
    client.filled = 0
    client_watch(server, client, WAIT_READ)


# ---- what is asked --------------------------------------------------------------------------------------------------

cdef inline bint has(const uint8_t *text, size_t size, const char *word, size_t word_size) noexcept nogil:
    return memmem(text, size, word, word_size) is not NULL


cdef answer answer_to_text(const uint8_t *text, size_t size, uint8_t opcode) noexcept nogil:
    """By how a statement begins; and by a table's name, where it is one that proxies look into."""
    cdef uint8_t first = text[0] | 0x20 if size else 0
    if opcode == OP_PREPARE:
        return PREPARED_READ if first == c"s" else PREPARED_WRITE
    if first == c"u" and size > 3 and text[1] | 0x20 == c"s":       # USE, not UPDATE
        return KEYSPACE
    if first != c"s":
        return VOID
    if has(text, size, b"system.local", 12):
        return LOCAL
    if has(text, size, b"system.peers", 12):
        return PEERS
    if has(text, size, b"system", 6):
        if has(text, size, b"keyspace_name, replication FROM", 31):
            return KEYSPACES
        return COLUMNS if has(text, size, b"column_name, kind, position, type FROM", 38) else NOTHING
    return ROW_TOLD


cdef answer answer_to(const cql_frame_t *frame, const uint8_t **key) noexcept nogil:
    """What a request is answered with; the text of the key that it asks for, NULL if it names none."""
    cdef:
        const uint8_t *at = frame.data + CQL_HEAD
        const uint8_t *end = frame.data + frame.size
        uint8_t opcode = frame.data[4]
        size_t  size
    key[0] = NULL
    if opcode == OP_EXECUTE:
        if end - at < 18 or at[2] != c"r":
            return VOID if end - at >= 18 and at[2] == c"w" else REFUSED
        at += 2 + short_at(at)                          # its id, which is ours
        if frame.data[0] >= 5 and end - at >= 2:
            at += 2 + short_at(at)                      # the id of its metadata
        at += 2 + (4 if frame.data[0] >= 5 else 1) + 2  # consistency, flags, the number of values
        if end - at >= 4 + KEY_BYTES and int_at(at) == KEY_BYTES:
            key[0] = at + 4
        return ROW
    if opcode == OP_QUERY or opcode == OP_PREPARE:
        if end - at < 4:
            return REFUSED
        size = min(<size_t>int_at(at), <size_t>(end - at - 4))
        at += 4
        key[0] = <const uint8_t *>memmem(at, size, b"'key:", 5)
        if key[0] is not NULL:
            key[0] += 1
            if at + size - key[0] < KEY_BYTES:
                key[0] = NULL
        return answer_to_text(at, size, opcode)
    if opcode == OP_BATCH:
        return VOID
    if opcode == OP_OPTIONS:
        return SUPPORTED
    return READY if opcode == OP_STARTUP or opcode == OP_REGISTER else REFUSED


cdef bint reply_put(server_t *server, client_t *client, const cql_frame_t *frame, ssize_t *segment) noexcept nogil:
    """Writes the answer to a request into `out`. False without memory."""
    cdef:
        uint8_t        version = frame.data[0]
        const uint8_t *key
        answer_t      *made
        char          *to
    if VERSION_FIRST <= version <= VERSION_LAST:
        made = &server.answers[version - VERSION_FIRST][<int>answer_to(frame, &key)]
    else:
        made = &server.answers[VERSIONS - 1][<int>NO_VERSION]
        key = NULL
    if client.segmented:
        if segment[0] >= 0 and client.filled + made.size - <size_t>segment[0] - SEGMENT_HEAD > SEGMENT_PAYLOAD:
            segment_finish(server, client, segment)
        if not room_for(client, made.size + SEGMENT_AROUND):
            return False
        if segment[0] < 0:
            segment[0] = <ssize_t>client.filled
            client.filled += SEGMENT_HEAD
    elif not room_for(client, made.size):
        return False
    to = client.out + client.filled
    memcpy(to, made.frame, made.size)
    to[2] = <char>frame.data[2]
    to[3] = <char>frame.data[3]
    if made.mark and key is not NULL:
        memcpy(to + made.mark, key, KEY_BYTES)
    client.filled += made.size
    if frame.data[4] == OP_STARTUP and version == 5:
        client.inflow.segmented = True
        client.segmented_next = True
    return True


cdef void segment_finish(server_t *server, client_t *client, ssize_t *segment) noexcept nogil:
    segment_close(<uint8_t *>client.out + segment[0], client.filled - <size_t>segment[0] - SEGMENT_HEAD, &server.sums)
    client.filled += SEGMENT_AROUND - SEGMENT_HEAD
    segment[0] = -1


# ---- turns ----------------------------------------------------------------------------------------------------------

cdef void client_read(server_t *server, client_t *client) noexcept nogil:
    """One read, and one write of all that it asks for."""
    cdef:
        ssize_t     got = c_recv(client.fd, server.read_buffer, READ_BYTES, 0)
        ssize_t     segment = -1
        cql_frame_t frame
        flow_status status
    if got < 0 and (errno == EAGAIN or errno == EINTR):
        return
    if got <= 0 or not inflow_begin(&client.inflow, server.read_buffer, <size_t>got):
        client_close(server, client)
        return
    status = inflow_next(&client.inflow, &server.sums, &frame)
    while status == FLOW_FRAME:
        if not reply_put(server, client, &frame, &segment):
            break
        status = inflow_next(&client.inflow, &server.sums, &frame)
    if segment >= 0:
        segment_finish(server, client, &segment)
    client.segmented = client.segmented or client.segmented_next
    if status != FLOW_DRY or not inflow_end(&client.inflow):
        client_close(server, client)
    else:
        client_flush(server, client)


cdef void clients_accept(server_t *server) noexcept nogil:
    cdef:
        int fd = wait_accept(server.listener)
        uint32_t place
    while fd >= 0:
        place = 0
        while place < CLIENTS_MAX and server.clients[place].fd >= 0:
            place += 1
        if place == CLIENTS_MAX or wait_set(&server.wait, fd, place, 0, WAIT_READ) < 0:
            c_close(fd)
        else:
            server.clients[place].fd = fd
            server.clients[place].watched = WAIT_READ
        fd = wait_accept(server.listener)


cdef int turn_run(server_t *server) noexcept nogil:
    """Waits once and serves what is ready. How many there were, or -errno."""
    cdef:
        int found = wait_next(&server.wait, SLICE_NS)
        int place
        client_t *client
    if found < 0:
        return found
    for place in range(found):
        if server.wait.events[place].index == CLIENTS_MAX:
            clients_accept(server)
            continue
        client = &server.clients[server.wait.events[place].index]
        if client.fd >= 0 and server.wait.events[place].ready & WAIT_WRITE:
            client_flush(server, client)
        elif client.fd >= 0:
            client_read(server, client)
    return found


cdef int turns_run(server_t *server) noexcept nogil:
    """A few of them. Less than 0: -errno."""
    cdef int found = 1, turns = 0
    while found > 0 and turns < SLICE_TURNS:
        found = turn_run(server)
        turns += 1
    return found


cdef class Server:
    """Serves on a socket that listens. One thread at a time may run it."""

    def __cinit__(self, sock, list answers):
        """`answers`: by version from 3 on, a list of (frame, mark) in the order of the enum. Raises OSError, MemoryError."""
        cdef:
            server_t *server = <server_t *>calloc(1, sizeof(server_t))
            answer_t *made
            bytes     frame
            int       status, version, index
        if server is NULL:
            raise MemoryError
        self.server = server
        self.sock = sock
        server.listener = sock.fileno()
        cql_sums_make(&server.sums)
        status = wait_open(&server.wait, CLIENTS_MAX + 1, 0)
        if status == 0:
            status = wait_set(&server.wait, server.listener, CLIENTS_MAX, 0, WAIT_READ)
        if status < 0:
            raise OSError(-status, "cannot wait for sockets")
        server.read_buffer = <uint8_t *>malloc(READ_BYTES)
        server.clients = <client_t *>calloc(CLIENTS_MAX, sizeof(client_t))
        if server.read_buffer is NULL or server.clients is NULL:
            raise MemoryError
        for index in range(CLIENTS_MAX):
            server.clients[index].fd = -1
        for version in range(VERSIONS):
            for index in range(<int>ANSWERS):
                frame, mark = answers[version][index]
                made = &server.answers[version][index]
                made.frame = <char *>malloc(len(frame))
                if made.frame is NULL:
                    raise MemoryError
                memcpy(made.frame, <char *>frame, len(frame))
                made.size = len(frame)
                made.mark = mark

    def __dealloc__(self):
        cdef int version, index
        if self.server is NULL:
            return
        if self.server.clients is not NULL:
            for index in range(CLIENTS_MAX):
                if self.server.clients[index].fd >= 0:
                    client_close(self.server, &self.server.clients[index])
        for version in range(VERSIONS):
            for index in range(<int>ANSWERS):
                free(self.server.answers[version][index].frame)
        wait_close(&self.server.wait)
        free(self.server.clients)
        free(self.server.read_buffer)
        free(self.server)

    def serve(self) -> None:
        """Until a signal raises something, or OSError."""
        cdef int found = 0
        while True:
            with nogil:
                found = turns_run(self.server)
            PyErr_CheckSignals()
            if found < 0:
                raise OSError(-found, "waiting for sockets failed")
