/* A Redis module of a few commands, for the tests: against the documented module API, by hand, so that no header is
   needed. Built by support/toy_module.py. */
#include <stddef.h>

typedef struct Context Context;
typedef struct String String;
typedef int (*Command)(Context *, String **, int);

static int (*get_api)(const char *, void *);
static void (*set_attributes)(Context *, const char *, int, int);
static int (*create_command)(Context *, const char *, Command, const char *, int, int, int);
static int (*reply_number)(Context *, long long);

static int count_words(Context *context, String **words, int count) {
    (void)words;
    return reply_number(context, count);
}

int RedisModule_OnLoad(Context *context, String **words, int count) {
    (void)words;
    (void)count;
    get_api = ((int (**)(const char *, void *))context)[0];     /* the first field of every context */
    if (get_api("RedisModule_SetModuleAttribs", &set_attributes) || get_api("RedisModule_CreateCommand", &create_command)
        || get_api("RedisModule_ReplyWithLongLong", &reply_number))
        return 1;
    set_attributes(context, "toy", 1, 1);
    return create_command(context, "toy.read", count_words, "readonly fast", 1, 1, 1)
        || create_command(context, "toy.write", count_words, "write", 1, -1, 2)
        || create_command(context, "toy.odd", count_words, "", 0, 0, 0)
        || create_command(context, "toy.order", count_words, "admin", 0, 0, 0);
}
