/// Checks of names that users, images and backups bring in.
public enum Names {
    /// Checks an instance's name: 1 to 63 of `a-z A-Z 0-9 -`, a letter first, no `-` last (RFC 1123 label, as LXD).
    public static func checkInstance(_ name: String) throws {
        let bytes = Array(name.utf8)
        guard let first = bytes.first else {
            throw EngineError(.invalidArgument, "an instance's name is empty")
        }
        guard bytes.count <= 63 else {
            throw EngineError(.invalidArgument, "instance name of \(bytes.count) bytes: at most 63 are allowed")
        }
        guard isLetter(first), bytes.last != UInt8(ascii: "-"),
            bytes.allSatisfy({ isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "-") })
        else {
            throw EngineError(
                .invalidArgument, "instance name \(quoted(name)) is not allowed",
                hint: "use letters, digits and dashes; begin with a letter, do not end with a dash")
        }
    }

    /// How strict the check of an instance's name is, which depends on the clients that know it.
    public enum Naming: String, Sendable {
        /// A host name's label, as LXD's clients expect.
        case label
        /// Also `_` and `.`, and a digit first (moby, `names.RestrictedNameChars`), at most 128 bytes.
        case relaxed
    }

    /// Checks an instance's name by the rules of `naming`.
    public static func checkInstance(_ name: String, _ naming: Naming) throws {
        guard naming == .relaxed else { return try checkInstance(name) }
        let bytes = Array(name.utf8)
        guard (2...128).contains(bytes.count), let first = bytes.first, isLetter(first) || isDigit(first),
            bytes.allSatisfy({ isLetter($0) || isDigit($0) || [46, 95, 45].contains($0) }),
            // They become names in the DNS.
            bytes.split(separator: 46, omittingEmptySubsequences: false).allSatisfy({
                (1...63).contains($0.count) && $0.first != 45 && $0.last != 45
            })
        else {
            throw EngineError(
                .invalidArgument, "instance name \(quoted(name)) is not allowed",
                hint: "use 2 to 128 letters, digits, '_', '.' and '-'; begin with a letter or a digit")
        }
    }

    /// Checks the name of a volume: 1 to 128 of `a-z A-Z 0-9 . _ -`, no dot or dash first. Docker's clients name volumes
    /// after projects, and by 64 digits those that nobody named.
    public static func checkVolume(_ name: String) throws { try checkResource(name, "volume", most: 128) }

    /// Checks the name of a profile, network, project or pool: 1 to `most` of `a-z A-Z 0-9 . _ -`, no dot or dash first.
    public static func checkResource(_ name: String, _ what: String, most: Int = 63) throws {
        let bytes = Array(name.utf8)
        guard (1...most).contains(bytes.count), let first = bytes.first,
            isLetter(first) || isDigit(first),
            bytes.allSatisfy({
                isLetter($0) || isDigit($0) || [UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-")].contains($0)
            })
        else {
            throw EngineError(
                .invalidArgument, "\(what) name \(quoted(name)) is not allowed",
                hint: "use 1 to \(most) letters, digits, '.', '_' and '-'; begin with a letter or a digit")
        }
    }

    /// Labels of 1 to 63 letters, digits, dashes and underscores, joined by dots, at most 253 bytes. Nothing that
    /// means anything in a hosts file or in dnsmasq's configuration passes.
    public static func isDomain(_ name: String) -> Bool {
        guard (1...253).contains(name.utf8.count) else { return false }
        return name.utf8.split(separator: 0x2e, omittingEmptySubsequences: false).allSatisfy { label in
            (1...63).contains(label.count) && label.first != 0x2d && label.last != 0x2d
                && label.allSatisfy { isLetter($0) || isDigit($0) || $0 == 0x2d || $0 == 0x5f }
        }
    }

    /// Checks the name of a snapshot or backup: 1 to 100 of `a-z A-Z 0-9 . _ - : +`, a letter or digit first, so that
    /// it can be part of a path and name a point in time.
    public static func checkSnapshot(_ name: String, _ what: String = "snapshot") throws {
        let bytes = Array(name.utf8)
        guard (1...100).contains(bytes.count), let first = bytes.first, isLetter(first) || isDigit(first),
            bytes.allSatisfy({ isLetter($0) || isDigit($0) || Array("._-:+".utf8).contains($0) })
        else {
            throw EngineError(
                .invalidArgument, "\(what) name \(quoted(name)) is not allowed",
                hint: "use 1 to 100 letters, digits, '.', '_', '-', ':' and '+'; begin with a letter or a digit")
        }
    }

    /// `text` in quotes, control characters escaped and shortened to 80 characters, safe to print on a terminal.
    public static func quoted(_ text: String) -> String {
        var out = "'"
        for (index, scalar) in text.unicodeScalars.enumerated() {
            if index == 80 {
                out += "…"
                break
            }
            let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
            out += isControl ? scalar.escaped(asASCII: true) : String(scalar)
        }
        return out + "'"
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
}
