"""Sends requests and times their replies.

Closed loop: each connection sends `pipeline` requests in one write, waits for all their replies, sends the next; or, if it
is windowed, sends after each read as many as that has answered.
Latency is from that write to each reply. What a closed loop measures is capacity: a slow target is asked less often.

Open loop: requests fall due by a clock, whatever the target does, and are sent when due even if earlier ones still
wait. Latency is from the moment a request was *due*, so a stall is charged to all requests it delayed, not to one
(no coordinated omission), and so is any lateness of the generator itself, which is reported beside it.

Replies come in order (RESP) or under the number of their request (CQL): replies_take and frames_take.
"""

from libc.errno cimport EAGAIN, EINTR, EIO, errno
from libc.math cimport log
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove, memset

from cpython.exc cimport PyErr_CheckSignals

from shotover._net.openssl cimport (
    SSL, SSL_CTRL_MODE, SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER,
    SSL_MODE_ENABLE_PARTIAL_WRITE, openssl, openssl_reason,
)
from shotover._net.tls_context cimport TlsContext
from shotover.benchmark._cql_flow cimport (
    CQL_IS_REPLY, FLOW_FRAME, FLOW_GARBAGE, SEGMENT_AROUND, SEGMENT_HEAD, SEGMENT_PAYLOAD, cql_frame_t, cql_sums_make,
    flow_status, inflow_begin, inflow_end, inflow_free, inflow_next, segment_close, short_at,
)
from shotover.benchmark._cql_reply cimport cql_reply_flags
from shotover.benchmark._histogram cimport HISTOGRAM_SIZE, histogram_add
from shotover.benchmark._reply cimport (
    EXPECT_ARRAY, EXPECT_BULK, EXPECT_OK, EXPECT_ROW, EXPECT_VOID, KEY_BYTES, KEY_STRIDE, LINE_BYTES_MAX, REPLY_ERROR,
    REPLY_NIL, REPLY_WRONG, SCAN_DONE, SCAN_GARBAGE, key_write, reply_scan, scan_status,
)

cdef extern from "sys/socket.h":
    ssize_t c_send "send"(int, const void *, size_t, int) noexcept nogil
    ssize_t c_recv "recv"(int, void *, size_t, int) noexcept nogil

cdef enum:
    SLICE_NS = 100000000            # how long a run keeps from looking at signals


# ---- chance ---------------------------------------------------------------------------------------------------------

cdef inline uint64_t random_next(load_t *load) noexcept nogil:
    """xorshift64*: never zero, the same for the same seed."""
    load.random ^= load.random >> 12
    load.random ^= load.random << 25
    load.random ^= load.random >> 27
    return load.random * <uint64_t>2685821657736338717


cdef inline uint32_t template_choose(load_t *load) noexcept nogil:
    cdef:
        uint32_t draw
        uint32_t index = 0
    if load.template_count == 1:
        return 0
    draw = <uint32_t>((random_next(load) >> 32) % load.weight_total)
    while draw >= load.templates[index].weight_end:
        index += 1
    return index


cdef inline uint64_t key_choose(load_t *load) noexcept nogil:
    cdef uint64_t key
    if not load.sequential:
        return (random_next(load) >> 16) % load.key_count
    key = load.key_next
    load.key_next = key + 1 if key + 1 < load.key_count else 0
    return key


cdef inline double gap_choose(load_t *load) noexcept nogil:
    """Nanoseconds to the next arrival of an open loop."""
    if not load.poisson:
        return load.gap_ns
    return -log((<double>(random_next(load) >> 11) + 1.0) / 9007199254740993.0) * load.gap_ns


# ---- bytes ----------------------------------------------------------------------------------------------------------

cdef inline int tls_errno(SSL *ssl) noexcept nogil:
    """What has kept the last call from doing its work, as a negative errno."""
    cdef int why = openssl.SSL_get_error(ssl, 0)
    openssl_reason()
    return -EAGAIN if why == SSL_ERROR_WANT_READ or why == SSL_ERROR_WANT_WRITE else -EIO


