"""See accepting.pxd. Who is sent away is told why, in the form of the protocol, where that is still possible."""

from libc.errno cimport EMFILE, ENFILE, ENOMEM
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from shotover._core.debug cimport unlikely
from shotover._net.loop cimport CLOSE_LOCAL, stream_close
from shotover._net.peer cimport PEER_NONE
from shotover._net.proxied cimport REFUSED_UNTRUSTED
from shotover._proxy.step cimport LOG_ERROR, LOG_WARNING, put_text
from shotover._proxy.waiting cimport waiting_close, waiting_pop, waiting_push

from shotover._net.address import resolve

cdef enum:
    ACCEPT_REST_NS = 100000000      # after EMFILE: try again in 100 ms
    LISTEN_RETRY_NS = 1000000000
    END_NS = 50000000               # from the last accept that is asked for to the end of the listener
    LISTEN_BACKLOG = 4096
    COMPLAIN_NS = 1000000000        # between two lines of the log about handshakes

cdef const char *TOO_MANY = b"max number of clients reached (shotover: connection_limit_per_ip)"
cdef const char *NO_MEMORY_LEFT = b"max number of clients reached (shotover: memory_limit)"


cdef void _on_accept(listener_t *listener, int fd, int error) noexcept nogil:
    (<Door>listener.owner).accept(fd, error)


cdef void _on_dropped(listener_t *listener) noexcept nogil:
    (<Door>listener.owner)._dropped()


cdef void _on_retry(timer_t *timer) noexcept nogil:
    (<Door>timer.owner).check_limit()       # descriptors may be free again, or the address


cdef void _on_handshake(void *owner, const char *why) noexcept nogil:
    (<Acceptor>owner).handshake_over(why)


cdef void _on_known(void *owner, stream_t *stream, const peer_t *peer) noexcept nogil:
    (<Acceptor>owner).known(stream, peer)


