"""The load generator: many connections, one thread, no Python object and no GIL while it runs.

    Load ---- load_t ---- connection_t[] ---- pending_t ring   what each awaited reply belongs to
                  |              \\----------- reply_t          where in a reply the reads have come
                  \\---- template_t[]          the commands, ready to send but for their keys
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._net.openssl cimport SSL, SSL_SESSION
from shotover.benchmark._cql_flow cimport cql_sums_t, inflow_t
from shotover.benchmark._histogram cimport histogram_t
from shotover.benchmark._reply cimport expect_t, reply_t

cdef extern from "shotover/benchmark/wait.h":
    enum: WAIT_READ
    enum: WAIT_WRITE
    enum: MSG_NOSIGNAL
    ctypedef struct wait_event_t:
        uint32_t index
        uint32_t ready
    ctypedef struct wait_t:
        wait_event_t events[1]
    uint64_t clock_ns() noexcept nogil
    uint64_t thread_cpu_ns() noexcept nogil
    int wait_open(wait_t *, uint32_t, int) noexcept nogil
    void wait_close(wait_t *) noexcept nogil
    int wait_set(wait_t *, int, uint32_t, uint32_t, uint32_t) noexcept nogil
    int wait_next(wait_t *, uint64_t) noexcept nogil
    int wait_accept(int) noexcept nogil
    long wait_slack(long) noexcept nogil

cdef enum:
    READ_BYTES = 131072             # one recv; shared by all connections
    PENDING_MAX = 1 << 16           # awaited replies a connection; past it an open loop counts arrivals as dropped
    STREAM_MAX = 1 << 15            # the same of CQL, which numbers them with 15 bits
    NO_SEGMENT = -1

ctypedef struct template_t:
    char     *wire                  # the request, keys to be patched in
    size_t    size
    uint32_t *places                # offsets of keys in `wire`; then, when marked, of the marks in the values
    uint32_t  key_count
    bint      marked                # a mark (the text of the key) stands at the head of each value sent
    uint32_t  weight_end            # of the mix: chosen when the draw is below this
    expect_t  expect

ctypedef struct pending_t:
    uint64_t start_ns               # when it was sent (closed loop) or due (open loop); CQL: 0 = a free number
    uint32_t key_first              # of a free number: the next of those
    uint32_t command                # index of its template

ctypedef struct connection_t:
    int        fd                   # borrowed from Python; -1 = out of use
    SSL       *ssl                  # owned; NULL = it speaks plainly
    SSL_SESSION *session            # of the last ticket, which nobody needs
    uint32_t   index
    uint32_t   watched              # WAIT_* in force
    uint32_t   head                 # ring of pending_t: first awaited reply
    uint32_t   awaited              # how many
    uint32_t   ring_size            # a power of two
    bint       touched              # open loop: has bytes to send at the end of this turn
    size_t     sent                 # sent <= filled <= capacity
    size_t     filled
    size_t     capacity
    char      *out
    pending_t *ring                 # CQL: not a ring but a table, by stream id
    reply_t    reply
    uint32_t   free                 # CQL: first free number; ring_size = none
    ssize_t    segment              # CQL in segments: where in `out` one begins that is not closed yet; NO_SEGMENT
    inflow_t   inflow               # CQL

ctypedef struct tally_t:            # what one run counts
    uint64_t issued
    uint64_t replies                # whole replies, whatever they said
    uint64_t errors                 # error replies
    uint64_t wrong                  # replies of the wrong type, size or key
    uint64_t nils                   # keys that were not there
    uint64_t lost                   # requests that never got a reply
    uint64_t closed                 # connections that ended
    uint64_t dropped                # open loop: arrivals that found PENDING_MAX requests waiting
    uint64_t bytes_out
    uint64_t bytes_in
    uint64_t turns                  # returns of wait
    uint64_t lag_ns_max             # open loop: how late the generator itself was in sending
    uint64_t lag_ns_sum
    uint64_t first_ns               # the run's first request
    uint64_t last_ns                # its last reply

ctypedef struct load_t:
    wait_t        wait
    connection_t *connections
    uint32_t      connection_count
    uint32_t      open_count        # connections still usable
    template_t   *templates
    uint32_t      template_count
    uint32_t      weight_total
    uint32_t      pipeline          # closed loop: requests sent together
    bint          windowed          # closed loop: whatever is answered is replaced at once, so `pipeline` are under way
    uint8_t       cql               # 0 = RESP, else the protocol's version
    bint          segmented         # CQL from version 5 on
    cql_sums_t    sums
    bint          ready_made        # one command only: `out` holds `pipeline` copies, nothing is copied again
    bint          sequential        # keys in order instead of at random
    bint          poisson           # open loop: exponential gaps, else equal ones
    double        gap_ns            # open loop: mean time between arrivals; 0 = closed loop
    double        due_ns            # open loop: the next arrival, from the start of the run
    uint32_t      turn_at           # open loop: the connection that is next
    uint64_t      start_ns
    uint64_t      end_ns            # nothing is issued from then on
    uint64_t      issue_max         # nor past this many requests
    uint64_t      awaited           # over all connections
    uint64_t      key_count
    uint64_t      key_next
    uint64_t      random            # xorshift state
    char         *read_buffer       # READ_BYTES
    tally_t       tally
    histogram_t   latency
    char          error_text[64]    # of the first error reply
    uint32_t      error_size

cdef class Load:
    cdef:
        load_t *load                # owned
        list    sockets             # keeps the descriptors open
        object  commands
