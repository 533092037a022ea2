#ifndef ISLE_CWASMTIME_H
#define ISLE_CWASMTIME_H

// The part of the wasmtime C API (version 47) that Isle uses, as a table of functions filled by dlsym, so that
// libwasmtime is a run-time part and not needed to build. Names and layouts: https://docs.wasmtime.dev/c-api/.

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

typedef struct { size_t size; char *data; } isle_wasm_bytes;
typedef struct { size_t size; void **data; } isle_wasm_frames;
typedef struct { uint64_t store; void *priv; } isle_wasm_func;
typedef struct { struct { uint64_t store; uint32_t priv1; } a; uint32_t priv2; } isle_wasm_component_func;
typedef struct { uint64_t store; uint32_t priv; } isle_wasm_component_instance;
// A value of the component model: the kind, then a union of 24 bytes of which only `result` is looked at.
typedef struct isle_wasm_value {
    uint8_t kind;
    union { struct { bool is_ok; struct isle_wasm_value *value; } result; uint64_t size[3]; } of;
} isle_wasm_value;
static const uint8_t ISLE_WASM_KIND_RESULT = 19;

#define ISLE_WASMTIME_FUNCTIONS(F) \
    F(void *, wasm_config_new, (void)) \
    F(void *, wasm_engine_new_with_config, (void *config)) \
    F(void, wasmtime_config_epoch_interruption_set, (void *config, bool on)) \
    F(void, wasmtime_config_consume_fuel_set, (void *config, bool on)) \
    F(void, wasmtime_engine_increment_epoch, (void *engine)) \
    F(void *, wasmtime_store_new, (void *engine, void *data, void (*finalizer)(void *))) \
    F(void *, wasmtime_store_context, (void *store)) \
    F(void, wasmtime_store_limiter, (void *store, int64_t memory, int64_t elements, int64_t instances, int64_t tables, int64_t memories)) \
    F(void, wasmtime_context_set_epoch_deadline, (void *context, uint64_t ticks)) \
    F(void *, wasmtime_context_set_fuel, (void *context, uint64_t fuel)) \
    F(void *, wasmtime_context_set_wasi, (void *context, void *wasi)) \
    F(void *, wasi_config_new, (void)) \
    F(bool, wasi_config_set_argv, (void *wasi, size_t count, const char **arguments)) \
    F(bool, wasi_config_set_env, (void *wasi, size_t count, const char **names, const char **values)) \
    F(bool, wasi_config_preopen_dir, (void *wasi, const char *host, const char *guest, size_t directories, size_t files)) \
    F(void, wasi_config_inherit_stdin, (void *wasi)) \
    F(void, wasi_config_inherit_stdout, (void *wasi)) \
    F(void, wasi_config_inherit_stderr, (void *wasi)) \
    F(void, wasi_config_inherit_network, (void *wasi)) \
    F(void, wasi_config_allow_ip_name_lookup, (void *wasi, bool on)) \
    F(void *, wasmtime_module_new, (void *engine, const uint8_t *bytes, size_t size, void **module)) \
    F(void *, wasmtime_module_serialize, (void *module, isle_wasm_bytes *out)) \
    F(void *, wasmtime_module_deserialize_file, (void *engine, const char *path, void **module)) \
    F(void *, wasmtime_linker_new, (void *engine)) \
    F(void *, wasmtime_linker_define_wasi, (void *linker)) \
    F(void *, wasmtime_linker_module, (void *linker, void *context, const char *name, size_t length, void *module)) \
    F(void *, wasmtime_linker_get_default, (void *linker, void *context, const char *name, size_t length, isle_wasm_func *out)) \
    F(void *, wasmtime_func_call, (void *context, const isle_wasm_func *func, const void *arguments, size_t count, void *results, size_t result_count, void **trap)) \
    F(void *, wasmtime_component_new, (void *engine, const uint8_t *bytes, size_t size, void **component)) \
    F(void *, wasmtime_component_serialize, (void *component, isle_wasm_bytes *out)) \
    F(void *, wasmtime_component_deserialize_file, (void *engine, const char *path, void **component)) \
    F(void *, wasmtime_component_linker_new, (void *engine)) \
    F(void *, wasmtime_component_linker_add_wasip2, (void *linker)) \
    F(void *, wasmtime_component_linker_instantiate, (void *linker, void *context, void *component, isle_wasm_component_instance *out)) \
    F(void *, wasmtime_component_instance_get_export_index, (const isle_wasm_component_instance *instance, void *context, const void *parent, const char *name, size_t length)) \
    F(bool, wasmtime_component_instance_get_func, (const isle_wasm_component_instance *instance, void *context, const void *index, isle_wasm_component_func *out)) \
    F(void *, wasmtime_component_func_call, (const isle_wasm_component_func *func, void *context, const isle_wasm_value *arguments, size_t count, isle_wasm_value *results, size_t result_count)) \
    F(void, wasmtime_error_message, (void *error, isle_wasm_bytes *out)) \
    F(bool, wasmtime_error_exit_status, (void *error, int *status)) \
    F(void, wasmtime_error_wasm_trace, (void *error, isle_wasm_frames *out)) \
    F(void, wasm_trap_message, (void *trap, isle_wasm_bytes *out)) \
    F(void, wasm_trap_trace, (void *trap, isle_wasm_frames *out)) \
    F(bool, wasmtime_trap_code, (void *trap, uint8_t *code)) \
    F(uint32_t, wasm_frame_func_index, (void *frame)) \
    F(isle_wasm_bytes *, wasmtime_frame_func_name, (void *frame))

/// One function pointer per entry of the list above, named as the function.
typedef struct {
#define ISLE_WASMTIME_MEMBER(result, name, arguments) result (*name) arguments;
    ISLE_WASMTIME_FUNCTIONS(ISLE_WASMTIME_MEMBER)
#undef ISLE_WASMTIME_MEMBER
} isle_wasmtime;

/// Loads the library at `path` into `api`. NULL on success, else what is missing, as dlerror(3) says it (valid until
/// the next call of the thread).
static inline const char *isle_wasmtime_load(const char *path, isle_wasmtime *api) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return dlerror();
#define ISLE_WASMTIME_LOAD(result, name, arguments) \
    api->name = (result (*) arguments) dlsym(library, #name); \
    if (!api->name) return "it lacks the function " #name;
    ISLE_WASMTIME_FUNCTIONS(ISLE_WASMTIME_LOAD)
#undef ISLE_WASMTIME_LOAD
    return NULL;
}

/// The command line of the process, the program's name first.
int isle_argument_count(void);
const char *isle_argument(int index);

/// The environment of the process, ended by a null pointer.
static inline char **isle_environment(void) {
    extern char **environ;
    return environ;
}

/// Becomes user and group `id` for good, with no other groups and no new privileges. 0, or -1 with errno.
static inline int isle_become(uid_t id) {
    extern int setresuid(uid_t, uid_t, uid_t);
    extern int setresgid(gid_t, gid_t, gid_t);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || setgroups(0, NULL)) return -1;
    return setresgid(id, id, id) || setresuid(id, id, id) ? -1 : 0;
}

#endif
