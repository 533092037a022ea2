import DriverKit
import Glibc
import LinuxHost
import Model
import QMP

/// Memory and devices in a file, in QEMU's migration format (QEMU, docs/devel/migration). QEMU gets the open file over
/// its control socket: it has no access to where the file lies.
struct MachineState: StateFacet {
    let machine: MachineHandle

    func save(to path: String) async throws {
        let client = try machine.qmp()
        guard machine.record.shares.isEmpty else {
            throw EngineError(
                .unsupported, "the state of machine \(machine.id) cannot be saved: it has folders of the host mounted")
        }
        try await refuseAddedDevices(client)
        let raw = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard raw >= 0 else {
            throw EngineError(
                errno == EEXIST ? .alreadyExists : .internal, "making the file \(path): \(String(errno: errno))")
        }
        let file = OwnedDescriptor(raw)
        let wasRunning = try await client.execute("query-status")["running"]?.flag == true
        do {
            try await client.execute("stop")
            try await MachineState.hand(file, to: client)
            // Bytes per second; QEMU's own bound is meant for networks.
            try await client.execute("migrate-set-parameters", ["max-bandwidth": .integer(1 << 40)])
            try await client.execute("migrate", ["uri": .string("fd:" + MachineState.name)])
            try await MachineState.follow(client)
            let result = fsync(file.raw)
            guard result == 0 else { throw EngineError.system(errno, "write \(path)") }
        } catch {
            unlink(path)
            // Nothing may be under way that could be cancelled.
            _ = try? await client.execute("migrate_cancel")
            guard wasRunning else { throw error }
            do { try await client.execute("cont") } catch let second {
                throw EngineError(
                    .internal, "\(error); the machine stays suspended: \(second)", hint: "stop it by force")
            }
            throw error
        }
    }

    /// Lets a QEMU that was started to wait go on from the file at `path`.
    static func restore(_ path: String, _ client: QMPClient) async throws {
        let raw = open(path, O_RDONLY | O_CLOEXEC)
        guard raw >= 0 else {
            throw EngineError(
                errno == ENOENT ? .notFound : .internal, "opening the saved state \(path): \(String(errno: errno))")
        }
        try await hand(OwnedDescriptor(raw), to: client)
        try await client.execute("migrate-incoming", ["uri": .string("fd:" + name)])
        try await follow(client)
        // It was suspended when it was saved, and is so again.
        try await client.execute("cont")
    }

    private static let name = "state"

    private static func hand(_ file: OwnedDescriptor, to client: QMPClient) async throws {
        try await client.execute("getfd", ["fdname": .string(name)], passing: file)
    }

    /// Waits for the end of a transfer, however long it takes.
    private static func follow(_ client: QMPClient) async throws {
        while true {
            let status = try await client.execute("query-migrate")
            switch status["status"]?.text {
            case "completed": return
            case "failed", "cancelled":
                let reason = status["error-desc"]?.text ?? "no reason given"
                throw EngineError(.internal, "QEMU could not transfer the machine's state: \(reason)")
            default: try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    /// The next start would not have them where the saved state says they are.
    private func refuseAddedDevices(_ client: QMPClient) async throws {
        let peripherals = "/machine/peripheral"
        for device in try await client.execute("qom-list", ["path": .string(peripherals)]).items {
            guard let name = device["name"]?.text, device["type"]?.text?.hasPrefix("child<") == true else { continue }
            let added = try await client.execute(
                "qom-get", ["path": .string("\(peripherals)/\(name)"), "property": .string("hotplugged")])
            if added.flag == true {
                throw EngineError(
                    .unsupported,
                    "the state of machine \(machine.id) cannot be saved: devices were added since it was started",
                    hint: "remove them, or stop it without its state")
            }
        }
    }
}
