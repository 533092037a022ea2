import DriverKit
import Model

/// The devices of an instance, checked and typed.
struct Devices: Sendable {
    struct Nic: Sendable, Hashable {
        var device: String
        /// Name of the interface inside.
        var interface: String
        var network: String
        var mac: String?
        var ipv4: String?
        var ipv6: String?
        /// Further names on that network.
        var aliases: [String] = []
        /// The nic with the highest has the default route.
        var gatewayPriority = 0
        /// On no network (`network` is empty), but connected so.
        var direct: DirectLink?
        /// Of one on a network: name of the host's end, and bytes of a packet if not the network's.
        var hostName: String?
        var mtu: Int?
        /// nil: none.
        var rules: InterfaceRules?
    }

    struct Disk: Sendable, Hashable {
        var device: String
        /// Absolute path on the host, or the volume's name when `pool` is set.
        var source: String
        var pool: String?
        var target: String
        var readOnly: Bool
        var shift: Shift
        /// Make a folder of the host, or a volume, that is missing.
        var create = false
        /// A volume that was never used begins with what the image has at the target.
        var copy = true
        /// The start fails if the source is not there.
        var required = true
        var recursive = true
        var propagation: String?
        var rate: Limits.DiskRate?
    }

    /// Whether root inside owns what root outside owns.
    enum Shift: Sendable, Hashable {
        case no, yes
        /// Where the host's file system can do it.
        case auto
    }

    struct Proxy: Sendable, Hashable {
        var device: String
        var mapping: PortSpec
    }

    struct PortSpec: Sendable, Hashable {
        var transport: String
        var hostAddress: String
        /// 0: one that is free, chosen at the start.
        var hostPort: UInt16
        var guestPort: UInt16
        /// The service whose replicas share the port.
        var service: String?
    }

    var nics: [Nic] = []
    var hostNetwork = false
    /// The instance whose network namespace this one lives in.
    var sharedNetwork: String?
    var tmpfs: [TmpfsMount] = []
    var nodes: [Node] = []
    var disks: [Disk] = []
    /// Ports of the host that the network driver leads to the instance.
    var proxies: [Proxy] = []
    /// Disks that a machine is shown as disks.
    var attached: [AttachedDisk] = []
    /// Devices that ask for a disk with the machine's cloud-init data.
    var seeds: [String] = []
    /// `boot.priority` of the root disk.
    var rootPriority: Int?
    /// Connections that a process passes on, with their devices.
    var forwards: [(device: String, spec: ForwardSpec)] = []
    /// Devices that are a TPM, in order.
    var tpms: [String] = []
    /// The disk device with the path `/`.
    var rootDevice: String?
    /// Bytes (`size` of the root disk); nil if not stated.
    var rootSize: Int64?
    /// The pool that the root disk names.
    var rootPool: String?
    /// Rates of the root disk; their path is not set.
    var rootRate: Limits.DiskRate?
    /// Hardware of the host, by device.
    var hardware: [String: HardwareQuery] = [:]

