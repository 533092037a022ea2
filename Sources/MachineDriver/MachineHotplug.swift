import CHost
import DriverKit
import Glibc
import LinuxHost
import Model
import QMP

/// Disks and interfaces that come and go while the machine runs. QEMU opens nothing itself: files and tap interfaces are
/// handed to it over the control socket.
struct MachineHotplug: HotplugFacet {
    let machine: MachineHandle
    /// How long a guest may take to let go of a device.
    private let patience = Duration.seconds(30)

    func add(_ disk: MachineDisk) async throws {
        let disk = try HotplugDisk(disk)
        let client = try machine.qmp()
        try await refuse(disk.id, "disk \(Names.quoted(disk.disk.name))", client)
        let file = try disk.open()
        try await withReverter { reverter in
            let answer = try await client.execute("add-fd", ["opaque": .string(disk.id)], passing: file)
            guard let set = answer["fdset-id"]?.integer else {
                throw EngineError(.internal, "QEMU did not take the file of disk \(Names.quoted(disk.disk.name))")
            }
            reverter.onFailure("taking the file back") {
                try await client.execute("remove-fd", ["fdset-id": .integer(set)])
            }
            for node in disk.nodes(set: set) {
                try await client.execute("blockdev-add", node)
                reverter.onFailure("removing a block node") {
                    try await client.execute("blockdev-del", ["node-name": node["node-name"] ?? .null])
                }
            }
            guard disk.disk.kind == .optical else { return try await plug(disk.device(bus: nil), client) }
            let controller = disk.id + "-bus"
            try await plug(["driver": .string("virtio-scsi-pci"), "id": .string(controller)], client)
            reverter.onFailure("removing the disc's drive") { try await unplug(controller, client) }
            try await client.execute("device_add", disk.device(bus: controller + ".0"))
        }
    }

    func removeDisk(_ name: String) async throws {
        let id = HotplugNames.disk(name)
        let client = try machine.qmp()
        let devices = try await peripherals(client)
        guard devices.contains(id) else {
            throw EngineError(.notFound, "machine \(machine.id) has no disk \(Names.quoted(name))")
        }
        try await unplug(id, client)
        if devices.contains(id + "-bus") { try await unplug(id + "-bus", client) }
        for node in [id, id + "-file"] { try await removeNode(node, client) }
        for set in try await client.execute("query-fdsets").items {
            guard let number = set["fdset-id"], set["fds"]?.items.contains(where: { $0["opaque"]?.text == id }) == true
            else { continue }
            try await client.execute("remove-fd", ["fdset-id": number])
        }
    }

    func add(_ endpoint: NetworkEndpoint, tap: String) async throws {
        let id = HotplugNames.interface(endpoint.device)
        let client = try machine.qmp()
        try await refuse(id, "interface \(endpoint.device)", client)
        let raw: Int32
        if tap.hasPrefix("/") {
            let opened = open(tap, O_RDWR | O_CLOEXEC)
            raw = opened < 0 ? -errno : opened
        } else {
            raw = isle_net_tap_open(tap)
        }
        guard raw >= 0 else {
            throw EngineError(.internal, "opening tap interface \(tap): \(String(errno: -raw))")
        }
        let descriptor = OwnedDescriptor(raw)
        try await withReverter { reverter in
            try await client.execute("getfd", ["fdname": .string(id)], passing: descriptor)
            do {
                try await client.execute(
                    "netdev_add", ["type": .string("tap"), "id": .string(id), "fd": .string(id)])
            } catch {
                // The first failure is the one to tell; QEMU closes the descriptor with the connection at the latest.
                _ = try? await client.execute("closefd", ["fdname": .string(id)])
                throw error
            }
            reverter.onFailure("removing the interface's end") {
                try await client.execute("netdev_del", ["id": .string(id)])
            }
            try await plug(
                [
                    "driver": .string("virtio-net-pci"), "id": .string(id), "netdev": .string(id),
                    "mac": .string(endpoint.mac), "romfile": .string(""),
                ], client)
        }
    }

    func removeInterface(_ device: String) async throws {
        let id = HotplugNames.interface(device)
        let client = try machine.qmp()
        guard try await peripherals(client).contains(id) else {
            throw EngineError(.notFound, "machine \(machine.id) has no interface \(Names.quoted(device))")
        }
        try await unplug(id, client)
        try await client.execute("netdev_del", ["id": .string(id)])
    }

    // MARK: Steps

    private func refuse(_ id: String, _ what: String, _ client: QMPClient) async throws {
        guard try await peripherals(client).contains(id) else { return }
        throw EngineError(.alreadyExists, "machine \(machine.id) has \(what) already")
    }

    /// Ids of all devices that have one.
    private func peripherals(_ client: QMPClient) async throws -> Set<String> {
        let list = try await client.execute("qom-list", ["path": .string("/machine/peripheral")])
        return Set(list.items.compactMap { $0["name"]?.text })
    }

    private func plug(_ properties: [String: JSONValue], _ client: QMPClient) async throws {
        let buses = try await client.execute("query-pci")
        guard let slot = (0..<MachinePreparation.slots).map(HotplugNames.slot).first(where: { isFree($0, buses) })
        else {
            throw EngineError(
                .resourceExhausted,
                "machine \(machine.id) has no free slot: it can take \(MachinePreparation.slots) devices while it runs",
                hint: "stop it, add the device, start it")
        }
        try await client.execute("device_add", properties.merging(["bus": .string(slot)]) { $1 })
    }

    private func isFree(_ slot: String, _ buses: JSONValue) -> Bool {
        for bus in buses.items {
            for device in bus["devices"]?.items ?? [] where device["qdev_id"]?.text == slot {
                return device["pci_bridge"]?["devices"]?.items.isEmpty ?? true
            }
        }
        return false
    }

    /// A device lets go of its disk a moment after its name is gone.
    private func removeNode(_ node: String, _ client: QMPClient) async throws {
        let end = ContinuousClock.now.advanced(by: .seconds(10))
        while true {
            do {
                try await client.execute("blockdev-del", ["node-name": .string(node)])
                return
            } catch let error as EngineError where error.code == .internal && ContinuousClock.now < end {
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    private func unplug(_ id: String, _ client: QMPClient) async throws {
        try await client.execute("device_del", ["id": .string(id)])
        let end = ContinuousClock.now.advanced(by: patience)
        while try await peripherals(client).contains(id) {
            guard ContinuousClock.now < end else {
                throw EngineError(
                    .timeout, "the guest of machine \(machine.id) did not let go of a device within \(patience)",
                    hint: "unmount it in the guest; a guest that is still booting cannot do it yet")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}
