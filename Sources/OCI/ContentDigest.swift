internal import Crypto
internal import Model

/// The name of content by its SHA-256: `sha256:` and 64 lowercase hexadecimal digits (OCI image-spec v1.1,
/// descriptor.md, "Digests").
///
/// A value can only be made from a checked text, so that `hex` is always safe as a file's name. Other algorithms are
/// refused: content is stored under this one name only.
public struct ContentDigest: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    /// The 64 hexadecimal digits.
    public let hex: String

    /// Checks `text`; `invalidArgument` unless it is `sha256:` with 64 lowercase hexadecimal digits.
    public init(_ text: some StringProtocol) throws {
        let bytes = text.utf8
        guard bytes.starts(with: Self.prefix.utf8) else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(String(text))) is not a digest that Isle takes",
                hint: "a digest is 'sha256:' and 64 hexadecimal digits")
        }
        try self.init(hex: String(text.dropFirst(Self.prefix.count)))
    }

    /// Checks the digits alone.
    public init(hex: String) throws {
        guard hex.utf8.count == 64,
            hex.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) })
        else {
            throw EngineError(
                .invalidArgument, "digest \(Names.quoted(Self.prefix + hex)) is malformed",
                hint: "a digest is 'sha256:' and 64 lowercase hexadecimal digits")
        }
        self.hex = hex
    }

    /// The digest of `bytes`.
    public init(of bytes: [UInt8]) {
        self.init(hash: SHA256.hash(data: bytes))
    }

    /// The digest whose 32 bytes a hash function gave.
    public init(hash: some Sequence<UInt8>) {
        var digits: [UInt8] = []
        digits.reserveCapacity(64)
        for byte in hash {
            digits.append(Self.digits[Int(byte >> 4)])
            digits.append(Self.digits[Int(byte & 15)])
        }
        hex = String(decoding: digits, as: UTF8.self)
    }

    public init(from decoder: any Decoder) throws {
        try self.init(decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// `sha256:…`.
    public var description: String { Self.prefix + hex }

    /// The first twelve digits, for people.
    public var short: String { String(hex.prefix(12)) }

    public static func < (left: ContentDigest, right: ContentDigest) -> Bool { left.hex < right.hex }

    private static let prefix = "sha256:"
    private static let digits = Array("0123456789abcdef".utf8)
}
