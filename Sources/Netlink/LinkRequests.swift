import CHost
import Glibc
public import Model

/// Which link a request is about.
public enum LinkReference: Sendable, Hashable, CustomStringConvertible {
    case name(String)
    case index(UInt32)

    public var description: String {
        switch self {
        case .name(let name): name
        case .index(let index): "number \(index)"
        }
    }
}

/// What can be set when a link is made or changed; nil leaves it alone.
public struct LinkSettings: Sendable, Hashable {
    public var name: String?
    public var mac: MACAddress?
    public var mtu: UInt32?
    /// Index of the bridge it becomes a port of.
    public var master: UInt32?
    public var up: Bool?
    /// False: no IPv6 link-local address is made by itself when it is set up (a port of a bridge needs none). Only for
    /// a link that is there already, in a request before the one that sets it up.
    public var ipv6LinkLocal: Bool?
    /// Of a port of a bridge: whether frames may leave by the port that they came in by. Only for a link that is a
    /// port already.
    public var hairpin: Bool?
    /// Of a port of a bridge: whether it reaches no other port that is isolated too. Only for a link that is a port
    /// already.
    public var isolated: Bool?

    public init(
        name: String? = nil, mac: MACAddress? = nil, mtu: UInt32? = nil, master: UInt32? = nil, up: Bool? = nil,
        ipv6LinkLocal: Bool? = nil, hairpin: Bool? = nil, isolated: Bool? = nil
    ) {
        self.name = name
        self.mac = mac
        self.mtu = mtu
        self.master = master
        self.up = up
        self.ipv6LinkLocal = ipv6LinkLocal
        self.hairpin = hairpin
        self.isolated = isolated
    }
}

extension NetlinkRequest {
    /// Makes a bridge (`ip link add … type bridge`). `EEXIST` if the name is taken.
    public static func makeBridge(_ settings: LinkSettings) -> NetlinkRequest {
        makeLink("bridge", settings) { _ in
        } data: { _ in
        }
    }

    /// Makes a pair of connected interfaces, one here and one in the network namespace `namespace` (here too if
    /// nil). `EEXIST` if one of the names is taken; `ENOTCONN` if `peer` is to be set up, which the kernel allows only
    /// once the pair exists.
    public static func makeVeth(
        _ settings: LinkSettings, peer: LinkSettings, namespace: OwnedDescriptor?
    ) -> NetlinkRequest {
        makeLink("veth", settings) { _ in
        } data: { data in
            data.nested(LinkAttribute.vethPeer) { body in
                body.linkSettings(peer, index: 0)
                if let namespace {
                    body.attribute(LinkAttribute.networkNamespaceFD, number: UInt32(bitPattern: namespace.raw))
                }
            }
        }
    }

    /// Makes an interface that shares the link with the index `parent` (`ip link add … type macvlan mode bridge`), in
    /// the network namespace `namespace` (here if nil).
    ///
    /// - Parameter isTap: a program takes its frames from /dev/tapINDEX (macvtap).
    public static func makeMacvlan(
        _ settings: LinkSettings, parent: UInt32, isTap: Bool = false, namespace: OwnedDescriptor? = nil
    ) -> NetlinkRequest {
        makeLink(isTap ? "macvtap" : "macvlan", settings) { body in
            body.attribute(LinkAttribute.link, number: parent)
            if let namespace {
                body.attribute(LinkAttribute.networkNamespaceFD, number: UInt32(bitPattern: namespace.raw))
            }
        } data: { data in
            data.attribute(LinkAttribute.macvlanMode, number: LinkAttribute.macvlanBridge)
        }
    }

