import AsyncHTTPClient
import ContentStore
import Model
import NIOCore
import NIOHTTP1
import OCI

/// One request to a repository, in a form that can be sent several times.
struct RegistryRequest: Sendable {
    enum Target: Sendable {
        /// Below `/v2/<repository>/`.
        case repository(String)
        /// `/v2/` itself.
        case root
        /// Where the registry sent us.
        case location(WebLocation)
    }

    enum Body: Sendable {
        case empty
        case bytes([UInt8])
        /// A part of a blob, read from the store while it is sent.
        case blob(any ContentStoring, ContentDigest, offset: Int64, length: Int64, sent: @Sendable (Int64) -> Void)
    }

    var method: HTTPMethod
    var target: Target
    var headers: HTTPHeaders
    var body: Body?
    /// What the token must allow, as `repository:NAME:pull`.
    var scopes: [String]
    /// No bound on the whole, only on silence.
    var isTransfer: Bool

    init(
        _ method: HTTPMethod, _ target: Target, headers: HTTPHeaders = [:], body: Body? = nil, scopes: [String],
        isTransfer: Bool = false
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.scopes = scopes
        self.isTransfer = isTransfer
    }

    /// The body for one sending.
    func makeBody() -> HTTPClientRequest.Body? {
        switch body {
        case nil: nil
        case .empty: .bytes(ByteBuffer())
        case .bytes(let bytes): .bytes(ByteBuffer(bytes: bytes))
        case .blob(let store, let digest, let offset, let length, let sent):
            .stream(
                BlobParts(store: store, digest: digest, offset: offset, length: length, sent: sent),
                length: .known(length))
        }
    }
}

/// A part of a blob as a sequence of buffers.
private struct BlobParts: AsyncSequence, Sendable {
    var store: any ContentStoring
    var digest: ContentDigest
    var offset: Int64
    var length: Int64
    var sent: @Sendable (Int64) -> Void

    func makeAsyncIterator() -> Iterator { Iterator(parts: self, left: length) }

    struct Iterator: AsyncIteratorProtocol {
        var parts: BlobParts
        var left: Int64
        var reader: ContentReader?

        mutating func next() async throws -> ByteBuffer? {
            guard left > 0 else { return nil }
            let reader: ContentReader
            if let open = self.reader {
                reader = open
            } else {
                reader = try await parts.store.reader(parts.digest, from: parts.offset)
                self.reader = reader
            }
            let bytes = try await reader.read(Int(Swift.min(left, 1 << 18)))
            guard !bytes.isEmpty else {
                throw EngineError(.internal, "content \(parts.digest) is shorter on disk than it should be")
            }
            left -= Int64(bytes.count)
            parts.sent(Int64(bytes.count))
            return ByteBuffer(bytes: bytes)
        }
    }
}
