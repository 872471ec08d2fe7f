"""Facts of Redis commands: found by name, asked for key positions. The tables are generated/redis_commands.h.

Who cuts requests calls command_find on the first word, command_find_sub on the second when the first has
subcommands, and learned_find (learned.pxd) for what neither knows. All pointers handed out live as long as the
process; nothing here allocates.
"""

from libc.stdint cimport int16_t, int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from shotover._core.slice cimport slice_t


cdef extern from "shotover/_codec/commands.h" nogil:
    enum:
        KEY_WORD_SIZE_MAX
        BEGIN_UNKNOWN
        BEGIN_INDEX
        BEGIN_KEYWORD
        FIND_UNKNOWN
        FIND_RANGE
        FIND_KEYNUM

    ctypedef struct keyspec_t:      # fields as in commands.h
        int16_t begin_at
        int16_t last
        int16_t limit
        int16_t keynum_at
        int16_t first_at
        int16_t step
        uint8_t begin
        uint8_t find
        uint8_t access              # ACCESS_*
        uint8_t word_size
        char    word[16]

    ctypedef struct command_t:      # fields as in commands.h
        uint64_t    word_low
        uint64_t    word_high
        const char *name            # upper case, NUL ended; "CLIENT|ID" for a subcommand
        const keyspec_t *specs
        uint32_t    flags           # COMMAND_*
        uint32_t    categories      # CATEGORY_*
        uint16_t    id              # dense
        uint16_t    parent          # id of its container, or its own
        int16_t     arity
        int16_t     first_key
        int16_t     last_key
        int16_t     key_step
        int16_t     keynum_at
        uint8_t     name_size
        uint8_t     word_size
        uint8_t     kind            # KIND_*
        uint8_t     conduct         # CONDUCT_*
        uint8_t     key_rule        # KEYS_*
        uint8_t     spec_count
        uint8_t     request_policy  # POLICY_*
        uint8_t     response_policy
        uint8_t     tips            # TIP_*
        uint8_t     has_subcommands
        uint8_t     blocks_by_keyword
        uint8_t     incomplete_keys
        uint8_t     word_at

    enum:
        COMMAND_WRITE
        COMMAND_READONLY
        COMMAND_DENYOOM
        COMMAND_ADMIN
        COMMAND_PUBSUB
        COMMAND_NOSCRIPT
        COMMAND_BLOCKING
        COMMAND_LOADING
        COMMAND_STALE
        COMMAND_SKIP_MONITOR
        COMMAND_SKIP_SLOWLOG
        COMMAND_ASKING
        COMMAND_FAST
        COMMAND_NO_AUTH
        COMMAND_MOVABLEKEYS
        COMMAND_NO_ASYNC_LOADING
        COMMAND_NO_MANDATORY_KEYS
        COMMAND_NO_MULTI
        COMMAND_ALLOW_BUSY
        COMMAND_MODULE
        COMMAND_MAY_REPLICATE   # from here on: in the descriptions only, never learned from a server
        COMMAND_PROTECTED
        COMMAND_TOUCHES_ARBITRARY_KEYS
        COMMAND_SENTINEL
        COMMAND_ONLY_SENTINEL
    enum:
        CATEGORY_KEYSPACE
        CATEGORY_READ
        CATEGORY_WRITE
        CATEGORY_SET
        CATEGORY_SORTEDSET
        CATEGORY_LIST
        CATEGORY_HASH
        CATEGORY_STRING
        CATEGORY_BITMAP
        CATEGORY_HYPERLOGLOG
        CATEGORY_GEO
        CATEGORY_STREAM
        CATEGORY_PUBSUB
        CATEGORY_ADMIN
        CATEGORY_FAST
        CATEGORY_SLOW
        CATEGORY_BLOCKING
        CATEGORY_DANGEROUS
        CATEGORY_CONNECTION
        CATEGORY_TRANSACTION
        CATEGORY_SCRIPTING
    enum:
        TIP_NONDETERMINISTIC_OUTPUT
        TIP_NONDETERMINISTIC_OUTPUT_ORDER
    enum:
        ACCESS_RO
        ACCESS_RW
        ACCESS_OW
        ACCESS_RM
        ACCESS_ACCESS
        ACCESS_UPDATE
        ACCESS_NOT_KEY        # a channel or the like: decides the slot, is no key
        ACCESS_INCOMPLETE     # the spec does not find all of them
    enum:
        POLICY_DEFAULT
        POLICY_ALL_NODES
        POLICY_ALL_SHARDS
        POLICY_MULTI_SHARD
        POLICY_SPECIAL
        POLICY_ONE_SUCCEEDED
        POLICY_ALL_SUCCEEDED
        POLICY_AGG_LOGICAL_AND
        POLICY_AGG_LOGICAL_OR
        POLICY_AGG_MIN
        POLICY_AGG_MAX
        POLICY_AGG_SUM
    enum:
        KIND_UNKNOWN          # learned, and its flags do not say
        KIND_READ             # reads data, or only asks
        KIND_SESSION          # about the connection or its state
        KIND_PUBSUB
        KIND_WRITE            # changes data, or may (scripts)
        KIND_SCHEMA           # definitions: functions and scripts
        KIND_ADMIN            # orders to the server
    enum:
        CONDUCT_PLAIN         # one request, one reply, no state: any connection will do
        CONDUCT_STATE         # sets session state that can be set again elsewhere (SELECT, AUTH, HELLO ...)
        CONDUCT_PIN           # state or answers of one connection: the client keeps its own until RESET or its end
        CONDUCT_REPLY_MODE    # CLIENT REPLY
        CONDUCT_ALONE         # a leased connection for just this command, with the session's state replayed on it
        CONDUCT_BLOCK         # may wait for long; ask command_blocks
        CONDUCT_WAIT          # waits for what was written on the same connection (WAIT, WAITAOF)
        CONDUCT_MULTI
        CONDUCT_EXEC
        CONDUCT_DISCARD
        CONDUCT_WATCH
        CONDUCT_UNWATCH
        CONDUCT_SUBSCRIBE
        CONDUCT_UNSUBSCRIBE
        CONDUCT_MONITOR
        CONDUCT_RESET
        CONDUCT_QUIT
        CONDUCT_REPLICATION   # turns the connection into a replication stream: refused
    enum:
        KEYS_NONE
        KEYS_RANGE
        KEYS_SPECS
        KEYS_SORT
        KEYS_GEORADIUS
        KEYS_MIGRATE
        KEYS_STREAMS
    enum:                           # ids that somebody compares with; redis_enums.h has all of them
        ID_ASKING
        ID_AUTH
        ID_CLIENT
        ID_CLIENT_CACHING
        ID_CLIENT_GETNAME
        ID_CLIENT_GETREDIR
        ID_CLIENT_ID
        ID_CLIENT_INFO
        ID_CLIENT_KILL
        ID_CLIENT_LIST
        ID_CLIENT_NO_EVICT
        ID_CLIENT_NO_TOUCH
        ID_CLIENT_REPLY
        ID_CLIENT_SETINFO
        ID_CLIENT_SETNAME
        ID_CLIENT_TRACKING
        ID_CLIENT_TRACKINGINFO
        ID_CLUSTER
        ID_CLUSTER_NODES
        ID_CLUSTER_REPLICAS
        ID_CLUSTER_SHARDS
        ID_CLUSTER_SLAVES
        ID_CLUSTER_SLOTS
        ID_COMMAND
        ID_DBSIZE
        ID_DISCARD
        ID_ECHO
        ID_EVAL
        ID_EVALSHA
        ID_EVALSHA_RO
        ID_EVAL_RO
        ID_EXEC
        ID_HELLO
        ID_HSCAN
        ID_INFO
        ID_KEYS
        ID_MONITOR
        ID_MULTI
        ID_PING
        ID_PSUBSCRIBE
        ID_PSYNC
        ID_PUBLISH
        ID_PUBSUB
        ID_PUNSUBSCRIBE
        ID_QUIT
        ID_RANDOMKEY
        ID_READONLY
        ID_READWRITE
        ID_RESET
        ID_SCAN
        ID_SCRIPT_FLUSH
        ID_SCRIPT_LOAD
        ID_SELECT
        ID_SPUBLISH
        ID_SSCAN
        ID_SSUBSCRIBE
        ID_SUBSCRIBE
        ID_SUNSUBSCRIBE
        ID_UNSUBSCRIBE
        ID_UNWATCH
        ID_WAIT
        ID_WATCH
        ID_ZSCAN

