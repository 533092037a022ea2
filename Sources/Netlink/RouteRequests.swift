public import Model

/// A unicast route of the main table.
public struct Route: Sendable, Hashable {
    /// Length 0 is the default route.
    public var destination: IPPrefix
    public var gateway: IPAddress?
    public var link: UInt32?
}

/// A neighbour's entry: which hardware address an IP address has on a link.
public struct Neighbour: Sendable, Hashable {
    public var link: UInt32
    public var address: IPAddress
    /// Nil while it is looked for.
    public var mac: MACAddress?
}

extension NetlinkRequest {
    /// A default route through `gateway`, in place of one that is there.
    public static func defaultRoute(through gateway: IPAddress, link: UInt32) -> NetlinkRequest {
        var body = MessageWriter()
        body.routeHeader(family: gateway.family, destinationLength: 0, scope: RouteAttribute.scopeUniverse)
        body.attribute(RouteAttribute.gateway, gateway.bytes)
        body.attribute(RouteAttribute.outputInterface, number: link)
        return NetlinkRequest(
            type: MessageType.newRoute, flags: MessageFlag.create | MessageFlag.replace, body: body.bytes,
            summary: "set the default route through \(gateway)")
    }

    /// A route to `destination` through `gateway`, or to the link itself if nil, in place of one that is there.
    public static func route(to destination: IPPrefix, through gateway: IPAddress?, link: UInt32) -> NetlinkRequest {
        var body = MessageWriter()
        body.routeHeader(
            family: destination.address.family, destinationLength: UInt8(destination.length),
            scope: gateway == nil ? RouteAttribute.scopeLink : RouteAttribute.scopeUniverse)
        body.attribute(RouteAttribute.destination, destination.network.bytes)
        if let gateway { body.attribute(RouteAttribute.gateway, gateway.bytes) }
        body.attribute(RouteAttribute.outputInterface, number: link)
        return NetlinkRequest(
            type: MessageType.newRoute, flags: MessageFlag.create | MessageFlag.replace, body: body.bytes,
            summary: "set the route to \(destination)")
    }
}

extension NetlinkSession {
    /// Unicast routes of the main table, both families.
    public func routes() throws -> [Route] {
        try IPAddress.Family.allCases.flatMap { family in
            var body = MessageWriter()
            body.append(family.number)
            // The rest of `struct rtmsg`: a strict dump request leaves it empty.
            for _ in 0..<7 { body.append(UInt8(0)) }
            body.append(UInt32(0))
            let request = NetlinkRequest(
                type: MessageType.getRoute, flags: 0, body: body.bytes, summary: "list routes")
            return try dump(request).compactMap { Route($0, family: family) }
        }
    }

    /// Neighbours that are known on the namespace's links, both families.
    public func neighbours() throws -> [Neighbour] {
        var body = MessageWriter()
        // An empty `struct ndmsg`.
        for _ in 0..<3 { body.append(UInt32(0)) }
        let request = NetlinkRequest(
            type: MessageType.getNeighbour, flags: 0, body: body.bytes, summary: "list neighbours")
        return try dump(request).compactMap { Neighbour($0) }
    }
}

extension Route {
    init?(_ message: NetlinkMessage, family: IPAddress.Family) {
        guard message.type == MessageType.newRoute else { return nil }
        var reader = MessageReader(message.body)
        // family, destination length, source length, tos, table, protocol, scope, type, flags
        guard reader.read(UInt8.self) == family.number, let length = reader.read(UInt8.self),
            reader.take(2) != nil, let table = reader.read(UInt8.self), reader.take(2) != nil,
            let type = reader.read(UInt8.self), reader.read(UInt32.self) != nil, type == RouteAttribute.unicast
        else { return nil }
        let attributes = reader.attributes()
        guard attributes.number(RouteAttribute.table) ?? UInt32(table) == RouteAttribute.mainTable else { return nil }
        let zero = [UInt8](repeating: 0, count: family.bits / 8)
        guard let address = IPAddress(bytes: attributes.bytes(RouteAttribute.destination).map { Array($0) } ?? zero),
            let destination = IPPrefix(address, length: Int(length))
        else { return nil }
        self.init(
            destination: destination,
            gateway: attributes.bytes(RouteAttribute.gateway).flatMap { IPAddress(bytes: $0) },
            link: attributes.number(RouteAttribute.outputInterface))
    }
}

extension Neighbour {
    init?(_ message: NetlinkMessage) {
        guard message.type == MessageType.newNeighbour else { return nil }
        var reader = MessageReader(message.body)
        // family, padding, index, state, flags, type
        guard reader.take(4) != nil, let link = reader.read(UInt32.self), reader.take(4) != nil else { return nil }
        let attributes = reader.attributes()
        guard let bytes = attributes.bytes(NeighbourAttribute.destination), let address = IPAddress(bytes: bytes)
        else { return nil }
        self.init(
            link: link, address: address,
            mac: attributes.bytes(NeighbourAttribute.linkLayerAddress).flatMap { MACAddress(bytes: $0) })
    }
}

extension MessageWriter {
    /// `struct rtmsg` of a unicast route in the main table.
    fileprivate mutating func routeHeader(family: IPAddress.Family, destinationLength: UInt8, scope: UInt8) {
        append(family.number)
        append(destinationLength)
        append(UInt8(0))
        append(UInt8(0))
        append(UInt8(RouteAttribute.mainTable))
        append(RouteAttribute.protocolBoot)
        append(scope)
        append(RouteAttribute.unicast)
        append(UInt32(0))
    }
}
