import DriverKit
import Model

// Proxy devices that need a process: what is more than a port of the host that leads to one of the instance.
extension Devices {
    /// Adds the device if it is one of those: with a unix socket at an end, listening inside, to another address than the
    /// instance's own, with a header, or `nat=false` said outright. Else its keys beyond the two addresses are taken.
    mutating func addForward(_ reader: inout KeyReader, _ listen: String, _ connect: String) throws -> Bool {
        let bind = reader.take("bind") ?? "host"
        guard ["host", "instance", "guest", "container"].contains(bind) else {
            throw reader.error("bind", bind, "host or instance")
        }
        let listensInside = bind != "host"
        var nat: Bool?
        if let text = reader.take("nat") {
            guard let value = Units.bool(text) else { throw reader.error("nat", text, "true or false") }
            nat = value
        }
        let hasHeader = try reader.bool("proxy_protocol")
        let isPlain = !listensInside && !hasHeader && nat != false && Self.leadsToInstance(listen, connect)
        guard !isPlain else { return false }
        guard nat != true else {
            throw EngineError(
                .invalidArgument,
                "proxy device \(Names.quoted(reader.device)) cannot be done by address translation as nat=true asks",
                hint: "leave nat out")
        }
        let outer = try Self.ends(listen, "listen", reader)
        let inner = try Self.ends(connect, "connect", reader)
        guard outer.count == inner.count || inner.count == 1 else {
            throw reader.error("connect", connect, "one port, or as many as 'listen'")
        }
        guard outer[0].isDatagram == inner[0].isDatagram else {
            throw reader.error("connect", connect, "datagrams on both ends or on none")
        }
        guard !hasHeader || !outer[0].isDatagram else {
            throw reader.error("proxy_protocol", "true", "false for datagrams")
        }
        var spec = ForwardSpec(
            name: reader.device, listenSide: listensInside ? .instance : .host, listen: outer[0],
            connectSide: listensInside ? .host : .instance, connect: inner[0])
        spec.hasHeader = hasHeader
        if let mode = reader.take("mode") {
            guard let bits = UInt32(mode, radix: 8), bits <= 0o777 else { throw reader.error("mode", mode, "as 0660") }
            spec.mode = bits
        }
        spec.owner = try reader.number("uid") ?? 0
        spec.group = try reader.number("gid") ?? 0
        spec.user = try reader.number("security.uid") ?? 0
        spec.primaryGroup = try reader.number("security.gid") ?? 0
        for (index, end) in outer.enumerated() {
            spec.listen = end
            spec.connect = inner.count == 1 ? inner[0] : inner[index]
            spec.name = outer.count == 1 ? reader.device : "\(reader.device).\(index)"
            forwards.append((reader.device, spec))
        }
        return true
    }

    /// Whether both ends are plain ports, the inner one of the instance's own.
    private static func leadsToInstance(_ listen: String, _ connect: String) -> Bool {
        guard !listen.hasPrefix("unix:"), !connect.hasPrefix("unix:"),
            listen.prefix(while: { $0 != ":" }) == connect.prefix(while: { $0 != ":" })
        else { return false }
        let address = connect.drop { $0 != ":" }.dropFirst()
        guard let last = address.lastIndex(of: ":") else { return true }
        let bare = address[..<last].filter { $0 != "[" && $0 != "]" }
        // What is no address at all is refused where the ports are read.
        guard let parsed = IPAddress(String(bare)) else { return true }
        return parsed.isLoopback || parsed.isUnspecified
    }

    /// `tcp:127.0.0.1:80`, `udp:[::]:1000-1010,1020`, `unix:/run/x`, `unix:@name`.
    private static func ends(_ text: String, _ key: String, _ reader: KeyReader) throws -> [ForwardSpec.Address] {
        let wrong = reader.error(key, text, "tcp:ADDRESS:PORT, udp:ADDRESS:PORT or unix:PATH")
        guard let colon = text.firstIndex(of: ":"), !text.utf8.contains(0) else { throw wrong }
        let rest = text[text.index(after: colon)...]
        switch text[..<colon] {
        case "unix":
            guard rest.hasPrefix("/") || rest.hasPrefix("@"), (2...107).contains(rest.utf8.count),
                !rest.split(separator: "/").contains("..")
            else { throw wrong }
            return [.unix(String(rest))]
        case "tcp", "udp":
            guard let last = rest.lastIndex(of: ":") else { throw wrong }
            let address = rest[..<last].filter { $0 != "[" && $0 != "]" }
            guard IPAddress(String(address)) != nil else { throw wrong }
            var ports: [UInt16] = []
            for part in rest[rest.index(after: last)...].split(separator: ",", omittingEmptySubsequences: false) {
                let bounds = part.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
                guard (1...2).contains(bounds.count), let low = bounds[0], let high = bounds[bounds.count - 1], low > 0,
                    low <= high, ports.count + Int(high - low) < 256
                else { throw wrong }
                ports += low...high
            }
            return ports.map { text.hasPrefix("tcp") ? .tcp(String(address), $0) : .udp(String(address), $0) }
        default: throw wrong
        }
    }
}