    /// Checks every device and gives it its type; errors name the device and the key.
    init(_ devices: [String: [String: String]]) throws {
        for (name, keys) in devices.sorted(by: { $0.key < $1.key }) {
            try Names.checkResource(name, "device")
            var reader = KeyReader(device: name, keys: keys)
            switch keys["type"] {
            case "none":
                _ = reader.take("type")
                if let key = keys.keys.sorted().first(where: { $0 != "type" }) {
                    throw EngineError(
                        .invalidArgument,
                        "device \(Names.quoted(name)) of the type none has the key \(Names.quoted(key))",
                        hint: "it takes a profile's device of that name away and needs nothing else")
                }
                continue
            case "nic": try addNic(&reader)
            case "disk": try addDisk(&reader)
            case "proxy": try addProxy(&reader)
            case "unix-char": try addNode(&reader, isBlock: false)
            case "unix-block": try addNode(&reader, isBlock: true)
            case "usb", "gpu": hardware[name] = try HardwareQuery(&reader, isUSB: keys["type"] == "usb")
            case "tpm": try addTPM(&reader)
            case let type? where Self.refused[type] != nil:
                throw EngineError(
                    .unsupported,
                    "device \(Names.quoted(name)) of the type \(type) is not offered: \(Self.refused[type] ?? "")")
            case let type?:
                throw EngineError(
                    .unsupported, "device \(Names.quoted(name)) has the type \(Names.quoted(type)), which is not known",
                    hint: "types: nic, disk, proxy, unix-char, unix-block, usb, gpu, tpm, none")
            case nil:
                throw EngineError(
                    .invalidArgument, "device \(Names.quoted(name)) has no type",
                    hint: "types: nic, disk, proxy, unix-char, unix-block, none")
            }
            try reader.finish()
        }
        let targets = disks.map(\.target) + tmpfs.map(\.target)
        if let twice = targets.first(where: { target in targets.filter { $0 == target }.count > 1 }) {
            throw EngineError(.invalidArgument, "two disk devices have the path \(Names.quoted(twice))")
        }
        if let twice = nics.first(where: { nic in nics.filter { $0.interface == nic.interface }.count > 1 }) {
            throw EngineError(
                .invalidArgument, "two nic devices have the name \(Names.quoted(twice.interface))",
                hint: "give one of them another 'name'")
        }
        // Of services several share a port, each in an instance of its own.
        let listens = proxies.map(\.mapping).filter { $0.hostPort != 0 }
        if let twice = listens.enumerated().first(where: { index, one in
            listens[..<index].contains {
                ($0.transport, $0.hostAddress, $0.hostPort) == (one.transport, one.hostAddress, one.hostPort)
            }
        })?.element {
            throw EngineError(
                .invalidArgument,
                "two proxy devices listen on \(twice.transport):\(twice.hostAddress):\(twice.hostPort)")
        }
        if hostNetwork || sharedNetwork != nil, !nics.isEmpty || hostNetwork && sharedNetwork != nil {
            throw EngineError(
                .invalidArgument, "a nic on a network and one of nictype 'host' or 'instance' exclude each other")
        }
    }

    /// Types that LXD has and Isle does not, with the reason.
    private static let refused = [
        "infiniband": "there is no driver for it",
        "pci": "machines are given no hardware of the host",
        "unix-hotplug": "name the file with unix-char or unix-block",
    ]

    private mutating func addDisk(_ reader: inout KeyReader) throws {
        guard let target = reader.take("path") else { return try addAttached(&reader) }
        guard target.hasPrefix("/"), !target.utf8.contains(0), !target.split(separator: "/").contains("..") else {
            throw reader.error("path", target, "an absolute path inside the instance, without '..'")
        }
        if target == "/" {
            if let other = rootDevice {
                throw EngineError(
                    .invalidArgument, "two disk devices have the path '/': \(other) and \(reader.device)",
                    hint: "lxc config device override changes the profile's")
            }
            rootDevice = reader.device
            rootPool = reader.take("pool")
            if let size = reader.take("size") {
                guard let bytes = Units.bytes(size), bytes > 0 else {
                    throw reader.error("size", size, "a size, as 10GiB")
                }
                rootSize = bytes
            }
            rootRate = try Self.rate(&reader)
            rootPriority = try reader.number("boot.priority").map { Int($0) }
            return
        }
        if reader.peek("source") == "tmpfs:" { return try addTmpfs(&reader, target) }
        guard let source = reader.take("source") else {
            throw EngineError(.invalidArgument, "disk device \(Names.quoted(reader.device)) has no 'source'")
        }
        let pool = reader.take("pool")
        if pool != nil {
            try Names.checkVolume(source)
        } else {
            guard source.hasPrefix("/"), !source.utf8.contains(0) else {
                throw reader.error("source", source, "an absolute path of the host, or a volume's name with 'pool'")
            }
        }
        let readOnly = try reader.bool("readonly")
        let shift = try reader.shift()
        var disk = Disk(
            device: reader.device, source: source, pool: pool, target: target, readOnly: readOnly, shift: shift)
        disk.create = try reader.bool("create")
        disk.copy = try reader.bool("copy", unset: true)
        try Self.addOptions(&reader, to: &disk)
        disks.append(disk)
    }

