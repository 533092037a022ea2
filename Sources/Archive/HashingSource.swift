import Crypto

/// Passes a stream on and takes the SHA-256 of every byte of it.
public final class HashingSource: BlockSource {
    private let base: any BlockSource
    private var hash = SHA256()
    /// Bytes that went through.
    public private(set) var count: Int64 = 0

    public init(_ base: any BlockSource) { self.base = base }

    public func nextBlock() throws -> UnsafeRawBufferPointer {
        let block = try base.nextBlock()
        hash.update(bufferPointer: block)
        count += Int64(block.count)
        return block
    }

    /// Reads what is left and returns the digest of the whole stream, as `sha256:` and 64 hexadecimal digits.
    public func digest() throws -> String {
        while try !nextBlock().isEmpty {}
        return sha256Text(hash.finalize())
    }
}

/// `sha256:` and the digest in hexadecimal.
func sha256Text(_ digest: SHA256.Digest) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text = Array("sha256:".utf8)
    for byte in digest {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}
