/* Made by make_cql_keywords.py. Do not edit. */
#ifndef SHOTOVER_CQL_KEYWORDS_H
#define SHOTOVER_CQL_KEYWORDS_H

#include <stdint.h>

enum {
    WORD_NONE,      /* no keyword: a name */
    WORD_ACCESS,
    WORD_ADD,
    WORD_AGGREGATE,
    WORD_AGGREGATES,
    WORD_ALL,
    WORD_ALLOW,
    WORD_ALTER,
    WORD_AND,
    WORD_ANN,
    WORD_APPLY,
    WORD_AS,
    WORD_ASC,
    WORD_ASCII,
    WORD_AUTHORIZE,
    WORD_BATCH,
    WORD_BEGIN,
    WORD_BETWEEN,
    WORD_BIGINT,
    WORD_BLOB,
    WORD_BOOLEAN,
    WORD_BY,
    WORD_CALLED,
    WORD_CAST,
    WORD_CHECK,
    WORD_CIDRS,
    WORD_CLUSTER,
    WORD_CLUSTERING,
    WORD_COLUMNFAMILIES,
    WORD_COLUMNFAMILY,
    WORD_COMPACT,
    WORD_CONTAINS,
    WORD_COUNT,
    WORD_COUNTER,
    WORD_CREATE,
    WORD_CUSTOM,
    WORD_DATACENTERS,
    WORD_DATE,
    WORD_DECIMAL,
    WORD_DEFAULT,
    WORD_DELETE,
    WORD_DESC,
    WORD_DESCRIBE,
    WORD_DISTINCT,
    WORD_DOUBLE,
    WORD_DROP,
    WORD_DURATION,
    WORD_ENTRIES,
    WORD_EXECUTE,
    WORD_EXISTS,
    WORD_FALSE,
    WORD_FILTERING,
    WORD_FINALFUNC,
    WORD_FLOAT,
    WORD_FROM,
    WORD_FROZEN,
    WORD_FULL,
    WORD_FUNCTION,
    WORD_FUNCTIONS,
    WORD_GENERATED,
    WORD_GRANT,
    WORD_GROUP,
    WORD_HASHED,
    WORD_IDENTITY,
    WORD_IF,
    WORD_IN,
    WORD_INDEX,
    WORD_INDEXES,
    WORD_INET,
    WORD_INFINITY,
    WORD_INITCOND,
    WORD_INPUT,
    WORD_INSERT,
    WORD_INT,
    WORD_INTERNALS,
    WORD_INTO,
    WORD_IS,
    WORD_JSON,
    WORD_KEY,
    WORD_KEYS,
    WORD_KEYSPACE,
    WORD_KEYSPACES,
    WORD_LANGUAGE,
    WORD_LIKE,
    WORD_LIMIT,
    WORD_LIST,
    WORD_LOGIN,
    WORD_MAP,
    WORD_MASKED,
    WORD_MATERIALIZED,
    WORD_MAXWRITETIME,
    WORD_MBEAN,
    WORD_MBEANS,
    WORD_MODIFY,
    WORD_NAN,
    WORD_NOLOGIN,
    WORD_NORECURSIVE,
    WORD_NOSUPERUSER,
    WORD_NOT,
    WORD_NULL,
    WORD_OF,
    WORD_ON,
    WORD_ONLY,
    WORD_OPTIONS,
    WORD_OR,
    WORD_ORDER,
    WORD_PARTITION,
    WORD_PASSWORD,
    WORD_PER,
    WORD_PERMISSION,
    WORD_PERMISSIONS,
    WORD_PRIMARY,
    WORD_RENAME,
    WORD_REPLACE,
    WORD_RETURNS,
    WORD_REVOKE,
    WORD_ROLE,
    WORD_ROLES,
    WORD_SCHEMA,
    WORD_SELECT,
    WORD_SELECT_MASKED,
    WORD_SET,
    WORD_SFUNC,
    WORD_SMALLINT,
    WORD_STATIC,
    WORD_STORAGE,
    WORD_STYPE,
    WORD_SUPERUSER,
    WORD_SUPERUSERS,
    WORD_TABLE,
    WORD_TABLES,
    WORD_TEXT,
    WORD_TIME,
    WORD_TIMESTAMP,
    WORD_TIMEUUID,
    WORD_TINYINT,
    WORD_TO,
    WORD_TOKEN,
    WORD_TRIGGER,
    WORD_TRUE,
    WORD_TRUNCATE,
    WORD_TTL,
    WORD_TUPLE,
    WORD_TYPE,
    WORD_TYPES,
    WORD_UNLOGGED,
    WORD_UNMASK,
    WORD_UNSET,
    WORD_UPDATE,
    WORD_USE,
    WORD_USER,
    WORD_USERS,
    WORD_USING,
    WORD_UUID,
    WORD_VALUES,
    WORD_VARCHAR,
    WORD_VARINT,
    WORD_VECTOR,
    WORD_VIEW,
    WORD_WHERE,
    WORD_WITH,
    WORD_WRITETIME,
    WORDS_END
};