    private mutating func addProxy(_ reader: inout KeyReader) throws {
        guard let listen = reader.take("listen"), let connect = reader.take("connect") else {
            throw EngineError(
                .invalidArgument, "proxy device \(Names.quoted(reader.device)) needs 'listen' and 'connect'",
                hint: "for example listen=tcp:127.0.0.1:8080 connect=tcp:127.0.0.1:80")
        }
        if try addForward(&reader, listen, connect) { return }
        guard let outer = Self.address(listen) else {
            throw reader.error("listen", listen, "tcp:ADDRESS:PORT or udp:ADDRESS:PORT; port 0 is any that is free")
        }
        guard let inner = Self.address(connect), inner.transport == outer.transport, inner.ports.lowerBound > 0,
            outer.ports.lowerBound > 0 || outer.ports.count == 1
        else { throw reader.error("connect", connect, "\(outer.transport):127.0.0.1:PORT") }
        guard outer.ports == 0...0 || outer.ports.count == inner.ports.count || inner.ports.count == 1 else {
            throw reader.error("connect", connect, "one port, or as many as 'listen'")
        }
        let service = reader.take("service")
        if let service { try Names.checkResource(service, "service") }
        for (index, port) in outer.ports.enumerated() {
            let guest = inner.ports.count == 1 ? inner.ports.lowerBound : inner.ports.lowerBound + UInt16(index)
            proxies.append(
                Proxy(
                    device: reader.device,
                    mapping: PortSpec(
                        transport: outer.transport, hostAddress: outer.address, hostPort: port, guestPort: guest,
                        service: service)))
        }
    }

    /// `tcp:127.0.0.1:80`, `udp:[::]:53`, `tcp:0.0.0.0:8000-8010`.
    private static func address(_ text: String) -> (transport: String, address: String, ports: ClosedRange<UInt16>)? {
        guard let first = text.firstIndex(of: ":"), let last = text.lastIndex(of: ":"), first < last else { return nil }
        let transport = String(text[..<first])
        var address = String(text[text.index(after: first)..<last])
        if address.hasPrefix("["), address.hasSuffix("]") { address = String(address.dropFirst().dropLast()) }
        let ends = text[text.index(after: last)...].split(separator: "-", omittingEmptySubsequences: false)
            .map { UInt16($0) }
        guard transport == "tcp" || transport == "udp", (1...2).contains(ends.count), let lowest = ends[0],
            let highest = ends.last ?? nil, lowest <= highest, IPAddress(address) != nil
        else { return nil }
        return (transport, address, lowest...highest)
    }

    static func isMAC(_ text: String) -> Bool {
        let pairs = text.split(separator: ":", omittingEmptySubsequences: false)
        guard pairs.count == 6, pairs.allSatisfy({ $0.utf8.count == 2 && $0.utf8.allSatisfy(isHexDigit) }) else {
            return false
        }
        return (UInt8(pairs[0], radix: 16) ?? 1) & 1 == 0
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...70).contains(byte) || (97...102).contains(byte)
    }
}

/// Reads a device's keys one by one and then refuses those that nobody asked for.
struct KeyReader {
    let device: String
    private var keys: [String: String]

    init(device: String, keys: [String: String]) {
        self.device = device
        // As LXD: what begins so is the user's, and means nothing here.
        self.keys = keys.filter { !$0.key.hasPrefix("user.") }
        self.keys["type"] = nil
    }

    func peek(_ key: String) -> String? { keys[key] }

    mutating func take(_ key: String) -> String? { keys.removeValue(forKey: key) }

    mutating func shift() throws -> Devices.Shift {
        guard let text = take("shift") else { return .no }
        if text == "auto" { return .auto }
        guard let value = Units.bool(text) else { throw error("shift", text, "true, false or auto") }
        return value ? .yes : .no
    }

    mutating func bool(_ key: String, unset: Bool = false) throws -> Bool {
        guard let text = take(key) else { return unset }
        guard let value = Units.bool(text) else { throw error(key, text, "true or false") }
        return value
    }

    /// Nil also for 0, which is no limit.
    mutating func bitRate(_ key: String) throws -> Int64? {
        guard let text = take(key) else { return nil }
        guard let rate = Units.bitRate(text) else { throw error(key, text, "bits a second, as 100Mbit") }
        return rate == 0 ? nil : rate
    }

    func error(_ key: String, _ value: String, _ form: String) -> EngineError {
        EngineError(
            .invalidArgument, "device \(Names.quoted(device)): \(Names.quoted(value)) is not a value of '\(key)'",
            hint: "it takes \(form)")
    }

    func finish() throws {
        guard let unknown = keys.keys.sorted().first else { return }
        throw EngineError(
            .invalidArgument, "device \(Names.quoted(device)) has an unknown key \(Names.quoted(unknown))")
    }
}
