import DriverKit
import Model

/// The translation rules of a network's forwards, as nft(8) has them. Values come from parsed addresses and numbers
/// alone, so that nothing else can get into the ruleset.
enum ForwardRules {
    static func rules(_ forwards: [NetworkForward]) -> [String] {
        forwards.flatMap { forward -> [String] in
            guard let listen = IPAddress(forward.listenAddress) else { return [] }
            let ip = listen.family == .v4 ? "ip" : "ip6"
            var rules = forward.ports.flatMap { port -> [String] in
                guard let target = IPAddress(port.targetAddress), target.family == listen.family else { return [] }
                let head = "\(ip) daddr \(listen) \(port.transport.rawValue) dport"
                guard let first = port.target, first != port.listen.lowerBound else {
                    return ["\(head) \(port.listen.portText) dnat \(ip) to \(target)"]
                }
                return port.listen.map { number in
                    let inside = Int(first) + Int(number - port.listen.lowerBound)
                    return "\(head) \(number) dnat \(ip) to \(bracketed(target)):\(inside)"
                }
            }
            if let target = forward.targetAddress.flatMap({ IPAddress($0) }), target.family == listen.family {
                rules.append("\(ip) daddr \(listen) dnat \(ip) to \(target)")
            }
            return rules
        }
    }

    private static func bracketed(_ address: IPAddress) -> String {
        address.family == .v6 ? "[\(address)]" : "\(address)"
    }
}
