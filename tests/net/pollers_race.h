/* What clients do while the loop is in the middle of a turn. */
#ifndef POLLERS_RACE_H
#define POLLERS_RACE_H

#include "pollers_world.h"
#include <poll.h>

#ifndef RACE_CLIENTS
#define RACE_CLIENTS 2000
#endif
enum { RACE_AT_ONCE = 64, RACE_BYTES = 5 };

static struct {
    struct sockaddr_in address;
    int ended;                  /* connections whose end was heard of; atomic */
} race;

/* Connects, sends, resets; between these, nothing for up to some ten microseconds. */
static void *race_clients(void *unused)
{
    const struct linger at_once = { 1, 0 };
    const int one = 1;
    uint8_t bytes[RACE_BYTES];
    uint32_t chance = 1;

    bytes_fill(bytes, RACE_BYTES, 0, 0);
    for (int i = 0; i < RACE_CLIENTS; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&race.address, sizeof race.address) == 0);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        for (int step = 0; step < 2; step++) {
            chance = chance * 1103515245 + 12345;
            for (volatile uint32_t spins = (chance >> 16) % (step ? 6000 : 20000); spins > 0; spins--)
                ;
            if (step == 0)
                CHECK(send(fd, bytes, RACE_BYTES, MSG_NOSIGNAL) == RACE_BYTES);
        }
        close(fd);
        while (i - __atomic_load_n(&race.ended, __ATOMIC_RELAXED) > RACE_AT_ONCE)
            poll(NULL, 0, 1);
    }
    return unused;
}

static void race_event(const event_t *event)
{
    conn_t *c = (conn_t *)event->handle;

    if (event->kind == EVENT_DATA)
        c->id = 0;              /* the bytes do not tell whose they are: its port may be unknown by now */
}

static void race_bury(void)
{
    for (int i = 0; i < CONNS_MAX; i++) {
        conn_t *c = world.conns[i];

        if (c == NULL || c->h.dropped || !(c->eof || c->error))
            continue;
        CHECK(c->got == 0 || c->got == RACE_BYTES);
        conn_drop(c);
        __atomic_fetch_add(&race.ended, 1, __ATOMIC_RELAXED);
    }
}

/* A kernel that wakes a receive once for the bytes and once for the reset behind them may not lose the second. */
static void case_a_reset_right_behind_data(void)
{
    pthread_t clients;

    listener_new(&race.address);
    world.hook = race_event;
    CHECK(pthread_create(&clients, NULL, race_clients, NULL) == 0);
    while (race.ended < RACE_CLIENTS) {
        turn(MS);
        race_bury();
    }
    CHECK(pthread_join(clients, NULL) == 0);
    world.hook = NULL;
}

#endif
