"""See memory_watch.pxd."""

from libc.stdint cimport uint32_t

from shotover._core.debug cimport likely, unlikely
from shotover._core.ledger cimport share_high, share_low, share_top
from shotover._core.memory cimport pool_free_bytes, slab_bytes
from shotover._net.loop cimport CLOSE_LOCAL, stream_close
from shotover._proxy.session cimport PAUSE_PRESSURE, session_bytes, session_pause, session_resume
from shotover._proxy.step cimport LOG_WARNING, list_item, list_size

cdef enum:
    LOOK_NS = 10000000          # 10 ms between two looks at all sessions, while memory is scarce
    HEAVY_MIN = 65536           # bytes of a session that is left alone however scarce memory is
    LOOKS_MAX = 100             # after so many looks on end at which memory was scarce, the heaviest go
    TRIGGER_PART = 4            # looks begin when a worker takes this part of what it may


cdef void _on_timer(timer_t *timer) noexcept nogil:
    (<MemoryWatch>timer.owner).audit()


cdef class MemoryWatch:

    def __init__(self, Hub hub, list sources, Share share):
        self.hub = hub
        self.loop = hub.loop
        self.sources = sources
        self.share = share
        self.bytes_max = self.loop.pool.bytes_max
        self.timer.fire = _on_timer
        self.timer.owner = <void *>self
        self.begin(share)

    def begin(self, Share share):
        """One more share, of a source or of the process, that the worker has a part in."""
        cdef uint64_t trigger
        if share.limit:
            trigger = share.limit // (TRIGGER_PART * max(share.workers, <uint64_t>1))
            self.trigger = min(self.trigger, trigger) if self.trigger else trigger

    cdef uint64_t bytes(self) noexcept nogil:
        """What the worker has from the system: chunks, lent and kept, and pages of objects."""
        cdef Py_ssize_t index
        cdef uint64_t total = self.loop.pool.live_bytes + pool_free_bytes(&self.loop.pool)
        total += slab_bytes(&self.hub.requests) + slab_bytes(&self.loop.segments) + slab_bytes(&self.loop.stashes)
        for index in range(list_size(self.sources)):
            total += slab_bytes(&(<Source>list_item(self.sources, index)).session_slab)
        return total

    cdef void look(self) noexcept nogil:
        """After every turn; costs a comparison where there is no limit."""
        cdef:
            uint64_t bytes, used, left
        if likely(self.trigger == 0):
            return
        bytes = self.bytes()
        if self.share.limit:
            used = self.share.publish(&self.published, bytes)
            left = self.share.limit - used if used < self.share.limit else 0
            self.loop.pool.bytes_max = min(self.bytes_max, self.loop.pool.live_bytes + left // self.share.workers)
        if unlikely((self.loop.pool.live_bytes > self.trigger or self.busy) and self.timer.home is NULL):
            self.loop.set_timer(&self.timer, LOOK_NS)

    cdef void audit(self) noexcept nogil:
        """Looks at every session of the worker."""
        cdef:
            Py_ssize_t index, count = list_size(self.sources)
            uint64_t   sessions = self._weigh()
            uint64_t   used = self.share.publish(&self.published, self.bytes())
            uint64_t   limit = self.share.limit
            uint64_t   excess = self._excess(used, limit, self.scarce_looks)
            uint64_t   own, own_limit
            bint       scarce = limit > 0 and used > share_high(limit)
            bint       plenty = limit == 0 or used <= share_low(limit)
            void      *source
        self.scarce_looks = self.scarce_looks + 1 if scarce else 0
        self.busy = False
        if excess:
            self._shed(excess, NULL)
        for index in range(count):
            source = list_item(self.sources, index)
            own = _source_used(source)
            own_limit = _source_limit(source)
            excess = self._excess(own, own_limit, _scarce_looks(source))
            if excess:
                self._shed(excess, source)
            _note_scarce(<Source>source, own_limit > 0 and own > share_high(own_limit))
            if plenty and (own_limit == 0 or own <= share_low(own_limit)):
                _relieve(<Source>source)
            elif plenty:
                _press(<Source>source, _fair(own_limit, _source_sessions(source)), _scarce_looks(source) > 0)
            else:
                _press(<Source>source, _fair(limit, sessions), scarce or _scarce_looks(source) > 0)
            self.busy = self.busy or _is_busy(source)

    cdef uint64_t _excess(self, uint64_t used, uint64_t limit, uint32_t looks) noexcept nogil:
        """How much must go by disconnecting clients."""
        if limit == 0 or used <= share_high(limit):
            return 0
        return used - share_high(limit) if used > share_top(limit) or looks >= LOOKS_MAX else 0

    cdef uint64_t _weigh(self) noexcept nogil:
        """What the sessions of each source take; returns how many there are."""
        cdef:
            Py_ssize_t index
            uint64_t   sessions = 0
        for index in range(list_size(self.sources)):
            sessions += _weigh_source(<Source>list_item(self.sources, index))
        return sessions

    cdef uint64_t _shed(self, uint64_t bytes, void *source) noexcept nogil:
        """Disconnects the heaviest, of one source or (NULL) of all, until so many bytes will be free. Returns how many."""
        cdef:
            uint64_t   freed = 0
            session_t *heaviest
        while freed < bytes:
            heaviest = self._heaviest(source)
            if heaviest is NULL:
                break
            freed += session_bytes(heaviest)
            _count_shed(<Source>heaviest.source)
            self.hub.log(LOG_WARNING, b"memory_limit: the client that takes most memory was disconnected")
            stream_close(&heaviest.stream, CLOSE_LOCAL)
        return freed

    cdef session_t *_heaviest(self, void *source) noexcept nogil:
        cdef:
            Py_ssize_t index
            session_t *found = NULL
            uint64_t   most = HEAVY_MIN
        for index in range(list_size(self.sources)):
            if source is NULL or list_item(self.sources, index) is source:
                found = _heaviest_of((<Source>list_item(self.sources, index)).sessions, found, &most)
        return found

    def samples(self, labels):
        sessions = 0
        for source in self.sources:
            sessions += slab_bytes(&(<Source>source).session_slab)
        kinds = {
            "buffers": self.loop.pool.live_bytes,
            "spare_buffers": pool_free_bytes(&self.loop.pool),
            "requests": slab_bytes(&self.hub.requests),
            "sessions": sessions,
            "queues": slab_bytes(&self.loop.segments) + slab_bytes(&self.loop.stashes),
        }
        return [("shotover_memory_limit_bytes", labels, "gauge", self.share.limit)] + [
            ("shotover_memory_used_bytes", labels | {"kind": kind}, "gauge", bytes) for kind, bytes in kinds.items()
        ]


cdef session_t *_heaviest_of(session_t *session, session_t *found, uint64_t *most) noexcept nogil:
    cdef uint64_t bytes
    while session is not NULL:
        bytes = session_bytes(session)
        if bytes > most[0] and not session.stream.closed:
            most[0] = bytes
            found = session
        session = session.next
    return found


cdef inline uint64_t _source_used(void *source) noexcept nogil:
    return (<Source>source).memory.publish(&(<Source>source).memory_published, (<Source>source).memory_bytes)


cdef inline uint64_t _source_limit(void *source) noexcept nogil:
    return (<Source>source).memory.limit


cdef inline uint64_t _source_sessions(void *source) noexcept nogil:
    return (<Source>source).session_count * (<Source>source).memory.workers


cdef inline void _count_shed(Source source) noexcept nogil:
    source.over_memory += 1


cdef inline bint _is_busy(void *source) noexcept nogil:
    return (<Source>source).pressed or (<Source>source).squeezed


cdef inline uint32_t _scarce_looks(void *source) noexcept nogil:
    return (<Source>source).scarce_looks


cdef inline uint64_t _fair(uint64_t limit, uint64_t sessions) noexcept nogil:
    """What one of so many may take while memory is scarce."""
    return max(share_high(limit) // max(sessions, <uint64_t>1), <uint64_t>HEAVY_MIN)


cdef inline void _note_scarce(Source source, bint scarce) noexcept nogil:
    source.scarce_looks = source.scarce_looks + 1 if scarce else 0


cdef uint64_t _weigh_source(Source source) noexcept nogil:
    cdef session_t *session = source.sessions
    source.memory_bytes = 0
    while session is not NULL:
        source.memory_bytes += session_bytes(session)
        session = session.next
    source.memory.publish(&source.memory_published, source.memory_bytes)
    return source.session_count


cdef void _press(Source source, uint64_t fair, bint scarce) noexcept nogil:
    """Who takes more than a fair share is not read until it is down to half of that, or there is plenty again. `scarce`:
    whether others are to be stopped, too."""
    cdef:
        session_t *session = source.sessions
        uint64_t   bytes
        bint       heavy = False
    while session is not NULL:
        heavy = heavy or session_bytes(session) > fair
        bytes = session.bytes + session.stream.out_size     # what can become less without its being read
        if session.pauses & PAUSE_PRESSURE:
            if bytes <= fair // 2 or session.upload is not NULL:    # what it waits with waits for the rest of that request
                session_resume(session, PAUSE_PRESSURE)
        elif scarce and bytes > fair and session.upload is NULL and not session.stream.closed:
            source.memory_pauses += 1
            session_pause(session, PAUSE_PRESSURE)
        session = session.next
    source.squeezed = source.squeezed or scarce
    source.pressed = scarce and not heavy


cdef void _relieve(Source source) noexcept nogil:
    cdef session_t *session = source.sessions
    if not source.squeezed:
        return
    source.squeezed = False
    source.pressed = False
    while session is not NULL:
        session_resume(session, PAUSE_PRESSURE)
        session = session.next