cdef inline ssize_t bytes_put(connection_t *connection, const char *data, size_t size) noexcept nogil:
    """How many were taken, or a negative errno."""
    cdef:
        size_t done = 0
        ssize_t sent
    if connection.ssl is not NULL:
        if openssl.SSL_write_ex(connection.ssl, data, size, &done) != 1:
            return tls_errno(connection.ssl)
        return <ssize_t>done
    sent = c_send(connection.fd, data, size, MSG_NOSIGNAL)
    return sent if sent >= 0 else -errno


cdef inline ssize_t bytes_get(connection_t *connection, char *out, size_t room) noexcept nogil:
    """How many have come, 0 at the end, or a negative errno."""
    cdef:
        size_t done = 0
        ssize_t got
    if connection.ssl is not NULL:
        if openssl.SSL_read_ex(connection.ssl, out, room, &done) != 1:
            return tls_errno(connection.ssl)
        return <ssize_t>done
    got = c_recv(connection.fd, out, room, 0)
    return got if got >= 0 else -errno


# ---- a connection ---------------------------------------------------------------------------------------------------

cdef void connection_lose(load_t *load, connection_t *connection) noexcept nogil:
    """Takes a connection out of use; what it still owed is lost. Python owns and closes the descriptor."""
    if connection.fd < 0:
        return
    wait_set(&load.wait, connection.fd, connection.index, connection.watched, 0)
    connection.fd = -1
    load.open_count -= 1
    load.awaited -= connection.awaited
    load.tally.lost += connection.awaited
    load.tally.closed += 1
    connection.awaited = 0


cdef inline void connection_watch(load_t *load, connection_t *connection, uint32_t interest) noexcept nogil:
    if connection.watched == interest:
        return
    if wait_set(&load.wait, connection.fd, connection.index, connection.watched, interest) < 0:
        connection_lose(load, connection)
    else:
        connection.watched = interest


cdef inline void segment_end(load_t *load, connection_t *connection) noexcept nogil:
    """Closes the segment that is open. There is room for its trailer: see segment_fits."""
    cdef size_t payload = connection.filled - <size_t>connection.segment - SEGMENT_HEAD
    segment_close(<uint8_t *>connection.out + connection.segment, payload, &load.sums)
    connection.filled += SEGMENT_AROUND - SEGMENT_HEAD
    connection.segment = NO_SEGMENT


cdef void connection_flush(load_t *load, connection_t *connection) noexcept nogil:
    """Sends what is filled, as far as the socket takes it; asks to be told when it takes more."""
    cdef ssize_t sent
    if connection.segment != NO_SEGMENT:
        segment_end(load, connection)
    while connection.sent < connection.filled:
        sent = bytes_put(connection, connection.out + connection.sent, connection.filled - connection.sent)
        if sent < 0:
            if sent == -EINTR:
                continue
            if sent == -EAGAIN:
                if load.windowed:                   # more may be put behind it before it has all gone
                    memmove(connection.out, connection.out + connection.sent, connection.filled - connection.sent)
                    connection.filled -= connection.sent
                    connection.sent = 0
                connection_watch(load, connection, WAIT_READ | WAIT_WRITE)
            else:
                connection_lose(load, connection)
            return
        connection.sent += <size_t>sent
        load.tally.bytes_out += <uint64_t>sent
    connection.sent = 0
    connection.filled = 0
    connection_watch(load, connection, WAIT_READ)


cdef bint numbers_grow(connection_t *connection) noexcept nogil:
    """Doubles the table of numbers, all of which are taken. False at STREAM_MAX or without memory: nothing has changed."""
    cdef:
        uint32_t size = connection.ring_size * 2
        uint32_t number
        pending_t *table
    if size > STREAM_MAX:
        return False
    table = <pending_t *>realloc(connection.ring, size * sizeof(pending_t))
    if table is NULL:
        return False
    connection.ring = table
    for number in range(connection.ring_size, size):
        table[number].start_ns = 0
        table[number].key_first = number + 1
    connection.free = connection.ring_size
    connection.ring_size = size
    return True


