/* The conformance suite of the poller back ends: `pollers BACKEND CASE`. Exit code 77: the back end does not open here. */
#include "pollers_world.h"

static int readiness(void)
{
    return world.p->arena_size != 0;
}

/* ---- bytes ---- */

static void case_echo(void)
{
    enum { CLIENTS = 100 };
    struct sockaddr_in address;
    int fds[CLIENTS], open = CLIENTS;
    uint64_t sent[CLIENTS] = { 0 }, got[CLIENTS] = { 0 }, total[CLIENTS];

    world.echo = 1;
    listener_new(&address);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_new(&address);
        total[i] = 1 + random_below(40000);
    }
    UNTIL(world.accepted == CLIENTS);
    while (open > 0) {
        for (int i = 0; i < CLIENTS; i++) {
            size_t cut = 1 + random_below(random_below(3) ? 300 : 9000);

            if (got[i] == total[i])
                continue;
            sent[i] += client_write(fds[i], sent[i], cut < total[i] - sent[i] ? cut : (size_t)(total[i] - sent[i]));
            got[i] += (uint64_t)client_read(fds[i], got[i], SPAN);
            CHECK(got[i] <= sent[i]);
            if (got[i] == total[i])
                open--;
        }
        turn(0);
    }
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
}

static void case_large_send(void)
{
    const uint64_t total = 12 * 1024 * 1024;
    int client;
    conn_t *c = pair_new(&client);
    uint64_t got = 0, stuck;

    c->wanted = total;
    conn_flush(c);
    quiet(3);
    stuck = c->taken;
    CHECK(stuck < total && (c->blocked || c->flight != NULL));      /* the peer does not read */
    quiet(3);
    CHECK(c->taken == stuck);
    while (got < total) {
        ssize_t n = client_read(client, got, 1 + random_below(SPAN));

        CHECK(n >= 0);
        got += (uint64_t)n;
        turn(0);
    }
    CHECK(c->taken == total && !c->error);
    close(client);
}

static void case_borrowed_bytes_stay_until_release(void)
{
    enum { CLIENTS = 40 };
    struct sockaddr_in address;
    int fds[CLIENTS];
    uint64_t sent[CLIENTS] = { 0 }, total = 0;
    conn_t *c;

    listener_new(&address);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = client_new(&address);
    UNTIL(world.accepted == CLIENTS);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < CLIENTS; i++)
            for (size_t n = 1; n > 0 && sent[i] < (uint64_t)(round + 1) * 200000; sent[i] += n, total += n)
                n = client_write(fds[i], sent[i], 65536);
        UNTIL(world.data_bytes == total);
    }
    if (readiness())
        CHECK(world.full > 0);        /* more came in a turn than the arena holds */
    for (int i = 0; i < CONNS_MAX; i++)
        if ((c = world.conns[i]) != NULL)
            CHECK(!c->error && !c->eof);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
}

static int hook_reads_max;

static void hook_count_reads(const event_t *event)
{
    conn_t *c = (conn_t *)event->handle;

    if (event->kind == EVENT_DATA && c->reads_in_turn + 1 > hook_reads_max)
        hook_reads_max = c->reads_in_turn + 1;
}

static void case_a_fast_sender_does_not_starve_others(void)
{
    int fast, slow, turns = 0;
    conn_t *c = pair_new(&fast), *other = pair_new(&slow);
    uint64_t sent = 0;
    size_t n;

    world.hook = hook_count_reads;
    hook_reads_max = 0;
    while ((n = client_write(fast, sent, SPAN)) > 0)
        sent += n;
    client_write(slow, 0, 1);
    while (other->got == 0)
        turn(MS), turns++;
    CHECK(turns <= 3);
    UNTIL(c->got == sent);
    if (readiness())
        CHECK(hook_reads_max == 1);
    close(fast);
    close(slow);
}

/* ---- pausing ---- */

static void case_pause(void)
{
    int client;
    conn_t *c = pair_new(&client);
    uint64_t sent = 0, held;
    size_t n;

    sent += client_write(client, sent, 1000);
    UNTIL(c->got == sent);
    world.p->ops->want(world.p, &c->h, 0);
    turn(0);
    while ((n = client_write(client, sent, SPAN)) > 0)
        sent += n;
    quiet(3);
    held = c->got;
    CHECK(held == 1000);                         /* nothing was under way when it was paused */
    world.p->ops->want(world.p, &c->h, 1);
    UNTIL(c->got == sent);
    close(client);
}

