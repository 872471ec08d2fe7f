"""See upload.pxd."""

from libc.errno cimport ENOMEM
from libc.string cimport memset, strlen

from shotover._core.debug cimport invariant, unlikely
from shotover._core.memory cimport chunk_data, slab_give, slab_take
from shotover._core.request cimport batch_remove, request_add_reply, request_drop_reply, request_t
from shotover._core.status cimport BAD, OK, status_t
from shotover._net.loop cimport (
    CLOSE_LOCAL,
    stash_drop,
    stash_keep,
    stream_close,
    stream_write,
    stream_write_chunk,
)
from shotover._proxy.inside cimport Inside
from shotover._proxy.session cimport (
    PAUSE_UPLOAD,
    UPLOAD_ABORTED,
    UPLOAD_OPEN,
    UPLOAD_SWALLOWED,
    UPLOAD_WAITING,
    session_leave,
    session_pause,
    session_resume,
)

cdef enum:
    UPLOAD_QUEUE_MAX = 262144       # unsent bytes of an upstream beyond which the uploading client is not read


cdef bint upload_begin(Source source, session_t *session, batch_t *batch, follow_t *follow) noexcept nogil:
    """The last request of the batch goes on. False: no memory; it is taken back."""
    cdef:
        upload_t  *upload = <upload_t *>slab_take(&source.upload_slab)
        request_t *previous = NULL
        request_t *request = batch.head
    while request.next is not NULL:
        previous = request
        request = request.next
    if upload is NULL:
        batch_remove(batch, previous, request)
        source.hub.request_free(request)
        return False
    memset(upload, 0, sizeof(upload_t))
    upload.follow = follow[0]
    upload.session = session
    upload.request = request
    request.upload = upload
    session.upload = upload
    source.chain.upload_room -= 1
    source.uploads_total += 1
    return True


cdef uint8_t *upload_data(Source source, session_t *session, uint8_t *at, uint8_t *end) noexcept nogil:
    """[at, end) goes on with a request that has begun to run. Returns what follows it; NULL: nothing to decode now."""
    cdef:
        upload_t *upload = session.upload
        stream_t *target = upload.target
        uint8_t  *start = at
        status_t  status
    if upload.state == UPLOAD_WAITING:      # at most what the poller had in hand: it is not read further
        if not stash_keep(&session.stream, at, end, 0):
            stream_close(&session.stream, ENOMEM)
        session_pause(session, PAUSE_UPLOAD)
        return NULL
    status = source.codec.follow(&upload.follow, &source.limits, &at, end)
    if unlikely(status == BAD):
        source.protocol_errors += 1
        upload_abort(source, session, upload.follow.error)
        return NULL
    if target is not NULL:
        if session.stream.stash is not NULL:
            stream_write_chunk(target, session.stream.stash.chunk, start, <size_t>(at - start))
        else:
            stream_write(target, start, <size_t>(at - start))
        if target.blocked or target.out_size > UPLOAD_QUEUE_MAX:
            target.over_high = 1            # so that its owner hears when it has been drained
            session_pause(session, PAUSE_UPLOAD)
        if upload.request is not NULL:
            upload.request.sent_ns = source.loop.now      # time-outs of its reply begin anew with each piece
    if unlikely(upload.request is not NULL and upload.request.sampled):
        (<Inside>source.within).grew(upload.request, <size_t>(at - start), False)
    if status == OK:
        upload_end(source, session)
        if not session.leaving:
            return at
        source.loop.want(&session.stream.handle, False)
        session_leave(session)
    stash_drop(&session.stream)
    return NULL


cdef void upload_end(Source source, session_t *session) noexcept nogil:
    """The request is whole, or its client gone."""
    cdef upload_t *upload = session.upload
    session.upload = NULL
    if upload.request is not NULL:
        upload.request.upload = NULL
    if upload.home is not NULL:
        upload.home[0] = NULL
    slab_give(&source.upload_slab, upload)


cdef void upload_abort(Source source, session_t *session, const char *text) noexcept nogil:
    """The rest will not come, or is no good: the request is answered with `text`, the session ends after that."""
    cdef:
        upload_t  *upload = session.upload
        request_t *request = upload.request
        uint8_t    out[256]
        size_t     size = source.codec.error_for(request, out, sizeof(out), b"ERR", text, strlen(text))
    upload.state = UPLOAD_ABORTED
    if request is not NULL:
        request_drop_reply(&source.loop.pool, request)
        if not request_add_reply(&source.loop.pool, request, out, size):
            stream_close(&session.stream, ENOMEM)
        request.left = 0                    # whoever fails it has nothing to add
        request.failed = 1
    upload_close_target(upload)
    session_leave(session)


cdef void upload_open(upload_t *upload, stream_t *target, upload_t **home) noexcept nogil:
    """The head of the request has just been written to `target`: what comes of it is written behind. *home, the
    upstream's, is kept in step; upload_lost must be called if `target` dies while it is not NULL."""
    upload.target = target
    upload.home = home
    home[0] = upload
    if upload.state == UPLOAD_ABORTED:
        upload_close_target(upload)
        return
    invariant(upload.state == UPLOAD_WAITING)
    upload.state = UPLOAD_OPEN
    _go_on(upload.session)


cdef void upload_lost(upload_t *upload) noexcept nogil:
    """The rest can go nowhere any more; the client does not hear of that before its reply."""
    upload.home[0] = NULL
    upload.home = NULL
    upload.target = NULL
    if upload.state == UPLOAD_OPEN:
        upload.state = UPLOAD_SWALLOWED
        session_resume(upload.session, PAUSE_UPLOAD)


cdef void upload_close_target(upload_t *upload) noexcept nogil:
    """The rest will not come, and half a request can be followed by nothing: its upstream closes, but not before what
    the client had sent ahead of it has been answered there."""
    if upload.target is not NULL and (upload.request is NULL or upload.session.order_head is upload.request):
        stream_close(upload.target, CLOSE_LOCAL)


cdef void upload_detach(upload_t *upload) noexcept nogil:
    """The request has been answered; its rest is still to come."""
    upload.request.upload = NULL
    upload.request = NULL
    if upload.state == UPLOAD_ABORTED:
        upload_close_target(upload)
    elif upload.state == UPLOAD_WAITING:
        upload.state = UPLOAD_SWALLOWED
        _go_on(upload.session)


cdef void _go_on(session_t *session) noexcept nogil:
    """What came while the upload waited."""
    if session.stream.stash is not NULL and not session.stream.closed:
        (<Source>session.source).decode(session, chunk_data(session.stream.stash.chunk), 0)
    session_resume(session, PAUSE_UPLOAD)
