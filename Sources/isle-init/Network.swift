import CHost

/// Configures the interfaces whose addresses the host has chosen; the others are the guest's own business.
func configureNetwork(_ config: GuestConfig) {
    _ = guest_interface_up("lo")
    var address = ""
    for item in config.interfaces where !item.ipv4.utf8.isEmpty || !item.ipv6.utf8.isEmpty {
        guard let name = interface(mac: item.mac) else {
            say("isle-init: no network interface has the address " + item.mac)
            continue
        }
        _ = guest_interface_up(name)
        if let (bytes, prefix) = splitPrefix(item.ipv4, parseIPv4), prefix <= 32 {
            let mask = prefix == 0 ? UInt32(0) : ~UInt32(0) << UInt32(32 - prefix)
            report(guest_address4(name, word(bytes), mask.bigEndian), name, item.ipv4)
            if let gateway = parseIPv4(item.gateway4) {
                report(guest_default_route4(word(gateway)), name, item.gateway4)
            }
            if address.utf8.isEmpty { address = splitFields(item.ipv4, "/")[0] }
        }
        if let (bytes, prefix) = splitPrefix(item.ipv6, parseIPv6), prefix <= 128 {
            report(guest_address6(name, bytes, UInt32(prefix)), name, item.ipv6)
            if let gateway = parseIPv6(item.gateway6) {
                report(guest_default_route6(name, gateway), name, item.gateway6)
            }
        }
    }
    guard !config.readOnlyRoot else { return }
    if !config.nameServers.isEmpty {
        var text = ""
        for server in config.nameServers { text += "nameserver " + server + "\n" }
        if !config.searchDomains.isEmpty {
            text += "search"
            for domain in config.searchDomains { text += " " + domain }
            text += "\n"
        }
        _ = guest_unlink("/etc/resolv.conf")
        writeFile("/etc/resolv.conf", [UInt8](text.utf8))
    }
    if !address.utf8.isEmpty, config.boot == .application {
        let text =
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" + address + "\t" + config.hostname
            + "\n"
        writeFile("/etc/hosts", [UInt8](text.utf8))
    }
}

private func report(_ result: Int32, _ name: String, _ value: String) {
    if result < 0 { say("isle-init: " + name + " " + value + ": " + reason(result)) }
}

private func interface(mac: String) -> String? {
    for name in listFolder("/sys/class/net") where readLine("/sys/class/net/" + name + "/address") == mac {
        return name
    }
    return nil
}

private func splitPrefix(_ text: String, _ parse: (String) -> [UInt8]?) -> ([UInt8], UInt32)? {
    let parts = splitFields(text, "/")
    guard parts.count == 2, let bytes = parse(parts[0]), let prefix = number(parts[1]) else { return nil }
    return (bytes, prefix)
}

/// Four bytes in network order as the number that lies so in memory.
private func word(_ bytes: [UInt8]) -> UInt32 {
    UInt32(bytes[0]) | UInt32(bytes[1]) << 8 | UInt32(bytes[2]) << 16 | UInt32(bytes[3]) << 24
}
