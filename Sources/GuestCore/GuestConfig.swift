/// What a machine that is booted with Isle's kernel is told: the file `/isle.conf` of its initial file system.
///
/// The file has lines `key=value`; keys may repeat; bytes below 0x20, `%` and 0x7f in a value are written as `%XX`.
public struct GuestConfig: Sendable, Hashable {
    /// What runs as the first process.
    public enum Boot: Sendable, Hashable {
        /// The given program as the guest's init; the agent runs beside it. Without a path the usual places are tried,
        /// and where there is none `isle-init` itself stays and only keeps the machine up.
        case system(path: String)
        /// `process`, below `isle-init`; the machine ends with it.
        case application
    }

    /// One network interface that the guest finds by its MAC address. Empty texts are left out.
    public struct Interface: Sendable, Hashable {
        public var mac: String
        public var name: String
        /// `address/prefix`.
        public var ipv4: String
        public var gateway4: String
        public var ipv6: String
        public var gateway6: String

        public init(
            mac: String, name: String, ipv4: String = "", gateway4: String = "", ipv6: String = "",
            gateway6: String = ""
        ) {
            self.mac = mac
            self.name = name
            self.ipv4 = ipv4
            self.gateway4 = gateway4
            self.ipv6 = ipv6
            self.gateway6 = gateway6
        }
    }

    /// A shared folder of the host (virtiofs).
    public struct Share: Sendable, Hashable {
        public var tag: String
        public var target: String
        public var readOnly: Bool

        public init(tag: String, target: String, readOnly: Bool) {
            self.tag = tag
            self.target = target
            self.readOnly = readOnly
        }
    }

    public var boot: Boot = .system(path: "")
    public var hostname = ""
    public var process = ExecRequest(arguments: [])
    public var interfaces: [Interface] = []
    public var nameServers: [String] = []
    public var searchDomains: [String] = []
    public var shares: [Share] = []
    public var readOnlyRoot = false

    public init() {}

    public var encoded: [UInt8] {
        var lines: [UInt8] = []
        func line(_ key: String, _ value: String) {
            lines.append(contentsOf: key.utf8)
            lines.append(UInt8(ascii: "="))
            lines.append(contentsOf: GuestConfig.escape(value))
            lines.append(10)
        }
        switch boot {
        case .application: line("boot", "application")
        case .system(let path):
            line("boot", "system")
            line("init", path)
        }
        line("hostname", hostname)
        for argument in process.arguments { line("argument", argument) }
        for entry in process.environment { line("environment", entry) }
        line("directory", process.directory)
        line("user", process.user)
        line("terminal", process.terminal ? "1" : "0")
        line("input", process.openInput ? "1" : "0")
        line("columns", decimal(UInt32(process.columns)))
        line("rows", decimal(UInt32(process.rows)))
        for item in interfaces {
            line(
                "interface",
                item.mac + " " + item.name + " " + orDash(item.ipv4) + " " + orDash(item.gateway4) + " "
                    + orDash(item.ipv6) + " " + orDash(item.gateway6))
        }
        for server in nameServers { line("nameserver", server) }
        for domain in searchDomains { line("search", domain) }
        for share in shares { line("share", share.tag + " " + (share.readOnly ? "ro" : "rw") + " " + share.target) }
        line("readonly", readOnlyRoot ? "1" : "0")
        return lines
    }

    /// Reads what `encoded` writes; unknown keys are passed over.
    public init(decoding bytes: [UInt8]) {
        for line in bytes.split(separator: 10) {
            guard let equals = line.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let key = String(decoding: line[..<equals], as: UTF8.self)
            let value = GuestConfig.unescape(line[(equals + 1)...])
            switch key {
            case "boot": boot = value == "application" ? .application : .system(path: "")
            case "init": boot = .system(path: value)
            case "hostname": hostname = value
            case "argument": process.arguments.append(value)
            case "environment": process.environment.append(value)
            case "directory": process.directory = value
            case "user": process.user = value
            case "terminal": process.terminal = value == "1"
            case "input": process.openInput = value == "1"
            case "columns": process.columns = UInt16(truncatingIfNeeded: number(value) ?? 80)
            case "rows": process.rows = UInt16(truncatingIfNeeded: number(value) ?? 24)
            case "interface": addInterface(value)
            case "nameserver": nameServers.append(value)
            case "search": searchDomains.append(value)
            case "share": addShare(value)
            case "readonly": readOnlyRoot = value == "1"
            default: break
            }
        }
    }

    private mutating func addInterface(_ value: String) {
        let words = splitWords(value)
        guard words.count == 6 else { return }
        func word(_ index: Int) -> String { words[index] == "-" ? "" : words[index] }
        interfaces.append(
            Interface(
                mac: words[0], name: words[1], ipv4: word(2), gateway4: word(3), ipv6: word(4), gateway6: word(5)))
    }

    private mutating func addShare(_ value: String) {
        let bytes = [UInt8](value.utf8)
        let words = bytes.split(separator: 32, maxSplits: 2)
        guard words.count == 3 else { return }
        shares.append(
            Share(
                tag: String(decoding: words[0], as: UTF8.self), target: String(decoding: words[2], as: UTF8.self),
                readOnly: String(decoding: words[1], as: UTF8.self) == "ro"))
    }

    private func orDash(_ text: String) -> String { text.utf8.isEmpty ? "-" : text }

    private static func escape(_ text: String) -> [UInt8] {
        let digits = [UInt8]("0123456789abcdef".utf8)
        var out: [UInt8] = []
        for byte in text.utf8 {
            if byte < 32 || byte == 127 || byte == UInt8(ascii: "%") {
                out.append(UInt8(ascii: "%"))
                out.append(digits[Int(byte >> 4)])
                out.append(digits[Int(byte & 15)])
            } else {
                out.append(byte)
            }
        }
        return out
    }

    private static func unescape(_ bytes: ArraySlice<UInt8>) -> String {
        var out: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.endIndex, let high = hexDigit(bytes[index + 1]),
                let low = hexDigit(bytes[index + 2])
            {
                out.append(high << 4 | low)
                index += 3
            } else {
                out.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
