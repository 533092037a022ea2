internal import Model

/// Looks over JSON from a stranger before it is decoded: bounded nesting and number of values, and no key twice in an
/// object, since two readers would then see two different documents under one digest.
///
/// Everything else about the grammar is left to the decoder that runs after.
public struct JSONGuard {
    private let bytes: [UInt8]
    private let maxDepth: Int
    private var valuesLeft: Int
    private var position = 0

    /// `invalidArgument`, naming `what`, if the document breaks a bound or is not JSON.
    public static func check(
        _ bytes: [UInt8], what: String, maxBytes: Int, maxDepth: Int = 24, maxValues: Int = 50_000
    ) throws {
        guard bytes.count <= maxBytes else {
            throw EngineError(.invalidArgument, "\(what) has \(bytes.count) bytes: at most \(maxBytes) are allowed")
        }
        var scanner = JSONGuard(bytes: bytes, maxDepth: maxDepth, valuesLeft: maxValues)
        do {
            try scanner.value(depth: 0)
            scanner.skipSpace()
            guard scanner.position == bytes.count else { throw Fault.syntax }
        } catch let fault as Fault {
            throw EngineError(
                .invalidArgument, "\(what) is not JSON that can be trusted: \(fault.text) at byte \(scanner.position)")
        }
    }

    private enum Fault: Error {
        case syntax, depth, count, duplicate(String)
        var text: String {
            switch self {
            case .syntax: "malformed"
            case .depth: "nested too deeply"
            case .count: "too many values"
            case .duplicate(let key): "key \(Names.quoted(key)) appears twice"
            }
        }
    }

    private init(bytes: [UInt8], maxDepth: Int, valuesLeft: Int) {
        self.bytes = bytes
        self.maxDepth = maxDepth
        self.valuesLeft = valuesLeft
    }

    private mutating func value(depth: Int) throws {
        guard depth <= maxDepth else { throw Fault.depth }
        valuesLeft -= 1
        guard valuesLeft >= 0 else { throw Fault.count }
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"): try object(depth: depth)
        case UInt8(ascii: "["): try array(depth: depth)
        case UInt8(ascii: "\""): _ = try string()
        case nil: throw Fault.syntax
        default: try scalar()
        }
    }

    private mutating func object(depth: Int) throws {
        position += 1
        var keys: Set<String> = []
        skipSpace()
        if take(UInt8(ascii: "}")) { return }
        while true {
            skipSpace()
            let key = try string()
            guard keys.insert(key).inserted else { throw Fault.duplicate(key) }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw Fault.syntax }
            try value(depth: depth + 1)
            skipSpace()
            if take(UInt8(ascii: "}")) { return }
            guard take(UInt8(ascii: ",")) else { throw Fault.syntax }
        }
    }

    private mutating func array(depth: Int) throws {
        position += 1
        skipSpace()
        if take(UInt8(ascii: "]")) { return }
        while true {
            try value(depth: depth + 1)
            skipSpace()
            if take(UInt8(ascii: "]")) { return }
            guard take(UInt8(ascii: ",")) else { throw Fault.syntax }
        }
    }

    /// A number, `true`, `false` or `null`.
    private mutating func scalar() throws {
        let start = position
        while let byte = peek, byte > 0x20, ![UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}")].contains(byte) {
            position += 1
        }
        guard position > start else { throw Fault.syntax }
    }

    private mutating func string() throws -> String {
        guard take(UInt8(ascii: "\"")) else { throw Fault.syntax }
        var units: [UInt8] = []
        var surrogate: UInt16?
        while let byte = peek {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: units, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let escape = peek else { throw Fault.syntax }
                position += 1
                guard escape == UInt8(ascii: "u") else {
                    units.append(Self.escapes[escape] ?? escape)
                    continue
                }
                let unit = try hexUnit()
                if let high = surrogate, (0xdc00...0xdfff).contains(unit) {
                    units += Array(String(decoding: [high, unit], as: UTF16.self).utf8)
                    surrogate = nil
                } else if (0xd800...0xdbff).contains(unit) {
                    surrogate = unit
                } else {
                    units += Array(String(decoding: [unit], as: UTF16.self).utf8)
                }
            case 0..<0x20: throw Fault.syntax
            default: units.append(byte)
            }
        }
        throw Fault.syntax
    }

    private mutating func hexUnit() throws -> UInt16 {
        guard position + 4 <= bytes.count,
            let unit = UInt16(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
        else { throw Fault.syntax }
        position += 4
        return unit
    }

    private mutating func skipSpace() {
        while let byte = peek, [0x20, 0x09, 0x0a, 0x0d].contains(byte) { position += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        position += 1
        return true
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private static let escapes: [UInt8: UInt8] = [
        UInt8(ascii: "n"): 10, UInt8(ascii: "t"): 9, UInt8(ascii: "r"): 13, UInt8(ascii: "b"): 8, UInt8(ascii: "f"): 12,
    ]
}
