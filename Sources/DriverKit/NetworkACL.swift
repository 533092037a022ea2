public import Model

/// Rules for the traffic between a network's instances and everything beyond its bridge.
public struct NetworkACL: Sendable, Hashable, Codable {
    public enum Action: String, Sendable, Hashable, Codable, CaseIterable {
        case allow, reject, drop
    }

    public enum State: String, Sendable, Hashable, Codable, CaseIterable {
        /// `logged`: what it matches is told in the kernel's log too.
        case enabled, disabled, logged
    }

    public enum Transport: String, Sendable, Hashable, Codable, CaseIterable {
        case tcp, udp, icmp4, icmp6
    }

    /// What must hold of a packet that begins a connection; what is empty or nil holds of each.
    public struct Rule: Sendable, Hashable, Codable {
        public var action: Action
        public var state: State
        public var description: String
        /// Addresses (`10.0.0.7`), subnets (`10.0.0.0/24`) and ranges (`10.0.0.7-10.0.0.9`).
        public var source: [String]
        public var destination: [String]
        public var transport: Transport?
        public var sourcePorts: [ClosedRange<UInt16>]
        public var destinationPorts: [ClosedRange<UInt16>]
        public var icmpType: UInt8?
        public var icmpCode: UInt8?

        public init(
            action: Action, state: State = .enabled, description: String = "", source: [String] = [],
            destination: [String] = [], transport: Transport? = nil, sourcePorts: [ClosedRange<UInt16>] = [],
            destinationPorts: [ClosedRange<UInt16>] = [], icmpType: UInt8? = nil, icmpCode: UInt8? = nil
        ) {
            self.action = action
            self.state = state
            self.description = description
            self.source = source
            self.destination = destination
            self.transport = transport
            self.sourcePorts = sourcePorts
            self.destinationPorts = destinationPorts
            self.icmpType = icmpType
            self.icmpCode = icmpCode
        }
    }

    public var name: String
    public var description: String
    /// Keys below `user.`.
    public var userKeys: [String: String]
    /// Of traffic to instances, also from the host itself.
    public var ingress: [Rule]
    /// Of traffic from instances, also to the host itself.
    public var egress: [Rule]

    public init(
        name: String, description: String = "", userKeys: [String: String] = [:], ingress: [Rule] = [],
        egress: [Rule] = []
    ) {
        self.name = name
        self.description = description
        self.userKeys = userKeys
        self.ingress = ingress
        self.egress = egress
    }
}

/// Which ACLs a network has, and what is done with traffic that none of their rules decides.
public struct NetworkSecurity: Sendable, Hashable, Codable {
    public struct Standard: Sendable, Hashable, Codable {
        public var action: NetworkACL.Action
        public var isLogged: Bool

        public init(action: NetworkACL.Action = .reject, isLogged: Bool = false) {
            self.action = action
            self.isLogged = isLogged
        }
    }

    /// Names of ACLs; without any the rest is not looked at.
    public var acls: [String]
    public var ingress: Standard
    public var egress: Standard

    public init(acls: [String] = [], ingress: Standard = Standard(), egress: Standard = Standard()) {
        self.acls = acls
        self.ingress = ingress
        self.egress = egress
    }
}

/// An address, a subnet or a range of addresses, as rules name them.
public enum NetworkSubject: Sendable, Hashable, CustomStringConvertible {
    case prefix(IPPrefix)
    case range(IPAddress, IPAddress)

    /// Nil for anything else, also for a range of two families or one that ends before it begins.
    public init?(_ text: String) {
        if let address = IPAddress(text) {
            guard let prefix = IPPrefix(address, length: address.family.bits) else { return nil }
            self = .prefix(prefix)
        } else if let prefix = IPPrefix(text) {
            self = .prefix(prefix)
        } else {
            let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { IPAddress(String($0)) }
            guard ends.count == 2, let first = ends[0], let last = ends[1], first.family == last.family,
                !last.bytes.lexicographicallyPrecedes(first.bytes)
            else { return nil }
            self = .range(first, last)
        }
    }

    /// The lowest address.
    public var first: IPAddress {
        switch self {
        case .prefix(let prefix): prefix.network
        case .range(let first, _): first
        }
    }

    /// The highest address.
    public var last: IPAddress {
        switch self {
        case .range(_, let last): last
        case .prefix(let prefix):
            // Host bits set: those that masking takes away.
            IPAddress(
                bytes: zip(prefix.network.bytes, 0...).map { byte, index in
                    let kept = min(8, max(0, prefix.length - index * 8))
                    return byte | (kept == 8 ? 0 : 0xFF >> kept)
                }) ?? prefix.network
        }
    }

    public var family: IPAddress.Family {
        switch self {
        case .prefix(let prefix): prefix.address.family
        case .range(let first, _): first.family
        }
    }

    /// In one spelling for each, as nft(8) reads it.
    public var description: String {
        switch self {
        case .prefix(let prefix) where prefix.length == prefix.address.family.bits: "\(prefix.address)"
        case .prefix(let prefix): "\(prefix.network)/\(prefix.length)"
        case .range(let first, let last): "\(first)-\(last)"
        }
    }
}