static void case_pause_in_the_midst_of_a_stream(void)
{
    const uint64_t total = 3 * 1024 * 1024;
    int client, pauses = 0;
    conn_t *c = pair_new(&client);
    uint64_t sent = 0;

    world.echo = 0;
    while (c->got < total) {
        if (sent < total)
            sent += client_write(client, sent, total - sent < SPAN ? (size_t)(total - sent) : SPAN);
        turn(0);
        for (uint32_t flips = random_below(4); flips > 0; flips--)
            world.p->ops->want(world.p, &c->h, c->h.paused);
        if (c->h.paused && pauses++ % 8 == 0) {
            uint64_t held;

            turn(0);
            held = c->got;
            quiet(1);
            CHECK(c->got - held <= 1024 * 1024);
            held = c->got;
            quiet(1);
            CHECK(c->got == held);
        }
    }
    CHECK(pauses > 0);
    close(client);
}

static void case_resume_right_after_a_pause(void)
{
    int client;
    conn_t *c = pair_new(&client);

    quiet(1);
    for (uint64_t sent = 0; sent < 5000; ) {
        world.p->ops->want(world.p, &c->h, 0);
        if (sent % 2)
            turn(0);
        world.p->ops->want(world.p, &c->h, 1);
        quiet(1);
        sent += client_write(client, sent, 999);
        UNTIL(c->got == sent);
    }
    close(client);
}

static conn_t *hook_other[2];

static void hook_pause_the_other(const event_t *event)
{
    for (int i = 0; i < 2; i++)
        if (event->kind == EVENT_DATA && event->handle == &hook_other[i]->h)
            world.p->ops->want(world.p, &hook_other[!i]->h, 0);
}

static void case_pause_what_is_about_to_be_read(void)
{
    int fds[2];

    for (int i = 0; i < 2; i++)
        hook_other[i] = pair_new(&fds[i]);
    quiet(1);
    world.hook = hook_pause_the_other;
    for (int i = 0; i < 2; i++)
        client_write(fds[i], 0, 100);
    quiet(2);
    if (readiness())
        CHECK(world.data_bytes == 100);          /* (a completion was there already, and is handed out) */
    world.hook = NULL;
    for (int i = 0; i < 2; i++)
        world.p->ops->want(world.p, &hook_other[i]->h, 1);
    UNTIL(world.data_bytes == 200);
    for (int i = 0; i < 2; i++)
        close(fds[i]);
}

static void case_pause_listener(void)
{
    struct sockaddr_in address;
    conn_t *listener = listener_new(&address);
    int fds[5];

    turn(0);
    world.p->ops->want(world.p, &listener->h, 0);
    turn(0);
    for (int i = 0; i < 5; i++)
        fds[i] = client_new(&address);
    quiet(3);
    CHECK(world.accepted == 0);
    world.p->ops->want(world.p, &listener->h, 1);
    UNTIL(world.accepted == 5);
    for (int i = 0; i < 5; i++)
        close(fds[i]);
}

/* ---- ends ---- */

static void case_eof_after_data(void)
{
    const uint64_t total = 300000;
    int client;
    conn_t *c = pair_new(&client);
    uint64_t sent = 0, got = 0;

    while (sent < total) {
        sent += client_write(client, sent, (size_t)(total - sent));
        turn(0);
    }
    CHECK(!c->eof);
    shutdown(client, SHUT_WR);
    UNTIL(c->eof);
    CHECK(c->got == total && !c->error);
    c->wanted = 100000;                          /* the other direction still works */
    conn_flush(c);
    while (got < c->wanted) {
        got += (uint64_t)client_read(client, got, SPAN);
        turn(0);
    }
    quiet(2);
    CHECK(c->eof == 1);
    close(client);
}

static void case_eof_while_paused(void)
{
    int client;
    conn_t *c = pair_new(&client);

    turn(0);
    world.p->ops->want(world.p, &c->h, 0);
    turn(0);
    CHECK(client_write(client, 0, 40000) == 40000);
    shutdown(client, SHUT_WR);
    quiet(3);
    CHECK(c->got == 0 && !c->eof);
    world.p->ops->want(world.p, &c->h, 1);
    UNTIL(c->eof);
    CHECK(c->got == 40000);
    close(client);
}