cdef bint ring_grow(connection_t *connection) noexcept nogil:
    """Doubles the ring of awaited replies. False at PENDING_MAX or without memory: nothing has changed."""
    cdef:
        uint32_t size = connection.ring_size * 2
        uint32_t index
        pending_t *ring
    if size > PENDING_MAX:
        return False
    ring = <pending_t *>malloc(size * sizeof(pending_t))
    if ring is NULL:
        return False
    for index in range(connection.awaited):
        ring[index] = connection.ring[(connection.head + index) & (connection.ring_size - 1)]
    free(connection.ring)
    connection.ring = ring
    connection.ring_size = size
    connection.head = 0
    return True


cdef bint out_reserve(connection_t *connection, size_t size) noexcept nogil:
    """Makes room for `size` more bytes to send. False without memory: nothing has changed."""
    cdef:
        size_t capacity = connection.capacity
        char *out
    while connection.filled + size > capacity:
        capacity = capacity * 2 if capacity > 0 else 4096
    if capacity == connection.capacity:
        return True
    out = <char *>realloc(connection.out, capacity)
    if out is NULL:
        return False
    connection.out = out
    connection.capacity = capacity
    return True


cdef inline void request_patch(load_t *load, const template_t *template, char *wire, uint64_t key_first) noexcept nogil:
    """Writes a request's keys, and the marks in its values, over those of its template."""
    cdef:
        uint32_t index
        uint64_t key
    for index in range(template.key_count):
        key = (key_first + <uint64_t>index * KEY_STRIDE) % load.key_count
        key_write(wire + template.places[index], key)
        if template.marked:
            key_write(wire + template.places[template.key_count + index], key)


cdef bint segment_fits(load_t *load, connection_t *connection, size_t size) noexcept nogil:
    """A segment is open that takes `size` bytes more, and `out` has room for them and the trailer. False without memory."""
    if connection.segment != NO_SEGMENT:
        if connection.filled + size - <size_t>connection.segment - SEGMENT_HEAD > SEGMENT_PAYLOAD:
            segment_end(load, connection)
    if not out_reserve(connection, size + SEGMENT_AROUND):
        return False
    if connection.segment == NO_SEGMENT:
        connection.segment = <ssize_t>connection.filled
        connection.filled += SEGMENT_HEAD
    return True


cdef bint frame_issue(load_t *load, connection_t *connection, uint64_t start_ns) noexcept nogil:
    """request_issue for CQL: the request gets a number that is free."""
    cdef:
        uint32_t command = template_choose(load)
        const template_t *template = &load.templates[command]
        uint64_t key_first = key_choose(load)
        uint32_t number
        pending_t *pending
        char *wire
    if connection.free == connection.ring_size and not numbers_grow(connection):
        return False
    if not (segment_fits(load, connection, template.size) if load.segmented else out_reserve(connection, template.size)):
        return False
    number = connection.free
    wire = connection.out + connection.filled
    memcpy(wire, template.wire, template.size)
    request_patch(load, template, wire, key_first)
    wire[2] = <char>(number >> 8)
    wire[3] = <char>number
    connection.filled += template.size
    pending = &connection.ring[number]
    connection.free = pending.key_first
    pending.start_ns = start_ns
    pending.key_first = <uint32_t>key_first
    pending.command = command
    connection.awaited += 1
    load.awaited += 1
    load.tally.issued += 1
    return True


