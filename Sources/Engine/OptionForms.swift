import FoundationEssentials
import Model

/// Forms of configuration values that more than one part of the engine reads.
enum OptionForms {
    /// The resource limits of setrlimit(2) by their names below `limits.kernel.`.
    static let kernelLimits: Set<String> = [
        "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
        "rtprio", "rttime", "sigpending", "stack",
    ]

    /// `N`, `SOFT:HARD` or `unlimited`, each part a number or `unlimited` (also -1); nil for anything else.
    static func limitPair(_ text: String) -> (soft: UInt64, hard: UInt64)? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { part -> UInt64? in
            part == "unlimited" || part == "-1" ? .max : UInt64(part).flatMap { $0 <= 1 << 62 ? $0 : nil }
        }
        guard (1...2).contains(parts.count), let soft = parts[0], let hard = parts.last ?? nil, soft <= hard else {
            return nil
        }
        return (soft, hard)
    }

    /// Whether a sysctl is the instance's own: one of its network, IPC or UTS namespace (namespaces(7)).
    static func isOwnSysctl(_ name: String) -> Bool {
        guard name.utf8.allSatisfy({ (97...122).contains($0) || (48...57).contains($0) || [45, 46, 95].contains($0) }),
            !name.hasSuffix("."), !name.contains("..")
        else { return false }
        return name.hasPrefix("net.") || name.hasPrefix("fs.mqueue.") || name.hasPrefix("kernel.shm")
            || ["kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.domainname"].contains(name)
    }

    /// Seconds: `30`, `0.5`, or Docker's `1m30s`, `500ms`; nil if it is none, negative or above a year.
    static func duration(_ text: String) -> Duration? {
        if let seconds = Double(text), seconds.isFinite {
            guard (0...31_536_000).contains(seconds) else { return nil }
            return .microseconds(Int64(seconds * 1e6))
        }
        var rest = Substring(text)
        var total = Duration.zero
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isASCII && $0.isLetter }
            rest = rest.dropFirst(unit.count)
            let factors: [Substring: Double] = ["us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600]
            guard let number = Double(digits), let factor = factors[unit], number * factor <= 31_536_000 else {
                return nil
            }
            total += .microseconds(Int64(number * factor * 1e6))
        }
        return total
    }

    /// Words between commas, without blanks around them; empty ones are left out.
    static func list(_ text: String) -> [String] {
        text.split(whereSeparator: { $0 == "," || $0 == "\n" })
            .map { String($0.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }.filter { !$0.isEmpty }
    }

    /// `NAME=ADDRESS` pairs; an address is IPv4, IPv6 or `host-gateway`. Nil for anything else.
    static func hosts(_ text: String) -> [(name: String, address: String)]? {
        var result: [(name: String, address: String)] = []
        for entry in list(text) {
            guard let equals = entry.firstIndex(of: "=") else { return nil }
            let name = String(entry[..<equals])
            let address = String(entry[entry.index(after: equals)...])
            guard isHostName(name), address == "host-gateway" || IPAddress(address) != nil else { return nil }
            result.append((name, address))
        }
        return result
    }

    /// Letters, digits, dashes, dots and underscores, at most 253: nothing that means anything in a hosts file.
    static func isHostName(_ name: String) -> Bool {
        (1...253).contains(name.utf8.count) && !name.hasPrefix("-") && !name.hasPrefix(".")
            && name.utf8.allSatisfy {
                (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
                    || [45, 46, 95].contains($0)
            }
    }

    /// A word of resolv.conf(5): `ndots:2`, `rotate`.
    static func isResolverOption(_ word: String) -> Bool {
        (1...64).contains(word.utf8.count)
            && word.utf8.allSatisfy { (48...58).contains($0) || (97...122).contains($0) || $0 == 45 || $0 == 95 }
    }

    /// Docker's health test: `["NONE"]`, `["CMD", PROGRAM, …]` or `["CMD-SHELL", TEXT]`; nil for anything else.
    static func healthTest(_ text: String) -> [String]? {
        guard let words = try? JSONDecoder().decode([String].self, from: Data(text.utf8)) else { return nil }
        switch words.first {
        case "NONE"?: return words.count == 1 ? words : nil
        case "CMD"?: return words.count >= 2 && !words[1].isEmpty ? words : nil
        case "CMD-SHELL"?: return words.count == 2 ? words : nil
        default: return nil
        }
    }

    /// Where an instance's namespace comes from; nil if `text` is none of the words.
    static func namespace(_ text: String, words: Set<String>) -> Bool {
        words.contains(text) || (text.hasPrefix("instance:") && text.utf8.count > "instance:".utf8.count)
    }
}
