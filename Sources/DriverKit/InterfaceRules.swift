/// What the host holds an instance to on one of its interfaces, at the host's end of it, where the instance cannot
/// change it.
public struct InterfaceRules: Sendable, Hashable, Codable {
    /// Most that is let through to the instance and from it, in bits a second; nil is no limit. What comes faster waits
    /// a little on its way to the instance, and is dropped on its way from it.
    public var ingress: Int64?
    public var egress: Int64?
    /// Frames with a hardware address that is not the interface's are dropped.
    public var filtersMAC = false
    /// Packets of the family with an address that is not the interface's are dropped; all, if it has none.
    public var filtersIPv4 = false
    public var filtersIPv6 = false
    /// It reaches no other interface of its bridge that is isolated too.
    public var isIsolated = false

    public init() {}

    public var isEmpty: Bool { self == InterfaceRules() }

    public var filters: Bool { filtersMAC || filtersIPv4 || filtersIPv6 }
}
