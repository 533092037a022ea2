public import DriverKit
public import Model
import Synchronization

/// Networks that are only remembered.
public final class FakeNetworkDriver: NetworkDriver {
    private struct State {
        var up: Set<String> = []
        var connected: Set<NetworkEndpoint> = []
        var ready: Set<String> = []
        var nextPort: UInt16 = 40_000
    }
    /// Steps: `up`, `down`, `connect`, `tap`, `disconnect`, `adopt`.
    public let faults = Faults()
    private let state = Mutex(State())

    public init() {}

    /// Names of the networks that are up.
    public var up: Set<String> { state.withLock { $0.up } }
    public var connected: Set<NetworkEndpoint> { state.withLock { $0.connected } }

    public func up(_ network: NetworkSpec) async throws {
        try faults.reach("up")
        state.withLock { _ = $0.up.insert(network.name) }
    }

    public func down(_ network: NetworkSpec) async throws {
        try faults.reach("down")
        try state.withLock { state in
            guard !state.connected.contains(where: { $0.network == network.name }) else {
                throw EngineError(.busy, "network \(network.name) has endpoints")
            }
            state.up.remove(network.name)
        }
    }

    public func connect(_ endpoint: NetworkEndpoint, namespace: OwnedDescriptor) async throws {
        try faults.reach("connect")
        try insert(endpoint)
    }

    public func tap(_ endpoint: NetworkEndpoint, owner: UInt32) async throws -> String {
        try faults.reach("tap")
        try insert(endpoint)
        return "tap-\(endpoint.instance.raw.prefix(8))"
    }

    private func insert(_ endpoint: NetworkEndpoint) throws {
        try state.withLock { state in
            guard endpoint.direct != nil || state.up.contains(endpoint.network) else {
                throw EngineError(.conflict, "network \(endpoint.network) is not up")
            }
            state.connected.insert(endpoint)
        }
    }

    public func refresh(_ endpoint: NetworkEndpoint) async throws {
        try faults.reach("refresh")
        state.withLock { state in
            guard
                let old = state.connected.first(where: {
                    $0.instance == endpoint.instance && $0.device == endpoint.device
                })
            else { return }
            state.connected.remove(old)
            state.connected.insert(endpoint)
        }
    }

    public func disconnect(_ endpoint: NetworkEndpoint) async throws {
        try faults.reach("disconnect")
        state.withLock { state in
            state.connected = state.connected.filter {
                $0.instance != endpoint.instance || $0.device != endpoint.device
            }
        }
    }

    public func detach(_ endpoint: NetworkEndpoint, from namespace: OwnedDescriptor) async throws {
        try await disconnect(endpoint)
    }

    public func interfaces(in namespace: OwnedDescriptor) async throws -> [GuestInterface] { [] }

    public func setReady(_ endpoint: NetworkEndpoint, _ isReady: Bool) async throws {
        state.withLock { state in
            if isReady { state.ready.insert(endpoint.hostname) } else { state.ready.remove(endpoint.hostname) }
        }
    }

    /// Names of the instances that ports of services may lead to.
    public var ready: Set<String> { state.withLock { $0.ready } }

    public func freeSubnets(avoiding taken: [String]) async throws -> (ipv4: String, ipv6: String) {
        let number = (1...200).first { !taken.contains("10.77.\($0).1/24") } ?? 201
        return ("10.77.\(number).1/24", "fd77:0:0:\(number)::1/64")
    }

    public func freePort(_ address: String, _ transport: PortMapping.Transport) async throws -> UInt16 {
        state.withLock { state in
            state.nextPort += 1
            return state.nextPort
        }
    }

    public func adopt(_ networks: [NetworkSpec], endpoints: [NetworkEndpoint], keepsOthers: Bool) async throws {
        try faults.reach("adopt")
        state.withLock { state in
            state.up = Set(networks.map(\.name))
            state.connected = Set(endpoints)
        }
    }

    public func counters(_ endpoint: NetworkEndpoint) async throws -> NetworkCounters? {
        guard connected.contains(endpoint) else { return nil }
        return NetworkCounters(bytesReceived: 1, bytesSent: 2, packetsReceived: 3, packetsSent: 4)
    }

    public func links(of endpoints: [NetworkEndpoint]) async throws -> [NetworkEndpoint: HostEnd] {
        var ends: [NetworkEndpoint: HostEnd] = [:]
        for endpoint in endpoints {
            guard let counters = try await counters(endpoint) else { continue }
            ends[endpoint] = HostEnd(name: "veth-\(endpoint.hostname)", mtu: 1500, counters: counters)
        }
        return ends
    }

    public func leases(_ network: NetworkSpec) async throws -> [NetworkLease] { [] }
}