    /// Changes a link that is there.
    public static func change(_ link: LinkReference, _ settings: LinkSettings, alias: String? = nil)
        -> NetlinkRequest
    {
        var body = MessageWriter()
        switch link {
        case .name(let name):
            // The name selects the link; a new name needs the index.
            var settings = settings
            settings.name = name
            body.linkSettings(settings, index: 0)
        case .index(let index):
            body.linkSettings(settings, index: index)
        }
        if let alias { body.attribute(LinkAttribute.alias, Array(alias.utf8)) }
        return NetlinkRequest(type: MessageType.newLink, flags: 0, body: body.bytes, summary: "change link \(link)")
    }

    /// Removes a link; for one end of a veth pair, both. `ENODEV` if it is not there.
    public static func deleteLink(_ link: LinkReference) -> NetlinkRequest {
        var body = MessageWriter()
        switch link {
        case .name(let name):
            body.linkHeader()
            body.attribute(LinkAttribute.name, string: name)
        case .index(let index):
            body.linkHeader(index: index)
        }
        return NetlinkRequest(
            type: MessageType.deleteLink, flags: 0, body: body.bytes, summary: "delete link \(link)")
    }

    private static func makeLink(
        _ kind: String, _ settings: LinkSettings, _ more: (inout MessageWriter) -> Void,
        data: (inout MessageWriter) -> Void
    ) -> NetlinkRequest {
        var body = MessageWriter()
        body.linkSettings(settings, index: 0)
        more(&body)
        body.nested(LinkAttribute.linkInfo) { info in
            info.attribute(LinkAttribute.infoKind, string: kind)
            info.nested(LinkAttribute.infoData, data)
        }
        return NetlinkRequest(
            type: MessageType.newLink, flags: MessageFlag.create | MessageFlag.exclusive, body: body.bytes,
            summary: "create \(kind) \(settings.name ?? "")")
    }
}

extension MessageWriter {
    fileprivate mutating func linkSettings(_ settings: LinkSettings, index: UInt32) {
        linkHeader(
            index: index, flags: settings.up == true ? LinkFlag.up : 0, change: settings.up == nil ? 0 : LinkFlag.up)
        if let name = settings.name { attribute(LinkAttribute.name, string: name) }
        if let mac = settings.mac { attribute(LinkAttribute.address, mac.bytes) }
        if let mtu = settings.mtu { attribute(LinkAttribute.mtu, number: mtu) }
        if let master = settings.master { attribute(LinkAttribute.master, number: master) }
        if settings.hairpin != nil || settings.isolated != nil {
            nested(LinkAttribute.linkInfo) { info in
                info.nested(LinkAttribute.infoSlaveData) { port in
                    if let hairpin = settings.hairpin {
                        port.attribute(LinkAttribute.bridgePortHairpin, [hairpin ? 1 : 0])
                    }
                    if let isolated = settings.isolated {
                        port.attribute(LinkAttribute.bridgePortIsolated, [isolated ? 1 : 0])
                    }
                }
            }
        }
        if let linkLocal = settings.ipv6LinkLocal {
            nested(LinkAttribute.afSpec) { families in
                families.nested(UInt16(AddressFamily.inet6)) { inet6 in
                    inet6.attribute(LinkAttribute.inet6AddressGenerationMode, [linkLocal ? 0 : 1])
                }
            }
        }
    }
}

/// Tap interfaces: what a virtual machine's network card is connected to.
public enum TapDevice {
    /// Makes a persistent tap interface in the calling thread's network namespace that the user id `owner` may
    /// attach to (tun(4), `TUNSETPERSIST`). `EBUSY` if the name is taken.
    public static func make(_ name: String, owner: UInt32) throws {
        let result = isle_net_tap(name, owner)
        guard result == 0 else { throw NetlinkError(errno: -result, request: "create tap \(name)") }
    }

    /// The name of the interface whose frames the device file `path` gives (macvtap).
    public static func interface(of path: String) throws -> String {
        var name = [CChar](repeating: 0, count: 16)
        let result = isle_net_tap_name(path, &name)
        guard result == 0 else { throw NetlinkError(errno: -result, request: "open \(path)") }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
