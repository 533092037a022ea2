import Model

/// How much an archive may unfold to before it is taken for a bomb.
public struct ArchiveLimits: Sendable, Hashable {
    /// Bytes of the uncompressed stream.
    public var bytes: Int64
    /// Members.
    public var entries: Int
    /// Uncompressed bytes per compressed byte, beyond `ratioGrace` bytes. A gzip stream cannot pass 1,032.
    public var ratio: Int64
    /// Uncompressed bytes to which no ratio applies, since small archives of empty files compress very well.
    public var ratioGrace: Int64
    /// Apparent size of one file; a sparse file may be larger than the archive.
    public var fileSize: Int64

    public init(
        bytes: Int64 = 1 << 40, entries: Int = 10_000_000, ratio: Int64 = 1_000, ratioGrace: Int64 = 4 << 30,
        fileSize: Int64 = 16 << 40
    ) {
        self.bytes = bytes
        self.entries = entries
        self.ratio = ratio
        self.ratioGrace = ratioGrace
        self.fileSize = fileSize
    }

    func check(uncompressed: Int64, compressed: Int64, of name: String) throws {
        guard uncompressed <= bytes else {
            throw EngineError(
                .resourceExhausted, "archive \(name) unfolds to more than \(bytes) bytes, the most that is accepted")
        }
        guard uncompressed <= ratioGrace || uncompressed / max(compressed, 1) <= ratio else {
            throw EngineError(
                .resourceExhausted,
                "archive \(name) unfolds to more than \(ratio) times its size, which is taken for a bomb")
        }
    }
}
