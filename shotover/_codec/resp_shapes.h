/* How replies of RESP3 differ from those of RESP2, by command: the tables that resp_shape.pyx and resp_upgrade.pyx read.
 *
 * A shape says what becomes of one value. Most replies are the same in both but for nulls, and have SHAPE_ANY; so have
 * all values of which nothing else is said. Where a server of RESP2 gives a null, an error or a value of another kind than
 * its shape is for, that goes through as SHAPE_ANY, so no shape need say "or".
 */
#ifndef SHOTOVER_RESP_SHAPES_H
#define SHOTOVER_RESP_SHAPES_H

#include <stdint.h>
#include <string.h>

#include "shotover/_codec/generated/redis_enums.h"

enum {                      /* resp_shape_t.kind: what becomes of an array */
    AS_ANY,               /* it stays one, and so do those within */
    AS_LIST,              /* it stays one, its elements are `item` */
    AS_LIST_OR_SET,       /* the same, but an empty one is a set: a whim of COMMAND */
    AS_SET,               /* a set of `item` */
    AS_MAP,               /* names and values in turn: a map; values are `item`, but for those in `fields` */
    AS_PAIRS,             /* names and values in turn: an array of pairs, each second one is `item` */
    AS_ENTRIES,           /* an array of pairs: a map; `item` is the shape of the pair */
    AS_PAIR,              /* the head goes, what is in it stays; the second is `item` */
    AS_TUPLE,             /* elements by position: `parts`; those beyond the last are as the last */
    AS_PUSH,              /* a push */
    AS_QUEUED             /* of EXEC: shapes are those of the commands that were queued */
};

enum {                      /* resp_shape_t.text: what becomes of a bulk string */
    TEXT_BULK, TEXT_DOUBLE, TEXT_VERBATIM,
    TEXT_GONE,              /* nothing */
    TEXT_PONG               /* the simple string PONG */
};

enum {
    SHAPE_ANY, SHAPE_DOUBLE, SHAPE_VERBATIM, SHAPE_LIST_OF_DOUBLES, SHAPE_PLACES, SHAPE_GEO,
    SHAPE_SET, SHAPE_MAP, SHAPE_MAPS, SHAPE_MAP_OF_MAPS,
    SHAPE_SCORES, SHAPE_VALUES, SHAPE_ONE_SCORE, SHAPE_KEY_SCORE, SHAPE_KEY_SCORES, SHAPE_SCORED, SHAPE_SCORED_LIST,
    SHAPE_STREAMS, SHAPE_STREAM, SHAPE_XINFO, SHAPE_XINFO_GROUPS, SHAPE_XINFO_GROUP,
    SHAPE_COMMANDS, SHAPE_COMMAND, SHAPE_SUBCOMMANDS, SHAPE_KEY_SPECS, SHAPE_KEY_SPEC, SHAPE_KEY_SPEC_PART,
    SHAPE_DOCS, SHAPE_DOC, SHAPE_ARGUMENTS, SHAPE_ARGUMENT, SHAPE_KEYS_FLAGS, SHAPE_KEY_FLAGS,
    SHAPE_ACL_USER, SHAPE_ACL_LOG, SHAPE_ACL_LOG_ENTRY, SHAPE_TRACKING, SHAPE_HELLO, SHAPE_PROTOCOL,
    SHAPE_FUNCTIONS_LIST, SHAPE_LIBRARY, SHAPE_FUNCTIONS, SHAPE_FUNCTION, SHAPE_FUNCTION_STATS,
    SHAPE_MEMORY_STATS, SHAPE_MEMORY_STAT, SHAPE_LATENCY, SHAPE_LATENCY_OF, SHAPE_SHARDS, SHAPE_SHARD,
    SHAPE_SLOTS, SHAPE_SLOT_RANGE, SHAPE_SLOT_NODE, SHAPE_SLOT_STATS, SHAPE_SLOT_STAT,
    SHAPE_PUSH, SHAPE_PONG, SHAPE_PING_TEXT, SHAPE_GONE, SHAPE_PONG_TEXT, SHAPE_EXEC,
    SHAPE_COUNT,
    /* for resp_shape.pyx alone: the words of the request decide */
    RULE_SCORES_AT_4 = 128, RULE_SCORES_AFTER_KEYS, RULE_SCORES_AT_3, RULE_VALUES_AT_3, RULE_POP_SCORES, RULE_INCR,
    RULE_RANK, RULE_SPOP, RULE_PING, RULE_SCRIPT, RULE_TRACKING, RULE_DEBUG, RULE_REFUSED
};

