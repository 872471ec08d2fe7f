/* What poller_choose makes of a system that forbids io_uring: prints one line for each name asked for. */
#include "shotover/_net/poller_choose.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif

static int forbid_io_uring(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(void)
{
    const char *names[] = { "auto", "io_uring", "epoll" };
    char why[256];
    int error;

#ifndef NO_FILTER
    if (forbid_io_uring() < 0)
        return 1;
#endif
    for (int i = 0; i < 3; i++) {
        poller_t *p = poller_choose(names[i], &error, why, sizeof why);

        if (p == NULL)
            printf("%s: %d: %s\n", names[i], error, why);
        else {
            printf("%s: %s: %s\n", names[i], p->ops->name, why);
            p->ops->close(p);
        }
    }
    return 0;
}
#ifdef NO_FILTER
static int (*const unused)(void) __attribute__((unused)) = forbid_io_uring;
#endif
