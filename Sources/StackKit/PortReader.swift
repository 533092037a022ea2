import WireTypes

/// `ports` of a service: `8080:80`, `127.0.0.1:8080:80/udp`, `80`, `8000-8002:80-82`, or the long form.
enum PortReader {
    /// The proxy devices. Without an address a port is open on all of the host's, as the Compose specification has it.
    static func ports(_ value: JSONValue, service: String) throws(StackError) -> [[String: String]] {
        if case .object = value { return [try long(value, service)] }
        guard var text = Fields.text(value) else { throw StackError("service '\(service)': a port is no text") }
        let wrong = StackError(
            "service '\(service)': '\(text)' is no port", hint: "write 8080:80 or 127.0.0.1:8080:80/udp")
        var transport = "tcp"
        if let slash = text.lastIndex(of: "/") {
            transport = String(text[text.index(after: slash)...])
            text = String(text[..<slash])
            guard transport == "tcp" || transport == "udp" else { throw wrong }
        }
        var address = "0.0.0.0"
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            address = String(text[text.index(after: text.startIndex)..<end])
            text = String(text[text.index(after: end)...].dropFirst())
        }
        var parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        if parts.count == 3 { address = parts.removeFirst() }
        guard let guest = parts.last.flatMap(range), parts.count <= 2 else { throw wrong }
        guard parts.count == 2, !parts[0].isEmpty else {
            return guest.map { device(transport, address, 0, $0) }
        }
        guard let host = range(parts[0]), host.count == guest.count else { throw wrong }
        return zip(host, guest).map { device(transport, address, $0, $1) }
    }

    private static func long(_ value: JSONValue, _ service: String) throws(StackError) -> [String: String] {
        var fields = try Fields("service '\(service)', ports", value)
        guard let target = try fields.text("target").flatMap({ UInt16($0) }) else {
            throw StackError("service '\(service)': a port has no target")
        }
        let published = try fields.text("published").flatMap { UInt16($0) } ?? 0
        let transport = try fields.text("protocol") ?? "tcp"
        let address = try fields.text("host_ip") ?? "0.0.0.0"
        for key in ["mode", "name", "app_protocol"] { _ = fields.take(key) }
        try fields.finish()
        return device(transport, address, published, target)
    }

    private static func range(_ text: String) -> ClosedRange<UInt16>? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
        guard (1...2).contains(ends.count), let first = ends[0], let last = ends.last ?? nil, first <= last, first > 0
        else { return nil }
        return first...last
    }

    private static func device(_ transport: String, _ address: String, _ host: UInt16, _ guest: UInt16) -> [String:
        String]
    {
        let listen = address.contains(":") ? "[\(address)]" : address
        let connect = address.contains(":") ? "[::1]" : "127.0.0.1"
        return [
            "type": "proxy", "listen": "\(transport):\(listen):\(host)", "connect": "\(transport):\(connect):\(guest)",
            "nat": "true",
        ]
    }
}