typedef struct {
    const char *name;       /* of a value in a map; NULL: the end */
    uint8_t     shape;
} shape_field_t;

typedef struct {
    uint8_t              kind;
    uint8_t              text;
    uint8_t              item;      /* a shape */
    uint8_t              part_count;
    uint8_t              parts[12];
    const shape_field_t *fields;    /* NULL: none */
} resp_shape_t;

static const shape_field_t FIELDS_KEY_SPEC[] = {
    {"flags", SHAPE_SET}, {"begin_search", SHAPE_KEY_SPEC_PART}, {"find_keys", SHAPE_KEY_SPEC_PART}, {NULL, 0}};
static const shape_field_t FIELDS_KEY_SPEC_PART[] = {{"spec", SHAPE_MAP}, {NULL, 0}};
static const shape_field_t FIELDS_DOC[] = {
    {"doc_flags", SHAPE_SET}, {"history", SHAPE_SET}, {"arguments", SHAPE_ARGUMENTS}, {"subcommands", SHAPE_DOCS}, {NULL, 0}};
static const shape_field_t FIELDS_ARGUMENT[] = {{"flags", SHAPE_SET}, {"arguments", SHAPE_ARGUMENTS}, {NULL, 0}};
static const shape_field_t FIELDS_ACL_USER[] = {{"flags", SHAPE_SET}, {"selectors", SHAPE_MAPS}, {NULL, 0}};
static const shape_field_t FIELDS_ACL_LOG[] = {{"age-seconds", SHAPE_DOUBLE}, {NULL, 0}};
static const shape_field_t FIELDS_FLAGS[] = {{"flags", SHAPE_SET}, {NULL, 0}};
static const shape_field_t FIELDS_LIBRARY[] = {{"functions", SHAPE_FUNCTIONS}, {NULL, 0}};
static const shape_field_t FIELDS_FUNCTION_STATS[] = {
    {"running_script", SHAPE_MAP}, {"engines", SHAPE_MAP_OF_MAPS}, {NULL, 0}};
static const shape_field_t FIELDS_LATENCY[] = {{"histogram_usec", SHAPE_MAP}, {NULL, 0}};
static const shape_field_t FIELDS_SHARD[] = {{"nodes", SHAPE_MAPS}, {NULL, 0}};
static const shape_field_t FIELDS_XINFO[] = {{"groups", SHAPE_XINFO_GROUPS}, {NULL, 0}};
static const shape_field_t FIELDS_XINFO_GROUP[] = {{"consumers", SHAPE_MAPS}, {NULL, 0}};
static const shape_field_t FIELDS_HELLO[] = {{"proto", SHAPE_PROTOCOL}, {"modules", SHAPE_MAPS}, {NULL, 0}};

