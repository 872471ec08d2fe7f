"""Conversations with a Redis server, as data: what is said, and how many replies each request gets.

A line is a request in redis-cli's quoting, sent as an array of bulk strings. A line that starts
with `[n]` gets n replies instead of one. Nothing here may have a reply that depends on time,
chance or the number of the connection, but for what `normal` takes out.
"""

from __future__ import annotations

import re
import shlex

from support.resp import encode

# What differs from one connection or moment to the next.
CONNECTION_ID = re.compile(rb"(\$2\r\nid\r\n:)\d+")
AGES = re.compile(
    rb"(\$(?:6\r\npel|4\r\nidle|8\r\ninactive|9\r\nseen-time|11\r\nactive-time)\S*\r\n:)\d+"
)
LINE = re.compile(r"^(?:\[(\d+)\])?\s*(.*)$")


def normal(raw: bytes) -> bytes:
    """`raw` without the facts that differ between two equal conversations."""
    return AGES.sub(rb"\g<1>N", CONNECTION_ID.sub(rb"\g<1>N", raw))


def requests_of(text: str) -> list[tuple[bytes, int]]:
    """(raw request, number of replies) of each line."""
    requests = []
    for line in text.strip().splitlines():
        match = LINE.match(line.strip())
        assert match is not None
        words = [
            word.encode().decode("unicode_escape").encode("latin-1")
            for word in shlex.split(match[2])
        ]
        requests.append((encode(*words), int(match[1] or 1)))
    return requests


