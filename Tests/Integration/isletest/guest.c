#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// As the host sees them: addresses and lengths that no compiler would pass.
__attribute__((import_module("wasi_snapshot_preview1"), import_name("path_open")))
int raw_path_open(int fd, int lookup, int path, int size, int open, long long rights, long long inherited, int flags,
                  int opened);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_write")))
int raw_fd_write(int fd, int vectors, int count, int written);

#define PATH(text) (int)(text), sizeof(text) - 1

// Asks for a file in the first folder it was given, wrongly in the way of `number`; 3 if it was given one.
static int malformed(int number) {
    static char name[6000];
    int opened = -1, result = 0;
    int vector[2] = {(int)"x", 1};
    memset(name, 'a', sizeof name);
    switch (number) {
    case 0: result = raw_path_open(3, 1, PATH("\xff\xfe"), 0, 2, 0, 0, (int)&opened); break;
    case 1: result = raw_path_open(3, 1, PATH("file\0x"), 0, 2, 0, 0, (int)&opened); break;
    case 2: result = raw_path_open(3, 1, PATH(""), 0, 2, 0, 0, (int)&opened); break;
    case 3: result = raw_path_open(3, 1, PATH("/etc/passwd"), 0, 2, 0, 0, (int)&opened); break;
    case 4: result = raw_path_open(3, 1, PATH("x/../../outside"), 0, 2, 0, 0, (int)&opened); break;
    case 5: result = raw_path_open(3, 1, (int)name, sizeof name, 0, 2, 0, 0, (int)&opened); break;
    case 6: result = raw_path_open(3, -2, PATH("file"), 0, 2, 0, 0, (int)&opened); break;
    case 7: result = raw_path_open(3, 1, PATH("file"), 0xfff0, 2, 0, 0, (int)&opened); break;
    case 8: result = raw_path_open(3, 1, PATH("file"), 0, 2, 0, 0xffe0, (int)&opened); break;
    case 9: result = raw_path_open(-1, 1, PATH("file"), 0, 2, 0, 0, (int)&opened); break;
    case 10: result = raw_path_open(3, 1, -16, 64, 0, 2, 0, 0, (int)&opened); break;
    case 11: result = raw_path_open(3, 1, PATH("file"), 0, 2, 0, 0, -2); break;
    case 12: result = raw_fd_write(1, (int)vector, 0x7fffffff, (int)&opened); break;
    case 13: vector[1] = -1; result = raw_fd_write(1, (int)vector, 1, (int)&opened); break;
    // What is right works, so that the others fail for what is wrong with them.
    default: result = raw_path_open(3, 1, PATH("file"), 0, 2, 0, 0, (int)&opened); break;
    }
    return result ? 2 : 3;
}

// Whether memory that was never written is empty; it is full of a pattern then.
static int fresh(void) {
    size_t before = __builtin_wasm_memory_grow(0, 256);
    volatile unsigned char *memory = (volatile unsigned char *)(before << 16);
    for (size_t at = 0; at < 256u << 16; at++) {
        if (memory[at]) return printf("byte %zu is %d\n", at, memory[at]), 1;
        memory[at] = 0xa5;
    }
    return puts("fresh") < 0;
}

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
    if (!strcmp(what, "malformed")) return malformed(atoi(arguments[2]));
    if (!strcmp(what, "fresh")) return fresh();
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