cdef enum:
    COMMAND_NAME_SIZE_MAX = 32      # of a first or second word; longer ones are unknown

cdef const command_t *command_find(const uint8_t *name, size_t size) noexcept nogil
cdef const command_t *command_find_sub(const command_t *container, const uint8_t *name, size_t size) noexcept nogil
cdef int command_keys(const command_t *c, const slice_t *argv, uint32_t argc,
                      uint32_t *out, uint32_t out_max) noexcept nogil
cdef int command_slot_words(const command_t *c, const slice_t *argv, uint32_t argc,
                            uint32_t *out, uint32_t out_max) noexcept nogil
cdef bint command_blocks(const command_t *c, const slice_t *argv, uint32_t argc) noexcept nogil
cdef uint32_t command_count() noexcept nogil
cdef const command_t *command_at(uint32_t index) noexcept nogil
cdef bint word_is(const slice_t *word, const char *upper, size_t size) noexcept nogil
cdef dict command_view(const command_t *c)


cdef inline uint32_t command_first_key(const command_t *c, const slice_t *argv, uint32_t argc) noexcept nogil:
    """Index of the first key among the words, or 0. The short way for the usual command with one range of keys."""
    cdef uint32_t index = 0
    if c.key_rule == KEYS_NONE:
        return 0
    if c.key_rule == KEYS_RANGE:
        return <uint32_t>c.first_key if <uint32_t>c.first_key < argc else 0
    return index if command_keys(c, argv, argc, &index, 1) > 0 else 0
