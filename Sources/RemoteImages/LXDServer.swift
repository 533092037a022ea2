import DriverKit
import FoundationEssentials
import Model

/// The images of another daemon with LXD's API: public ones, and private ones by a secret that was made for them.
struct LXDServer: Sendable {
    let server: String
    let fetcher: WebFetcher
    let secret: String?

    private struct Answer<Value: Decodable>: Decodable { var metadata: Value }
    private struct Alias: Decodable { var target: String }
    private struct Image: Decodable {
        var fingerprint: String
        var type: String?
        var properties: [String: String]?
        var size: Int64?
    }

    func find(_ name: String) async throws -> RemoteImage {
        var fingerprint = name
        if secret == nil {
            do {
                let bytes = try await fetcher.document("\(server)/1.0/images/aliases/\(Self.encoded(name))")
                fingerprint = try decode(Answer<Alias>.self, bytes).metadata.target
            } catch let error as EngineError where error.code == .notFound {
                // It is a fingerprint.
            }
        }
        let path = "\(server)/1.0/images/\(Self.encoded(fingerprint))"
        let image = try decode(Answer<Image>.self, try await fetcher.document(path + query)).metadata
        let full = try SimpleStreams.checkedDigest(image.fingerprint)
        let file = RemoteImage.File(address: "\(server)/1.0/images/\(full)/export\(query)", name: "export", size: nil)
        return RemoteImage(
            fingerprint: full, isMachine: image.type == "virtual-machine", properties: image.properties ?? [:],
            files: [file])
    }

    private var query: String { secret.map { "?secret=\(Self.encoded($0))" } ?? "" }

    /// RFC 3986: all but unreserved characters escaped.
    static func encoded(_ text: String) -> String {
        var out = ""
        for byte in text.utf8 {
            let isPlain =
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                || [45, 46, 95, 126].contains(byte)
            out +=
                isPlain
                ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }
        return out
    }

    private func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8]) throws -> T {
        do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch {
            throw EngineError(.unavailable, "the server \(server) gave an answer that is not LXD's", cause: error)
        }
    }
}