enum { CLASS_NONE, CLASS_RESERVED, CLASS_TYPE, CLASS_BASIC, CLASS_NOT_OF_FUNCTIONS };

#define CQL_SLOTS_LOW_BY 0x810d2e304bcb6b23ull
#define CQL_SLOTS_HIGH_BY 0x4673b757ff2e341ull
#define CQL_SLOTS_SHIFT 53

static const struct { uint64_t low, high; uint8_t size, klass; } CQL_KEYWORDS[WORDS_END] = {
    {0, 0, 0, CLASS_NONE},
    {0x737365636361ull, 0x0ull, 6, CLASS_BASIC},    /* access */
    {0x646461ull, 0x0ull, 3, CLASS_RESERVED},    /* add */
    {0x7461676572676761ull, 0x6574616765726767ull, 9, CLASS_BASIC},    /* aggregate */
    {0x7461676572676761ull, 0x7365746167657267ull, 10, CLASS_BASIC},    /* aggregates */
    {0x6c6c61ull, 0x0ull, 3, CLASS_BASIC},    /* all */
    {0x776f6c6c61ull, 0x0ull, 5, CLASS_RESERVED},    /* allow */
    {0x7265746c61ull, 0x0ull, 5, CLASS_RESERVED},    /* alter */
    {0x646e61ull, 0x0ull, 3, CLASS_RESERVED},    /* and */
    {0x6e6e61ull, 0x0ull, 3, CLASS_BASIC},    /* ann */
    {0x796c707061ull, 0x0ull, 5, CLASS_RESERVED},    /* apply */
    {0x7361ull, 0x0ull, 2, CLASS_BASIC},    /* as */
    {0x637361ull, 0x0ull, 3, CLASS_RESERVED},    /* asc */
    {0x6969637361ull, 0x0ull, 5, CLASS_TYPE},    /* ascii */
    {0x7a69726f68747561ull, 0x657a69726f687475ull, 9, CLASS_RESERVED},    /* authorize */
    {0x6863746162ull, 0x0ull, 5, CLASS_RESERVED},    /* batch */
    {0x6e69676562ull, 0x0ull, 5, CLASS_RESERVED},    /* begin */
    {0x6e656577746562ull, 0x0ull, 7, CLASS_BASIC},    /* between */
    {0x746e69676962ull, 0x0ull, 6, CLASS_TYPE},    /* bigint */
    {0x626f6c62ull, 0x0ull, 4, CLASS_TYPE},    /* blob */
    {0x6e61656c6f6f62ull, 0x0ull, 7, CLASS_TYPE},    /* boolean */
    {0x7962ull, 0x0ull, 2, CLASS_RESERVED},    /* by */
    {0x64656c6c6163ull, 0x0ull, 6, CLASS_BASIC},    /* called */
    {0x74736163ull, 0x0ull, 4, CLASS_NOT_OF_FUNCTIONS},    /* cast */
    {0x6b63656863ull, 0x0ull, 5, CLASS_BASIC},    /* check */
    {0x7372646963ull, 0x0ull, 5, CLASS_BASIC},    /* cidrs */
    {0x72657473756c63ull, 0x0ull, 7, CLASS_BASIC},    /* cluster */
    {0x6972657473756c63ull, 0x676e697265747375ull, 10, CLASS_BASIC},    /* clustering */
    {0x61666e6d756c6f63ull, 0x7365696c696d6166ull, 14, CLASS_BASIC},    /* columnfamilies */
    {0x61666e6d756c6f63ull, 0x796c696d61666e6dull, 12, CLASS_RESERVED},    /* columnfamily */
    {0x746361706d6f63ull, 0x0ull, 7, CLASS_BASIC},    /* compact */
    {0x736e6961746e6f63ull, 0x0ull, 8, CLASS_BASIC},    /* contains */
    {0x746e756f63ull, 0x0ull, 5, CLASS_NOT_OF_FUNCTIONS},    /* count */
    {0x7265746e756f63ull, 0x0ull, 7, CLASS_TYPE},    /* counter */
    {0x657461657263ull, 0x0ull, 6, CLASS_RESERVED},    /* create */
    {0x6d6f74737563ull, 0x0ull, 6, CLASS_BASIC},    /* custom */
    {0x746e656361746164ull, 0x737265746e656361ull, 11, CLASS_BASIC},    /* datacenters */
    {0x65746164ull, 0x0ull, 4, CLASS_TYPE},    /* date */
    {0x6c616d69636564ull, 0x0ull, 7, CLASS_TYPE},    /* decimal */
    {0x746c7561666564ull, 0x0ull, 7, CLASS_BASIC},    /* default */
    {0x6574656c6564ull, 0x0ull, 6, CLASS_RESERVED},    /* delete */
    {0x63736564ull, 0x0ull, 4, CLASS_RESERVED},    /* desc */
    {0x6562697263736564ull, 0x0ull, 8, CLASS_RESERVED},    /* describe */
    {0x74636e6974736964ull, 0x0ull, 8, CLASS_NOT_OF_FUNCTIONS},    /* distinct */
    {0x656c62756f64ull, 0x0ull, 6, CLASS_TYPE},    /* double */
    {0x706f7264ull, 0x0ull, 4, CLASS_RESERVED},    /* drop */
    {0x6e6f697461727564ull, 0x0ull, 8, CLASS_TYPE},    /* duration */
    {0x73656972746e65ull, 0x0ull, 7, CLASS_RESERVED},    /* entries */
    {0x65747563657865ull, 0x0ull, 7, CLASS_RESERVED},    /* execute */
    {0x737473697865ull, 0x0ull, 6, CLASS_BASIC},    /* exists */
    {0x65736c6166ull, 0x0ull, 5, CLASS_RESERVED},    /* false */
    {0x6e697265746c6966ull, 0x676e697265746c69ull, 9, CLASS_BASIC},    /* filtering */
    {0x6e75666c616e6966ull, 0x636e75666c616e69ull, 9, CLASS_BASIC},    /* finalfunc */
    {0x74616f6c66ull, 0x0ull, 5, CLASS_TYPE},    /* float */
    {0x6d6f7266ull, 0x0ull, 4, CLASS_RESERVED},    /* from */
    {0x6e657a6f7266ull, 0x0ull, 6, CLASS_BASIC},    /* frozen */
    {0x6c6c7566ull, 0x0ull, 4, CLASS_RESERVED},    /* full */
    {0x6e6f6974636e7566ull, 0x0ull, 8, CLASS_BASIC},    /* function */
    {0x6e6f6974636e7566ull, 0x736e6f6974636e75ull, 9, CLASS_BASIC},    /* functions */
    {0x65746172656e6567ull, 0x6465746172656e65ull, 9, CLASS_BASIC},    /* generated */
    {0x746e617267ull, 0x0ull, 5, CLASS_RESERVED},    /* grant */
    {0x70756f7267ull, 0x0ull, 5, CLASS_BASIC},    /* group */
    {0x646568736168ull, 0x0ull, 6, CLASS_BASIC},    /* hashed */
    {0x797469746e656469ull, 0x0ull, 8, CLASS_BASIC},    /* identity */
    {0x6669ull, 0x0ull, 2, CLASS_RESERVED},    /* if */
    {0x6e69ull, 0x0ull, 2, CLASS_RESERVED},    /* in */
    {0x7865646e69ull, 0x0ull, 5, CLASS_RESERVED},    /* index */
    {0x73657865646e69ull, 0x0ull, 7, CLASS_BASIC},    /* indexes */
    {0x74656e69ull, 0x0ull, 4, CLASS_TYPE},    /* inet */
    {0x7974696e69666e69ull, 0x0ull, 8, CLASS_RESERVED},    /* infinity */
    {0x646e6f6374696e69ull, 0x0ull, 8, CLASS_BASIC},    /* initcond */
    {0x7475706e69ull, 0x0ull, 5, CLASS_BASIC},    /* input */
    {0x747265736e69ull, 0x0ull, 6, CLASS_RESERVED},    /* insert */
    {0x746e69ull, 0x0ull, 3, CLASS_TYPE},    /* int */
    {0x6c616e7265746e69ull, 0x736c616e7265746eull, 9, CLASS_BASIC},    /* internals */
    {0x6f746e69ull, 0x0ull, 4, CLASS_RESERVED},    /* into */
    {0x7369ull, 0x0ull, 2, CLASS_RESERVED},    /* is */
    {0x6e6f736aull, 0x0ull, 4, CLASS_NOT_OF_FUNCTIONS},    /* json */
    {0x79656bull, 0x0ull, 3, CLASS_NOT_OF_FUNCTIONS},    /* key */
    {0x7379656bull, 0x0ull, 4, CLASS_BASIC},    /* keys */
    {0x656361707379656bull, 0x0ull, 8, CLASS_RESERVED},    /* keyspace */
    {0x656361707379656bull, 0x7365636170737965ull, 9, CLASS_BASIC},    /* keyspaces */
    {0x65676175676e616cull, 0x0ull, 8, CLASS_BASIC},    /* language */
    {0x656b696cull, 0x0ull, 4, CLASS_BASIC},    /* like */
    {0x74696d696cull, 0x0ull, 5, CLASS_RESERVED},    /* limit */
    {0x7473696cull, 0x0ull, 4, CLASS_BASIC},    /* list */
    {0x6e69676f6cull, 0x0ull, 5, CLASS_BASIC},    /* login */
    {0x70616dull, 0x0ull, 3, CLASS_BASIC},    /* map */
    {0x64656b73616dull, 0x0ull, 6, CLASS_BASIC},    /* masked */
    {0x6c6169726574616dull, 0x64657a696c616972ull, 12, CLASS_RESERVED},    /* materialized */
    {0x657469727778616dull, 0x656d697465746972ull, 12, CLASS_NOT_OF_FUNCTIONS},    /* maxwritetime */
    {0x6e6165626dull, 0x0ull, 5, CLASS_BASIC},    /* mbean */
    {0x736e6165626dull, 0x0ull, 6, CLASS_BASIC},    /* mbeans */
    {0x796669646f6dull, 0x0ull, 6, CLASS_RESERVED},    /* modify */
    {0x6e616eull, 0x0ull, 3, CLASS_RESERVED},    /* nan */
    {0x6e69676f6c6f6eull, 0x0ull, 7, CLASS_BASIC},    /* nologin */
    {0x7372756365726f6eull, 0x6576697372756365ull, 11, CLASS_RESERVED},    /* norecursive */
    {0x7572657075736f6eull, 0x7265737572657075ull, 11, CLASS_BASIC},    /* nosuperuser */
    {0x746f6eull, 0x0ull, 3, CLASS_RESERVED},    /* not */
    {0x6c6c756eull, 0x0ull, 4, CLASS_RESERVED},    /* null */
    {0x666full, 0x0ull, 2, CLASS_RESERVED},    /* of */
    {0x6e6full, 0x0ull, 2, CLASS_RESERVED},    /* on */
    {0x796c6e6full, 0x0ull, 4, CLASS_BASIC},    /* only */
    {0x736e6f6974706full, 0x0ull, 7, CLASS_BASIC},    /* options */
    {0x726full, 0x0ull, 2, CLASS_RESERVED},    /* or */
    {0x726564726full, 0x0ull, 5, CLASS_RESERVED},    /* order */
    {0x6f69746974726170ull, 0x6e6f697469747261ull, 9, CLASS_BASIC},    /* partition */
    {0x64726f7773736170ull, 0x0ull, 8, CLASS_BASIC},    /* password */
    {0x726570ull, 0x0ull, 3, CLASS_BASIC},    /* per */
    {0x697373696d726570ull, 0x6e6f697373696d72ull, 10, CLASS_BASIC},    /* permission */
    {0x697373696d726570ull, 0x736e6f697373696dull, 11, CLASS_BASIC},    /* permissions */
    {0x7972616d697270ull, 0x0ull, 7, CLASS_RESERVED},    /* primary */
    {0x656d616e6572ull, 0x0ull, 6, CLASS_RESERVED},    /* rename */
    {0x6563616c706572ull, 0x0ull, 7, CLASS_BASIC},    /* replace */
    {0x736e7275746572ull, 0x0ull, 7, CLASS_BASIC},    /* returns */
    {0x656b6f766572ull, 0x0ull, 6, CLASS_RESERVED},    /* revoke */
    {0x656c6f72ull, 0x0ull, 4, CLASS_BASIC},    /* role */
    {0x73656c6f72ull, 0x0ull, 5, CLASS_BASIC},    /* roles */
    {0x616d65686373ull, 0x0ull, 6, CLASS_RESERVED},    /* schema */
    {0x7463656c6573ull, 0x0ull, 6, CLASS_RESERVED},    /* select */
    {0x6d7f7463656c6573ull, 0x64656b73616d7f74ull, 13, CLASS_BASIC},    /* select_masked */
    {0x746573ull, 0x0ull, 3, CLASS_RESERVED},    /* set */
    {0x636e756673ull, 0x0ull, 5, CLASS_BASIC},    /* sfunc */
    {0x746e696c6c616d73ull, 0x0ull, 8, CLASS_TYPE},    /* smallint */
    {0x636974617473ull, 0x0ull, 6, CLASS_BASIC},    /* static */
    {0x656761726f7473ull, 0x0ull, 7, CLASS_BASIC},    /* storage */
    {0x6570797473ull, 0x0ull, 5, CLASS_BASIC},    /* stype */
    {0x6573757265707573ull, 0x7265737572657075ull, 9, CLASS_BASIC},    /* superuser */
    {0x6573757265707573ull, 0x7372657375726570ull, 10, CLASS_BASIC},    /* superusers */
    {0x656c626174ull, 0x0ull, 5, CLASS_RESERVED},    /* table */
    {0x73656c626174ull, 0x0ull, 6, CLASS_BASIC},    /* tables */
    {0x74786574ull, 0x0ull, 4, CLASS_TYPE},    /* text */
    {0x656d6974ull, 0x0ull, 4, CLASS_TYPE},    /* time */
    {0x6d617473656d6974ull, 0x706d617473656d69ull, 9, CLASS_TYPE},    /* timestamp */
    {0x64697575656d6974ull, 0x0ull, 8, CLASS_TYPE},    /* timeuuid */
    {0x746e69796e6974ull, 0x0ull, 7, CLASS_TYPE},    /* tinyint */
    {0x6f74ull, 0x0ull, 2, CLASS_RESERVED},    /* to */
    {0x6e656b6f74ull, 0x0ull, 5, CLASS_RESERVED},    /* token */
    {0x72656767697274ull, 0x0ull, 7, CLASS_BASIC},    /* trigger */
    {0x65757274ull, 0x0ull, 4, CLASS_RESERVED},    /* true */
    {0x657461636e757274ull, 0x0ull, 8, CLASS_RESERVED},    /* truncate */
    {0x6c7474ull, 0x0ull, 3, CLASS_NOT_OF_FUNCTIONS},    /* ttl */
    {0x656c707574ull, 0x0ull, 5, CLASS_BASIC},    /* tuple */
    {0x65707974ull, 0x0ull, 4, CLASS_BASIC},    /* type */
    {0x7365707974ull, 0x0ull, 5, CLASS_BASIC},    /* types */
    {0x646567676f6c6e75ull, 0x0ull, 8, CLASS_RESERVED},    /* unlogged */
    {0x6b73616d6e75ull, 0x0ull, 6, CLASS_BASIC},    /* unmask */
    {0x7465736e75ull, 0x0ull, 5, CLASS_BASIC},    /* unset */
    {0x657461647075ull, 0x0ull, 6, CLASS_RESERVED},    /* update */
    {0x657375ull, 0x0ull, 3, CLASS_RESERVED},    /* use */
    {0x72657375ull, 0x0ull, 4, CLASS_BASIC},    /* user */
    {0x7372657375ull, 0x0ull, 5, CLASS_BASIC},    /* users */
    {0x676e697375ull, 0x0ull, 5, CLASS_RESERVED},    /* using */
    {0x64697575ull, 0x0ull, 4, CLASS_TYPE},    /* uuid */
    {0x7365756c6176ull, 0x0ull, 6, CLASS_BASIC},    /* values */
    {0x72616863726176ull, 0x0ull, 7, CLASS_TYPE},    /* varchar */
    {0x746e69726176ull, 0x0ull, 6, CLASS_TYPE},    /* varint */
    {0x726f74636576ull, 0x0ull, 6, CLASS_BASIC},    /* vector */
    {0x77656976ull, 0x0ull, 4, CLASS_RESERVED},    /* view */
    {0x6572656877ull, 0x0ull, 5, CLASS_RESERVED},    /* where */
    {0x68746977ull, 0x0ull, 4, CLASS_RESERVED},    /* with */
    {0x6d69746574697277ull, 0x656d697465746972ull, 9, CLASS_NOT_OF_FUNCTIONS},    /* writetime */
};