static void client_reset(int fd)
{
    struct linger linger = { 1, 0 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

static void case_reset(void)
{
    int client, events;
    conn_t *c = pair_new(&client);

    quiet(1);
    client_reset(client);
    UNTIL(c->error || c->eof);
    CHECK(c->error == ECONNRESET && !c->eof);
    events = c->events;
    quiet(3);
    CHECK(c->events == events);                  /* told once */
}

static void case_reset_while_a_send_waits(void)
{
    int client;
    conn_t *c = pair_new(&client);

    c->wanted = 64 * 1024 * 1024;
    conn_flush(c);
    quiet(2);
    CHECK(c->blocked || c->flight != NULL);
    client_reset(client);
    UNTIL(c->error);
    quiet(2);
    CHECK(c->flight == NULL);
}

/* ---- connecting ---- */

static conn_t *connect_to(int family, const void *address, socklen_t size)
{
    conn_t *c = conn_new(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), HANDLE_CONNECTION);
    int status = world.p->ops->connect(world.p, &c->h, address, size);

    CHECK(status <= 0);
    c->error = -status;
    return c;
}

static void case_connect(void)
{
    struct sockaddr_in address, closed;
    int port = listen_tcp(&closed, 1), pauses;
    conn_t *good, *refused, *paused;

    world.echo = 1;
    listener_new(&address);
    close(port);
    good = connect_to(AF_INET, &address, sizeof address);
    refused = connect_to(AF_INET, &closed, sizeof closed);
    UNTIL((good->connected || good->error) && (refused->connected || refused->error));
    CHECK(good->connected && !good->error);
    CHECK(refused->error == ECONNREFUSED && !refused->connected && !refused->h.connecting);
    good->id = client_id(good->h.fd);
    UNTIL(world.accepted == 1);
    good->wanted = 70000;
    conn_flush(good);
    UNTIL(good->got >= 70000);                   /* two echoes face each other, so more comes */
    paused = connect_to(AF_INET, &address, sizeof address);
    world.p->ops->want(world.p, &paused->h, 0);
    UNTIL(paused->connected);
    for (pauses = 0; pauses < 3; pauses++)
        turn(0);
    CHECK(paused->got == 0);
}

static void case_connect_unix(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX }, missing = { .sun_family = AF_UNIX };
    conn_t *listener = conn_new(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), HANDLE_LISTENER);
    conn_t *good, *bad;

    snprintf(address.sun_path, sizeof address.sun_path, "pollers-%d.sock", (int)getpid());
    snprintf(missing.sun_path, sizeof missing.sun_path, "pollers-%d.missing", (int)getpid());
    CHECK(bind(listener->h.fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener->h.fd, 8) == 0);
    CHECK(world.p->ops->add(world.p, &listener->h) == 0);
    good = connect_to(AF_UNIX, &address, sizeof address);
    bad = connect_to(AF_UNIX, &missing, sizeof missing);
    UNTIL(good->connected && bad->error && world.accepted == 1);
    CHECK(bad->error == ENOENT && !bad->connected);
    good->wanted = 100000;
    conn_flush(good);
    UNTIL(world.data_bytes == 100000);
    unlink(address.sun_path);
}

static void case_drop_while_connecting(void)
{
    struct sockaddr_in address;
    int port = listen_tcp(&address, 0), fillers[4];
    conn_t *c;

    for (int i = 0; i < 4; i++)                  /* once its backlog is full, it leaves further ones unanswered */
        fillers[i] = client_new(&address);
    c = connect_to(AF_INET, &address, sizeof address);
    quiet(2);
    CHECK(!c->connected && !c->error && c->h.connecting);
    conn_drop(c);
    UNTIL(world.alive == 0);
    for (int i = 0; i < 4; i++)
        close(fillers[i]);
    close(port);
}

/* ---- dropping ---- */

static void hook_drop_at_random(const event_t *event)
{
    (void)event;
    if (random_below(3) == 0) {                  /* any, but the one this event is for */
        conn_t *c = world.conns[random_below(202)];

        if (c != NULL && &c->h != event->handle && !c->h.dropped && c->h.kind == HANDLE_CONNECTION)
            conn_drop(c);
    }
}

