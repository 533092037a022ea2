/// Connections that are passed on between the host and a running instance, byte for byte, by a process of their own: LXD's
/// proxy device.
public struct ForwardSpec: Sendable, Hashable {
    public enum Side: String, Sendable, Hashable { case host, instance }

    public enum Address: Sendable, Hashable, CustomStringConvertible {
        /// Literal addresses.
        case tcp(String, UInt16)
        case udp(String, UInt16)
        /// A path on its side; one that begins with `@` is in the abstract name space (unix(7)).
        case unix(String)

        public var isDatagram: Bool { if case .udp = self { true } else { false } }

        /// As in a configuration: `tcp:127.0.0.1:80`, `udp:[::1]:53`, `unix:/run/x`.
        public var description: String {
            switch self {
            case .tcp(let address, let port): "tcp:\(Self.bracketed(address)):\(port)"
            case .udp(let address, let port): "udp:\(Self.bracketed(address)):\(port)"
            case .unix(let path): "unix:\(path)"
            }
        }

        private static func bracketed(_ address: String) -> String {
            address.contains(":") ? "[\(address)]" : address
        }
    }

    /// Of the device, with a number where a range makes several; part of a file name.
    public var name: String
    public var listenSide: Side
    public var listen: Address
    public var connectSide: Side
    public var connect: Address
    /// Mode and owner of a unix socket that is made; ids of the side that listens.
    public var mode: UInt32 = 0o644
    public var owner: UInt32 = 0
    public var group: UInt32 = 0
    /// Who connects; ids of the side that is connected to.
    public var user: UInt32 = 0
    public var primaryGroup: UInt32 = 0
    /// A line of the PROXY protocol in front of each connection tells where it came from.
    public var hasHeader = false

    public init(name: String, listenSide: Side, listen: Address, connectSide: Side, connect: Address) {
        self.name = name
        self.listenSide = listenSide
        self.listen = listen
        self.connectSide = connectSide
        self.connect = connect
    }
}