cdef bint request_issue(load_t *load, connection_t *connection, uint64_t start_ns) noexcept nogil:
    """Appends one request to what the connection will send. False when it may not wait for more replies."""
    cdef:
        uint32_t command
        const template_t *template
        uint64_t key_first
        pending_t *pending

    if load.cql:
        return frame_issue(load, connection, start_ns)
    command = template_choose(load)
    template = &load.templates[command]
    key_first = key_choose(load)
    if connection.awaited == connection.ring_size and not ring_grow(connection):
        return False
    if not out_reserve(connection, template.size):
        return False
    if not load.ready_made:
        memcpy(connection.out + connection.filled, template.wire, template.size)
    request_patch(load, template, connection.out + connection.filled, key_first)
    connection.filled += template.size
    pending = &connection.ring[(connection.head + connection.awaited) & (connection.ring_size - 1)]
    pending.start_ns = start_ns
    pending.key_first = <uint32_t>key_first
    pending.command = command
    connection.awaited += 1
    load.awaited += 1
    load.tally.issued += 1
    return True


cdef void batch_send(load_t *load, connection_t *connection, uint64_t now_ns) noexcept nogil:
    """Closed loop: requests until `pipeline` are under way, fewer at the end of the run."""
    cdef uint32_t count = connection.awaited
    if now_ns >= load.end_ns:
        return
    while count < load.pipeline and load.tally.issued < load.issue_max and request_issue(load, connection, now_ns):
        count += 1
    connection_flush(load, connection)


# ---- replies --------------------------------------------------------------------------------------------------------

cdef void reply_count(
    load_t *load, connection_t *connection, const pending_t *pending, uint64_t now_ns, uint8_t flags,
    const char *text, size_t text_size,
) noexcept nogil:
    """One reply; `text`: of an error."""
    histogram_add(&load.latency, now_ns - pending.start_ns if now_ns > pending.start_ns else 0)
    load.tally.replies += 1
    load.tally.last_ns = now_ns
    if flags:
        if flags & REPLY_ERROR:
            load.tally.errors += 1
            if load.error_size == 0:
                load.error_size = <uint32_t>min(text_size, <size_t>LINE_BYTES_MAX)
                memcpy(load.error_text, text, load.error_size)
        elif flags & REPLY_WRONG:
            load.tally.wrong += 1
        elif flags & REPLY_NIL:
            load.tally.nils += 1
    connection.awaited -= 1
    load.awaited -= 1


cdef void frames_take(load_t *load, connection_t *connection, const char *data, size_t size, uint64_t now_ns) noexcept nogil:
    """CQL: finds for each frame of what one read brought the request that it answers."""
    cdef:
        cql_frame_t frame
        pending_t *pending
        uint32_t number
        flow_status status = FLOW_GARBAGE
        const char *text = NULL
        size_t text_size
        uint8_t flags
    if inflow_begin(&connection.inflow, data, size):
        status = inflow_next(&connection.inflow, &load.sums, &frame)
    while status == FLOW_FRAME:
        number = short_at(frame.data + 2)
        if frame.data[0] != (CQL_IS_REPLY | load.cql) or number >= connection.ring_size or connection.ring[number].start_ns == 0:
            status = FLOW_GARBAGE                   # nobody asked for it
            break
        pending = &connection.ring[number]
        flags = cql_reply_flags(&frame, &load.templates[pending.command].expect, pending.key_first, &text, &text_size)
        reply_count(load, connection, pending, now_ns, flags, text, text_size)
        pending.start_ns = 0
        pending.key_first = connection.free
        connection.free = number
        status = inflow_next(&connection.inflow, &load.sums, &frame)
    if status == FLOW_GARBAGE or not inflow_end(&connection.inflow):
        load.tally.wrong += 1
        connection_lose(load, connection)


cdef void reply_finish(load_t *load, connection_t *connection, uint64_t now_ns) noexcept nogil:
    """Counts the connection's oldest awaited reply and makes ready for the next one."""
    reply_count(
        load, connection, &connection.ring[connection.head], now_ns, connection.reply.flags,
        connection.reply.line, connection.reply.line_size,
    )
    connection.head = (connection.head + 1) & (connection.ring_size - 1)
    connection.reply.flags = 0
    connection.reply.started = 0
    connection.reply.bulk_index = 0
    connection.reply.line_size = 0
    connection.reply.elements_left = 0
    connection.reply.body_left = 0


