/* An io_uring and its provided buffers, by raw system calls; poller_uring.h makes a poller of it.
 *
 * One thread owns the ring (SINGLE_ISSUER), and the kernel works for it only inside io_uring_enter (DEFER_TASKRUN): so
 * between two enters nothing moves, and one enter a turn both submits and waits. The ring is made disabled and bound to
 * the thread that first waits; entries may be queued before.
 *
 * Buffers: since Linux 6.12 a buffer is consumed little by little (PBUF_RING_INC), so that small reads share a few large
 * ones; before, each read takes a whole one, and they are smaller and many. The kernel takes them in the order in which
 * they were given, so all that it has is touched in time, even by a small load: it is given only `target` of them, and
 * that doubles whenever it ran out.
 */
#ifndef SHOTOVER_URING_RING_H
#define SHOTOVER_URING_RING_H

#include "poller.h"
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The tests build this with other sizes, too. All counts are powers of two. */
#ifndef URING_SHARED_SIZE
#define URING_SHARED_SIZE (64 * 1024)     /* a buffer that reads share: its bytes, */
#define URING_SHARED_COUNT 16             /* how many there can be, */
#define URING_SHARED_START 4              /* and how many the kernel gets at first */
#endif
#ifndef URING_WHOLE_SIZE
#define URING_WHOLE_SIZE (16 * 1024)      /* the same of a buffer that one read takes */
#define URING_WHOLE_COUNT 256
#define URING_WHOLE_START 32
#endif
#ifndef URING_ENTRIES
#define URING_ENTRIES 256                 /* of the submission queue */
#define URING_COMPLETIONS 2048
#endif
enum { URING_BUFFERS_MAX = 256, URING_SCRATCH_SIZE = 64 * 1024, URING_GROUP = 0 };

/* What younger headers than 6.1 name. */
#ifndef URING_PBUF_INC
#define URING_PBUF_INC 2                  /* io_uring_buf_reg.flags */
#endif
enum { URING_CQE_BUF_MORE = 1 << 4 };     /* completion: more will come in this buffer */

typedef struct {
    int fd;
    int enter_fd;             /* fd, or its registered index */
    uint32_t enter_flags;
    int started;              /* bound to a thread: */
    long owner;               /* its id */
    uint32_t *sq_head, *sq_tail, *sq_flags;
    uint32_t sq_mask, sq_entries;
    uint32_t queued;          /* our tail of the submission queue */
    struct io_uring_sqe *sqes;
    uint32_t *cq_head, *cq_tail;
    uint32_t cq_mask;
    uint32_t seen;            /* our head of the completion queue */
    struct io_uring_cqe *cqes;
    void *rings;
    size_t rings_size, sqes_size;
    /* Bytes that must live until an entry is submitted (the kernel then has copied them): msghdrs, iovecs, addresses. */
    uint8_t *scratch;
    size_t scratch_used;
    uint64_t calls;           /* system calls made */
    /* provided buffers */
    struct io_uring_buf_ring *pool;
    uint8_t *buffers;
    uint32_t buffer_size, buffer_count;
    int shared;               /* reads share buffers */
    uint16_t pool_tail;
    uint32_t given;           /* buffers the kernel has, or that came back and wait in `retired` */
    uint32_t target;          /* buffers it shall have */
    uint32_t retired_count;
    uint16_t retired[URING_BUFFERS_MAX];      /* used up; given again at `release` */
    uint32_t offsets[URING_BUFFERS_MAX];      /* bytes of it handed out so far */
} ring_t;

/* ---- system calls ---- */

static int ring_setup_call(uint32_t entries, struct io_uring_params *params)
{
    int fd = (int)syscall(SYS_io_uring_setup, entries, params);

    return fd < 0 ? -errno : fd;
}

static int ring_register(ring_t *ring, unsigned what, void *argument, unsigned count)
{
    return syscall(SYS_io_uring_register, ring->fd, what, argument, count) < 0 ? -errno : 0;
}

/* ---- birth and death ---- */