CONVERSATIONS: dict[str, str] = {
    "connection": r"""
        PING
        PING hello
        PING a b
        ping
        ECHO "with spaces"
        ECHO ""
        ECHO "\r\n\x00\xff"
        ECHO
        SELECT 1
        SELECT 15
        SELECT 16
        SELECT -1
        SELECT x
        SELECT
        SELECT 0
        SWAPDB 0 1
        SWAPDB 0 99
        CLIENT GETNAME
        CLIENT SETNAME one
        CLIENT GETNAME
        CLIENT SETNAME "not allowed"
        CLIENT SETNAME ""
        CLIENT GETNAME
        CLIENT NO-EVICT on
        CLIENT NO-EVICT maybe
        CLIENT REPLY ON
        CLIENT REPLY NEVER
        CLIENT NOSUCH
        CLIENT KILL 127.0.0.1:1
        CLIENT KILL ID x
        CLIENT KILL TYPE nosuch
        CLIENT UNBLOCK 99999999
        CLIENT GETREDIR
        CLIENT TRACKINGINFO
        CLIENT CACHING YES
        CLIENT UNPAUSE
        CLIENT
        RESET
        PING
        AUTH nopassword
        AUTH default x
        AUTH nobody x
        AUTH
        AUTH a b c
        HELLO 9
        HELLO x
        HELLO 2 AUTH nobody x
        HELLO 2 SETNAME
        HELLO 2 NOSUCH
        HELLO 2 SETNAME two
        CLIENT GETNAME
        HELLO
        READONLY
        READWRITE
        ASKING
        CLUSTER INFO
        LOLWUT VERSION 5 1 1 1
        COMMAND COUNT
        COMMAND GETKEYS MSET a b c d
        COMMAND GETKEYS GET
        COMMAND INFO get nosuch
        COMMAND DOCS get
        COMMAND LIST FILTERBY PATTERN xre*
        COMMAND NOSUCH
    """,
    "unknown": r"""
        NOSUCH
        NOSUCH a "b c" "d\r\ne" f
        ""
        "GET " a
        "G\x00T" a
        GETT a
        "$" a
        "*1" a
        a_name_that_is_longer_than_what_the_server_will_repeat_in_its_error_message_which_it_cuts x
        OBJECT NOSUCH a
        XINFO NOSUCH
        CONFIG NOSUCH
        GET
        GET a b
        SET a
        MSET a
        MSET a b c
        PING
    """,
    "strings": r"""
        SET a 1
        SET a "2" GET
        SET a x EX 0
        SET a x EX notanumber
        SET a x EX 10 PX 10
        SET a x NX
        SET b x XX
        SET b x NX GET
        GET b
        GET missing
        GETDEL b
        GETEX a PERSIST
        GETSET a z
        GETRANGE a 0 -1
        SUBSTR a 0 0
        SETRANGE a 3 tail
        SETRANGE a -1 x
        SETRANGE a 536870912 x
        STRLEN a
        APPEND a "\x00\x01\xfe"
        GET a
        INCR a
        SET n 10
        INCR n
        INCRBY n 9223372036854775807
        INCRBY n -3
        DECR n
        DECRBY n 2
        INCRBYFLOAT n 0.5
        INCRBYFLOAT n x
        MSET a 1 b 2 c 3
        MGET a b missing c
        MSETNX c 1 d 2
        MSETNX e 1 f 2
        SETNX e 2
        SETEX e 0 x
        PSETEX e -1 x
        LCS a b
        LCS a b IDX
        SETBIT bits 7 1
        SETBIT bits 7 2
        GETBIT bits 7
        BITCOUNT bits
        BITCOUNT bits 0 -1 BIT
        BITPOS bits 1
        BITOP AND dest bits bits
        BITOP NOT dest bits a
        BITOP NOSUCH dest bits
        BITFIELD bits SET u8 0 255 GET u8 0 INCRBY u2 100 1 OVERFLOW FAIL INCRBY u8 0 1
        BITFIELD_RO bits GET u8 0
        BITFIELD_RO bits SET u8 0 1
        PFADD hll a b c
        PFCOUNT hll
        PFMERGE hll2 hll
        PFCOUNT a
        LPUSH a x
        OBJECT ENCODING a
        OBJECT REFCOUNT missing
        OBJECT FREQ a
    """,
    "lists": r"""
        RPUSH l a b c d
        LPUSH l z
        LPUSHX l y
        RPUSHX missing y
        LRANGE l 0 -1
        LRANGE l 1 0
        LRANGE l a b
        LLEN l
        LINDEX l 0
        LINDEX l 99
        LINSERT l BEFORE a q
        LINSERT l NEAR a q
        LSET l 0 first
        LSET l 99 x
        LSET missing 0 x
        LREM l 0 a
        LPOS l c
        LPOS l c RANK 0
        LPOS l nosuch COUNT 0
        LTRIM l 0 2
        LMOVE l m LEFT RIGHT
        LMOVE l m UP RIGHT
        RPOPLPUSH l m
        LPOP l 0
        LPOP l 5
        LPOP l
        LPOP l 2
        RPOP m
        LMPOP 2 l m LEFT COUNT 2
        LMPOP 0 l LEFT
        RPUSH l 1
        BLPOP l 0
        RPUSH l 1 2 3
        BRPOP missing l 1
        BLMOVE l m LEFT RIGHT 1
        BRPOPLPUSH l m 1
        BLMPOP 1 1 m LEFT COUNT 10
        BLPOP l x
        BLPOP l -1
        BLPOP missing 0.01
        BLMOVE missing m LEFT LEFT 0.01
        BRPOPLPUSH missing m 0.01
        GET l
        RPUSH l 3 1 2
        GET l
        SORT l
        SORT l DESC LIMIT 0 2
        SORT l BY nosort GET # GET w_*
        SORT l STORE sorted
        SORT_RO l ALPHA
        SORT l BY
        HGET l f
    """,
    "hashes": r"""
        HSET h f1 v1 f2 v2
        HSET h f1
        HSET h f1 v1 f2
        HMSET h f3 v3
        HSETNX h f1 x
        HGET h f1
        HGET h missing
        HGET missing f
        HMGET h f1 missing f2
        HGETALL h
        HGETALL missing
        HKEYS h
        HVALS h
        HLEN h
        HSTRLEN h f1
        HEXISTS h f1
        HINCRBY h n 5
        HINCRBY h f1 1
        HINCRBYFLOAT h n 0.25
        HDEL h f1 f9
        HSCAN h 0
        HSCAN h x
        HSCAN h 0 MATCH f* COUNT 100
        HSET one f v
        HRANDFIELD one
        HRANDFIELD one 1 WITHVALUES
        HRANDFIELD missing
        HRANDFIELD one x
        LPUSH h x
    """,
    "sets": r"""
        SADD s 1 2 3 4
        SADD s 1
        SADD s2 3 4 5
        SCARD s
        SISMEMBER s 1
        SMISMEMBER s 1 9
        SMEMBERS s
        SINTER s s2
        SINTERCARD 2 s s2 LIMIT 1
        SINTERCARD 0 s
        SUNION s s2
        SDIFF s s2
        SDIFFSTORE d s s2
        SINTERSTORE d s s2
        SUNIONSTORE d s s2
        SMOVE s s2 1
        SREM s 2 99
        SSCAN s 0
        SADD single x
        SRANDMEMBER single
        SRANDMEMBER single -3
        SRANDMEMBER missing
        SPOP single
        SPOP single
        SPOP s -1
        SINTER s h
        GET s
    """,
    "sorted_sets": r"""
        ZADD z 1 a 2 b 3 c
        ZADD z NX 9 a
        ZADD z XX CH 9 a
        ZADD z GT LT 1 a
        ZADD z INCR 1.5 a
        ZADD z x a
        ZADD z 1
        ZADD z inf top -inf bottom
        ZCARD z
        ZSCORE z a
        ZSCORE z missing
        ZMSCORE z a missing top
        ZINCRBY z 2 b
        ZINCRBY z nan b
        ZRANK z b
        ZREVRANK z b
        ZRANK z missing
        ZRANGE z 0 -1
        ZRANGE z 0 -1 WITHSCORES
        ZRANGE z (1 +inf BYSCORE LIMIT 0 2
        ZRANGE z [a (c BYLEX
        ZRANGE z 0 -1 REV
        ZRANGEBYSCORE z -inf +inf WITHSCORES
        ZREVRANGEBYSCORE z +inf -inf
        ZRANGEBYLEX z - +
        ZREVRANGEBYLEX z + -
        ZRANGEBYSCORE z x y
        ZCOUNT z -inf +inf
        ZLEXCOUNT z - +
        ZADD z2 5 a 6 d
        ZUNION 2 z z2 WITHSCORES
        ZINTER 2 z z2 WEIGHTS 2 3 AGGREGATE MAX WITHSCORES
        ZINTERCARD 2 z z2
        ZDIFF 2 z z2
        ZUNIONSTORE u 2 z z2
        ZINTERSTORE u 2 z z2
        ZDIFFSTORE u 2 z z2
        ZRANGESTORE u z 0 1
        ZPOPMIN z
        ZPOPMAX z 2
        ZPOPMIN missing
        ZMPOP 1 z MIN COUNT 1
        BZPOPMIN z2 1
        BZPOPMAX z2 1
        BZPOPMIN missing 0.01
        BZMPOP 0.01 1 missing MIN
        ZADD z 1 a
        ZRANDMEMBER missing
        ZREM z a missing
        ZREMRANGEBYRANK z 0 0
        ZREMRANGEBYSCORE z 0 1
        ZREMRANGEBYLEX z - +
        ZSCAN z 0
        GET z2
    """,
    "geo": r"""
        GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        GEOADD g 200 100 nowhere
        GEOPOS g Palermo missing
        GEODIST g Palermo Catania km
        GEODIST g Palermo Catania parsec
        GEOHASH g Palermo Catania
        GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHCOORD WITHDIST WITHHASH
        GEOSEARCH g FROMMEMBER missing BYRADIUS 200 km
        GEOSEARCHSTORE near g FROMMEMBER Palermo BYBOX 400 400 km
        GEORADIUS g 15 37 200 km WITHDIST ASC
        GEORADIUSBYMEMBER g Palermo 200 km
        GEORADIUS_RO g 15 37 200 km ASC COUNT 1
    """,
    "streams": r"""
        XADD x 1-1 f v
        XADD x 1-1 f v
        XADD x 0-0 f v
        XADD x 2-1 f v g w
        XADD x 3-* f v
        XADD x bad f v
        XADD x 4-1 f
        XADD missing NOMKSTREAM * f v
        XLEN x
        XRANGE x - +
        XRANGE x - + COUNT 1
        XRANGE x bad +
        XREVRANGE x + -
        XREAD COUNT 1 STREAMS x 0
        XREAD STREAMS x $
        XREAD STREAMS x
        XREAD BLOCK 10 STREAMS x $
        XREAD BLOCK 10 STREAMS x 0
        XREAD BLOCK -1 STREAMS x 0
        XGROUP CREATE x grp 0
        XGROUP CREATE x grp 0
        XGROUP CREATE missing grp 0
        XGROUP CREATECONSUMER x grp idle
        XREADGROUP GROUP grp me COUNT 1 STREAMS x >
        XREADGROUP GROUP grp me STREAMS x 0
        XREADGROUP GROUP nosuch me STREAMS x >
        XREADGROUP GROUP grp me BLOCK 10 COUNT 5 STREAMS x >
        XREADGROUP GROUP grp me BLOCK 10 STREAMS x >
        XPENDING x grp
        XPENDING x nosuch
        XACK x grp 1-1 9-9
        XACK x grp bad
        XCLAIM x grp you 0 2-1 JUSTID
        XAUTOCLAIM x grp you 0 0 JUSTID
        XSETID x 100-1
        XSETID x 1-1
        XINFO GROUPS x
        XINFO STREAM x
        XINFO STREAM missing
        XINFO HELP
        XDEL x 1-1
        XTRIM x MAXLEN 1
        XTRIM x MAXLEN ~ 1 LIMIT 0
        XGROUP DELCONSUMER x grp idle
        XGROUP SETID x grp $
        XGROUP DESTROY x grp
        XGROUP DESTROY x grp
        GET x
    """,
    "keys": r"""
        SET k v
        EXISTS k k missing
        TYPE k
        TYPE missing
        TTL k
        PTTL missing
        EXPIRE k 100
        EXPIRE k 50 GT
        EXPIRE k 50 NX XX
        EXPIRE missing 1
        EXPIRE k x
        EXPIREAT k 9999999999
        EXPIRETIME k
        PEXPIRETIME k
        PEXPIREAT k 9999999999999
        PERSIST k
        PERSIST k
        RENAME k k2
        RENAME k k2
        RENAMENX k2 k2
        COPY k2 k3
        COPY k2 k3
        COPY k2 k3 REPLACE DB 1
        MOVE k2 1
        MOVE k2 99
        DUMP k2
        DUMP missing
        SET number 12345
        DUMP number
        RESTORE r 0 "\x00\xc190\x0a\x00"
        RESTORE r 0 garbage
        RESTORE r -1 garbage
        KEYS number
        KEYS nosuch*
        SCAN 0 MATCH number COUNT 1000
        SCAN x
        SCAN 0 COUNT 0
        SCAN 0 TYPE string MATCH number COUNT 1000
        TOUCH number missing
        UNLINK number missing
        DEL number missing
        RANDOMKEY
        DBSIZE
        FLUSHDB NOSUCH
        FLUSHDB ASYNC
        FLUSHALL SYNC
        RANDOMKEY
        OBJECT HELP
        WAIT 0 1
        WAIT 0 x
        MEMORY USAGE missing
        DEBUG NOSUCH
        MIGRATE 127.0.0.1 1 k 0 100
        CONFIG GET maxmemory
        CONFIG GET nosuch
        CONFIG SET nosuch 1
        CONFIG SET maxmemory notanumber
        CONFIG REWRITE
        SLOWLOG GET -2
        SLOWLOG HELP
        LATENCY HISTORY command
        LATENCY NOSUCH
        MODULE LIST
        MODULE LOAD /nosuch
        ACL WHOAMI
        ACL CAT nosuch
        ACL CAT geo
        ACL SETUSER bad +nosuch
        ACL SETUSER alice on >secret ~a* +get
        ACL GETUSER alice
        ACL USERS
        ACL DRYRUN alice GET abc
        ACL DRYRUN alice SET abc 1
        ACL DELUSER alice
        ACL DELUSER default
        ACL NOSUCH
        REPLICAOF x
        FAILOVER ABORT
        CLUSTER SLOTS
        PUBSUB CHANNELS
        PUBSUB NUMSUB a b
        PUBSUB NUMPAT
        PUBSUB NOSUCH
        PUBLISH ch m
        SPUBLISH ch m
        PUBLISH ch
    """,
    "transactions": r"""
        MULTI
        SET a 1
        INCR a
        GET a
        EXEC
        EXEC
        DISCARD
        MULTI
        MULTI
        SET a x
        INCR a
        LPUSH a y
        EXEC
        MULTI
        NOSUCH
        GET a
        EXEC
        MULTI
        GET
        DISCARD
        MULTI
        WATCH a
        EXEC
        WATCH a b
        MULTI
        SET a watched
        EXEC
        WATCH a
        SET a conflict
        MULTI
        GET a
        EXEC
        WATCH a
        UNWATCH
        SET a fine
        MULTI
        GET a
        EXEC
        MULTI
        EXEC
        MULTI
        BLPOP missing 0
        BLMOVE missing m LEFT LEFT 0
        XREAD BLOCK 0 STREAMS missing $
        EXEC
        MULTI
        SELECT 2
        SET db two
        EXEC
        GET db
        SELECT 0
        GET db
        MULTI
        CLIENT SETNAME within
        CLIENT GETNAME
        EXEC
        CLIENT GETNAME
        MULTI
        RESET
        EXEC
        WATCH
        MULTI x
        GET a
        MULTI
        PING
        ECHO x
        EVAL "return redis.call('SET', KEYS[1], ARGV[1])" 1 a script
        EXEC
        GET a
    """,
    "scripts": r"""
        EVAL "return 1" 0
        EVAL "return {1, 2, {3, 'x'}, false, true, nil, 4}" 0
        EVAL "return redis.status_reply('FINE')" 0
        EVAL "return redis.error_reply('MYERR no')" 0
        EVAL "return {KEYS[1], ARGV[1]}" 1 k v
        EVAL "return redis.call('NOSUCH')" 0
        EVAL "return redis.pcall('NOSUCH')" 0
        EVAL "return redis.call('INCR', KEYS[1])" 1 n
        EVAL "return redis.call('SELECT', 3)" 0
        SET probe db0
        GET probe
        EVAL "syntax error" 0
        EVAL "error('boom')" 0
        EVAL "return 1" x
        EVAL "return 1" 5 a
        EVAL "return 1" -1
        EVAL_RO "return redis.call('SET', 'a', 1)" 0
        EVAL "return 3.99" 0
        EVAL "return {double=1.5}" 0
        EVAL "redis.setresp(3); return {map={a=1}}" 0
        EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
        SCRIPT LOAD "return 1"
        EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
        EVALSHA_RO e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
        SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db ffffffffff
        SCRIPT FLUSH
        EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
        SCRIPT KILL
        SCRIPT NOSUCH
        FUNCTION LOAD "#!lua name=l\nredis.register_function('t', function(_, a) return 2*a[1] end)"
        FUNCTION LOAD "#!lua name=l\nredis.register_function('t', function(k, a) return 1 end)"
        FUNCTION LOAD "no header"
        FCALL t 0 21
        FCALL_RO t 0 21
        FCALL nosuch 0
        FUNCTION LIST
        FUNCTION DUMP
        FUNCTION STATS
        FUNCTION DELETE l
        FUNCTION DELETE l
        FUNCTION KILL
        FUNCTION FLUSH
    """,
    "resp3": r"""
        HELLO 3
        HSET h f1 v1
        HGETALL h
        HGETALL missing
        SADD s 1 2 3
        SMEMBERS s
        ZADD z 1.5 a 2 b
        ZRANGE z 0 -1 WITHSCORES
        ZSCORE z a
        ZINCRBY z 1 a
        ZADD z INCR 1 a
        ZPOPMIN z
        GET missing
        LPOP missing
        LPOP missing 2
        BLPOP missing 0.01
        EVAL "return {1, false, true, {double=2.5}, 'x'}" 0
        EVAL "redis.setresp(3); return {map={a=1}}" 0
        EVAL "redis.setresp(3); return {set={a=true}}" 0
        EVAL "redis.setresp(3); return {big_number='123456789012345678901234567890'}" 0
        EVAL "redis.setresp(3); return {verbatim_string={format='txt', string='hi'}}" 0
        EVAL "redis.setresp(3); return {true, false}" 0
        CONFIG GET maxmemory
        CLIENT TRACKINGINFO
        XADD x 1-1 f v
        XREAD STREAMS x 0
        XINFO STREAM x
        COMMAND DOCS get
        GEOADD g 13.361389 38.115556 Palermo
        GEOPOS g Palermo missing
        MULTI
        HGETALL h
        GET missing
        INCR h
        EXEC
        WATCH h
        HSET h f2 v2
        MULTI
        PING
        EXEC
        [2] SUBSCRIBE a b
        SET while subscribed
        GET while
        PSUBSCRIBE p*
        SSUBSCRIBE sharded
        PUBSUB CHANNELS
        [2] UNSUBSCRIBE
        PUNSUBSCRIBE
        SUNSUBSCRIBE
        UNSUBSCRIBE
        RESET
        HGETALL h
        HELLO 3 SETNAME named
        CLIENT GETNAME
        HELLO 2
        HGETALL h
    """,
    "pubsub": r"""
        [3] SUBSCRIBE a b c
        SUBSCRIBE a
        PING
        PING hello
        GET a
        SET a 1
        NOSUCH
        SUBSCRIBE
        MULTI
        PSUBSCRIBE p*
        SSUBSCRIBE one
        [2] UNSUBSCRIBE a nosuch
        [2] UNSUBSCRIBE
        PUNSUBSCRIBE
        SUNSUBSCRIBE
        GET a
        UNSUBSCRIBE
        PUNSUBSCRIBE
        SUNSUBSCRIBE
        [2] UNSUBSCRIBE x y
        SUBSCRIBE a
        RESET
        GET a
        MULTI
        SUBSCRIBE inmulti
        GET a
        [1] EXEC
        GET a
        [1] UNSUBSCRIBE
        GET a
    """,
}
