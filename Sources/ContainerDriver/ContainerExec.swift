import DriverKit
import Glibc
import LinuxHost
import Model
import ShimClient
import ShimCore

/// Further processes of a container.
struct ContainerExec: ExecFacet {
    let handle: ContainerHandle

    func exec(_ process: ProcessSpec, stdio: StdioOptions) async throws -> any ExecSession {
        let state = handle.state
        guard let program = process.arguments.first, !program.isEmpty else {
            throw EngineError(.invalidArgument, "no command was given to run in instance \(state.name)")
        }
        guard state.started else {
            throw EngineError(.conflict, "instance \(state.name) is not running", hint: "start it first")
        }
        let group = try handle.cgroup()
        guard !group.isFrozen else {
            throw EngineError(.conflict, "instance \(state.name) is paused", hint: "resume it first")
        }
        let described = try await describe(process, stdio, state)
        let paths = handle.paths
        let number = handle.nextSession()
        let (file, log) = (paths.processFile(number), paths.sessionLog(number))
        let bytes = try ContainerDriver.encoded(described)
        try await runBlocking { try HostFiles.write(file, bytes, mode: 0o600) }
        defer {
            unlink(file)
            unlink(log)
        }
        let runtime = handle.runtime
        let request = ShimExec(
            arguments: runtime.exec(paths, session: number, terminal: stdio.terminal), terminal: stdio.terminal,
            openStdin: stdio.openStdin, columns: stdio.size?.columns ?? 0, rows: stdio.size?.rows ?? 0,
            cgroups: runtime.isCrun ? try folders(group, state) : [])
        do {
            return Session(session: try await handle.connection.exec(request))
        } catch {
            let failure = RuntimeFailure.translate(
                error, log: log, program: program, workingDirectory: described.cwd, instance: state.name)
            // The runtime is one more process of the instance by then, and dies without a word of it.
            if failure.code == .internal, let limit = group.reachedProcessLimit() {
                throw EngineError(
                    .resourceExhausted,
                    "instance \(state.name) cannot run \(Names.quoted(program)): its \(limit) processes are all in use",
                    hint: "end some of them, or raise limits.processes", cause: failure)
            }
            throw failure
        }
    }

    private func folders(_ group: Cgroup, _ state: ContainerState) throws -> [String] {
        guard state.kind == .system, let root = state.identity?.root else { return group.joinFolders }
        return try group.leafFolders(owner: root.user)
    }

    /// The process as the runtime is told: the first process's environment, folder and restrictions, and what this
    /// one asks for on top.
    private func describe(
        _ process: ProcessSpec, _ stdio: StdioOptions, _ state: ContainerState
    ) async throws -> RuntimeSpec.Process {
        var result = handle.process
        // Looked up where the instance has mounted nothing: a file system of its own could keep the reader waiting.
        let preparation = try RootPreparation(
            shim: handle.connection.shimPID, rootfs: handle.paths.rootfs, identity: state.identity)
        let user = try UserLookup(root: preparation.root).resolve(process.user)
        result.terminal = stdio.terminal
        result.consoleSize = SpecGenerator.consoleSize(stdio)
        result.args = try SpecGenerator.checkedArguments(process.arguments)
        result.user = RuntimeSpec.User(uid: user.uid, gid: user.gid, additionalGids: user.additionalGroups)
        if let path = process.workingDirectory {
            result.cwd = try SpecGenerator.workingDirectory(path)
        } else if state.kind == .system {
            // As a login has it.
            result.cwd = try preparation.root.followedStatus(user.home)?.kind == .directory ? user.home : "/"
        }
        let inherited = handle.process.env.filter { !$0.hasPrefix("HOME=") && !$0.hasPrefix("TERM=") }
        result.env = try ProcessEnvironment.merged(
            inherited, state.kind == .system ? ["LANG=C.UTF-8"] + (user.uid == 0 ? ["USER=root"] : []) : [],
            stdio.terminal ? ["TERM=xterm"] : [], process.environment, home: user.home)
        return result
    }

    private struct Session: ExecSession {
        let session: ShimExecSession

        var streams: SessionStreams {
            SessionStreams(input: session.input, output: session.output, error: session.error)
        }

        var hostPID: Int32? { session.pid }

        func resize(_ size: TerminalSize) async throws {
            try await session.resize(columns: size.columns, rows: size.rows)
        }

        func signal(_ number: Int32) async throws { try await session.signal(number) }

        func wait() async throws -> ExitRecord { try await session.wait() }
    }
}
