public import DriverKit
import Logging
import Model
import StateStore

// Changes of networks that are there.
extension NetworkService {
    /// Replaces a network's settings, at once where it is up. Addresses can change only while nothing is connected:
    /// those inside would be wrong. When the host refuses the change, nothing is changed.
    public func update(_ wanted: NetworkSpec) async throws {
        var new = try await completed(wanted)
        let old = try get(wanted.name)
        new.forwards = old.forwards
        guard old != new else { return }
        guard old.bridge == new.bridge else {
            throw EngineError(
                .invalidArgument, "the bridge of network \(Names.quoted(new.name)) cannot change",
                hint: "delete the network and make it anew")
        }
        try checkSettings(new)
        if old.ipv4 != new.ipv4 || old.ipv6 != new.ipv6 {
            let users = (connected[new.name] ?? []).map(\.hostname).sorted()
            guard users.isEmpty else {
                throw EngineError(
                    .conflict,
                    "the addresses of network \(Names.quoted(new.name)) cannot change while "
                        + "\(users.prefix(3).joined(separator: ", ")) \(users.count == 1 ? "is" : "are") connected",
                    hint: "stop the instances first")
            }
            try Self.check(new.forwards ?? [], in: new)
        }
        let changed = new
        // No ACL goes away between the look at it and the record that names it.
        try await lock.withLock(Self.aclLock) {
            try checkSecurity(changed)
            try await put(changed, instead: old)
        }
        parts.events.lifecycle("network-updated", "/1.0/networks/\(new.name)")
    }

    private func put(_ new: NetworkSpec, instead old: NetworkSpec) async throws {
        try await lock.withLock(new.name) {
            if isUp.contains(new.name) {
                do { try await parts.network.up(try withACLs(new)) } catch {
                    try await parts.network.up(try withACLs(old))
                    throw error
                }
            }
            try await parts.store.saveNetwork(new, name: new.name)
            networks[new.name] = new
        }
    }

    /// Gives a network that nothing uses another name; its bridge keeps its own.
    public func rename(_ name: String, to newName: String, usedBy: [String]) async throws {
        let old = try get(name)
        try Names.checkResource(newName, "network")
        try unreadable.refuse(newName)
        guard networks[newName] == nil else {
            throw EngineError(.alreadyExists, "network \(Names.quoted(newName)) exists already")
        }
        guard usedBy.isEmpty, connected[name]?.isEmpty ?? true else {
            throw EngineError(
                .conflict, "network \(Names.quoted(name)) is used by \(usedBy.joined(separator: ", "))",
                hint: "take it from those instances and profiles first")
        }
        try await lock.withLock(name) {
            if isUp.contains(name) {
                try await parts.network.down(old)
                isUp.remove(name)
            }
            var new = old
            new.name = newName
            try await parts.store.saveNetwork(new, name: newName)
            networks[newName] = new
            try await parts.store.deleteNetwork(name: name)
            networks[name] = nil
        }
        parts.events.lifecycle("network-renamed", "/1.0/networks/\(newName)", ["old_name": .string(name)])
    }

    // MARK: forwards

    public func forwards(_ name: String) throws -> [NetworkForward] {
        (try get(name).forwards ?? []).sorted { $0.listenAddress < $1.listenAddress }
    }

    public func forward(_ name: String, _ address: String) throws -> NetworkForward {
        guard let found = try forwards(name).first(where: { $0.listenAddress == address }) else {
            throw EngineError(
                .notFound, "network \(Names.quoted(name)) has no forward of address \(Names.quoted(address))")
        }
        return found
    }

    /// `alreadyExists` if the address is forwarded already, by whatever network.
    public func addForward(_ name: String, _ forward: NetworkForward) async throws {
        let taken = networks.values.first {
            $0.forwards?.contains { $0.listenAddress == forward.listenAddress } ?? false
        }
        if let taken {
            throw EngineError(
                .alreadyExists, "address \(forward.listenAddress) is forwarded by network \(taken.name) already")
        }
        try await changeForwards(name, "network-forward-created", forward.listenAddress) { $0 + [forward] }
    }

    public func setForward(_ name: String, _ forward: NetworkForward) async throws {
        _ = try self.forward(name, forward.listenAddress)
        try await changeForwards(name, "network-forward-updated", forward.listenAddress) { all in
            all.map { $0.listenAddress == forward.listenAddress ? forward : $0 }
        }
    }

    public func removeForward(_ name: String, _ address: String) async throws {
        _ = try forward(name, address)
        try await changeForwards(name, "network-forward-deleted", address) { all in
            all.filter { $0.listenAddress != address }
        }
    }

    private func changeForwards(
        _ name: String, _ action: String, _ address: String, _ change: ([NetworkForward]) -> [NetworkForward]
    ) async throws {
        let old = try get(name)
        var new = old
        let forwards = change(old.forwards ?? [])
        try Self.check(forwards, in: new)
        new.forwards = forwards.isEmpty ? nil : forwards
        try await put(new, instead: old)
        parts.events.lifecycle(action, "/1.0/networks/\(name)/forwards/\(address)")
    }

    /// Addresses must be addresses, of one family in a forward; targets belong to the network; no port leads to two.
    private static func check(_ forwards: [NetworkForward], in network: NetworkSpec) throws {
        for forward in forwards {
            guard let listen = IPAddress(forward.listenAddress), !listen.isUnspecified, !listen.isLoopback else {
                throw EngineError(
                    .invalidArgument, "\(Names.quoted(forward.listenAddress)) is not an address that can be forwarded",
                    hint: "give an address of this host, not of its loopback")
            }
            let subnet = (listen.family == .v4 ? network.ipv4 : network.ipv6).flatMap { IPPrefix($0) }
            for target in [forward.targetAddress].compactMap({ $0 }) + forward.ports.map(\.targetAddress) {
                guard let address = IPAddress(target), let subnet, subnet.contains(address) else {
                    throw EngineError(
                        .invalidArgument,
                        "target address \(Names.quoted(target)) is not one of network \(network.name)",
                        hint: "give the address of an instance in it, of the family of \(forward.listenAddress)")
                }
            }
            for (index, port) in forward.ports.enumerated() {
                guard Int(port.target ?? 1) + port.listen.count - 1 <= 65_535, port.target != 0,
                    port.listen.lowerBound > 0
                else { throw EngineError(.invalidArgument, "target ports of \(port.listen) go beyond 65535") }
                let others = forward.ports.dropFirst(index + 1)
                if others.contains(where: { $0.transport == port.transport && $0.listen.overlaps(port.listen) }) {
                    throw EngineError(
                        .invalidArgument,
                        "port \(port.listen.lowerBound) of \(forward.listenAddress) leads to two targets")
                }
            }
        }
    }
}
