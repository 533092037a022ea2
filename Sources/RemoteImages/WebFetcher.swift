import AsyncHTTPClient
import Crypto
import FoundationEssentials
import Glibc
import LinuxHost
import Model
import NIOCore
import NIOHTTP1
import NIOSSL

/// Fetches documents and files by HTTP and HTTPS, within the address policy also after redirects. What was checked is
/// what is connected to: the name is looked up once.
struct WebFetcher: Sendable {
    var policy: AddressPolicy
    /// PEM of the one certificate that a server must show; empty: one that the host trusts.
    var certificate: String
    private static let maxRedirects = 5

    /// An answer whose body was not read yet, with the client that it lives in.
    struct Answer: Sendable {
        var status: Int
        var headers: HTTPHeaders
        var body: HTTPClientResponse.Body
        var address: String
    }

    /// Sends a request and runs `use` with the answer.
    func with<Result: Sendable>(
        _ method: HTTPMethod = .GET, _ address: String, headers: [(String, String)] = [],
        _ use: @Sendable (Answer) async throws -> Result
    ) async throws -> Result {
        var target = try Self.parse(address)
        for _ in 0...Self.maxRedirects {
            let host = target.host() ?? ""
            let client = HTTPClient(
                eventLoopGroupProvider: .singleton,
                configuration: try configuration(host, try await policy.address(of: host)))
            let next: URL?
            do {
                var request = HTTPClientRequest(url: target.absoluteString)
                request.method = method
                request.headers = HTTPHeaders(headers + [("User-Agent", "isle"), ("Accept-Encoding", "identity")])
                let response = try await client.execute(request, timeout: .hours(6))
                if (300..<400).contains(Int(response.status.code)) {
                    next = try Self.redirect(response.headers.first(name: "Location"), target)
                } else {
                    let answer = Answer(
                        status: Int(response.status.code), headers: response.headers, body: response.body,
                        address: target.absoluteString)
                    let result = try await use(answer)
                    try await client.shutdown()
                    return result
                }
            } catch {
                // What is being thrown says what went wrong.
                try? await client.shutdown()
                throw Self.explained(error, host)
            }
            try await client.shutdown()
            guard let next else { break }
            target = next
        }
        throw EngineError(.unavailable, "\(Names.quoted(address)) redirects more than \(Self.maxRedirects) times")
    }

    /// A document of at most `limit` bytes. `notFound` for 404.
    func document(_ address: String, headers: [(String, String)] = [], limit: Int = 64 << 20) async throws -> [UInt8] {
        try await with(.GET, address, headers: headers) { answer in
            try Self.check(answer)
            var bytes: [UInt8] = []
            for try await part in answer.body {
                guard bytes.count + part.readableBytes <= limit else {
                    throw EngineError(.unavailable, "\(Names.quoted(address)) is longer than \(limit) bytes")
                }
                bytes.append(contentsOf: part.readableBytesView)
            }
            return bytes
        }
    }

    /// Writes what `address` has to a new file and gives its SHA-256; stops beyond `limit` bytes.
    func download(
        _ address: String, to path: String, limit: Int64, progress: @Sendable (Int64, Int64?) -> Void
    ) async throws -> (sha256: String, contentType: String?, filename: String?) {
        try await withoutActuallyEscaping(progress) { progress in
            try await with(.GET, address) { answer in
                try Self.check(answer)
                let raw = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
                guard raw >= 0 else { throw EngineError.system(errno, "create \(path)") }
                let file = OwnedDescriptor(raw)
                var hash = SHA256()
                var done: Int64 = 0
                let total = answer.headers.first(name: "Content-Length").flatMap { Int64($0) }
                for try await part in answer.body {
                    done += Int64(part.readableBytes)
                    guard done <= limit else {
                        throw EngineError(
                            .unavailable, "\(Names.quoted(address)) is longer than the \(limit) bytes expected")
                    }
                    part.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
                    try await runBlocking { try Self.write(part, file, path) }
                    progress(done, total)
                }
                let digest = hash.finalize().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
                let disposition = answer.headers.first(name: "Content-Disposition") ?? ""
                let name = disposition.split(separator: ";").first { $0.contains("filename=") }
                    .map { String($0.drop { $0 != "=" }.dropFirst().filter { $0 != "\"" }) }
                return (digest, answer.headers.first(name: "Content-Type"), name)
            }
        }
    }