/* Bytes of all buffers; address space, that is: what the kernel never got is never touched. */
static size_t ring_buffers_size(const ring_t *ring)
{
    return (size_t)ring->buffer_count * ring->buffer_size;
}

/* A ring that is bound answers to one thread alone. */
static int ring_is_mine(const ring_t *ring)
{
    return ring->started && ring->owner == syscall(SYS_gettid);
}

/* Without this the registration would keep the ring alive until the thread ends. */
static void ring_unregister(ring_t *ring)
{
    struct io_uring_rsrc_update update;

    if (!ring_is_mine(ring) || ring->enter_flags == 0)
        return;
    memset(&update, 0, sizeof update);
    update.offset = (uint32_t)ring->enter_fd;
    ring_register(ring, IORING_UNREGISTER_RING_FDS, &update, 1);
}

static void ring_close(ring_t *ring)
{
    size_t size = ring_buffers_size(ring);

    ring_unregister(ring);
    if (ring->pool != NULL)
        munmap(ring->pool, URING_BUFFERS_MAX * sizeof(struct io_uring_buf));
    if (ring->buffers != NULL) {
        POLLER_UNPOISON(ring->buffers, size);
        munmap(ring->buffers, size);
    }
    if (ring->sqes != NULL)
        munmap(ring->sqes, ring->sqes_size);
    if (ring->rings != NULL)
        munmap(ring->rings, ring->rings_size);
    if (ring->fd >= 0)
        close(ring->fd);
    free(ring->scratch);
}

static void *ring_map(size_t size, int fd, off_t offset)
{
    int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_POPULATE;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, offset);

    return at == MAP_FAILED ? NULL : at;
}

static int ring_map_queues(ring_t *ring, const struct io_uring_params *params)
{
    size_t sq_size = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
    size_t cq_size = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
    uint8_t *at;
    uint32_t *array, i;

    ring->rings_size = sq_size > cq_size ? sq_size : cq_size;
    ring->sqes_size = params->sq_entries * sizeof(struct io_uring_sqe);
    at = ring->rings = ring_map(ring->rings_size, ring->fd, IORING_OFF_SQ_RING);
    if (at == NULL)
        return -errno;
    ring->sqes = ring_map(ring->sqes_size, ring->fd, IORING_OFF_SQES);
    if (ring->sqes == NULL)
        return -errno;
    ring->sq_head = (uint32_t *)(at + params->sq_off.head);
    ring->sq_tail = (uint32_t *)(at + params->sq_off.tail);
    ring->sq_flags = (uint32_t *)(at + params->sq_off.flags);
    ring->sq_entries = params->sq_entries;
    ring->sq_mask = params->sq_entries - 1;
    ring->cq_head = (uint32_t *)(at + params->cq_off.head);
    ring->cq_tail = (uint32_t *)(at + params->cq_off.tail);
    ring->cq_mask = params->cq_entries - 1;
    ring->cqes = (struct io_uring_cqe *)(at + params->cq_off.cqes);
    array = (uint32_t *)(at + params->sq_off.array);
    for (i = 0; i < params->sq_entries; i++)
        array[i] = i;                          /* entries are used in order, for ever */
    return 0;
}

/* Give a buffer to the kernel; it sees it at the next ring_buffers_publish. */
static void ring_buffer_give(ring_t *ring, uint16_t index)
{
    struct io_uring_buf *slot = &((struct io_uring_buf *)ring->pool)[ring->pool_tail & (ring->buffer_count - 1)];

    ring->offsets[index] = 0;
    slot->addr = (uint64_t)(uintptr_t)(ring->buffers + (size_t)index * ring->buffer_size);
    slot->len = ring->buffer_size;
    slot->bid = index;
    ring->pool_tail++;
}

static void ring_buffers_publish(ring_t *ring)
{
    __atomic_store_n(&ring->pool->tail, ring->pool_tail, __ATOMIC_RELEASE);
}

/* Bring what the kernel has up to `target` with buffers it never had. */
static void ring_buffers_top_up(ring_t *ring)
{
    while (ring->given < ring->target)
        ring_buffer_give(ring, (uint16_t)ring->given++);
    ring_buffers_publish(ring);
}

