// Code whose callers are hard to find: compiled without frame pointers, it calls through the linkage
// table for the first time and again, realigns its stack, is interrupted by signals on its own stack and on
// another, and jumps to its callee at its end. Its chain of calls is known: main, outer, middle, inner.
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int sink;
static char from[300], to[300];

static int compare(const void *left, const void *right) {
    return *(const char *)left - *(const char *)right;
}

__attribute__((noinline)) static int last(int n) {
    return n + sink;
}

__attribute__((noinline)) static int inner(int n) {
    char ordered[6] = "qwerty";
    qsort(ordered, sizeof ordered, 1, compare);
    memcpy(to, from, sizeof from);
    sink += to[n & 255] + (int)strlen(from) + ordered[0];
    if (n == 0)
        raise(SIGUSR1);
    return last(n + 1);
}

__attribute__((noinline)) static int middle(int n) {
    // More alignment than the stack has.
    _Alignas(64) volatile char block[64 + 16];
    volatile char grown[n * 8 + 16];
    block[0] = grown[0] = (char)n;
    return inner(n) + block[0] + grown[0];
}

__attribute__((noinline)) static int outer(int n) {
    int sum = 0;
    for (int i = 0; i < 2; i++)
        sum += middle(n);
    return sum;
}

static void handler(int signal) {
    sink += last(signal);
}

int main(void) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, NULL);
    int sum = outer(0);
    static char other[65536];
    stack_t stack = {.ss_sp = other, .ss_size = sizeof other};
    sigaltstack(&stack, NULL);
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR1, &action, NULL);
    return sum + outer(0) == 1;
}
