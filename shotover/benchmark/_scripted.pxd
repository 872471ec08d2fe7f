"""A server of CQL that answers at once, from frames made beforehand: so that a proxy is measured and not what is behind it.

One thread, no GIL. It reads of a request what it must: the opcode; of a QUERY or PREPARE how its text begins; of a key
that is asked for its sixteen bytes, which become the head of the row's value, so that swapped replies are noticed.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover.benchmark._cql_flow cimport cql_sums_t, inflow_t
from shotover.benchmark._load cimport wait_t

cdef enum answer:               # places in server_t.answers
    READY
    SUPPORTED
    PREPARED_READ               # for a text that begins with S(ELECT)
    PREPARED_WRITE
    ROW                         # without metadata: of EXECUTE
    ROW_TOLD                    # with them: of QUERY
    VOID
    KEYSPACE
    LOCAL                       # system.local, where proxies look what there is
    PEERS                       # system.peers, system.peers_v2
    KEYSPACES                   # ... and, for whoever asks as proxies do, the one keyspace
    COLUMNS                     # and the columns of its one table
    NOTHING                     # any other table of the system's: no row
    REFUSED                     # an ERROR: not something that this server can do
    NO_VERSION                  # an ERROR too, of the highest version: the request is of one that this server has not
    ANSWERS

cdef enum:
    VERSION_FIRST = 3
    VERSION_LAST = 5
    VERSIONS = 3
    CLIENTS_MAX = 20000

ctypedef struct answer_t:
    char  *frame                # owned; stream id to be patched in
    size_t size
    size_t mark                 # where in it the key's text belongs; 0: nowhere

ctypedef struct client_t:
    int      fd                 # -1: nobody
    uint32_t watched
    inflow_t inflow
    bint     segmented_next     # from its next write on
    bint     segmented          # what goes out
    char    *out                # owned
    size_t   sent
    size_t   filled
    size_t   capacity

ctypedef struct server_t:
    wait_t      wait
    int         listener        # borrowed from Python; its place in `wait` is CLIENTS_MAX
    cql_sums_t  sums
    client_t   *clients         # CLIENTS_MAX
    answer_t    answers[3][15]  # by version and answer
    uint8_t    *read_buffer

cdef class Server:
    cdef:
        server_t *server        # owned
        object    sock
