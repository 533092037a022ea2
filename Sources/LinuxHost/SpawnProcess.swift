import CHost
import Glibc
public import Model

/// Starts programs: argument arrays, no shell, no inherited descriptors beyond the three named, default signals,
/// a session of its own.
public enum Spawn {
    /// What a child's standard streams are. The descriptors stay the caller's.
    public struct Streams: Sendable {
        public var input: OwnedDescriptor?
        public var output: OwnedDescriptor?
        public var error: OwnedDescriptor?

        /// A nil stream is /dev/null.
        public init(input: OwnedDescriptor? = nil, output: OwnedDescriptor? = nil, error: OwnedDescriptor? = nil) {
            self.input = input
            self.output = output
            self.error = error
        }
    }

    /// Executes `executable` (a path, or a name looked up in this process's PATH). The child is ours to reap, by
    /// `Pidfd.reap`. Blocks for as long as exec takes, about a millisecond.
    /// - Parameter arguments: without the program's own name.
    /// - Parameter environment: `NAME=value`; nil passes on this process's.
    /// - Throws: `notFound` when there is no such program, `internal` for the rest.
    public static func start(
        _ executable: String, _ arguments: [String], environment: [String]? = nil, workingDirectory: String? = nil,
        streams: Streams = Streams()
    ) throws -> Pidfd {
        let result = withCStrings([executable] + arguments) { argv in
            let run = { (envp: UnsafePointer<UnsafeMutablePointer<CChar>?>) in
                isle_spawn(
                    executable, argv, envp, workingDirectory, streams.input?.raw ?? -1, streams.output?.raw ?? -1,
                    streams.error?.raw ?? -1)
            }
            if let environment { return withCStrings(environment, run) }
            return run(isle_environment())
        }
        guard result > 0 else {
            if result == -ENOENT || result == -ENOTDIR {
                throw EngineError(.notFound, "the program \(executable) was not found")
            }
            throw EngineError(.internal, "executing \(executable): \(String(errno: -result))")
        }
        return try Pidfd(result)
    }

    /// A pipe, both ends close-on-exec: what is written to `write` comes out of `read`.
    public static func pipe() throws -> (read: OwnedDescriptor, write: OwnedDescriptor) {
        var ends: [Int32] = [-1, -1]
        let result = isle_pipe(&ends)
        guard result == 0 else {
            throw EngineError(.resourceExhausted, "making a pipe: \(String(errno: -result))")
        }
        return (OwnedDescriptor(ends[0]), OwnedDescriptor(ends[1]))
    }
}

/// Calls `body` with a null-terminated array of C strings.
func withCStrings<R>(_ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) throws -> R) rethrows
    -> R
{
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    return try pointers.withUnsafeBufferPointer { buffer in
        // An array that was appended to has a base address.
        guard let base = buffer.baseAddress else { preconditionFailure("empty argument array") }
        return try body(base)
    }
}