static void case_drop_in_the_midst_of_everything(void)
{
    enum { CLIENTS = 200 };
    struct sockaddr_in address;
    int fds[CLIENTS];
    uint8_t bytes[3000];

    world.echo = 1;
    listener_new(&address);
    memset(bytes, 1, sizeof bytes);
    for (int round = 0; round < 3; round++) {
        int before = world.accepted;

        for (int i = 0; i < CLIENTS; i++)
            fds[i] = client_new(&address);
        UNTIL(world.accepted == before + CLIENTS);
        for (int i = 0; i < CONNS_MAX; i++)
            if (world.conns[i] != NULL && world.conns[i]->h.kind == HANDLE_CONNECTION && i % 8 == 0)
                world.conns[i]->wanted = 4 * 1024 * 1024;          /* sends that get stuck */
        for (int i = 0; i < CLIENTS; i++)
            client_write(fds[i], 0, 1 + random_below(30000));
        world.hook = hook_drop_at_random;
        while (world.alive > 40) {
            turn(0);
            for (int i = 0; i < CLIENTS; i++)
                if (random_below(4) == 0)
                    (void)!recv(fds[i], bytes, sizeof bytes, 0);
            for (int i = 0; i < CONNS_MAX; i++)
                if (world.conns[i] != NULL && world.conns[i]->h.kind == HANDLE_CONNECTION && !world.conns[i]->h.dropped) {
                    if (random_below(10) == 0)
                        world.p->ops->want(world.p, &world.conns[i]->h, (int)random_below(2));
                    else if (random_below(30) == 0)
                        conn_drop(world.conns[i]);
                }
        }
        world.hook = NULL;
        for (int i = 0; i < CLIENTS; i++)
            close(fds[i]);
        for (int i = 0; i < CONNS_MAX; i++)
            if (world.conns[i] != NULL && world.conns[i]->h.kind == HANDLE_CONNECTION && !world.conns[i]->h.dropped)
                conn_drop(world.conns[i]);
        UNTIL(world.alive == 1);
    }
}

static void case_reply_then_drop(void)
{
    int client;
    conn_t *c = pair_new(&client);
    ssize_t n;
    uint64_t got = 0;

    quiet(1);
    c->wanted = 20000;
    conn_flush(c);
    conn_drop(c);
    UNTIL(world.alive == 0);
    while ((n = client_read(client, got, SPAN)) >= 0)
        got += (uint64_t)n;
    CHECK(got == 20000);
    close(client);
}

static void case_drop_says_when_to_free(void)
{
    int client;
    conn_t *c = pair_new(&client);

    quiet(1);
    world.dropped = 0;
    client_write(client, 0, 500);
    CHECK(world.p->ops->wait(world.p, MS) == 0);          /* an event is due that must not be handed out */
    conn_drop(c);
    UNTIL(world.alive == 0);
    CHECK(world.data_bytes == 0);
    close(client);
}

static void case_drop_a_listener_that_has_accepted(void)
{
    struct sockaddr_in address;
    conn_t *listener = listener_new(&address);
    int fds[6], before;

    turn(0);
    before = fds_open();
    for (int i = 0; i < 6; i++)
        fds[i] = client_new(&address);
    CHECK(world.p->ops->wait(world.p, MS) == 0);
    conn_drop(listener);
    UNTIL(world.alive == 0);
    CHECK(world.accepted == 0 && fds_open() == before + 6 - 1);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
}