static const resp_shape_t RESP_SHAPES[SHAPE_COUNT] = {
    [SHAPE_DOUBLE] = {.text = TEXT_DOUBLE},
    [SHAPE_VERBATIM] = {.text = TEXT_VERBATIM},
    [SHAPE_LIST_OF_DOUBLES] = {AS_LIST, .item = SHAPE_DOUBLE},
    [SHAPE_PLACES] = {AS_LIST, .item = SHAPE_LIST_OF_DOUBLES},
    [SHAPE_GEO] = {AS_LIST, .item = SHAPE_PLACES},       /* coordinates are arrays in an array in the reply */
    [SHAPE_SET] = {AS_SET},
    [SHAPE_MAP] = {AS_MAP},
    [SHAPE_MAPS] = {AS_LIST, .item = SHAPE_MAP},
    [SHAPE_MAP_OF_MAPS] = {AS_MAP, .item = SHAPE_MAP},
    [SHAPE_SCORES] = {AS_PAIRS, .item = SHAPE_DOUBLE},
    [SHAPE_VALUES] = {AS_PAIRS},
    [SHAPE_ONE_SCORE] = {AS_TUPLE, .part_count = 2, .parts = {SHAPE_ANY, SHAPE_DOUBLE}},
    [SHAPE_KEY_SCORE] = {AS_TUPLE, .part_count = 3, .parts = {SHAPE_ANY, SHAPE_ANY, SHAPE_DOUBLE}},
    [SHAPE_KEY_SCORES] = {AS_TUPLE, .part_count = 2, .parts = {SHAPE_ANY, SHAPE_SCORED_LIST}},
    [SHAPE_SCORED_LIST] = {AS_LIST, .item = SHAPE_SCORED},
    [SHAPE_SCORED] = {AS_TUPLE, .part_count = 2, .parts = {SHAPE_ANY, SHAPE_DOUBLE}},
    [SHAPE_STREAMS] = {AS_ENTRIES, .item = SHAPE_STREAM},
    [SHAPE_STREAM] = {AS_PAIR},
    [SHAPE_XINFO] = {AS_MAP, .fields = FIELDS_XINFO},
    [SHAPE_XINFO_GROUPS] = {AS_LIST, .item = SHAPE_XINFO_GROUP},
    [SHAPE_XINFO_GROUP] = {AS_MAP, .fields = FIELDS_XINFO_GROUP},
    [SHAPE_COMMANDS] = {AS_LIST, .item = SHAPE_COMMAND},
    [SHAPE_COMMAND] = {AS_TUPLE, .part_count = 11, .parts = {
        SHAPE_ANY, SHAPE_ANY, SHAPE_SET, SHAPE_ANY, SHAPE_ANY, SHAPE_ANY, SHAPE_SET, SHAPE_SET, SHAPE_KEY_SPECS,
        SHAPE_SUBCOMMANDS, SHAPE_ANY}},
    [SHAPE_SUBCOMMANDS] = {AS_LIST_OR_SET, .item = SHAPE_COMMAND},
    [SHAPE_KEY_SPECS] = {AS_SET, .item = SHAPE_KEY_SPEC},
    [SHAPE_KEY_SPEC] = {AS_MAP, .fields = FIELDS_KEY_SPEC},
    [SHAPE_KEY_SPEC_PART] = {AS_MAP, .fields = FIELDS_KEY_SPEC_PART},
    [SHAPE_DOCS] = {AS_MAP, .item = SHAPE_DOC},
    [SHAPE_DOC] = {AS_MAP, .fields = FIELDS_DOC},
    [SHAPE_ARGUMENTS] = {AS_LIST, .item = SHAPE_ARGUMENT},
    [SHAPE_ARGUMENT] = {AS_MAP, .fields = FIELDS_ARGUMENT},
    [SHAPE_KEYS_FLAGS] = {AS_LIST, .item = SHAPE_KEY_FLAGS},
    [SHAPE_KEY_FLAGS] = {AS_TUPLE, .part_count = 2, .parts = {SHAPE_ANY, SHAPE_SET}},
    [SHAPE_ACL_USER] = {AS_MAP, .fields = FIELDS_ACL_USER},
    [SHAPE_ACL_LOG] = {AS_LIST, .item = SHAPE_ACL_LOG_ENTRY},
    [SHAPE_ACL_LOG_ENTRY] = {AS_MAP, .fields = FIELDS_ACL_LOG},
    [SHAPE_TRACKING] = {AS_MAP, .fields = FIELDS_FLAGS},
    [SHAPE_HELLO] = {AS_MAP, .fields = FIELDS_HELLO},
    [SHAPE_PROTOCOL] = {AS_ANY},
    [SHAPE_FUNCTIONS_LIST] = {AS_LIST, .item = SHAPE_LIBRARY},
    [SHAPE_LIBRARY] = {AS_MAP, .fields = FIELDS_LIBRARY},
    [SHAPE_FUNCTIONS] = {AS_LIST, .item = SHAPE_FUNCTION},
    [SHAPE_FUNCTION] = {AS_MAP, .fields = FIELDS_FLAGS},
    [SHAPE_FUNCTION_STATS] = {AS_MAP, .fields = FIELDS_FUNCTION_STATS},
    [SHAPE_MEMORY_STATS] = {AS_MAP, .item = SHAPE_MEMORY_STAT},
    [SHAPE_MEMORY_STAT] = {AS_MAP, .text = TEXT_DOUBLE},     /* of a database; all that is no integer is a double */
    [SHAPE_LATENCY] = {AS_MAP, .item = SHAPE_LATENCY_OF},
    [SHAPE_LATENCY_OF] = {AS_MAP, .fields = FIELDS_LATENCY},
    [SHAPE_SHARDS] = {AS_LIST, .item = SHAPE_SHARD},
    [SHAPE_SHARD] = {AS_MAP, .fields = FIELDS_SHARD},
    [SHAPE_SLOTS] = {AS_LIST, .item = SHAPE_SLOT_RANGE},
    [SHAPE_SLOT_RANGE] = {AS_TUPLE, .part_count = 3, .parts = {SHAPE_ANY, SHAPE_ANY, SHAPE_SLOT_NODE}},
    [SHAPE_SLOT_NODE] = {AS_TUPLE, .part_count = 4, .parts = {SHAPE_ANY, SHAPE_ANY, SHAPE_ANY, SHAPE_MAP}},
    [SHAPE_SLOT_STATS] = {AS_LIST, .item = SHAPE_SLOT_STAT},
    [SHAPE_SLOT_STAT] = {AS_TUPLE, .part_count = 2, .parts = {SHAPE_ANY, SHAPE_MAP}},
    [SHAPE_PUSH] = {AS_PUSH},
    [SHAPE_PONG] = {AS_PAIR, .item = SHAPE_PONG_TEXT, .parts = {SHAPE_GONE}},     /* of PING, by a client that has subscribed */
    [SHAPE_PING_TEXT] = {AS_PAIR, .parts = {SHAPE_GONE}},                         /* the same, with a text */
    [SHAPE_GONE] = {.text = TEXT_GONE},
    [SHAPE_PONG_TEXT] = {.text = TEXT_PONG},
    [SHAPE_EXEC] = {AS_QUEUED},
};

