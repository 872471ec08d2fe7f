"""Edits: every user has keys of their own on one server, by a prefix that clients do not see."""

from shotover import Transform

# What is allowed is listed, not what is forbidden: a command added to the server tomorrow stays out.
KEYED = frozenset(
    b"""GET SET GETDEL GETEX MGET MSET DEL EXISTS TYPE EXPIRE PEXPIRE TTL PTTL PERSIST INCR INCRBY DECR
    APPEND STRLEN HSET HGET HMGET HGETALL HDEL LPUSH RPUSH LPOP RPOP LRANGE LLEN BLPOP BRPOP SADD SREM SMEMBERS
    SISMEMBER SCARD ZADD ZREM ZRANGE ZSCORE ZCARD WATCH""".split()
)
KEYLESS = frozenset(b"AUTH HELLO PING ECHO RESET QUIT MULTI EXEC DISCARD UNWATCH".split())


class Tenants(Transform):
    def on_request(self, request):
        if request.command in KEYED:
            for index in request.key_indexes:
                request.args[index] = prefix(request) + request.args[index]
        elif request.command not in KEYLESS:
            request.refuse("this command is not for tenants", code="NOPERM")

    def on_reply(self, request, reply):
        if request.command in (b"BLPOP", b"BRPOP") and isinstance(reply.value, list):
            key, value = reply.value
            reply.value = [key.removeprefix(prefix(request)), value]


def prefix(request):
    return b"{%b}:" % request.user.encode()
