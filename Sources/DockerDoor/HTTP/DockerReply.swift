import DoorKit
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model
import NIOCore

/// Answers in Docker's shapes.
enum DockerReply {
    static let json = "application/json"

    static func json(_ value: JSON, status: HTTPResponse.Status = .ok) -> Response {
        var bytes: [UInt8] = []
        value.write(to: &bytes)
        bytes.append(UInt8(ascii: "\n"))
        return Response(
            status: status, headers: [.contentType: json], body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    /// Done; there is nothing to say.
    static func empty(_ status: HTTPResponse.Status = .noContent) -> Response { Response(status: status) }

    static func error(_ status: HTTPResponse.Status, _ message: String) -> Response {
        json(["message": .string(message)], status: status)
    }

    /// What becomes of a failure of a route.
    static func failure(_ error: any Error) -> Response {
        let (status, message) = describe(error)
        return self.error(status, message)
    }

    static func describe(_ error: any Error) -> (HTTPResponse.Status, String) {
        switch error {
        case let error as EngineError: (error.code.dockerStatus, error.description)
        case let error as Refusal: (error.status, error.message)
        case let error as HTTPError: (error.status, error.body ?? error.status.reasonPhrase)
        case is CancellationError: (.serviceUnavailable, "the daemon is stopping")
        default: (.internalServerError, "internal error: \(error)")
        }
    }

    /// An answer whose body comes bit by bit. It ends when `body` returns or the client goes.
    static func stream(
        _ call: DockerCall, _ type: String, status: HTTPResponse.Status = .ok,
        _ body: @escaping @Sendable (StreamWriter) async throws -> Void
    ) -> Response {
        let closing = call.context.closing
        return Response(
            status: status, headers: [.contentType: type],
            body: ResponseBody { writer in
                let (pieces, pieceSource) = AsyncThrowingStream.makeStream(of: ByteBuffer.self)
                let flow = StreamWriter(pieces: pieceSource)
                let work = Task {
                    do {
                        try await body(flow)
                        pieceSource.finish()
                    } catch {
                        pieceSource.finish(throwing: error)
                    }
                }
                closing.whenComplete { _ in
                    work.cancel()
                    pieceSource.finish(throwing: CancellationError())
                }
                do {
                    for try await piece in pieces {
                        try await writer.write(piece)
                        flow.sent(piece.readableBytes)
                    }
                } catch {
                    work.cancel()
                    flow.end()
                    await work.value
                    throw error
                }
                await work.value
                try await writer.finish(nil)
            })
    }
}

extension EngineError.Code {
    /// The HTTP status that dockerd gives for it.
    var dockerStatus: HTTPResponse.Status {
        switch self {
        case .invalidArgument: .badRequest
        case .notFound: .notFound
        case .alreadyExists, .conflict: .conflict
        case .busy: .serviceUnavailable
        case .unsupported: .notImplemented
        case .permissionDenied: .forbidden
        case .resourceExhausted: .internalServerError
        case .cancelled: .serviceUnavailable
        case .timeout: .internalServerError
        case .unavailable: .internalServerError
        case .internal: .internalServerError
        }
    }
}
