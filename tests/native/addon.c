// An addon for Node whose chains of calls are known: compiled without frame pointers, `run(mode, ms)` keeps
// the thread for some time below run > outer > middle > work_MODE, in whatever the mode is about.
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define COUNT(array) (sizeof(array) / sizeof *(array))

static volatile long sink;

static long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

NOINLINE static void work_memcpy(long until) {
    static char from[1 << 16], to[1 << 16];
    while (now_ms() < until)
        for (int i = 0; i < 20; i++)
            memcpy(to, from, sizeof from - (size_t)(sink & 7));
}

NOINLINE static void work_malloc(long until) {
    void *kept[64] = {0};
    while (now_ms() < until)
        for (unsigned i = 0; i < 1000; i++) {
            free(kept[i % 64]);
            kept[i % 64] = malloc(i * 37 % 5000 + 1);
        }
    for (unsigned i = 0; i < 64; i++)
        free(kept[i]);
}

NOINLINE static void work_epoll(long until) {
    int epoll = epoll_create1(0);
    struct epoll_event event;
    while (now_ms() < until)
        for (int i = 0; i < 50; i++)
            sink += epoll_wait(epoll, &event, 1, 0);
    close(epoll);
}

NOINLINE static void work_futex(long until) {
    int word = 1;
    while (now_ms() < until)
        for (int i = 0; i < 50; i++)
            sink += syscall(SYS_futex, &word, 0 /* FUTEX_WAIT, which finds another value */, 0, NULL);
}

NOINLINE static void work_clock(long until) {
    struct timespec now;
    while (now_ms() < until)
        for (int i = 0; i < 200; i++)
            clock_gettime(CLOCK_REALTIME, &now);
}

// Seen from outside, so calls go through the linkage table.
NOINLINE long through_table(long n) {
    return n + sink;
}

NOINLINE static void work_table(long until) {
    while (now_ms() < until)
        for (int i = 0; i < 2000; i++)
            sink += through_table(i);
}

// Little but their own starts and ends.
NOINLINE static long edge_3(long n) {
    return n * 3 + sink;
}

NOINLINE static long edge_2(long n) {
    volatile long block[40];
    block[n & 7] = n;
    return edge_3(n + 1) + block[n & 7];
}

NOINLINE static long edge_1(long n, long a, long b, long c) {
    return edge_2(n) * a + edge_2(n + b) * b + c;
}

NOINLINE static void work_edges(long until) {
    while (now_ms() < until)
        for (long i = 0; i < 500; i++)
            sink += edge_1(i, sink, i, i);
}

NOINLINE static void in_handler(void) {
    for (int i = 0; i < 20000; i++)
        sink += i;
}

static void handler(int signal) {
    in_handler();
    sink += signal;
}

static void signals(long until, int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(SIGRTMIN + 5, &action, NULL);
    while (now_ms() < until)
        raise(SIGRTMIN + 5);
}

NOINLINE static void work_signal(long until) {
    signals(until, 0);
    sink++;
}

NOINLINE static void work_other_stack(long until) {
    static char other[65536];
    stack_t stack = {.ss_sp = other, .ss_size = sizeof other}, before;
    sigaltstack(&stack, &before);
    signals(until, SA_ONSTACK);
    sigaltstack(&before, NULL);
}

static const struct {
    const char *name;
    void (*work)(long);
} MODES[] = {
    {"memcpy", work_memcpy},  {"malloc", work_malloc},           {"epoll", work_epoll},
    {"futex", work_futex},    {"clock", work_clock},             {"table", work_table},
    {"edges", work_edges},    {"signal", work_signal},           {"other_stack", work_other_stack},
};

NOINLINE static void middle(const char *mode, long until) {
    // More alignment than the stack has, and a size that is not known before.
    _Alignas(64) volatile char block[64];
    volatile char grown[strlen(mode) * 8 + 16];
    block[0] = grown[0] = 1;
    for (size_t i = 0; i < COUNT(MODES); i++)
        if (strcmp(MODES[i].name, mode) == 0)
            MODES[i].work(until);
    sink += block[0] + grown[0];
}

NOINLINE static void outer(const char *mode, long ms) {
    middle(mode, now_ms() + ms);
    sink++;
}

// What is used of Node-API, whose headers need not be there.
typedef void *value;
extern int napi_create_function(value env, const char *name, size_t length, value (*call)(value, value),
                                void *data, value *result);
extern int napi_get_cb_info(value env, value info, size_t *count, value *arguments, value *self, void **data);
extern int napi_get_value_int64(value env, value number, long *result);
extern int napi_get_value_string_utf8(value env, value string, char *into, size_t size, size_t *length);

NOINLINE static value run(value env, value info) {
    value arguments[2];
    size_t count = 2, length;
    char mode[32] = "";
    long ms = 0;
    napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
    napi_get_value_string_utf8(env, arguments[0], mode, sizeof mode, &length);
    napi_get_value_int64(env, arguments[1], &ms);
    outer(mode, ms);
    sink++;
    return NULL;
}

value napi_register_module_v1(value env, value exports) {
    value function = exports;
    napi_create_function(env, "run", 3, run, NULL, &function);
    return function;
}