static int ring_register_pool(ring_t *ring, uint32_t count, uint16_t flags)
{
    struct io_uring_buf_reg request;

    memset(&request, 0, sizeof request);
    request.ring_addr = (uint64_t)(uintptr_t)ring->pool;
    request.ring_entries = count;
    request.bgid = URING_GROUP;
    request.pad = flags;                       /* called `flags` since 6.4 */
    return ring_register(ring, IORING_REGISTER_PBUF_RING, &request, 1);
}

static int ring_setup_buffers(ring_t *ring)
{
    int status;

    ring->pool = ring_map(URING_BUFFERS_MAX * sizeof(struct io_uring_buf), -1, 0);
    if (ring->pool == NULL)
        return -ENOMEM;
    ring->shared = URING_PBUF_INC && ring_register_pool(ring, URING_SHARED_COUNT, URING_PBUF_INC) == 0;
    status = ring->shared ? 0 : ring_register_pool(ring, URING_WHOLE_COUNT, 0);
    if (status < 0)
        return status;
    ring->buffer_size = ring->shared ? URING_SHARED_SIZE : URING_WHOLE_SIZE;
    ring->buffer_count = ring->shared ? URING_SHARED_COUNT : URING_WHOLE_COUNT;
    ring->target = ring->shared ? URING_SHARED_START : URING_WHOLE_START;
    ring->buffers = ring_map(ring_buffers_size(ring), -1, 0);
    if (ring->buffers == NULL)
        return -ENOMEM;
    POLLER_POISON(ring->buffers, ring_buffers_size(ring));
    ring_buffers_top_up(ring);
    return 0;
}

/* `ring` is zeroed, fd -1. On failure *why names the step, and ring_close is still the caller's. */
static int ring_open(ring_t *ring, const char **why)
{
    const uint32_t needed = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_EXT_ARG
        | IORING_FEAT_CQE_SKIP;
    struct io_uring_params params;
    int status;

    memset(&params, 0, sizeof params);
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE
        | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED;
    params.cq_entries = URING_COMPLETIONS;
    ring->fd = ring_setup_call(URING_ENTRIES, &params);
    if (ring->fd < 0) {
        status = ring->fd;
        *why = status == -EINVAL ? "this kernel is older than Linux 6.1 (no deferred task work)"
            : status == -ENOSYS ? "this kernel has no io_uring"
            : status == -EPERM ? "io_uring is forbidden here (sysctl kernel.io_uring_disabled or a seccomp filter)"
            : "io_uring_setup failed";
        return status;
    }
    *why = "the kernel lacks features of io_uring that are needed";
    if ((params.features & needed) != needed)
        return -EOPNOTSUPP;
    *why = "the queues of io_uring could not be mapped";
    status = ring_map_queues(ring, &params);
    if (status < 0)
        return status;
    *why = "a ring of provided buffers could not be registered";
    status = ring_setup_buffers(ring);
    if (status < 0)
        return status;
    *why = "no memory";
    ring->scratch = malloc(URING_SCRATCH_SIZE);
    return ring->scratch == NULL ? -ENOMEM : 0;
}

/* Bind the ring to this thread. */
static int ring_start(ring_t *ring)
{
    struct io_uring_rsrc_update update;
    int status = ring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);

    if (status < 0)
        return status;
    ring->started = 1;
    ring->owner = syscall(SYS_gettid);
    ring->enter_fd = ring->fd;
    memset(&update, 0, sizeof update);
    update.offset = ~0u;
    update.data = (uint64_t)ring->fd;
    if (syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_RING_FDS, &update, 1) == 1) {
        ring->enter_fd = (int)update.offset;   /* saves a look-up of the file at each enter */
        ring->enter_flags = IORING_ENTER_REGISTERED_RING;
    }
    return 0;
}

/* ---- queues ---- */

