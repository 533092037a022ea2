#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int deep(volatile int *from) {
    volatile int here[64];
    here[0] = *from + 1;
    return deep(here) + here[0];
}

// A WASI command for the tests: what it does is its first argument.
int main(int count, char **arguments) {
    const char *what = count > 1 ? arguments[1] : "hello";
    if (!strcmp(what, "hello")) return puts("hello from wasm") < 0;
    if (!strcmp(what, "exit")) return atoi(arguments[2]);
    if (!strcmp(what, "env")) return puts(getenv(arguments[2]) ? getenv(arguments[2]) : "(unset)") < 0;
    if (!strcmp(what, "trap")) abort();
    if (!strcmp(what, "loop")) for (volatile int i = 0;; i++) {}
    if (!strcmp(what, "recurse")) {
        volatile int start = 0;
        return deep(&start);
    }
    if (!strcmp(what, "count")) {
        for (int i = 0;; i++) {
            printf("line %d\n", i);
            fflush(stdout);
            usleep(20000);
        }
    }
    if (!strcmp(what, "cat")) {
        char line[256];
        FILE *file = count > 2 ? fopen(arguments[2], "r") : stdin;
        if (!file) { perror(arguments[2]); return 2; }
        while (fgets(line, sizeof line, file)) fputs(line, stdout);
        return 0;
    }
    if (!strcmp(what, "write")) {
        FILE *file = fopen(arguments[2], "w");
        if (!file) { perror(arguments[2]); return 2; }
        return fputs(arguments[3], file) < 0 || fclose(file);
    }
    if (!strcmp(what, "grow")) {
        for (int i = 0;; i++) {
            // Written through a volatile pointer: else the compiler leaves the allocation out.
            volatile char *more = malloc(1 << 20);
            if (!more) return printf("full after %d MiB\n", i) < 0;
            for (int at = 0; at < 1 << 20; at += 4096) more[at] = 1;
        }
    }
    return 64;
}
