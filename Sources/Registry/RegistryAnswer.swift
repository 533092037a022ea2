import AsyncHTTPClient
import FoundationEssentials
import Model
import NIOCore
import NIOHTTP1

/// An answer of a registry with its body not yet read.
struct RegistryAnswer: Sendable {
    var response: HTTPClientResponse
    /// Where it came from, after redirects.
    var location: WebLocation

    var status: Int { Int(response.status.code) }
    func header(_ name: String) -> String? { response.headers.first(name: name) }

    /// The body, at most `limit` bytes.
    func bytes(limit: Int) async throws -> [UInt8] {
        if let length = header("Content-Length").flatMap({ Int($0) }), length > limit { throw tooLong(limit) }
        var bytes: [UInt8] = []
        do {
            for try await part in response.body {
                guard bytes.count + part.readableBytes <= limit else { throw tooLong(limit) }
                bytes.append(contentsOf: part.readableBytesView)
            }
        } catch {
            throw try WebTransport.failure(error, location)
        }
        return bytes
    }

    private func tooLong(_ limit: Int) -> EngineError {
        EngineError(.unavailable, "\(location.authority) sent an answer of more than \(limit) bytes")
    }

    /// Reads a short rest so that the connection can be used again.
    func discard() async {
        // What cannot be read is a connection that is closed instead: nothing is lost.
        _ = try? await response.body.collect(upTo: 64 << 10)
    }

    /// What a server asks for with 429 and 503: seconds, or a date, which is taken as "not stated".
    var retryAfter: Duration? {
        header("Retry-After").flatMap { Int64($0) }.map { .seconds(min(max($0, 0), 1 << 20)) }
    }

    /// The error for a status that is not a success; reads the registry's own words.
    func failure(_ doing: String, hint: String? = nil) async -> EngineError {
        let words = await explanation()
        let text = "\(location.authority) answered \(status) to \(doing)" + (words.map { ": " + $0 } ?? "")
        switch status {
        case 401, 403:
            return EngineError(
                .permissionDenied, text,
                hint: hint ?? "check the name, and log in with skopeo login or give credentials")
        case 404: return EngineError(.notFound, text, hint: hint)
        case 429:
            let wait = retryAfter.map { "it asks to wait \($0.components.seconds) s" }
            return EngineError(
                .unavailable, text, hint: hint ?? wait ?? "try again later, or log in for a higher limit")
        default: return EngineError(.unavailable, text, hint: hint)
        }
    }

    private struct ErrorDocument: Decodable {
        struct Item: Decodable {
            var code: String?
            var message: String?
        }
        var errors: [Item]?
    }

    /// The messages of a distribution-spec error document, made safe to print.
    private func explanation() async -> String? {
        guard let bytes = try? await bytes(limit: 64 << 10),
            let document = try? JSONDecoder().decode(ErrorDocument.self, from: Data(bytes))
        else { return nil }
        let words = (document.errors ?? []).prefix(3).compactMap { $0.message ?? $0.code }.map(Names.quoted)
        return words.isEmpty ? nil : words.joined(separator: ", ")
    }
}
