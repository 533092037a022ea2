public import DriverKit
import Model
import StateStore

// ACLs, and the networks that have them.
extension NetworkService {
    private static let collection = "network-acl"

    func loadACLs() async throws {
        let (records, broken) = try await parts.store.documents(Self.collection, NetworkACL.self)
        unreadableACLs.found(broken, parts.logger)
        for acl in records { acls[acl.name] = acl }
    }

    public func accessLists() -> [NetworkACL] { acls.values.sorted { $0.name < $1.name } }

    /// `notFound` if there is none.
    public func accessList(_ name: String) throws -> NetworkACL {
        guard let acl = acls[name] else {
            try unreadableACLs.refuse(name)
            throw EngineError(
                .notFound, "network ACL \(Names.quoted(name)) does not exist", resource: "network ACL \(name)")
        }
        return acl
    }

    /// Names of the networks that have it.
    public func networks(with acl: String) -> [String] {
        list().filter { $0.security?.acls.contains(acl) ?? false }.map(\.name)
    }

    /// `alreadyExists` if the name is taken.
    public func create(_ acl: NetworkACL) async throws {
        try Names.checkResource(acl.name, "network ACL")
        try Self.check(acl)
        try await lock.withLock(Self.aclLock) {
            try unreadableACLs.refuse(acl.name)
            guard acls[acl.name] == nil else {
                throw EngineError(.alreadyExists, "network ACL \(Names.quoted(acl.name)) exists already")
            }
            try await parts.store.saveDocument(Self.collection, acl.name, acl)
            acls[acl.name] = acl
        }
        parts.events.lifecycle("network-acl-created", "/1.0/network-acls/\(acl.name)")
    }

    /// Replaces the ACL of that name, at once in every network that has it. When the host refuses that, nothing is
    /// changed.
    public func update(_ acl: NetworkACL) async throws {
        try Self.check(acl)
        try await lock.withLock(Self.aclLock) {
            let old = try accessList(acl.name)
            guard old != acl else { return }
            acls[acl.name] = acl
            do {
                try await applyACL(acl.name)
                try await parts.store.saveDocument(Self.collection, acl.name, acl)
            } catch {
                acls[acl.name] = old
                try await applyACL(acl.name)
                throw error
            }
        }
        parts.events.lifecycle("network-acl-updated", "/1.0/network-acls/\(acl.name)")
    }

    /// `conflict` while a network has it.
    public func renameACL(_ name: String, to newName: String) async throws {
        try Names.checkResource(newName, "network ACL")
        try await lock.withLock(Self.aclLock) {
            var acl = try accessList(name)
            try unreadableACLs.refuse(newName)
            guard acls[newName] == nil else {
                throw EngineError(.alreadyExists, "network ACL \(Names.quoted(newName)) exists already")
            }
            try refuseUsed(name)
            acl.name = newName
            try await parts.store.saveDocument(Self.collection, newName, acl)
            acls[newName] = acl
            try await parts.store.deleteDocument(Self.collection, name)
            acls[name] = nil
        }
        parts.events.lifecycle("network-acl-renamed", "/1.0/network-acls/\(newName)", ["old_name": .string(name)])
    }

    /// `conflict` while a network has it.
    public func deleteACL(_ name: String) async throws {
        try await lock.withLock(Self.aclLock) {
            _ = try accessList(name)
            try refuseUsed(name)
            try await parts.store.deleteDocument(Self.collection, name)
            acls[name] = nil
        }
        parts.events.lifecycle("network-acl-deleted", "/1.0/network-acls/\(name)")
    }

    /// Throws `notFound` for an ACL that is not there.
    func checkSecurity(_ network: NetworkSpec) throws {
        for name in network.security?.acls ?? [] { _ = try accessList(name) }
    }

    /// The network as the driver needs it: with the rules of its ACLs.
    ///
    /// - Throws: when one cannot be read: then nobody knows what may pass.
    func withACLs(_ network: NetworkSpec) throws -> NetworkSpec {
        guard let names = network.security?.acls, !names.isEmpty else { return network }
        var network = network
        network.acls = try names.map { try accessList($0) }
        return network
    }

    /// Held while ACLs change, and what names them. No network has this name.
    static let aclLock = "/acl"

    private func applyACL(_ name: String) async throws {
        for network in networks(with: name) {
            try await lock.withLock(network) {
                guard isUp.contains(network) else { return }
                try await parts.network.up(try withACLs(try get(network)))
            }
        }
    }

    private func refuseUsed(_ name: String) throws {
        let users = networks(with: name)
        guard users.isEmpty else {
            throw EngineError(
                .conflict, "network ACL \(Names.quoted(name)) is used by network \(users.joined(separator: ", "))",
                hint: "take it from security.acls of that network first")
        }
    }

    private static func check(_ acl: NetworkACL) throws {
        for (direction, rules) in [("ingress", acl.ingress), ("egress", acl.egress)] {
            for (index, rule) in rules.enumerated() { try check(rule, "\(direction) rule \(index + 1)") }
        }
    }

    private static func check(_ rule: NetworkACL.Rule, _ place: String) throws {
        func families(_ texts: [String], _ field: String) throws -> Set<IPAddress.Family> {
            Set(
                try texts.map { text in
                    guard let subject = NetworkSubject(text) else {
                        throw EngineError(
                            .invalidArgument,
                            "\(field) \(Names.quoted(text)) of \(place) is not an address, a subnet or a range",
                            hint: "as 10.0.0.7, 10.0.0.0/24 or 10.0.0.7-10.0.0.9; a bridge knows no names of ACLs")
                    }
                    return subject.family
                })
        }
        let sources = try families(rule.source, "source")
        let destinations = try families(rule.destination, "destination")
        guard sources.isEmpty || destinations.isEmpty || sources == destinations else {
            throw EngineError(
                .invalidArgument, "source and destination of \(place) are not of the same address family")
        }
        let needed: IPAddress.Family? = rule.transport == .icmp4 ? .v4 : rule.transport == .icmp6 ? .v6 : nil
        guard needed.map({ family in sources.union(destinations).allSatisfy { $0 == family } }) ?? true else {
            throw EngineError(
                .invalidArgument, "addresses of \(place) do not go with protocol \(rule.transport?.rawValue ?? "")")
        }
        let hasPorts = !rule.sourcePorts.isEmpty || !rule.destinationPorts.isEmpty
        guard !hasPorts || rule.transport == .tcp || rule.transport == .udp else {
            throw EngineError(.invalidArgument, "\(place) has ports without the protocol tcp or udp")
        }
        let hasType = rule.icmpType != nil || rule.icmpCode != nil
        guard !hasType || needed != nil else {
            throw EngineError(
                .invalidArgument, "\(place) has an icmp_type or icmp_code without the protocol icmp4 or icmp6")
        }
    }
}