cdef void replies_take(load_t *load, connection_t *connection, const char *data, size_t size, uint64_t now_ns) noexcept nogil:
    """Cuts what one read brought into replies."""
    cdef:
        size_t used = 0
        pending_t *pending
        scan_status status
    while size > 0:
        if connection.awaited == 0:                # a reply nobody asked for
            load.tally.wrong += 1
            connection_lose(load, connection)
            return
        pending = &connection.ring[connection.head]
        status = reply_scan(
            &connection.reply, &load.templates[pending.command].expect, pending.key_first, load.key_count, data, size, &used
        )
        if status == SCAN_GARBAGE:
            load.tally.wrong += 1
            connection_lose(load, connection)
            return
        if status == SCAN_DONE:
            reply_finish(load, connection, now_ns)
        data += used
        size -= used


cdef bint connection_read(load_t *load, connection_t *connection) noexcept nogil:
    """One read. False: there was nothing, or the connection is lost."""
    cdef:
        ssize_t size = bytes_get(connection, load.read_buffer, READ_BYTES)
        uint64_t now_ns
    if size == -EAGAIN or size == -EINTR:
        return False
    if size <= 0:
        connection_lose(load, connection)
        return False
    now_ns = clock_ns()
    load.tally.bytes_in += <uint64_t>size
    if load.cql:
        frames_take(load, connection, load.read_buffer, <size_t>size, now_ns)
    else:
        replies_take(load, connection, load.read_buffer, <size_t>size, now_ns)
    if load.gap_ns == 0 and connection.fd >= 0 and (load.windowed or connection.awaited == 0):
        batch_send(load, connection, now_ns)
    return connection.fd >= 0


# ---- a run ----------------------------------------------------------------------------------------------------------

cdef connection_t *arrival_place(load_t *load) noexcept nogil:
    """Open loop: the next usable connection in turn, or NULL."""
    cdef:
        uint32_t _
        connection_t *connection
    for _ in range(load.connection_count):
        connection = &load.connections[load.turn_at]
        load.turn_at = load.turn_at + 1 if load.turn_at + 1 < load.connection_count else 0
        if connection.fd >= 0:
            return connection
    return NULL


cdef void arrivals_issue(load_t *load, uint64_t now_ns) noexcept nogil:
    """Open loop: issues all that has fallen due, then sends, one write a connection."""
    cdef:
        uint64_t due_ns
        uint64_t lag_ns
        uint32_t index
        connection_t *connection
        bint any_issued = False
    while load.tally.issued + load.tally.dropped < load.issue_max:
        due_ns = load.start_ns + <uint64_t>load.due_ns
        if due_ns > now_ns or due_ns >= load.end_ns:
            break
        load.due_ns += gap_choose(load)
        connection = arrival_place(load)
        if connection is NULL or not request_issue(load, connection, due_ns):
            load.tally.dropped += 1
            continue
        connection.touched = True
        any_issued = True
        lag_ns = now_ns - due_ns
        load.tally.lag_ns_sum += lag_ns
        if lag_ns > load.tally.lag_ns_max:
            load.tally.lag_ns_max = lag_ns
    if any_issued:
        for index in range(load.connection_count):
            connection = &load.connections[index]
            if connection.touched:
                connection.touched = False
                if connection.fd >= 0 and not connection.watched & WAIT_WRITE:
                    connection_flush(load, connection)


cdef inline bint issuing(load_t *load, uint64_t now_ns) noexcept nogil:
    """True while the run will still send something."""
    if load.open_count == 0 or load.tally.issued + load.tally.dropped >= load.issue_max:
        return False
    if load.gap_ns > 0:
        return load.start_ns + <uint64_t>load.due_ns < load.end_ns
    return now_ns < load.end_ns


