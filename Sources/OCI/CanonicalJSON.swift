internal import FoundationEssentials

/// JSON whose bytes depend on nothing but the value, so that equal documents have equal digests.
public enum CanonicalJSON {
    /// Keys sorted, no white space, slashes as they are.
    public static func bytes(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }
}