    private static func write(_ part: ByteBuffer, _ file: OwnedDescriptor, _ path: String) throws {
        var rest = part
        while rest.readableBytes > 0 {
            let count = rest.readWithUnsafeReadableBytes { max(0, Glibc.write(file.raw, $0.baseAddress, $0.count)) }
            guard count > 0 || errno == EINTR else { throw EngineError.system(errno, "write \(path)") }
        }
    }

    static func check(_ answer: Answer) throws {
        switch answer.status {
        case 200: return
        case 404: throw EngineError(.notFound, "there is nothing at \(Names.quoted(answer.address))")
        case 401, 403:
            throw EngineError(
                .permissionDenied, "\(Names.quoted(answer.address)) may not be fetched (\(answer.status))")
        default: throw EngineError(.unavailable, "\(Names.quoted(answer.address)) answers \(answer.status)")
        }
    }

    /// http and https only, without user names.
    static func parse(_ text: String) throws -> URL {
        guard text.utf8.count < 4096, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }), let url = URL(string: text),
            let scheme = url.scheme?.lowercased(), ["http", "https"].contains(scheme), let host = url.host(),
            !host.isEmpty, url.user() == nil
        else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(text)) is not a web address to fetch images from",
                hint: "write it as https://HOST/PATH")
        }
        return url
    }

    private static func redirect(_ location: String?, _ from: URL) throws -> URL {
        guard let location, let url = URL(string: location, relativeTo: from)?.absoluteURL else {
            throw EngineError(.unavailable, "\(Names.quoted(from.absoluteString)) redirects to nowhere")
        }
        let target = try parse(url.absoluteString)
        guard from.scheme?.lowercased() != "https" || target.scheme?.lowercased() == "https" else {
            throw EngineError(.unavailable, "\(Names.quoted(from.absoluteString)) redirects from https to http")
        }
        return target
    }

    private func configuration(_ host: String, _ address: String) throws -> HTTPClient.Configuration {
        var tls = TLSConfiguration.makeClientConfiguration()
        var pinned: NIOSSLCertificate?
        if !certificate.isEmpty {
            guard let first = try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)).first else {
                throw EngineError(.invalidArgument, "the certificate of the image server holds none")
            }
            pinned = first
            // The certificate itself says whom we speak to: LXD's and ours name no reachable host and are signed by
            // nobody but themselves, without the right to sign. It is compared below, before anything is sent.
            tls.certificateVerification = .none
        }
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: tls, redirectConfiguration: .disallow,
            timeout: .init(connect: .seconds(15), read: .seconds(120)))
        configuration.httpVersion = .http1Only
        configuration.decompression = .disabled
        if let pinned {
            configuration.http1_1ConnectionDebugInitializer = { channel in
                channel.nioSSL_peerCertificate().flatMapThrowing { shown in
                    guard shown != pinned else { return }
                    try channel.pipeline.syncOperations.addHandler(OtherCertificate(host: host), position: .first)
                }
            }
        }
        if host != address { configuration.dnsOverride = [host: address] }
        return configuration
    }

    private static func explained(_ error: any Error, _ host: String) -> any Error {
        if error is EngineError || error is CancellationError { return error }
        if error is BoringSSLError, CertificateAuthorities.bundle == nil {
            return EngineError(
                .unavailable, "\(Names.quoted(host)) cannot be verified: this host trusts no certificate authorities",
                hint: CertificateAuthorities.advice)
        }
        return EngineError(.unavailable, "the image server \(Names.quoted(host)) cannot be fetched from", cause: error)
    }
}

/// Lets nothing out of a connection to a server that shows another certificate than it should. (The client's own way to
/// refuse a connection at this point would leave it open.)
private final class OtherCertificate: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    private let host: String

    init(host: String) { self.host = host }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let error = EngineError(
            .permissionDenied,
            "the image server \(Names.quoted(host)) shows another certificate than the one that it is known by")
        promise?.fail(error)
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }
}