cdef class Door:
    """A listening socket of one worker. Whoever takes it (`lead_to`) gets the connections that come from then on."""

    def __init__(self, Hub hub, address):
        """`address`: an Address of the configuration; nothing is opened yet."""
        self.hub = hub
        self.loop = hub.loop
        self.listener.owner = <void *>self
        self.listener.on_accept = _on_accept
        self.listener.on_dropped = _on_dropped
        self.retry.fire = _on_retry
        self.retry.owner = <void *>self
        self.shared_port = not address.path
        self._keep_address(address.host, address.port, address.path)

    def __dealloc__(self):
        waiting_close(&self.waiting)

    def _keep_address(self, host, port, path):
        self.family, sockaddr = resolve(host, port, path)
        cdef bytes name = sockaddr
        memcpy(self.address_bytes, <const char *>name, len(name))
        self.address_size = len(name)

    def open(self, address):
        """Listens. OSError: that cannot be had."""
        cdef int fd = self.loop.poller.system.listen(
            self.loop.poller, <const void *>self.address_bytes, self.address_size, LISTEN_BACKLOG, self.shared_port)
        if fd < 0:
            raise OSError(-fd, "cannot listen")
        if address.port == 0 and not address.path:
            self._keep_address(address.host, int(self.loop.name_of(fd).rpartition(":")[2]), "")
        self.adopt(fd)

    def adopt(self, int fd):
        """Takes over a socket that listens on its address already. OSError: it cannot be had, and is closed."""
        cdef int result
        self.address = self.loop.name_of(fd)
        result = self._listen_on(fd)
        if result < 0:
            raise OSError(-result, "cannot listen")

    def add(self, Door twin):
        """What comes in by `twin` comes in here; it rests and ends with this one."""
        cdef Door last = self
        while last.twin is not None:
            last = last.twin
        last.twin = twin
        twin.first = self
        twin.acceptor = self.acceptor
        if self.resting:
            twin._rest(True)

    cdef int _listen_on(self, int fd) noexcept nogil:
        cdef int result = self.loop.listen(&self.listener, fd)
        if result < 0:
            self.close_fd(fd)
            return result
        self.listening = True
        return 0

    cdef void _rest(self, bint on) noexcept nogil:
        """Stops accepting for a while, or goes on."""
        self.resting = on
        if self.listening:
            self.loop.want(&self.listener.handle, not on)
        if <void *>self.twin is not <void *>None:
            self.twin._rest(on)

    def lead_to(self, Acceptor acceptor):
        """From now on it is `acceptor` that gets the connections."""
        cdef Door twin = self.twin
        self.acceptor = acceptor
        acceptor.door = self
        while twin is not None:
            twin.acceptor = acceptor
            twin = twin.twin
        if self.listening:
            self.check_limit()

    cdef void accept(self, int fd, int error) noexcept nogil:
        if unlikely(<void *>self.first is not <void *>None):
            self.first.accept(fd, error)
            return
        if fd < 0:
            self.accept_failures_total += 1
            if error == EMFILE or error == ENFILE:
                self.hub.log(LOG_ERROR, b"no file descriptors left: accepting pauses for 100 ms (raise ulimit -n)")
                self._rest(True)
                self.loop.set_timer(&self.retry, ACCEPT_REST_NS)
            return
        if unlikely(self.ending):
            self.acceptor.begin(fd)
            return
        if self.connections >= self.acceptor.connection_limit or self.stopped or self.acceptor.crowded():
            # accepted in the same turn that reached the limit: as if it were still in the kernel's queue, or refused
            if self.stopped or (self.acceptor.hard_limit and self.connections >= self.acceptor.connection_limit) \
                    or not waiting_push(&self.waiting, fd):
                self.acceptor.refused_limit += 1
                self.close_fd(fd)
            return
        if unlikely(self.acceptor.pressed):
            self.acceptor.refused_memory += 1
            self.acceptor.turn_away(fd, NO_MEMORY_LEFT)
            return
        self.acceptor.begin(fd)
        self.check_limit()

    cdef void close_fd(self, int fd) noexcept nogil:
        self.loop.poller.system.close(self.loop.poller, fd)

    cdef void check_limit(self) noexcept nogil:
        """Soft: at the limit stop accepting, the backlog waits. Hard: close the listener, new connections are refused."""
        cdef:
            uint32_t limit = self.acceptor.connection_limit
            bint     full, crowded
        if unlikely(self.ending):
            if self.retry.home is NULL:
                self.stop()
            return
        while self.waiting.count and ((self.connections < limit and not self.acceptor.crowded()) or self.stopped):
            if self.stopped:
                self.close_fd(waiting_pop(&self.waiting))
            else:
                self.acceptor.begin(waiting_pop(&self.waiting))
        full = self.connections >= limit
        if self.stopped or self.retry.home is not NULL:
            return
        crowded = self.acceptor.crowded()
        if full and self.acceptor.hard_limit:
            self._close_listener()
        elif (full or crowded) and self.listening and not self.resting:
            self._rest(True)
        elif not full and not self.listening:
            self._open_listener()
        elif not full and not crowded and self.resting:
            self._rest(False)

    cdef bint is_of(self, Acceptor acceptor) noexcept nogil:
        return <void *>self.acceptor is <void *>acceptor

    cdef void stop(self) noexcept nogil:
        """Accepts no more."""
        self.ending = False
        self.stopped = True
        self.check_limit()
        self._close_listener()
        self.loop.cancel_timer(&self.retry)

    cdef void _open_listener(self) noexcept nogil:
        """Listens again after a hard limit. When that fails it is tried every second, for as long as it takes."""
        cdef int fd
        if self.dropping:
            return                          # _dropped comes back here
        fd = self.loop.poller.system.listen(
            self.loop.poller, <const void *>self.address_bytes, self.address_size, LISTEN_BACKLOG, self.shared_port)
        if fd >= 0 and self._listen_on(fd) == 0:
            self.resting = False
            return
        self.listen_failures_total += 1
        self.hub.log(LOG_ERROR, b"the listener could not be opened again after a hard connection limit; retrying every second")
        self.loop.set_timer(&self.retry, LISTEN_RETRY_NS)

    cdef void _close_listener(self) noexcept nogil:
        if self.listening:
            self.listening = False
            self.dropping = True
            self.loop.unlisten(&self.listener)
        if <void *>self.twin is not <void *>None:
            self.twin._close_listener()

    cdef void _dropped(self) noexcept nogil:
        self.dropping = False
        if <void *>self.first is <void *>None:
            self.check_limit()

    def look_again(self):
        """Takes who waits in its queue. Of several processes that accept from one queue the kernel wakes one (io_uring waits
        exclusively); if that one has just stopped, nobody hears of it."""
        if self.listening and not self.resting:
            self._rest(True)
            self._rest(False)

    def fds(self):
        """The descriptors that are listened on."""
        return ([self.listener.handle.fd] if self.listening else []) + ([] if self.twin is None else self.twin.fds())

    def end(self):
        """Another process accepts from now on; whom this one has accepted, or is about to hear of, is served."""
        while self.waiting.count:
            self.acceptor.begin(waiting_pop(&self.waiting))
        self.ending = True
        self._rest(True)
        self.loop.set_timer(&self.retry, END_NS)

    def samples(self, Acceptor acceptor):
        """What `acceptor` is to say of its door: nothing, if it has another by now."""
        if acceptor is not self.acceptor:
            return []
        labels = {"source": acceptor.name}
        return [
            ("shotover_available_connections_count", labels, "gauge", acceptor.connection_limit - self.connections),
            ("shotover_connections_accept_failures_count", labels, "counter", self.accept_failures_total),
            ("shotover_listener_create_failures_count", labels, "counter", self.listen_failures_total),
        ]

    def closed(self):
        """The kernel has let go of it: it may be freed."""
        return not self.listening and not self.dropping and self.connections == 0 and (
            self.twin is None or self.twin.closed())


