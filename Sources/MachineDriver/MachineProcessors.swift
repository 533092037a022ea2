import DriverKit
import GuestCore
import Model
import QMP

/// Adds processors to a running machine and takes them away again (QEMU, docs/system/cpu-hotplug).
struct MachineProcessors {
    let machine: MachineHandle

    /// A place for a processor, as `query-hotpluggable-cpus` tells it.
    private struct Place {
        var properties: [String: JSONValue]
        var type: JSONValue
        /// Path of the processor's object; nil if there is none.
        var path: String?

        var id: String { "cpu-" + order.map(String.init).joined(separator: "-") }
        var order: [Int64] {
            ["socket-id", "die-id", "core-id", "thread-id"].map { properties[$0]?.integer ?? 0 }
        }
    }

    /// - Throws: `unsupported` for more than the machine has places for, for fewer than it was started with, and for fewer at all
    ///   without KVM; `timeout` if
    ///   the guest does not let go of one.
    func set(_ count: Int) async throws {
        let client = try machine.qmp()
        let places = try await places(client)
        let present = places.filter { $0.path != nil }
        guard count <= places.count else {
            throw EngineError(
                .unsupported, "machine \(machine.id) can have \(places.count) processors while it runs, not \(count)",
                hint: "restart it")
        }
        if count < present.count {
            try await remove(present.suffix(present.count - count).reversed(), count, client)
        } else {
            for place in places.filter({ $0.path == nil }).prefix(count - present.count) {
                var arguments = place.properties
                arguments["driver"] = place.type
                arguments["id"] = .string(place.id)
                try await client.execute("device_add", arguments)
            }
            if count > present.count { await bringOnline(count) }
        }
    }

    private func remove(_ places: [Place], _ count: Int, _ client: QMPClient) async throws {
        guard machine.record.acceleration == .kvm else {
            // QEMU's translator corrupts its own memory when a processor goes (seen with 7.2).
            throw EngineError(
                .unsupported,
                "processors of machine \(machine.id) cannot be taken away while it runs: it runs without KVM",
                hint: "restart it")
        }
        for place in places {
            guard let path = place.path, path.hasPrefix("/machine/peripheral/") else {
                throw EngineError(
                    .unsupported,
                    "machine \(machine.id) was started with more than \(count) processors, which stay while it runs",
                    hint: "restart it")
            }
            try await client.execute("device_del", ["id": .string(place.id)])
            let end = ContinuousClock.now.advanced(by: .seconds(15))
            while try await self.places(client).contains(where: { $0.id == place.id && $0.path != nil }) {
                guard ContinuousClock.now < end else {
                    throw EngineError(
                        .timeout, "the guest of machine \(machine.id) did not let go of a processor within 15 seconds")
                }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    private func places(_ client: QMPClient) async throws -> [Place] {
        try await client.execute("query-hotpluggable-cpus").items.compactMap { item in
            guard case .object(let properties)? = item["props"], let type = item["type"] else { return nil }
            return Place(properties: properties, type: type, path: item["qom-path"]?.text)
        }.sorted { $0.order.lexicographicallyPrecedes($1.order) }
    }

    /// Linux leaves a new processor off unless a rule of its own says otherwise. Done where an agent can do it; else the
    /// guest's own means are left (`/sys/devices/system/cpu/cpuN/online`).
    private func bringOnline(_ count: Int) async {
        for _ in 0..<20 {
            let isDone: Bool
            switch machine.record.agent {
            case .isle: isDone = await onlineByAgent(count)
            case .qemu: isDone = await onlineByGuestAgent(count)
            }
            if isDone { return }
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    private func onlineByAgent(_ count: Int) async -> Bool {
        guard let agent = await machine.agent.current else { return true }
        let script = """
            for cpu in /sys/devices/system/cpu/cpu[0-9]*/online; do
              read state <$cpu; [ $state = 1 ] || echo 1 >$cpu
            done
            set -- /sys/devices/system/cpu/cpu[0-9]*; [ $# -ge \(count) ]
            """
        let request = ExecRequest(arguments: ["/bin/sh", "-c", script], directory: "/")
        // A guest without a shell brings them up itself.
        guard let session = try? await agent.exec(request) else { return true }
        return (try? await session.wait().code) == 0
    }

    private func onlineByGuestAgent(_ count: Int) async -> Bool {
        let client = machine.guestAgent
        // No agent: nothing that could be done.
        guard let known = try? await client.execute("guest-get-vcpus", patience: .seconds(2)).items else { return true }
        let off = known.filter { $0["online"]?.flag == false && $0["can-offline"]?.flag == true }
        if !off.isEmpty {
            let wanted = off.map { JSONValue.object(["logical-id": $0["logical-id"] ?? .null, "online": .bool(true)]) }
            _ = try? await client.execute("guest-set-vcpus", ["vcpus": .array(wanted)])
        }
        return known.count >= count
    }
}
