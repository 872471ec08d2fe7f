"""Acceptor, the part of a source that knows its listener: who is let in, who waits, who is sent away."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._net.loop cimport Loop, listener_t, stream_t
from shotover._net.peer cimport peer_t
from shotover._net.proxied cimport ProxiedSide
from shotover._net.timers cimport timer_t
from shotover._net.tls cimport TlsSide
from shotover._proxy.per_address cimport AddressLimit
from shotover._proxy.step cimport Hub
from shotover._proxy.waiting cimport waiting_t


cdef class Acceptor:
    cdef:
        readonly str name
        readonly str address            # where it really listens
        readonly Hub hub
        Loop       loop
        listener_t listener
        TlsSide    tls                  # None: its clients speak plainly
        ProxiedSide proxied             # None: nobody in front says who its clients are
        AddressLimit addresses          # None: an address may have any number of connections
        uint32_t   handshakes_max       # under way at once
        uint64_t   complained_ns        # when a failed handshake was last logged
        char       label[64]            # its name
        int        family
        uint8_t    address_bytes[128]   # sockaddr it listens on
        uint32_t   address_size
        bint       shared_port          # other workers listen on it too
        bint       listening            # the listener is open
        bint       dropping             # it is being closed
        bint       resting              # accepting is paused: soft limit or no descriptors
        bint       stopped              # for good
        bint       hard_limit
        bint       pressed              # there is no memory for more clients now
        bint       squeezed             # some sessions are not read, since they take more than their share
        uint32_t   scarce_looks         # how often on end memory was found scarce
        uint32_t   connection_limit
        waiting_t  waiting              # accepted in the turn that reached a soft limit: served when there is room
        timer_t    retry                # of accepting after EMFILE, of listening after a hard limit
        uint32_t   session_count
        uint64_t   opened_total
        uint64_t   accept_failures_total, listen_failures_total
        uint64_t   refused_limit, refused_memory, refused_address

    cdef void accept(self, int fd, int error) noexcept nogil
    cdef void let_in(self, stream_t *stream) noexcept nogil
    cdef void greet(self, stream_t *stream) noexcept nogil
    cdef void known(self, stream_t *stream, const peer_t *peer) noexcept nogil
    cdef bint admit(self, stream_t *stream) noexcept nogil
    cdef bint crowded(self) noexcept nogil
    cdef void handshake_over(self, const char *why) noexcept nogil
    cdef void close_fd(self, int fd) noexcept nogil
    cdef void check_limit(self) noexcept nogil
    cdef void open_listener(self) noexcept nogil
    cdef void close_listener(self) noexcept nogil
    cdef void dropped(self) noexcept nogil
    cdef void reopen(self) noexcept nogil
    # to be overridden:
    cdef void begin(self, int fd) noexcept nogil
    cdef peer_t *peer_of(self, stream_t *stream) noexcept nogil
    cdef void turn_away(self, int fd, const char *text) noexcept nogil
    cdef void dismiss(self, stream_t *stream, const char *text) noexcept nogil