static void case_close_lets_go_at_once(void)
{
    struct sockaddr_in address;
    conn_t *listener = listener_new(&address);
    int client, probe = tcp_socket();
    conn_t *c = pair_new(&client);

    c->wanted = 16 * 1024 * 1024;
    conn_flush(c);
    quiet(2);
    world.p->ops->close(world.p);                         /* with an accept, a receive and a send in flight */
    close(listener->h.fd);
    close(c->h.fd);
    CHECK(connect(probe, (struct sockaddr *)&address, sizeof address) < 0);
    for (struct tcp_info info = { 0 }; info.tcpi_state != TCP_CLOSE; ) {
        socklen_t size = sizeof info;

        CHECK(getsockopt(probe, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
        CHECK(info.tcpi_state != TCP_ESTABLISHED);
    }
    close(probe);
    close(client);
    conn_free(c);
    conn_free(listener);
    world_open("auto");                                   /* for world_close */
}

static void *work_and_end(void *unused)
{
    UNTIL(world.accepted == 1);
    return unused;
}

static void case_close_after_its_thread_has_ended(void)
{
    struct sockaddr_in address;
    int client;
    pthread_t thread;

    listener_new(&address);
    client = client_new(&address);
    CHECK(pthread_create(&thread, NULL, work_and_end, NULL) == 0);      /* set up here, used there, closed here */
    pthread_join(thread, NULL);
    world.p->ops->close(world.p);
    for (int i = 0; i < CONNS_MAX; i++)
        if (world.conns[i] != NULL)
            close(world.conns[i]->h.fd), conn_free(world.conns[i]);
    close(client);
    world_open("auto");
}

static void case_opened_and_closed_many_times(void)
{
    const char *name = world.p->ops->name;
    int before = fds_open();

    for (int i = 0; i < 40; i++) {
        CHECK(turn(0) == 0);
        world.p->ops->close(world.p);
        world_open(name);
    }
#ifndef KQUEUE_ON_LINUX_H
    CHECK(fds_open() == before);
#else
    (void)before;                                         /* the imitation leaves its eventfds open */
#endif
#ifdef SHOTOVER_URING_RING_H
    CHECK(turn(0) == 0);                                  /* a thread can register 16 rings: none was left behind */
    if (!readiness())
        CHECK(((uring_t *)world.p)->ring.enter_flags != 0);
#endif
}

/* ---- waking and time ---- */

static uint32_t letters;

static void *waker_run(void *unused)
{
    for (int i = 0; i < 2000; i++) {
        __atomic_add_fetch(&letters, 1, __ATOMIC_SEQ_CST);
        world.p->ops->wake(world.p);
        if (i % 5 == 0)
            sched_yield();
    }
    return unused;
}

static void case_wake(void)
{
    pthread_t thread;
    int turns = 0;

    world.p->ops->wake(world.p);                          /* before the wait: not lost */
    turn(-1);
    CHECK(world.wakes == 1);
    letters = 0;
    CHECK(pthread_create(&thread, NULL, waker_run, NULL) == 0);
    while (__atomic_load_n(&letters, __ATOMIC_SEQ_CST) < 2000)
        turn(-1), turns++;                                /* a lost wake would hang here */
    pthread_join(thread, NULL);
    CHECK(world.wakes >= 1 && turns <= 2100);
    quiet(2);
}

static void on_alarm(int number)
{
    (void)number;
}

static void case_a_large_read_goes_on_at_once(void)
{
    int client;
    conn_t *c = pair_new(&client);
    uint64_t sent = 0, before;
    size_t n;

    while (sent < 300000 && (n = client_write(client, sent, SPAN)) > 0)
        sent += n;
    before = now_ns();
    while (c->got < sent)
        turn(1000 * (int64_t)MS);                         /* though the kernel has nothing new to say */
    CHECK(now_ns() - before < 900 * (uint64_t)MS);
    close(client);
}

static void check_waits(void)
{
    const int64_t waits[] = { 0, 200 * 1000, 1500 * 1000, 7 * MS };

    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        uint64_t least = UINT64_MAX;

        for (int round = 0; round < 10; round++) {
            uint64_t before = world.p->ops->now(world.p), took;

            CHECK(turn(waits[i]) == 0);
            took = world.p->ops->now(world.p) - before;
            CHECK(took >= (uint64_t)waits[i]);
            least = took < least ? took : least;
        }
        CHECK(least < (uint64_t)waits[i] + 2 * MS);
    }
}

static void case_time(void)
{
    struct sigaction action = { .sa_handler = on_alarm };
    struct itimerval timer = { .it_value = { 0, 5000 } };

    check_waits();
#ifdef SHOTOVER_POLLER_EPOLL_H
    if (strcmp(world.p->ops->name, "epoll") == 0) {
        ((epoll_t *)world.p)->coarse = 1;                 /* a kernel without epoll_pwait2: late, never early */
        check_waits();
    }
#endif
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    CHECK(world.p->ops->wait(world.p, -1) == 0);          /* a signal ends the wait; that is not an error */
    signal(SIGALRM, SIG_DFL);
}

static void case_idle_is_quiet(void)
{
    int client;
    uint64_t before, calls;
    conn_t *c = pair_new(&client);

    world.echo = 1;
    client_write(client, 0, 100);
    UNTIL(c->taken == 100 && c->flight == NULL);
    quiet(3);
    before = world.p->ops->now(world.p);
    calls = world.p->syscalls;
    CHECK(turn(30 * MS) == 0);
    CHECK(world.p->ops->now(world.p) - before >= 30 * MS);
    CHECK(world.p->syscalls - calls <= 1);
    close(client);
}

static void case_polling_sees_data(void)
{
    int client;
    conn_t *c = pair_new(&client);

    client_write(client, 0, 10);
    while (c->got < 10)
        turn(0);
    close(client);
}

/* ---- accepting ---- */

static void case_accept_storm(void)
{
    enum { CLIENTS = 2000 };
    static int fds[CLIENTS];
    struct sockaddr_in address;
    int most = 0;

    listener_new(&address);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_new(&address);
        if (i % 100 == 99)                                /* a hundred at a time fit the backlog of any system */
            while (world.accepted < i + 1) {
                turn(MS);
                most = world.accepts_in_turn > most ? world.accepts_in_turn : most;
            }
    }
    quiet(2);
    CHECK(world.accepted == CLIENTS && world.alive == CLIENTS + 1);
    if (readiness())
        CHECK(most <= 64);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    for (int ended = 0; ended < CLIENTS; ) {
        turn(MS);
        ended = 0;
        for (int i = 0; i < CONNS_MAX; i++)
            ended += world.conns[i] != NULL && world.conns[i]->eof;
    }
}