cdef int turn_run(load_t *load, uint64_t timeout_ns) noexcept nogil:
    """Waits once and serves what is ready. 0 or -errno."""
    cdef:
        int found = wait_next(&load.wait, timeout_ns)
        int place
        connection_t *connection
        uint32_t ready
    if found < 0:
        return found
    load.tally.turns += 1
    for place in range(found):
        connection = &load.connections[load.wait.events[place].index]
        ready = load.wait.events[place].ready
        if connection.fd >= 0 and ready & WAIT_WRITE:
            connection_flush(load, connection)
        if connection.fd >= 0 and ready & WAIT_READ:
            # wait is level-triggered, so what is left is reported again; but not what TLS has read and keeps
            while connection_read(load, connection) and connection.ssl is not NULL:
                pass
    return 0


cdef int run_slice(load_t *load, uint64_t drain_ns) noexcept nogil:
    """Runs for SLICE_NS at most. 1 = more to do, 0 = the run has ended, else -errno."""
    cdef:
        uint64_t now_ns = clock_ns()
        uint64_t slice_end_ns = now_ns + SLICE_NS
        uint64_t wake_ns
        uint64_t due_ns
        int status
    while now_ns < slice_end_ns:
        if load.gap_ns > 0:
            arrivals_issue(load, now_ns)
        if not issuing(load, now_ns) and (load.awaited == 0 or now_ns >= load.end_ns + drain_ns):
            return 0
        wake_ns = slice_end_ns
        if load.gap_ns > 0:
            due_ns = load.start_ns + <uint64_t>load.due_ns
            if due_ns < wake_ns and due_ns < load.end_ns and load.tally.issued + load.tally.dropped < load.issue_max:
                wake_ns = due_ns
        now_ns = clock_ns()
        status = turn_run(load, wake_ns - now_ns if wake_ns > now_ns else 0)
        if status < 0:
            return status
        now_ns = clock_ns()
    return 1


cdef void run_begin(load_t *load, uint64_t length_ns, uint64_t issue_max) noexcept nogil:
    cdef:
        uint32_t index
        uint64_t now_ns
    memset(&load.tally, 0, sizeof(tally_t))
    memset(&load.latency, 0, sizeof(histogram_t))
    load.latency.least_ns = <uint64_t>-1
    load.error_size = 0
    load.start_ns = clock_ns()
    load.end_ns = load.start_ns + length_ns
    load.issue_max = issue_max
    load.tally.first_ns = load.start_ns
    load.tally.last_ns = load.start_ns
    load.due_ns = gap_choose(load) if load.gap_ns > 0 else 0
    if load.gap_ns == 0:
        for index in range(load.connection_count):
            if load.connections[index].fd >= 0:
                now_ns = clock_ns()
                batch_send(load, &load.connections[index], now_ns)


cdef void run_end(load_t *load) noexcept nogil:
    """A connection that still waits would answer the next run with this one's replies: out of use with it."""
    cdef uint32_t index
    for index in range(load.connection_count):
        if load.connections[index].awaited > 0:
            connection_lose(load, &load.connections[index])


# ---- birth and death ------------------------------------------------------------------------------------------------

cdef void load_free(load_t *load) noexcept nogil:
    cdef uint32_t index
    if load is NULL:
        return
    if load.connections is not NULL:
        for index in range(load.connection_count):
            if load.connections[index].ssl is not NULL:
                openssl.SSL_free(load.connections[index].ssl)
            if load.connections[index].session is not NULL:
                openssl.SSL_SESSION_free(load.connections[index].session)
            free(load.connections[index].out)
            free(load.connections[index].ring)
            inflow_free(&load.connections[index].inflow)
    if load.templates is not NULL:
        for index in range(load.template_count):
            free(load.templates[index].wire)
            free(load.templates[index].places)
    wait_close(&load.wait)
    free(load.connections)
    free(load.templates)
    free(load.read_buffer)
    free(load)


