import DriverKit
import FoundationEssentials
import LinuxHost
import Model
import Netlink

/// An endpoint on no managed network, its values checked.
struct DirectEndpoint: Sendable {
    let endpoint: NetworkEndpoint
    let direct: DirectLink
    let key: EndpointKey
    let mac: MACAddress
    let routes: [IPPrefix]
    let addresses: [IPAddress]
    /// The host's own on the wire, for the families that the instance has addresses of.
    let hostAddresses: [IPAddress]

    /// - Throws: `invalidArgument` naming the value that is wrong.
    init(_ endpoint: NetworkEndpoint, _ direct: DirectLink) throws {
        self.endpoint = endpoint
        self.direct = direct
        key = EndpointKey(endpoint)
        let device = endpoint.device
        func wrong(_ text: String, _ what: String) -> EngineError {
            EngineError(.invalidArgument, "interface \(device): \(Names.quoted(text)) is not \(what)")
        }
        for name in [device, direct.parent, direct.hostName].compactMap({ $0 }) where !Self.isInterfaceName(name) {
            throw wrong(name, "the name of an interface")
        }
        guard let mac = MACAddress(endpoint.mac), mac.bytes[0] & 1 == 0 else {
            throw wrong(endpoint.mac, "a hardware address")
        }
        self.mac = mac
        routes = try direct.routes.map {
            guard let prefix = IPPrefix($0) else { throw wrong($0, "a subnet") }
            return prefix
        }
        func address(_ text: String) throws -> IPAddress {
            guard let address = IPAddress(text) else { throw wrong(text, "an address") }
            return address
        }
        let isRouted = direct.kind == .routed
        addresses = isRouted ? try (direct.ipv4.addresses + direct.ipv6.addresses).map(address) : []
        hostAddresses =
            isRouted
            ? try [direct.ipv4, direct.ipv6].filter { !$0.addresses.isEmpty }.map { try address($0.hostAddress) } : []
    }

    var mtu: UInt32? { direct.mtu.map { UInt32($0) } }

    func routing(_ family: IPAddress.Family) -> DirectLink.Routing { family == .v4 ? direct.ipv4 : direct.ipv6 }

    func has(_ family: IPAddress.Family) -> Bool { addresses.contains { $0.family == family } }

    /// What the kernel takes (dev_valid_name), without what would need quotes in nft(8)'s language or stand there for
    /// other interfaces too.
    static func isInterfaceName(_ name: String) -> Bool {
        (1...15).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { $0 > 32 && $0 < 127 && ![0x22, 0x2a, 0x2f, 0x3a, 0x5c].contains($0) }
    }
}

/// What an endpoint on no managed network changed on the host, written down before the change in a file of its own below
/// the run directory, which is gone after a reboot, as the changes are.
struct DirectRecord: Codable, Sendable, Equatable {
    var endpoint: NetworkEndpoint
    /// Name of the link on the host; nil: it is in the instance's namespace and goes with it.
    var link: String?

    /// The table that keeps the instance from sending under addresses of others.
    static func table(_ link: String) -> String { InterfaceTable.name(link) }
}

/// The files of `DirectRecord`s.
struct DirectFolder: Sendable {
    private let folder: NetworkFolder
    private let runDirectory: String

    init(runDirectory: String) {
        self.runDirectory = runDirectory
        folder = NetworkFolder(path: runDirectory + "/nics")
    }

    /// The mark of links of ours: a daemon with another run directory has others.
    func alias(_ key: EndpointKey) -> String { "isle:nic:\(key.fileName):\(runDirectory)" }

    func write(_ record: DirectRecord) throws {
        try folder.mkdirs(folder.path)
        try folder.replace(file(EndpointKey(record.endpoint)), with: Array(JSONEncoder().encode(record)), mode: 0o600)
    }

    /// Nil if there is none.
    func read(_ key: EndpointKey) throws -> DirectRecord? { try read(file(key)) }

    func remove(_ key: EndpointKey) throws { try folder.removeFile(file(key)) }

    /// Every record, and the names of files that are none.
    func all() -> (records: [DirectRecord], damaged: [String]) {
        var records: [DirectRecord] = []
        var damaged: [String] = []
        for name in NetworkFolder.names(in: folder.path) {
            do { records += [try read(folder.path + "/" + name)].compactMap { $0 } } catch {
                damaged.append(folder.path + "/" + name)
            }
        }
        return (records, damaged)
    }

    private func file(_ key: EndpointKey) -> String {
        folder.path + "/" + key.instance.raw + "-" + key.device.utf8.map { String($0, radix: 16) }.joined()
    }

    private func read(_ path: String) throws -> DirectRecord? {
        let bytes: [UInt8]
        do { bytes = try readSmallFile(path) } catch let error as EngineError where error.code == .notFound {
            return nil
        }
        do { return try JSONDecoder().decode(DirectRecord.self, from: Data(bytes)) } catch {
            throw EngineError(
                .internal, "\(path), which says what an interface changed on the host, is damaged",
                hint: "look for links with the alias isle:nic:… and remove them and the file", cause: error)
        }
    }
}
