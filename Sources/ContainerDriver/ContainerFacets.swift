import DriverKit
import LinuxHost
import Model
import ShimClient

/// Streams of the first process.
struct ContainerAttach: AttachFacet {
    let connection: ShimConnection

    func attach(withInput: Bool) async throws -> any AttachSession {
        let streams = try await connection.attach(withInput: withInput)
        return Session(
            connection: connection,
            streams: SessionStreams(input: streams.input, output: streams.output, error: streams.error))
    }

    private struct Session: AttachSession {
        let connection: ShimConnection
        let streams: SessionStreams

        func resize(_ size: TerminalSize) async throws {
            try await connection.resize(columns: size.columns, rows: size.rows)
        }
    }
}

/// What the control group does: pause, limits, figures.
struct ContainerControl: PauseFacet, LimitsFacet, UsageFacet {
    let handle: ContainerHandle

    func pause() async throws { try await handle.cgroup().freeze() }
    func resume() async throws { try handle.cgroup().thaw() }
    var isPaused: Bool { get async throws { handle.groupIfAny?.isFrozen ?? false } }

    func apply(_ limits: Limits) async throws {
        let group = try handle.cgroup()
        defer { handle.forgetGroup() }
        // Lowering a memory limit makes the kernel reclaim, which can take seconds.
        try await runBlocking { try group.apply(limits) }
    }

    func usage() async throws -> Usage { try handle.cgroup().usage() }
}
