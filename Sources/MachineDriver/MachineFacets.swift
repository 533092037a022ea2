import DriverKit
import Glibc
import GuestCore
import LinuxHost
import Model
import QMP
import ShimClient

/// The serial console.
struct MachineConsole: AttachFacet {
    let machine: MachineHandle

    func attach(withInput: Bool) async throws -> any AttachSession {
        let streams = try await machine.shim.attach(withInput: withInput)
        // A serial line is one stream. For a program without a terminal the second one is there and has ended, so that
        // clients see the same shape as with a container.
        var nothing: OwnedDescriptor?
        if !machine.record.terminal {
            let ends = try Spawn.pipe()
            ends.write.close()
            nothing = ends.read
        }
        // QEMU's own error output is not the guest's; it stays open, unread, and in the log.
        return MachineConsoleSession(
            streams: SessionStreams(input: streams.input, output: streams.output, error: nothing),
            messages: streams.error,
            agent: machine.record.agent == .isle ? machine.agent : nil)
    }
}

private final class MachineConsoleSession: AttachSession {
    let streams: SessionStreams
    private let messages: OwnedDescriptor?
    private let agent: AgentSlot?

    init(streams: SessionStreams, messages: OwnedDescriptor?, agent: AgentSlot?) {
        self.streams = streams
        self.messages = messages
        self.agent = agent
    }

    /// A serial line does not carry a size: the agent sets it, where there is one.
    func resize(_ size: TerminalSize) async throws {
        await agent?.current?.send(Frame(.resize, numbers: [UInt32(size.columns), UInt32(size.rows)]))
    }
}

/// Further processes through Isle's agent.
struct AgentExec: ExecFacet {
    let agent: AgentSlot

    func exec(_ process: ProcessSpec, stdio: StdioOptions) async throws -> any ExecSession {
        try await agent.get().exec(
            ExecRequest(
                arguments: process.arguments, environment: process.environment,
                directory: process.workingDirectory ?? "/", user: process.user ?? "", terminal: stdio.terminal,
                openInput: stdio.openStdin || stdio.terminal, columns: stdio.size?.columns ?? 80,
                rows: stdio.size?.rows ?? 24))
    }
}

struct MachinePause: PauseFacet {
    let machine: MachineHandle

    func pause() async throws { try await machine.qmp().execute("stop") }
    func resume() async throws { try await machine.qmp().execute("cont") }
    var isPaused: Bool {
        get async throws {
            // The second after its state was saved.
            let status = try await machine.qmp().execute("query-status")["status"]?.text
            return status == "paused" || status == "postmigrate"
        }
    }
}

struct MachineReboot: RebootFacet {
    let machine: MachineHandle

    func reboot() async throws {
        if machine.record.agent == .isle, let agent = try? await machine.agent.get(timeout: .seconds(3)) {
            return try await agent.shutdown(reboot: true)
        }
        try await machine.qmp().execute("system_reset")
    }
}

struct MachineUsage: UsageFacet {
    let machine: MachineHandle

    func usage() async throws -> Usage {
        guard let pid = await machine.pid else {
            throw EngineError(.conflict, "machine \(machine.id) is not running")
        }
        var usage = try ProcessUsage.read(pid)
        usage.memoryTotal = machine.record.memory
        if let facts = try? await machine.agent.current?.facts() {
            usage.processes = facts["processes"].flatMap { Int64($0) }
        }
        return usage
    }
}

/// What one process of the host uses (proc_pid_stat(5), proc_pid_status(5)).
enum ProcessUsage {
    static func read(_ pid: Int32) throws -> Usage {
        let stat = String(decoding: try readSmallFile("/proc/\(pid)/stat"), as: UTF8.self)
        let status = String(decoding: try readSmallFile("/proc/\(pid)/status"), as: UTF8.self)
        return parse(stat: stat, status: status, ticksPerSecond: Int64(sysconf(Int32(_SC_CLK_TCK))))
    }

    static func parse(stat: String, status: String, ticksPerSecond: Int64) -> Usage {
        // The name in parentheses may hold blanks and parentheses itself.
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
        let ticks = fields.count > 13 ? (Int64(fields[12]) ?? 0) + (Int64(fields[13]) ?? 0) : 0
        func kibibytes(_ key: String) -> Int64? {
            for line in status.split(separator: "\n") where line.hasPrefix(key + ":") {
                return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap {
                    Int64($0)
                }.map { $0 << 10 }
            }
            return nil
        }
        return Usage(
            cpuNanoseconds: ticks * (1_000_000_000 / max(ticksPerSecond, 1)), memory: kibibytes("VmRSS"),
            memoryPeak: kibibytes("VmHWM"))
    }
}
