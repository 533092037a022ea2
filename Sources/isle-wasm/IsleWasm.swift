import CWasmtime
import Glibc

/// Runs one WASM module or component, or compiles one. It is started by Isle inside namespaces and a cgroup, knows
/// nothing of the daemon and gives the guest only what its arguments grant.
@main
struct IsleWasm {
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        // As process 1 of its pid namespace it is sent only signals that it handles.
        signal(SIGTERM) { number in _exit(128 + number) }
        signal(SIGINT) { number in _exit(128 + number) }
        signal(SIGHUP) { number in _exit(128 + number) }
        signal(SIGQUIT) { number in _exit(128 + number) }
        switch Command((1..<max(1, isle_argument_count())).map { String(cString: isle_argument($0)) }) {
        case .compile(let command): exit(Compiler(command: command).run())
        case .run(let command): exit(Runner(command: command).run())
        case nil: exit(125)
        }
    }
}
