"""RedisSinkCluster: a Redis Cluster (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/).

Here stands who serves which slot, how that is found out, and what follows from MOVED, ASK and their like. The rest is
`_redis_nodes`.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from shotover._codec.slots cimport SLOT_COUNT
from shotover._core.request cimport request_t
from shotover._net.timers cimport timer_t
from shotover.sinks._redis_node cimport RedisNode, client_t
from shotover.sinks._redis_nodes cimport RedisNodes
from shotover.sinks._redis_state cimport redis_state_t


cdef enum:
    NO_OWNER = 0xffff
    REDIRECT_SIZE_MAX = 320
    OWNERS_KEPT = 4             # of a slot, while requests to them may be under way
    AUTH_SIZE_MAX = 1024
    READERS_MAX = 15            # replicas of one master that are read from, at most

cdef enum:                          # read_from
    FROM_MASTER = 0
    FROM_PREFER_REPLICA = 1
    FROM_REPLICA = 2
    FROM_NEAREST = 3

cdef struct readers_t:              # of one master's slots
    uint32_t count                  # replicas
    uint32_t turn
    uint16_t numbers[READERS_MAX]

cdef class RedisSinkCluster(RedisNodes):
    cdef:
        uint16_t   table[SLOT_COUNT]    # the number of each slot's master
        uint16_t   was[SLOT_COUNT][OWNERS_KEPT]     # ... before, the last one first; NO_OWNER: none
        uint64_t   unsettled_ns         # until then a slot may have moved while requests were under way
        uint16_t  *masters              # numbers of the masters that have slots, then of the replicas
        uint32_t   master_count
        uint32_t   replica_count
        readers_t *readers              # by node number; NULL unless replicas are read from
        uint32_t   readers_count
        uint8_t    read_from            # FROM_*
        list       contact_points       # as they are written
        dict       found                # name -> address, or the OSError; None: being looked up
        object     looked_up            # a list of what they resolve to now, made by another thread; or None
        bint       looking_up
        object     view                 # what the cluster has said of itself; None: nothing yet
        dict       numbers              # (host, port) -> number of a node
        dict       renamed              # (host, port) as announced -> as reached
        object     present_as           # as configured; None: it depends on what stands before
        bint       cluster_like         # clients see a cluster
        bint       shows_nodes          # ... of the nodes themselves: CLUSTER is passed on
        uint32_t   direct               # the node for what has no keys; NO_NODE: none in particular
        bint       locked               # it says nothing without a login
        bint       asking               # a question is under way
        bint       wanted               # one more is
        uint32_t   turn                 # who is asked next
        uint64_t   asked_ns
        uint64_t   told_ns              # the log has said why there is no map; not again before that
        char       label[64]
        uint64_t   refresh_ns
        timer_t    refresh
        uint8_t    auth[AUTH_SIZE_MAX]  # words of AUTH for its own questions, as in FIELD_AUTH
        size_t     auth_size            # 0: it has no login of its own
        uint8_t    redirect[REDIRECT_SIZE_MAX]      # the last address that a redirect named
        size_t     redirect_size
        uint32_t   redirect_number
        uint64_t   moved_total, asked_total, refused_total, refreshes_total

        uint64_t   learned_ns           # when the map was last told

    cdef void want_topology(self) noexcept nogil
    cdef void ask_topology(self) noexcept nogil
    cdef redis_state_t *_question_state(self, RedisNode node) noexcept nogil
    cdef void _answer_cluster(self, client_t *client, request_t *request) noexcept
    cdef void _note_owner(self, uint32_t slot, uint16_t number) noexcept nogil
    cdef bint _stops_short(self, client_t *client, request_t *request) noexcept nogil
    cdef void _say_instead(self, request_t *request, const char *text) noexcept nogil
    cdef void _moved(self, uint32_t slot, uint32_t number) noexcept nogil
    cdef uint32_t _target(self, RedisNode node, request_t *request, uint32_t *slot) noexcept nogil
    cdef void send_on(self, client_t *client, request_t *request, uint32_t number, bint asking) noexcept nogil
    cdef uint32_t _reader(self, uint32_t master) noexcept nogil
    cdef void _told_why(self, request_t *answer) noexcept nogil
    cdef void _time_nodes(self) noexcept nogil
    cdef bint _look_up(self) noexcept nogil
    cdef bint _cluster_command(self, client_t *client, request_t *request) noexcept nogil
