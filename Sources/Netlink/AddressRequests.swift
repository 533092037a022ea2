public import Model

/// An address of an interface.
public struct InterfaceAddress: Sendable, Hashable {
    public var link: UInt32
    public var prefix: IPPrefix
}

extension NetlinkRequest {
    /// Gives an interface an address, usable at once (IPv6 without duplicate address detection). An address that is
    /// there already is no error.
    public static func addAddress(_ prefix: IPPrefix, to link: UInt32) -> NetlinkRequest {
        let body = addressBody(prefix, link: link)
        return NetlinkRequest(
            type: MessageType.newAddress, flags: MessageFlag.create | MessageFlag.replace, body: body,
            summary: "add address \(prefix) to link number \(link)")
    }

    /// Takes an address away. `EADDRNOTAVAIL` if it is not there.
    public static func deleteAddress(_ prefix: IPPrefix, of link: UInt32) -> NetlinkRequest {
        NetlinkRequest(
            type: MessageType.deleteAddress, flags: 0, body: addressBody(prefix, link: link),
            summary: "delete address \(prefix) of link number \(link)")
    }

    private static func addressBody(_ prefix: IPPrefix, link: UInt32) -> [UInt8] {
        var body = MessageWriter()
        body.addressHeader(prefix, link: link)
        body.attribute(AddressAttribute.local, prefix.address.bytes)
        body.attribute(AddressAttribute.address, prefix.address.bytes)
        if prefix.address.family == .v6 {
            body.attribute(AddressAttribute.flags, number: AddressAttribute.noDuplicateDetection)
        }
        return body.bytes
    }
}

extension NetlinkSession {
    /// Every address of the namespace.
    public func addresses() throws -> [InterfaceAddress] {
        var body = MessageWriter()
        for value: UInt8 in [AddressFamily.unspecified, 0, 0, 0] { body.append(value) }
        body.append(UInt32(0))
        let request = NetlinkRequest(
            type: MessageType.getAddress, flags: 0, body: body.bytes, summary: "list addresses")
        return try dump(request).compactMap { InterfaceAddress($0) }
    }
}

extension InterfaceAddress {
    init?(_ message: NetlinkMessage) {
        guard message.type == MessageType.newAddress else { return nil }
        var reader = MessageReader(message.body)
        guard reader.read(UInt8.self) != nil, let length = reader.read(UInt8.self), reader.read(UInt16.self) != nil,
            let link = reader.read(UInt32.self)
        else { return nil }
        let attributes = reader.attributes()
        // On a point-to-point link `address` is the other side's.
        guard let bytes = attributes.bytes(AddressAttribute.local) ?? attributes.bytes(AddressAttribute.address),
            let address = IPAddress(bytes: bytes), let prefix = IPPrefix(address, length: Int(length))
        else { return nil }
        self.init(link: link, prefix: prefix)
    }
}

extension IPAddress.Family {
    var number: UInt8 { self == .v4 ? AddressFamily.inet : AddressFamily.inet6 }
}

extension MessageWriter {
    /// `struct ifaddrmsg`.
    fileprivate mutating func addressHeader(_ prefix: IPPrefix, link: UInt32) {
        append(prefix.address.family.number)
        append(UInt8(prefix.length))
        append(UInt8(prefix.address.family == .v6 ? AddressAttribute.noDuplicateDetection : 0))
        append(RouteAttribute.scopeUniverse)
        append(link)
    }
}