static const uint8_t CQL_SLOTS[] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 144, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 27, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 52, 0, 41, 0, 0, 0, 0, 35, 0, 0, 0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 61, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 81, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 127, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 48, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 124, 91, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 110, 0, 152,
    0, 0, 0, 0, 98, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 121, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 137, 86, 0, 0, 0, 0, 0, 0, 0, 0, 0, 149, 0,
    22, 106, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 87, 0, 0, 0, 0, 0, 96, 89, 0, 0, 62, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 138, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 90, 0, 0, 0, 136, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 119, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 83, 0, 0, 0, 0, 131, 0, 0, 0, 0, 0, 0, 161, 0, 0, 0, 0, 0, 0, 0,
    0, 71, 66, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 108, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 43, 0, 0, 118, 57, 0, 0, 0, 0, 0, 0, 88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 97, 0, 0, 0, 0, 0, 0, 0, 0, 31, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 94, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 155, 0, 0, 0, 56, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 125, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 39, 0, 0, 0, 0, 154, 0, 0, 0, 0, 0, 0, 0, 72, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 112, 120, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 82, 0, 30, 0, 0, 0, 0, 145, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 37, 0, 0, 0, 60,
    0, 0, 0, 0, 109, 0, 0, 0, 0, 0, 0, 0, 0, 122, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 129, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 45, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 49, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 92, 0, 0, 0, 75, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 19, 0, 0, 0, 0, 0, 0, 0, 0, 85, 0, 0, 58,
    47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 139, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 73, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 133,
    0, 0, 0, 0, 0, 23, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 95, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 16, 158, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 46, 0, 0, 0, 0, 0, 0, 0, 0, 13,
    0, 0, 0, 0, 0, 26, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 65, 0, 0, 0, 135, 0, 156, 0, 0, 0, 0, 0, 0, 0, 0, 0, 67, 132, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 101, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 74, 150, 0, 0, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 55, 0, 0, 70, 0, 0, 0, 0, 28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 53, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 79, 0, 0, 0, 0, 0, 84, 0, 0, 0, 0, 0,
    0, 0, 0, 59, 0, 105, 0, 0, 0, 0, 0, 0, 0, 0, 0, 151, 0, 0, 146, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 148, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 68, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 107, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 51, 0, 0, 0, 116, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 123, 0, 3,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 117, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 111, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 147, 33, 0, 0, 0, 0, 15, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 126, 0, 130, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 153, 0, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 104, 0, 0, 134, 0, 32,
    38, 0, 0, 0, 0, 0, 0, 0, 0, 0, 36, 0, 115, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 76, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 103, 0,
    0, 0, 93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 54, 157, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 69, 34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 113, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    63, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 102, 0, 0, 0, 141, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 18, 0, 160, 5, 0, 0, 0, 0, 0, 29, 0, 0, 0, 0, 0, 140, 0, 0, 0, 0, 0,
    0, 0, 44, 0, 0, 0, 0, 114, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 143, 0,
    0, 0, 0, 0, 78, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 159, 0, 0, 0, 0, 0, 14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 142, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};

#endif
