import CHost
import Glibc
public import Model

/// Work in network namespaces other than the process's own.
public enum NetworkNamespace {
    /// Runs `body` on a thread of its own that has entered the network namespace `descriptor` (setns(2)), and waits
    /// for it. Sockets that `body` opens stay in that namespace; files below /proc/sys/net are that namespace's. The
    /// thread ends with the call, so that no other code can ever run in the wrong namespace.
    public static func run<Value: Sendable>(
        in descriptor: OwnedDescriptor, _ body: @escaping @Sendable () throws -> Value
    ) throws -> Value {
        let job = Job {
            try enter(descriptor)
            return try body()
        }
        return try job.runOnThread()
    }

    /// Moves the calling thread into a namespace for good: only for threads that belong to nobody else.
    public static func enter(_ descriptor: OwnedDescriptor) throws {
        let raw = descriptor.raw
        guard raw >= 0 else { throw EngineError(.conflict, "the network namespace is closed already") }
        let result = isle_net_enter(raw)
        guard result == 0 else { throw NetlinkError(errno: -result, request: "enter a network namespace") }
    }

    /// A new, empty network namespace. It lives as long as the descriptor, or a process or socket in it.
    public static func make() throws -> OwnedDescriptor {
        try Job {
            let result = isle_net_unshare()
            guard result == 0 else { throw NetlinkError(errno: -result, request: "make a network namespace") }
            return try current()
        }.runOnThread()
    }

    /// The calling thread's network namespace.
    public static func current() throws -> OwnedDescriptor { try open("/proc/thread-self/ns/net") }

    /// The network namespace that `path` names, as `/proc/42/ns/net` or `/run/netns/x`.
    public static func open(_ path: String) throws -> OwnedDescriptor {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw NetlinkError(errno: errno, request: "open the network namespace \(path)")
        }
        return OwnedDescriptor(descriptor)
    }
}

/// A closure and its outcome, handed to a thread and back. The thread writes `outcome` before it ends and the caller
/// reads it after pthread_join(3): the two never touch it at the same time.
private final class Job<Value: Sendable>: @unchecked Sendable {
    private let body: @Sendable () throws -> Value
    private var outcome: Result<Value, any Error>?

    init(_ body: @escaping @Sendable () throws -> Value) { self.body = body }

    func runOnThread() throws -> Value {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(ErasedJob { self.outcome = Result(catching: self.body) })
        let code = pthread_create(&thread, nil, threadMain, context.toOpaque())
        guard code == 0 else {
            context.release()
            throw NetlinkError(errno: code, request: "start a thread")
        }
        pthread_join(thread, nil)
        guard let outcome else { throw NetlinkError(errno: EINVAL, request: "run a thread to its end") }
        return try outcome.get()
    }
}

private final class ErasedJob {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
}

private func threadMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let context { Unmanaged<ErasedJob>.fromOpaque(context).takeRetainedValue().run() }
    return nil
}
