public import Model

extension NetlinkRequest {
    /// Says which hardware address `address` has on a link, in place of what is known; the kernel verifies it on use.
    public static func neighbour(_ address: IPAddress, mac: MACAddress, link: UInt32) -> NetlinkRequest {
        var body = MessageWriter()
        body.neighbourHeader(family: address.family.number, link: link, state: NeighbourAttribute.stale, flags: 0)
        body.attribute(NeighbourAttribute.destination, address.bytes)
        body.attribute(NeighbourAttribute.linkLayerAddress, mac.bytes)
        return NetlinkRequest(
            type: MessageType.newNeighbour, flags: MessageFlag.create | MessageFlag.replace, body: body.bytes,
            summary: "set the neighbour \(address)")
    }

    /// Begins to ask on a link for the hardware address of `address`, whatever is known; `neighbours` shows the answer.
    public static func probe(_ address: IPAddress, link: UInt32) -> NetlinkRequest {
        var body = MessageWriter()
        body.neighbourHeader(family: address.family.number, link: link, state: 0, flags: NeighbourAttribute.use)
        body.attribute(NeighbourAttribute.destination, address.bytes)
        return NetlinkRequest(
            type: MessageType.newNeighbour, flags: MessageFlag.create | MessageFlag.replace, body: body.bytes,
            summary: "ask for the neighbour \(address)")
    }

    /// Has the host answer on a link when others ask for `address` (`ip neigh add proxy`). One that is there already is
    /// no error.
    public static func answer(for address: IPAddress, link: UInt32) -> NetlinkRequest {
        NetlinkRequest(
            type: MessageType.newNeighbour, flags: MessageFlag.create | MessageFlag.replace,
            body: proxyBody(address, link), summary: "answer for \(address) on link number \(link)")
    }

    /// Ends what `answer` began. `ENOENT` if it is not there.
    public static func stopAnswering(for address: IPAddress, link: UInt32) -> NetlinkRequest {
        NetlinkRequest(
            type: MessageType.deleteNeighbour, flags: 0, body: proxyBody(address, link),
            summary: "no longer answer for \(address) on link number \(link)")
    }

    private static func proxyBody(_ address: IPAddress, _ link: UInt32) -> [UInt8] {
        var body = MessageWriter()
        body.neighbourHeader(
            family: address.family.number, link: link, state: 0, flags: NeighbourAttribute.proxy)
        body.attribute(NeighbourAttribute.destination, address.bytes)
        return body.bytes
    }

    /// Says behind which port of a bridge a hardware address is (`bridge fdb replace … master static`), in place of
    /// what the bridge has learned. The entry goes with the port. (One that ages would be refused until the port
    /// forwards, which it does only some time after it was set up.)
    public static func forward(_ mac: MACAddress, to port: UInt32) -> NetlinkRequest {
        var body = MessageWriter()
        body.neighbourHeader(
            family: AddressFamily.bridge, link: port, state: NeighbourAttribute.noARP,
            flags: NeighbourAttribute.ofMaster)
        body.attribute(NeighbourAttribute.linkLayerAddress, mac.bytes)
        return NetlinkRequest(
            type: MessageType.newNeighbour, flags: MessageFlag.create | MessageFlag.replace, body: body.bytes,
            summary: "set the bridge port of \(mac)")
    }
}

extension MessageWriter {
    /// `struct ndmsg`.
    fileprivate mutating func neighbourHeader(family: UInt8, link: UInt32, state: UInt16, flags: UInt8) {
        append(family)
        append(UInt8(0))
        append(UInt16(0))
        append(link)
        append(state)
        append(flags)
        append(UInt8(0))
    }
}
