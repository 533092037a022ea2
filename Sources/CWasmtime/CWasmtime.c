#include "CWasmtime.h"

static int saved_count;
static char **saved_arguments;

// glibc gives constructors main's arguments (elf/dl-init.c). Swift's own CommandLine reads them from /proc, which a
// runner's root does not have.
__attribute__((constructor)) static void save(int count, char **arguments) {
    saved_count = count;
    saved_arguments = arguments;
}

int isle_argument_count(void) { return saved_count; }

const char *isle_argument(int index) { return saved_arguments[index]; }