static void case_fds_run_out(void)
{
    struct sockaddr_in address;
    struct rlimit before, tight;
    conn_t *listener = listener_new(&address);
    int fds[12], top = 0;

    for (int i = 0; i < 12; i++)
        top = (fds[i] = client_new(&address)) > top ? fds[i] : top;
    getrlimit(RLIMIT_NOFILE, &before);
    tight = before;
    tight.rlim_cur = (rlim_t)top + 5;                     /* room for four more */
    setrlimit(RLIMIT_NOFILE, &tight);
    UNTIL(world.accept_error);
    CHECK(world.accept_error == EMFILE && world.accepted == 4 && listener->h.paused);
    quiet(3);
    CHECK(world.accepted == 4);
    world.accept_error = 0;
    world.p->ops->want(world.p, &listener->h, 1);         /* still none: told again, once */
    UNTIL(world.accept_error);
    quiet(3);
    setrlimit(RLIMIT_NOFILE, &before);
    world.accept_error = 0;
    world.p->ops->want(world.p, &listener->h, 1);
    UNTIL(world.accepted == 12);
    CHECK(world.accept_error == 0);
    for (int i = 0; i < 12; i++)
        close(fds[i]);
}

static void case_many_sends_in_a_turn(void)
{
    enum { CLIENTS = 700 };                               /* more than the submission queue holds */
    static int fds[CLIENTS];
    static uint64_t got[CLIENTS];
    struct sockaddr_in address;

    listener_new(&address);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_new(&address);
        if (i % 100 == 99)
            UNTIL(world.accepted == i + 1);
    }
    for (int i = 0; i < CONNS_MAX; i++)
        if (world.conns[i] != NULL && world.conns[i]->h.kind == HANDLE_CONNECTION)
            world.conns[i]->wanted = 3000;
    for (int left = CLIENTS; left > 0; ) {
        turn(0);
        for (int i = 0; i < CLIENTS; i++)
            if (got[i] < 3000 && (got[i] += (uint64_t)client_read(fds[i], got[i], SPAN)) == 3000)
                left--;
    }
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
}

/* In pollers_race.h: cases that need a client in a thread of its own. */
#include "pollers_race.h"

#define CASE(name) { #name, case_##name }
static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    CASE(echo), CASE(large_send), CASE(borrowed_bytes_stay_until_release), CASE(a_fast_sender_does_not_starve_others),
    CASE(pause), CASE(pause_in_the_midst_of_a_stream), CASE(pause_listener), CASE(resume_right_after_a_pause),
    CASE(pause_what_is_about_to_be_read), CASE(drop_a_listener_that_has_accepted), CASE(a_large_read_goes_on_at_once), CASE(eof_after_data), CASE(eof_while_paused),
    CASE(reset), CASE(reset_while_a_send_waits), CASE(connect), CASE(connect_unix), CASE(drop_while_connecting),
    CASE(drop_in_the_midst_of_everything), CASE(reply_then_drop), CASE(drop_says_when_to_free), CASE(close_lets_go_at_once),
    CASE(close_after_its_thread_has_ended), CASE(opened_and_closed_many_times),
    CASE(wake), CASE(time), CASE(idle_is_quiet), CASE(polling_sees_data), CASE(accept_storm), CASE(fds_run_out),
    CASE(many_sends_in_a_turn), CASE(a_reset_right_behind_data),
};

int main(int argc, char **argv)
{
    size_t i, count = sizeof cases / sizeof *cases;

    for (i = 0; i < count; i++) {
        if (argc < 3)
            printf("%s\n", cases[i].name);
        else if (strcmp(argv[2], cases[i].name) == 0)
            break;
    }
    if (argc < 3)
        return 0;
    CHECK(i < count);
    alarm(15);
    world_open(argv[1]);
    cases[i].run();
    world_close();
    return 0;
}
