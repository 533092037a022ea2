import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import NIOCore
import WireTypes

/// Answers in LXD's envelope.
enum Reply {
    static let json = "application/json"

    /// What was asked for.
    static func sync<Value: Codable & Sendable>(_ value: Value, etag: String? = nil) throws -> Response {
        var headers: HTTPFields = [.contentType: json]
        if let etag { headers[.eTag] = etag }
        return Response(status: .ok, headers: headers, body: try body(API.Response(value)))
    }

    /// Done; there is nothing to say.
    static func done() throws -> Response { try sync(API.Empty()) }

    /// Something new is at `location`.
    static func created(_ location: String) throws -> Response {
        Response(
            status: .created, headers: [.contentType: json, .location: location],
            body: try body(API.Response(API.Empty())))
    }

    /// Work that goes on in the background.
    static func operation(_ operation: API.Operation) throws -> Response {
        Response(
            status: .accepted,
            headers: [.contentType: json, .location: "/1.0/operations/\(operation.id)"],
            body: try body(API.Response(created: operation)))
    }

    static func error(_ status: HTTPResponse.Status, _ message: String) -> Response {
        let response = API.Response<API.Empty>(error: message, code: status.code)
        // Text and numbers only: encoding cannot fail, and if it does the status alone has to do.
        let bytes = (try? body(response)) ?? ResponseBody()
        return Response(status: status, headers: [.contentType: json], body: bytes)
    }

    /// For who is not known.
    static func unauthorised() -> Response { error(.forbidden, "not authorized") }

    /// What becomes of a failure of a route.
    static func failure(_ error: any Error) -> Response {
        switch error {
        case let error as EngineError: Reply.error(error.code.httpStatus, error.description)
        case let error as RequestError: Reply.error(error.status, error.message)
        case let error as HTTPError: Reply.error(error.status, error.body ?? error.status.reasonPhrase)
        case is CancellationError: Reply.error(.serviceUnavailable, "the daemon is stopping")
        default: Reply.error(.internalServerError, "internal error: \(error)")
        }
    }

    static func encode(_ value: some Encodable) throws -> Data { Data(try JSONWriter.encode(value)) }

    private static func body(_ value: some Encodable) throws -> ResponseBody {
        var buffer = ByteBuffer(bytes: try JSONWriter.encode(value))
        buffer.writeInteger(UInt8(ascii: "\n"))
        return ResponseBody(byteBuffer: buffer)
    }
}

/// A mark of what a thing looked like, so that a client can say "change it only if it is still like this".
enum ETag {
    /// FNV-1a over the JSON of what a PUT may change.
    static func of(_ value: some Encodable) throws -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in try JSONWriter.encode(value) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
