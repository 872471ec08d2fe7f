"""Who is let in, who waits, who is sent away.

  Door       a listener, and how it is open; it stays when the source behind it is replaced
  Acceptor   the part of a source that knows its door

Connections are counted at the door: those of the source behind it now, and those of the ones before, as long as they last.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._net.loop cimport Loop, listener_t, stream_t
from shotover._net.peer cimport peer_t
from shotover._net.proxied cimport ProxiedSide
from shotover._net.timers cimport timer_t
from shotover._net.tls cimport TlsSide
from shotover._proxy.per_address cimport AddressLimit
from shotover._proxy.step cimport Hub
from shotover._proxy.waiting cimport waiting_t


cdef class Door:
    cdef:
        readonly str address            # where it really listens
        Hub        hub
        Loop       loop
        Acceptor   acceptor             # who gets what comes in
        Door       twin                 # another listener for the same, of a process that had more workers; or None
        Door       first                # whose twin it is
        listener_t listener
        int        family
        uint8_t    address_bytes[128]   # sockaddr it listens on
        uint32_t   address_size
        bint       shared_port          # other workers listen on it too
        bint       listening            # the listener is open
        bint       dropping             # it is being closed
        bint       resting              # accepting is paused: soft limit or no descriptors
        bint       ending               # about to be stopped: what has been accepted meanwhile is still served
        bint       stopped              # for good
        uint32_t   connections          # sessions that came in by it
        waiting_t  waiting              # accepted in the turn that reached a soft limit: served when there is room
        timer_t    retry                # of accepting after EMFILE, of listening after a hard limit
        uint64_t   accept_failures_total, listen_failures_total

    cdef void accept(self, int fd, int error) noexcept nogil
    cdef void close_fd(self, int fd) noexcept nogil
    cdef void _rest(self, bint on) noexcept nogil
    cdef int _listen_on(self, int fd) noexcept nogil
    cdef void check_limit(self) noexcept nogil
    cdef bint is_of(self, Acceptor acceptor) noexcept nogil
    cdef void stop(self) noexcept nogil
    cdef void _open_listener(self) noexcept nogil
    cdef void _close_listener(self) noexcept nogil
    cdef void _dropped(self) noexcept nogil


cdef class Acceptor:
    cdef:
        readonly str name
        readonly Door door
        readonly Hub hub
        Loop       loop
        TlsSide    tls                  # None: its clients speak plainly
        ProxiedSide proxied             # None: nobody in front says who its clients are
        AddressLimit addresses          # None: an address may have any number of connections
        uint32_t   handshakes_max       # under way at once
        uint64_t   complained_ns        # when a failed handshake was last logged
        char       label[64]            # its name
        bint       hard_limit
        bint       pressed              # there is no memory for more clients now
        bint       squeezed             # some sessions are not read, since they take more than their share
        uint32_t   scarce_looks         # how often on end memory was found scarce
        uint32_t   connection_limit
        readonly uint32_t session_count
        uint64_t   opened_total
        uint64_t   refused_limit, refused_memory, refused_address

    cdef void let_in(self, stream_t *stream) noexcept nogil
    cdef void greet(self, stream_t *stream) noexcept nogil
    cdef void known(self, stream_t *stream, const peer_t *peer) noexcept nogil
    cdef bint admit(self, stream_t *stream) noexcept nogil
    cdef bint crowded(self) noexcept nogil
    cdef void handshake_over(self, const char *why) noexcept nogil
    # to be overridden:
    cdef void begin(self, int fd) noexcept nogil
    cdef peer_t *peer_of(self, stream_t *stream) noexcept nogil
    cdef void turn_away(self, int fd, const char *text) noexcept nogil
    cdef void dismiss(self, stream_t *stream, const char *text) noexcept nogil