cdef int template_set(template_t *template, object command, uint32_t weight_before) except -1:
    """Copies a generator.Command. Raises MemoryError."""
    cdef:
        bytes wire = command.wire
        list places = list(command.key_places) + list(command.mark_places)
        Py_ssize_t index
    template.size = len(wire)
    template.wire = <char *>malloc(template.size)
    template.places = <uint32_t *>malloc((len(places) + 1) * sizeof(uint32_t))
    if template.wire is NULL or template.places is NULL:
        raise MemoryError
    memcpy(template.wire, <char *>wire, template.size)
    for index in range(len(places)):
        template.places[index] = places[index]
    template.key_count = len(command.key_places)
    template.marked = len(command.mark_places) > 0
    template.weight_end = weight_before + <uint32_t>command.weight
    template.expect.kind = {
        "ok": EXPECT_OK, "bulk": EXPECT_BULK, "array": EXPECT_ARRAY, "row": EXPECT_ROW, "void": EXPECT_VOID
    }[command.expects]
    template.expect.elements = template.key_count
    template.expect.bulk_bytes = command.value_bytes
    template.expect.marked = command.value_bytes >= KEY_BYTES
    return 0


cdef int connection_set(load_t *load, connection_t *connection, int fd, uint32_t index) except -1:
    """Watches a connected, non-blocking socket and lays out its buffers. Raises OSError, MemoryError."""
    cdef:
        uint32_t copy, number
        int status
    connection.index = index
    connection.segment = NO_SEGMENT
    connection.inflow.segmented = load.segmented
    connection.ring_size = 1
    while connection.ring_size < load.pipeline:
        connection.ring_size *= 2
    connection.ring = <pending_t *>malloc(connection.ring_size * sizeof(pending_t))
    if connection.ring is NULL:
        raise MemoryError
    for number in range(connection.ring_size):
        connection.ring[number].start_ns = 0
        connection.ring[number].key_first = number + 1
    if load.ready_made:
        if not out_reserve(connection, load.templates[0].size * load.pipeline):
            raise MemoryError
        for copy in range(load.pipeline):
            memcpy(connection.out + copy * load.templates[0].size, load.templates[0].wire, load.templates[0].size)
    status = wait_set(&load.wait, fd, index, 0, WAIT_READ)
    if status < 0:
        raise OSError(-status, "cannot watch a socket")
    connection.fd = fd
    connection.watched = WAIT_READ
    load.open_count += 1
    return 0


cdef int connection_secure(connection_t *connection, int fd, TlsContext context) except -1:
    """Begins TLS on a socket that blocks; who answers is not looked at. Raises OSError."""
    cdef int result
    connection.ssl = openssl.SSL_new(context.live.ctx)
    if connection.ssl is NULL:
        raise MemoryError
    openssl.SSL_ctrl(connection.ssl, SSL_CTRL_MODE, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, NULL)
    openssl.SSL_set_fd(connection.ssl, fd)
    openssl.SSL_set_connect_state(connection.ssl)
    openssl.SSL_set_ex_data(connection.ssl, 0, &connection.session)
    with nogil:
        result = openssl.SSL_do_handshake(connection.ssl)
    if result != 1:
        raise OSError(EIO, f"no TLS: {(<bytes>openssl_reason()).decode()}")
    return 0