/* Submit all that is queued and, with flags GETEVENTS, run what the kernel has to do for us and wait for `least`
 * completions. Returns 0 or -errno. */
static int ring_enter(ring_t *ring, uint32_t least, uint32_t flags, int64_t timeout_ns)
{
    struct io_uring_getevents_arg argument;
    struct __kernel_timespec at;
    uint32_t count = ring->queued - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
    long got;

    memset(&argument, 0, sizeof argument);
    if (timeout_ns >= 0) {
        at.tv_sec = timeout_ns / 1000000000;
        at.tv_nsec = timeout_ns % 1000000000;
        argument.ts = (uint64_t)(uintptr_t)&at;
    }
    __atomic_store_n(ring->sq_tail, ring->queued, __ATOMIC_RELEASE);
    __atomic_store_n(ring->cq_head, ring->seen, __ATOMIC_RELEASE);
    ring->calls++;
    got = syscall(SYS_io_uring_enter, ring->enter_fd, count, least, flags | ring->enter_flags | IORING_ENTER_EXT_ARG, &argument,
        sizeof argument);
    if (__atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE) == ring->queued)
        ring->scratch_used = 0;
    return got < 0 ? -errno : 0;
}

/* Make sure of room for `entries` calls of ring_queue and `bytes` of ring_scratch, submitting what is queued if it must be.
 * 0 if the kernel does not take it. */
static int ring_reserve(ring_t *ring, uint32_t entries, size_t bytes)
{
    int tries;

    for (tries = 0; tries < 2; tries++) {
        uint32_t taken = ring->queued - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);

        if (taken + entries <= ring->sq_entries && ring->scratch_used + bytes <= URING_SCRATCH_SIZE)
            return 1;
        if (!ring->started || tries)
            return 0;
        ring_enter(ring, 0, 0, -1);
    }
    return 0;
}

/* The next entry, zeroed but for what is given; ring_reserve has made room. */
static struct io_uring_sqe *ring_queue(ring_t *ring, int op, int fd, uint64_t user_data)
{
    struct io_uring_sqe *sqe = &ring->sqes[ring->queued++ & ring->sq_mask];

    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = (uint8_t)op;
    sqe->fd = fd;
    sqe->user_data = user_data;
    return sqe;
}

/* Memory for that entry; ring_reserve has made room. */
static void *ring_scratch(ring_t *ring, size_t size)
{
    void *at = ring->scratch + ring->scratch_used;

    ring->scratch_used += (size + 15) & ~(size_t)15;
    return at;
}

/* ---- buffers of completions ---- */

/* Where the bytes of this completion are; its buffer comes back to the kernel at `ring_release` if it is used up. Call it
 * for each completion with F_BUFFER, in their order: that is how the place in a shared buffer is known. */
static uint8_t *ring_data(ring_t *ring, const struct io_uring_cqe *cqe)
{
    uint16_t index = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    uint8_t *at = ring->buffers + (size_t)index * ring->buffer_size + ring->offsets[index];

    if (cqe->res > 0) {
        ring->offsets[index] += (uint32_t)cqe->res;
        POLLER_UNPOISON(at, (size_t)cqe->res);
    }
    /* A completion without bytes took nothing out of a shared buffer, though some kernels forget BUF_MORE with it. */
    if (!ring->shared || (cqe->res > 0 && !(cqe->flags & URING_CQE_BUF_MORE)))
        ring->retired[ring->retired_count++] = index;
    return at;
}

static void ring_release(ring_t *ring)
{
    uint32_t i;

    POLLER_POISON(ring->buffers, ring_buffers_size(ring));
    if (ring->retired_count == 0)
        return;
    for (i = 0; i < ring->retired_count; i++)
        ring_buffer_give(ring, ring->retired[i]);
    ring->retired_count = 0;
    ring_buffers_publish(ring);
}

/* The kernel ran out of buffers. */
static void ring_buffers_grow(ring_t *ring)
{
    ring->target = ring->target * 2 < ring->buffer_count ? ring->target * 2 : ring->buffer_count;
    ring_buffers_top_up(ring);
}

#endif