cdef class Acceptor:
    """Base of Source, which says what becomes of a socket that was let in."""

    def set_tls(self, options):
        """What is said of TLS and of the PROXY protocol; without them clients speak plainly, and for themselves."""
        put_text(self.label, sizeof(self.label), self.name)
        if options.get("proxy_protocol") is not None:
            self.proxied = ProxiedSide(self.loop, **options["proxy_protocol"])
            self.proxied.owner = <void *>self
            self.proxied.on_known = _on_known
            self.proxied.on_refused = _on_handshake
        self.addresses = options.get("addresses")
        if self.addresses is None and options.get("connection_limit_per_ip"):
            self.addresses = AddressLimit(options["connection_limit_per_ip"], options["connection_limit_ipv6_prefix"])
        if options.get("tls") is not None:
            self.tls = TlsSide(self.loop, options["tls"], options["handshake_timeout"])
            self.tls.on_settled = _on_handshake
            self.tls.settled_owner = <void *>self
            self.handshakes_max = options["max_handshakes"]

    cdef void let_in(self, stream_t *stream) noexcept nogil:
        """A new session: first come the header of a proxy in front, if there is one, and a handshake."""
        cdef peer_t *peer
        if self.proxied is None:
            self.greet(stream)
            return
        peer = self.peer_of(stream)
        if unlikely(peer is NULL):
            stream_close(stream, ENOMEM)
        elif self.proxied.trusts(peer):
            if self.proxied.begin(stream) != 0:
                stream_close(stream, ENOMEM)
        elif self.proxied.required:
            self.proxied.refuse(stream, REFUSED_UNTRUSTED, b"PROXY protocol: it is none of proxy_protocol.trusted")
        else:
            self.greet(stream)

    cdef void known(self, stream_t *stream, const peer_t *peer) noexcept nogil:
        """The header is through; `peer`: whom it names, NULL: nobody else than the socket does."""
        if peer is not NULL:
            self.peer_of(stream)[0] = peer[0]       # let_in has seen to it that there is one
        self.greet(stream)

    cdef void greet(self, stream_t *stream) noexcept nogil:
        """It is known who the client is. One that has too many connections may not cost a handshake."""
        if self.addresses is not None and not self.admit(stream):
            if self.tls is None:
                self.dismiss(stream, TOO_MANY)
            else:
                stream_close(stream, CLOSE_LOCAL)
            return
        if self.tls is not None and self.tls.accept(stream) != 0:
            stream_close(stream, ENOMEM)

    cdef bint admit(self, stream_t *stream) noexcept nogil:
        """False: the client's address has as many connections as it may. Clients on UNIX sockets have none."""
        cdef peer_t *peer = self.peer_of(stream)
        if unlikely(peer is NULL):
            stream_close(stream, ENOMEM)
            return True
        if peer.family != PEER_NONE:
            peer.counted = self.addresses.enter(peer)
            self.refused_address += 1 - peer.counted
            return peer.counted
        return True

    cdef bint crowded(self) noexcept nogil:
        """As many clients as may be are still proving who they are: each costs much more than a request."""
        return self.tls is not None and self.tls.handshaking >= self.handshakes_max

    cdef void handshake_over(self, const char *why) noexcept nogil:
        """With `why` it has failed: said once a second at most, as anybody may make it so; all are counted."""
        cdef char text[400]
        if why is not NULL and self.loop.now >= self.complained_ns + COMPLAIN_NS:
            self.complained_ns = self.loop.now
            snprintf(text, sizeof(text), b"a client of %s was not let in: %s", self.label, why)
            self.hub.log(LOG_WARNING, text)
        self.door.check_limit()

    cdef void begin(self, int fd) noexcept nogil:
        """A new session on an accepted socket; or the socket is closed, and counted as a failure."""
        pass

    cdef peer_t *peer_of(self, stream_t *stream) noexcept nogil:
        """The client's address, as it is known so far, to be replaced by a better one. NULL: no memory."""
        return NULL

    cdef void turn_away(self, int fd, const char *text) noexcept nogil:
        """Tells the client why, and closes."""
        pass

    cdef void dismiss(self, stream_t *stream, const char *text) noexcept nogil:
        """The same, of one that has a session."""
        pass

    def samples(self):
        labels = {"source": self.name}
        return [
            ("shotover_connections", labels, "gauge", self.session_count),
            ("connections_opened", labels, "counter", self.opened_total),
            ("shotover_limits_hit_count", labels | {"limit": "connections"}, "counter", self.refused_limit),
            ("shotover_refusals_count", labels | {"reason": "connection_limit"}, "counter", self.refused_limit),
            ("shotover_refusals_count", labels | {"reason": "connection_limit_per_ip"}, "counter", self.refused_address),
        ] + ([] if self.proxied is None else self.proxied.samples(labels)) + (
            [] if self.door is None else self.door.samples(self))
