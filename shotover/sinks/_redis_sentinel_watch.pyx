"""See _redis_sentinel_watch.pxd."""

from libc.errno cimport EACCES
from libc.stdint cimport uint32_t
from libc.stdio cimport snprintf
from libc.stdlib cimport strtol
from libc.string cimport memcmp, memcpy

from shotover._codec.resp cimport resp_frame_size, resp_words
from shotover._core.request cimport WATCHED_BY_SINK
from shotover._core.slice cimport slice_t
from shotover._net.loop cimport CLOSE_LOCAL, stream_close
from shotover._proxy.step cimport LOG_WARNING, put_text

cdef enum:
    CALM_NS = 1000000000        # between two questions
    HURRIED_NS = 100000000
    ANSWER_NS = 1000000000      # an answer may take
    FACTS_MAX = 128             # words of SENTINEL MASTER looked at

cdef enum:                      # upstream_t.role
    ROLE_ASKING = 0
    ROLE_LISTENING = 1

cdef enum:                      # request_t.sink_state
    W_GREETING = 1
    W_QUESTION = 2
    W_SUBSCRIPTION = 3


cdef void _on_again(timer_t *timer) noexcept nogil:
    (<SentinelWatch>timer.owner).look()


def encode(*words):
    """A request."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


cdef int _point(slice_t *slice, bytes memory) except -1:
    slice.data = <uint8_t *><const char *>memory
    slice.size = len(memory)
    return 0


cdef class SentinelWatch(OrderedSink):

    def __init__(self, context, address, *, bytes master_name, list login, int connect_timeout_ms, tls):
        self.set_tls(tls)
        self.set_address(address)
        self.address = str(address)
        self.connect_timeout_ns = <uint64_t>connect_timeout_ms * 1000000
        self.read_timeout_ns = ANSWER_NS
        self.kept = [
            encode(b"AUTH", *login) if login else b"",
            encode(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", master_name) + encode(b"SENTINEL", b"MASTER", master_name),
            encode(b"SUBSCRIBE", b"+switch-master"),
        ]
        _point(&self.greeting, self.kept[0])
        _point(&self.question, self.kept[1])
        _point(&self.subscription, self.kept[2])
        self.again.fire = _on_again
        self.again.owner = <void *>self

    def on_linked(self):
        OrderedSink.on_linked(self)
        put_text(self.label, sizeof(self.label), f"{self.name} (sentinel {self.address})")
        self.loop.set_timer(&self.again, 1)

    cdef bint on_retire(self, bint force) noexcept nogil:
        cdef upstream_t *upstream = self.alive
        cdef upstream_t *following
        self.loop.cancel_timer(&self.again)
        while upstream is not NULL:             # what it has asked nobody needs to know any more
            following = upstream.alive_next
            stream_close(&upstream.stream, CLOSE_LOCAL)
            upstream = following
        return self.upstreams.live_count == 0

    cdef void hurry(self, bint on) noexcept nogil:
        """Whether it is asked often. At first at once."""
        if on and not self.hurried:
            self.loop.set_timer(&self.again, 1)
        self.hurried = on

    cdef void look(self) noexcept nogil:
        """The timer: opens what is missing, and asks."""
        self._open(&self.asking, ROLE_ASKING)
        self._open(&self.listening, ROLE_LISTENING)
        self._ask()
        self.loop.set_timer(&self.again, HURRIED_NS if self.hurried else CALM_NS)

    cdef void _open(self, upstream_t **place, uint8_t role) noexcept nogil:
        cdef upstream_t *upstream
        if place[0] is not NULL:
            return
        upstream = self.upstream_open()
        if upstream is not NULL:
            upstream.role = role
            place[0] = upstream

    cdef void on_connected(self, upstream_t *upstream) noexcept nogil:
        cdef request_t *request
        if self.greeting.size == 0:
            self._greeted(upstream)
            return
        request = self._request(&self.greeting, W_GREETING)
        if request is NULL:
            stream_close(&upstream.stream, CLOSE_LOCAL)
        else:
            self.upstream_greet(upstream, request)

    cdef void _greeted(self, upstream_t *upstream) noexcept nogil:
        cdef request_t *request
        self.upstream_ready(upstream)
        if upstream is self.asking:
            self._ask()
            return
        request = self._request(&self.subscription, W_SUBSCRIPTION)
        if request is NULL:
            stream_close(&upstream.stream, CLOSE_LOCAL)
            return
        upstream.frame_soon = 1
        self.upstream_send(upstream, request)

    cdef request_t *_request(self, slice_t *wire, uint8_t sink_state) noexcept nogil:
        cdef request_t *request = self._own_request(<const char *>wire.data, wire.size)
        if request is not NULL:
            request.sink_state = sink_state
            request.watched = WATCHED_BY_SINK
        return request

    cdef void _ask(self) noexcept nogil:
        cdef request_t *request
        if self.asking is NULL or not self.asking.ready or self.asking.stream.closed:
            return
        if self.under_way:
            self.hint = True
            return
        request = self._request(&self.question, W_QUESTION)
        if request is NULL:
            return
        request.count = 2
        request.left = 2
        self.under_way = True
        self.hint = False
        self.upstream_send(self.asking, request)

    # ---- up -----------------------------------------------------------------------------------------------------

    cdef void on_frame(self, upstream_t *upstream, uint8_t *frame, size_t size, bint push) noexcept nogil:
        """The listening connection: the confirmation, then messages."""
        cdef request_t *request
        if upstream.head is not NULL:
            upstream.pending = 0
            request = self.upstream_pop(upstream)
            self.hub.request_free(request)
            if frame[0] == b'-':
                self._say_once(b"does not let the proxy subscribe")
                stream_close(&upstream.stream, EACCES)
            return
        if frame[0] == b'*':
            self._ask()

    cdef void on_finished(self, upstream_t *upstream, request_t *request) noexcept nogil:
        cdef bint refused = request.failed or request.reply.size == 0 or request.reply.data[0] == b'-'
        if request.sink_state == W_QUESTION:
            self.under_way = False
            self._read_answer(request)
            self.hub.request_free(request)
            if self.hint:
                self._ask()
            return
        self.hub.request_free(request)
        if not refused:
            self._greeted(upstream)
            return
        self._say_once(b"refuses the proxy's login (sentinel_username, sentinel_password)")
        stream_close(&upstream.stream, EACCES)

    cdef bint on_request_lost(self, request_t *request) noexcept nogil:
        if request.sink_state == W_QUESTION:
            self.under_way = False
        self.hub.request_free(request)
        return True

    cdef void on_lost(self, upstream_t *upstream, int error) noexcept nogil:
        cdef char text[300]
        if upstream is self.listening:
            self.listening = NULL
            return
        self.asking = NULL
        self.answered = False
        if upstream.ready and error != CLOSE_LOCAL:
            snprintf(text, sizeof(text), b"%s: the sentinel is lost", self.label)
            self.hub.log(LOG_WARNING, text)
        if self.listening is not NULL:              # one that does not answer does not tell either
            stream_close(&self.listening.stream, CLOSE_LOCAL)

    cdef void _read_answer(self, request_t *answer) noexcept nogil:
        """An address, or nothing; and the facts, among which is the epoch."""
        cdef:
            slice_t        words[FACTS_MAX]
            uint8_t       *at = answer.reply.data
            uint8_t       *end = at + answer.reply.size
            size_t         size = resp_frame_size(at, end) if answer.reply.size and not answer.failed else 0
            char           number[24]
            int64_t        count, index
        self.answered = False
        if size == 0:
            return
        if resp_words(at, at + size, words, 2) != 2 or words[0].size >= HOST_SIZE_MAX or words[0].size == 0 \
                or not _number(&words[1], number, sizeof(number)):
            self._say_once(b"refuses the question" if at[0] == b'-' else b"does not know the master (master_name)")
            return
        memcpy(self.host, words[0].data, words[0].size)
        self.host[words[0].size] = 0
        self.port = <int>strtol(number, NULL, 10)
        at += size
        size = resp_frame_size(at, end)
        count = min(resp_words(at, at + size, words, FACTS_MAX), <uint32_t>FACTS_MAX) if size else 0
        self.epoch = 0
        for index in range(0, count - 1, 2):
            if words[index].size == 12 and memcmp(words[index].data, b"config-epoch", 12) == 0 \
                    and _number(&words[index + 1], number, sizeof(number)):
                self.epoch = strtol(number, NULL, 10)
        self.answered = True
        self.answered_ns = self.loop.now
        self.told = False
        self.heard(self.owner)

    cdef void _say_once(self, const char *what) noexcept nogil:
        cdef char text[400]
        if self.told:
            return
        self.told = True
        snprintf(text, sizeof(text), b"%s %s", self.label, what)
        self.hub.log(LOG_WARNING, text)

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name, "sentinel": self.address}
        return [("shotover_sentinel_up", labels, "gauge", int(self.answered))]


cdef bint _number(slice_t *word, char *text, size_t room) noexcept nogil:
    """`word` as a C string. False: it is too long."""
    if word.size == 0 or word.size >= room:
        return False
    memcpy(text, word.data, word.size)
    text[word.size] = 0
    return True