cdef class Load:
    """A set of connections to one target and the commands to send on them. One thread at a time may run it."""

    def __cinit__(self, list sockets, list commands, *, uint32_t pipeline=1, double rate=0.0, bint poisson=True,
                  uint64_t key_count=1, bint sequential=False, uint64_t seed=1, bint use_poll=False,
                  TlsContext tls=None, bint windowed=False, int cql=0):
        """`sockets`: connected; `commands`: of generator.Command; `rate`: requests/s of an open loop, 0 = closed loop.

        `cql`: the version of CQL that they have been brought to speak, 0 = RESP.
        `tls`: the sockets are to speak TLS, as a client with this context does.
        """
        cdef:
            load_t *load = <load_t *>calloc(1, sizeof(load_t))
            int status
        if load is NULL:
            raise MemoryError
        self.load = load
        self.sockets = sockets
        self.commands = commands
        if not sockets or not commands or not 1 <= key_count <= 2**32 - 1 or rate < 0 or (
            not 1 <= pipeline <= <uint32_t>(STREAM_MAX if cql else PENDING_MAX)
        ):
            raise ValueError("sockets, commands, pipeline, key_count or rate out of bounds")
        status = wait_open(&load.wait, len(sockets), use_poll)
        if status < 0:
            raise OSError(-status, "cannot wait for sockets")
        load.pipeline = pipeline
        load.gap_ns = 1e9 / rate if rate > 0 else 0
        load.poisson = poisson
        load.key_count = key_count
        load.sequential = sequential
        load.random = seed * 2 + 1
        load.windowed = windowed
        load.cql = <uint8_t>cql
        load.segmented = cql >= 5
        cql_sums_make(&load.sums)
        load.ready_made = len(commands) == 1 and rate == 0 and not windowed and not cql
        load.read_buffer = <char *>malloc(READ_BYTES)
        load.templates = <template_t *>calloc(len(commands), sizeof(template_t))
        load.connections = <connection_t *>calloc(len(sockets), sizeof(connection_t))
        if load.read_buffer is NULL or load.templates is NULL or load.connections is NULL:
            raise MemoryError
        for command in commands:
            load.template_count += 1
            template_set(&load.templates[load.template_count - 1], command, load.weight_total)
            load.weight_total = load.templates[load.template_count - 1].weight_end
        if load.weight_total == 0:
            raise ValueError("the weights of the commands add up to nothing")
        for sock in sockets:
            load.connection_count += 1
            if tls is not None:
                sock.setblocking(True)
                connection_secure(&load.connections[load.connection_count - 1], sock.fileno(), tls)
            sock.setblocking(False)
            connection_set(load, &load.connections[load.connection_count - 1], sock.fileno(), load.connection_count - 1)

    def __dealloc__(self):
        load_free(self.load)

    @property
    def open_connections(self) -> int:
        return self.load.open_count

    def run(self, double seconds, *, uint64_t requests=<uint64_t>-1, double drain_seconds=10.0) -> dict:
        """Loads the target until `seconds` are over or `requests` were sent, then waits for what is owed.

        Returns the counts of tally_t, the latency histogram and the generator's own CPU time. Raises OSError when
        waiting fails and whatever a signal handler raises (KeyboardInterrupt).
        """
        cdef:
            load_t *load = self.load
            uint64_t drain_ns = <uint64_t>(drain_seconds * 1e9)
            uint64_t cpu_ns = thread_cpu_ns()
            long slack_ns
            int status = 1
        if not 0 < seconds <= 86400:
            raise ValueError(f"seconds: expected 0 to 86400, got {seconds}")
        slack_ns = wait_slack(1)
        try:
            with nogil:
                run_begin(load, <uint64_t>(seconds * 1e9), requests)
            while status == 1:
                with nogil:
                    status = run_slice(load, drain_ns)
                PyErr_CheckSignals()
        finally:
            run_end(load)
            wait_slack(slack_ns)
        if status < 0:
            raise OSError(-status, "waiting for sockets failed")
        return self.outcome(thread_cpu_ns() - cpu_ns)

    def outcome(self, uint64_t cpu_ns) -> dict:
        """The counts of the last run."""
        cdef:
            load_t *load = self.load
            dict counts = load.tally
            int index
        counts["cpu_ns"] = cpu_ns
        counts["error_text"] = load.error_text[:load.error_size].rstrip(b"\r")
        counts["latency_counts"] = {
            index: load.latency.counts[index] for index in range(HISTOGRAM_SIZE) if load.latency.counts[index]
        }
        counts["latency_sum_ns"] = load.latency.sum_ns
        counts["latency_least_ns"] = load.latency.least_ns if load.latency.total else 0
        counts["latency_most_ns"] = load.latency.most_ns
        return counts