/* By id. What is not in it has SHAPE_ANY. */
static const uint8_t REPLY_SHAPES[] = {
    [ID_SMEMBERS] = SHAPE_SET, [ID_SINTER] = SHAPE_SET, [ID_SUNION] = SHAPE_SET, [ID_SDIFF] = SHAPE_SET,
    [ID_SPOP] = RULE_SPOP,
    [ID_HGETALL] = SHAPE_MAP, [ID_HRANDFIELD] = RULE_VALUES_AT_3, [ID_CONFIG_GET] = SHAPE_MAP, [ID_LCS] = SHAPE_MAP,
    [ID_ZSCORE] = SHAPE_DOUBLE, [ID_ZINCRBY] = SHAPE_DOUBLE, [ID_ZMSCORE] = SHAPE_LIST_OF_DOUBLES,
    [ID_ZADD] = RULE_INCR, [ID_ZRANK] = RULE_RANK, [ID_ZREVRANK] = RULE_RANK,
    [ID_ZRANGE] = RULE_SCORES_AT_4, [ID_ZREVRANGE] = RULE_SCORES_AT_4,
    [ID_ZRANGEBYSCORE] = RULE_SCORES_AT_4, [ID_ZREVRANGEBYSCORE] = RULE_SCORES_AT_4,
    [ID_ZUNION] = RULE_SCORES_AFTER_KEYS, [ID_ZINTER] = RULE_SCORES_AFTER_KEYS, [ID_ZDIFF] = RULE_SCORES_AFTER_KEYS,
    [ID_ZRANDMEMBER] = RULE_SCORES_AT_3, [ID_ZPOPMIN] = RULE_POP_SCORES, [ID_ZPOPMAX] = RULE_POP_SCORES,
    [ID_BZPOPMIN] = SHAPE_KEY_SCORE, [ID_BZPOPMAX] = SHAPE_KEY_SCORE,
    [ID_ZMPOP] = SHAPE_KEY_SCORES, [ID_BZMPOP] = SHAPE_KEY_SCORES,
    [ID_GEOPOS] = SHAPE_PLACES, [ID_GEOSEARCH] = SHAPE_GEO, [ID_GEORADIUS] = SHAPE_GEO, [ID_GEORADIUS_RO] = SHAPE_GEO,
    [ID_GEORADIUSBYMEMBER] = SHAPE_GEO, [ID_GEORADIUSBYMEMBER_RO] = SHAPE_GEO,
    [ID_XREAD] = SHAPE_STREAMS, [ID_XREADGROUP] = SHAPE_STREAMS,
    [ID_XINFO_STREAM] = SHAPE_XINFO, [ID_XINFO_GROUPS] = SHAPE_MAPS, [ID_XINFO_CONSUMERS] = SHAPE_MAPS,
    [ID_COMMAND] = SHAPE_COMMANDS, [ID_COMMAND_INFO] = SHAPE_COMMANDS, [ID_COMMAND_DOCS] = SHAPE_DOCS,
    [ID_COMMAND_GETKEYSANDFLAGS] = SHAPE_KEYS_FLAGS,
    [ID_INFO] = SHAPE_VERBATIM, [ID_LOLWUT] = SHAPE_VERBATIM, [ID_CLIENT_LIST] = SHAPE_VERBATIM,
    [ID_CLIENT_INFO] = SHAPE_VERBATIM, [ID_CLUSTER_INFO] = SHAPE_VERBATIM, [ID_CLUSTER_NODES] = SHAPE_VERBATIM,
    [ID_MEMORY_DOCTOR] = SHAPE_VERBATIM, [ID_MEMORY_MALLOC_STATS] = SHAPE_VERBATIM,
    [ID_LATENCY_DOCTOR] = SHAPE_VERBATIM, [ID_LATENCY_GRAPH] = SHAPE_VERBATIM,
    [ID_MEMORY_STATS] = SHAPE_MEMORY_STATS, [ID_LATENCY_HISTOGRAM] = SHAPE_LATENCY, [ID_MODULE_LIST] = SHAPE_MAPS,
    [ID_ACL_GETUSER] = SHAPE_ACL_USER, [ID_ACL_LOG] = SHAPE_ACL_LOG, [ID_CLIENT_TRACKINGINFO] = SHAPE_TRACKING,
    [ID_FUNCTION_LIST] = SHAPE_FUNCTIONS_LIST, [ID_FUNCTION_STATS] = SHAPE_FUNCTION_STATS,
    [ID_CLUSTER_SHARDS] = SHAPE_SHARDS, [ID_CLUSTER_SLOTS] = SHAPE_SLOTS, [ID_CLUSTER_LINKS] = SHAPE_MAPS,
    [ID_CLUSTER_SLOT_STATS] = SHAPE_SLOT_STATS, [ID_HELLO] = SHAPE_HELLO, [ID_EXEC] = SHAPE_EXEC,
    [ID_SUBSCRIBE] = SHAPE_PUSH, [ID_PSUBSCRIBE] = SHAPE_PUSH, [ID_SSUBSCRIBE] = SHAPE_PUSH,
    [ID_UNSUBSCRIBE] = SHAPE_PUSH, [ID_PUNSUBSCRIBE] = SHAPE_PUSH, [ID_SUNSUBSCRIBE] = SHAPE_PUSH,
    [ID_PING] = RULE_PING, [ID_CLIENT_TRACKING] = RULE_TRACKING, [ID_DEBUG] = RULE_DEBUG,
    [ID_EVAL] = RULE_SCRIPT, [ID_EVAL_RO] = RULE_SCRIPT, [ID_SCRIPT_LOAD] = RULE_SCRIPT, [ID_FUNCTION_LOAD] = RULE_SCRIPT,
    [ID_FUNCTION_RESTORE] = RULE_SCRIPT,
    [ID_SENTINEL] = RULE_REFUSED, [ID_CLUSTERSCAN] = RULE_REFUSED, [ID_CLUSTER_GETSLOTMIGRATIONS] = RULE_REFUSED,
};

/* The shape of the value of that name. */
static inline uint8_t shape_of_field(const resp_shape_t *shape, const uint8_t *name, uint32_t size) {
    const shape_field_t *field;
    for (field = shape->fields; field != NULL && field->name != NULL; field++)
        if (strlen(field->name) == size && memcmp(field->name, name, size) == 0) return field->shape;
    return shape->item;
}

static inline uint8_t reply_shape_by_id(uint32_t id) {
    return id < sizeof(REPLY_SHAPES) ? REPLY_SHAPES[id] : SHAPE_ANY;
}

#endif
