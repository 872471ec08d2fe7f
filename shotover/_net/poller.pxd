from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "<sys/uio.h>" nogil:
    cdef struct iovec:
        void  *iov_base
        size_t iov_len

cdef extern from "shotover/_net/poller.h" nogil:
    enum:
        HANDLE_CONNECTION
        HANDLE_LISTENER
        HANDLE_WAKE
        EVENT_DATA
        EVENT_EOF
        EVENT_ERROR
        EVENT_CONNECTED
        EVENT_WRITABLE
        EVENT_SENT
        EVENT_ACCEPT
        EVENT_WAKE
        EVENT_DROPPED
    const long POLLER_PENDING
    ctypedef struct handle_t:
        int32_t  fd
        uint8_t  kind
        uint8_t  paused
        uint8_t  connecting
        uint8_t  dropped
        uint16_t inflight
        uint32_t sending
    ctypedef struct event_t:
        handle_t *handle
        int       kind
        int       fd
        int       error
        uint8_t  *data
        size_t    size
    ctypedef struct poller_ops_t:
        const char *name
        int  (*open)(poller_t *, const char **) noexcept nogil
        void (*close)(poller_t *) noexcept nogil
        int  (*add)(poller_t *, handle_t *) noexcept nogil
        int  (*connect)(poller_t *, handle_t *, const void *, uint32_t) noexcept nogil
        int  (*drop)(poller_t *, handle_t *) noexcept nogil
        void (*want)(poller_t *, handle_t *, int) noexcept nogil
        long (*send)(poller_t *, handle_t *, const iovec *, int) noexcept nogil
        int  (*wait)(poller_t *, int64_t) noexcept nogil
        int  (*next)(poller_t *, event_t *) noexcept nogil
        void (*release)(poller_t *) noexcept nogil
        uint64_t (*now)(poller_t *) noexcept nogil
        void (*wake)(poller_t *) noexcept nogil
    ctypedef struct system_ops_t:
        int  (*open)(poller_t *, int) noexcept nogil
        int  (*listen)(poller_t *, const void *, uint32_t, int, int) noexcept nogil
        void (*tune)(poller_t *, int, int) noexcept nogil
        void (*close)(poller_t *, int) noexcept nogil
        void (*name)(poller_t *, int, int, char *, size_t) noexcept nogil
        uint64_t (*chance)(poller_t *) noexcept nogil
    ctypedef struct poller_t:
        const poller_ops_t *ops
        const system_ops_t *system
        size_t   arena_size
        size_t   read_size
        uint8_t  completion
        uint64_t syscalls
        uint64_t reads
        uint64_t sends
