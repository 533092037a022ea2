/// A network interface as the kernel lists it.
public struct Link: Sendable, Hashable {
    public var index: UInt32
    public var name: String
    public var mac: MACAddress?
    public var mtu: UInt32
    /// Administratively up (`IFF_UP`).
    public var isUp: Bool
    /// Able to carry packets (`IFF_RUNNING`): up, and so is what it is connected to. A packet that is sent to a link
    /// before is lost.
    public var isRunning: Bool
    public var isLoopback: Bool
    /// Index of the bridge (or other upper link) it belongs to.
    public var master: UInt32?
    /// `bridge`, `veth`, `tun`, …; nil for hardware.
    public var kind: String?
    /// Free text (`ip link set … alias`); Isle marks its own links with it.
    public var alias: String?
    /// Nil if statistics were not asked for.
    public var statistics: LinkStatistics?

    init?(_ message: NetlinkMessage) {
        guard message.type == MessageType.newLink else { return nil }
        var reader = MessageReader(message.body)
        guard reader.read(UInt8.self) != nil, reader.read(UInt8.self) != nil, reader.read(UInt16.self) != nil,
            let index = reader.read(Int32.self), let flags = reader.read(UInt32.self), reader.read(UInt32.self) != nil
        else { return nil }
        let attributes = reader.attributes()
        guard let name = attributes.string(LinkAttribute.name) else { return nil }
        self.index = UInt32(bitPattern: index)
        self.name = name
        mac = attributes.bytes(LinkAttribute.address).flatMap { MACAddress(bytes: $0) }
        mtu = attributes.number(LinkAttribute.mtu) ?? 0
        isUp = flags & LinkFlag.up != 0
        isRunning = flags & LinkFlag.running != 0
        isLoopback = flags & LinkFlag.loopback != 0
        master = attributes.number(LinkAttribute.master)
        kind = attributes.nested(LinkAttribute.linkInfo)?.string(LinkAttribute.infoKind)
        alias = attributes.string(LinkAttribute.alias)
        statistics = attributes.bytes(LinkAttribute.statistics64).flatMap { LinkStatistics($0) }
    }
}

/// Traffic of a link since it was made (`struct rtnl_link_stats64`).
public struct LinkStatistics: Sendable, Hashable {
    public var packetsReceived: UInt64
    public var packetsSent: UInt64
    public var bytesReceived: UInt64
    public var bytesSent: UInt64
    public var errorsReceived: UInt64
    public var errorsSent: UInt64
    public var droppedReceived: UInt64
    public var droppedSent: UInt64

    init?(_ bytes: ArraySlice<UInt8>) {
        var reader = MessageReader(bytes)
        guard let packetsReceived = reader.read(UInt64.self), let packetsSent = reader.read(UInt64.self),
            let bytesReceived = reader.read(UInt64.self), let bytesSent = reader.read(UInt64.self),
            let errorsReceived = reader.read(UInt64.self), let errorsSent = reader.read(UInt64.self),
            let droppedReceived = reader.read(UInt64.self), let droppedSent = reader.read(UInt64.self)
        else { return nil }
        self.packetsReceived = packetsReceived
        self.packetsSent = packetsSent
        self.bytesReceived = bytesReceived
        self.bytesSent = bytesSent
        self.errorsReceived = errorsReceived
        self.errorsSent = errorsSent
        self.droppedReceived = droppedReceived
        self.droppedSent = droppedSent
    }
}

/// A 48-bit hardware address.
public struct MACAddress: Sendable, Hashable, CustomStringConvertible {
    /// Six bytes.
    public let bytes: [UInt8]

    /// Nil unless there are six bytes.
    public init?(bytes: some Sequence<UInt8>) {
        let bytes = Array(bytes)
        guard bytes.count == 6 else { return nil }
        self.bytes = bytes
    }

    /// Parses `00:16:3e:01:02:03`.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let bytes = parts.compactMap { $0.utf8.count == 2 ? UInt8($0, radix: 16) : nil }
        guard parts.count == 6, bytes.count == 6 else { return nil }
        self.bytes = bytes
    }

    public var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}

extension NetlinkSession {
    /// Every link of the namespace.
    public func links(withStatistics: Bool = false) throws -> [Link] {
        var body = MessageWriter()
        body.linkHeader()
        if !withStatistics { body.attribute(LinkAttribute.extendedMask, number: LinkAttribute.filterSkipStatistics) }
        let request = NetlinkRequest(type: MessageType.getLink, flags: 0, body: body.bytes, summary: "list links")
        return try dump(request).compactMap { Link($0) }
    }

    /// The link called `name`, with its statistics; nil if there is none.
    public func link(named name: String) throws -> Link? {
        var body = MessageWriter()
        body.linkHeader()
        body.attribute(LinkAttribute.name, string: name)
        let request = NetlinkRequest(
            type: MessageType.getLink, flags: 0, body: body.bytes, summary: "look up link \(name)")
        return try orNil { Link(try get(request)) }
    }

    /// The link with this index, with its statistics; nil if there is none.
    public func link(index: UInt32) throws -> Link? {
        var body = MessageWriter()
        body.linkHeader(index: index)
        let request = NetlinkRequest(
            type: MessageType.getLink, flags: 0, body: body.bytes, summary: "look up link number \(index)")
        return try orNil { Link(try get(request)) }
    }

    private func orNil(_ body: () throws -> Link?) throws -> Link? {
        do {
            return try body()
        } catch let error as NetlinkError where error.isNoSuchLink {
            return nil
        }
    }
}

extension NetlinkError {
    /// `ENODEV`: the link is not there (any more).
    public var isNoSuchLink: Bool { errno == 19 }
    /// `EEXIST`: the name, address or route is there already.
    public var isAlreadyThere: Bool { errno == 17 }
    /// `ENODEV`, `ENOENT`, `ESRCH`, `EADDRNOTAVAIL`: what was to be removed is gone.
    public var isGone: Bool { [19, 2, 3, 99].contains(errno) }
}

extension MessageWriter {
    /// `struct ifinfomsg`; `change` says which bits of `flags` count.
    mutating func linkHeader(index: UInt32 = 0, flags: UInt32 = 0, change: UInt32 = 0) {
        append(AddressFamily.unspecified)
        append(UInt8(0))
        append(UInt16(0))
        append(index)
        append(flags)
        append(change)
    }
}
