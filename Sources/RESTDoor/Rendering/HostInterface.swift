import DoorKit
import Glibc
import Model
import WireTypes

/// A network interface of the host, of Isle or of others.
struct HostInterface: Sendable {
    let name: String

    /// Those of the daemon's network namespace that Isle does not manage, but for ends of instances' connections.
    ///
    /// - Parameter managed: names of the bridges of managed networks.
    static func all(besides managed: Set<String>) -> [HostInterface] {
        HostInterfaces.names().filter { !managed.contains($0) }.map { HostInterface(name: $0) }
            .filter { !$0.isConnection }.sorted { $0.name < $1.name }
    }

    /// Veth pairs are left out as LXD does, and what Isle has made by the alias that it gives.
    private var isConnection: Bool {
        name.hasPrefix("veth") || KernelFile.text("\(folder)/ifalias")?.hasPrefix("isle:") == true
    }

    private var folder: String { "/sys/class/net/\(name)" }

    /// LXD's words: `loopback`, `bridge`, `bond`, `vlan`, `physical`, `unknown`.
    private var type: String {
        func has(_ file: String) -> Bool { access("\(folder)/\(file)", F_OK) == 0 }
        if name == "lo" { return "loopback" }
        if has("bridge") { return "bridge" }
        if has("bonding") { return "bond" }
        if access("/proc/net/vlan/\(name)", F_OK) == 0 { return "vlan" }
        return has("device") ? "physical" : "unknown"
    }

    /// What the kernel tells of it.
    var state: API.NetworkState {
        var state = API.NetworkState()
        state.type = type == "loopback" ? "loopback" : "broadcast"
        state.mtu = KernelFile.number("\(folder)/mtu").map(Int.init) ?? 1500
        state.state = KernelFile.text("\(folder)/operstate") == "down" ? "down" : "up"
        state.addresses = addresses
        fill(&state)
        return state
    }

    /// Hardware address, counters and what it is as a bridge.
    func fill(_ state: inout API.NetworkState) {
        state.bridge = bridge
        state.hwaddr = KernelFile.text("\(folder)/address") ?? ""
        func count(_ name: String) -> Int64 { KernelFile.number("\(folder)/statistics/\(name)") ?? 0 }
        state.counters.bytesReceived = count("rx_bytes")
        state.counters.bytesSent = count("tx_bytes")
        state.counters.packetsReceived = count("rx_packets")
        state.counters.packetsSent = count("tx_packets")
        state.counters.errorsReceived = count("rx_errors")
        state.counters.errorsSent = count("tx_errors")
        state.counters.droppedInbound = count("rx_dropped")
        state.counters.droppedOutbound = count("tx_dropped")
    }

    private var bridge: API.NetworkState.Bridge? {
        func file(_ name: String) -> String { "\(folder)/bridge/\(name)" }
        guard let id = KernelFile.text(file("bridge_id")) else { return nil }
        var bridge = API.NetworkState.Bridge()
        bridge.id = id
        bridge.stp = (KernelFile.number(file("stp_state")) ?? 0) != 0
        bridge.forwardDelay = KernelFile.number(file("forward_delay")) ?? 0
        bridge.vlanDefault = KernelFile.number(file("default_pvid")) ?? 0
        bridge.vlanFiltering = KernelFile.number(file("vlan_filtering")) == 1
        bridge.upperDevices = folderNames("\(folder)/brif")
        return bridge
    }

    private var addresses: [API.Address] {
        HostInterfaces.addresses().filter { $0.interface == name }
            .map { API.Address($0.address.family == .v4 ? "inet" : "inet6", "\($0.address)", $0.prefixLength) }
    }

    var network: API.Network {
        var network = API.Network()
        network.name = name
        network.type = type
        return network
    }
}
