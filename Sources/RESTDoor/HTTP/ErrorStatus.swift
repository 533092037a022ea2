import HTTPTypes
import Model

extension EngineError.Code {
    /// The HTTP status that says it. LXD's choice where LXD has one.
    var httpStatus: HTTPResponse.Status {
        switch self {
        case .invalidArgument: .badRequest
        case .notFound: .notFound
        case .alreadyExists: .conflict
        case .conflict: .badRequest
        case .busy: .serviceUnavailable
        case .unsupported: .notImplemented
        case .permissionDenied: .forbidden
        case .resourceExhausted: .insufficientStorage
        case .cancelled: .serviceUnavailable
        case .timeout: .gatewayTimeout
        case .unavailable: .badGateway
        case .internal: .internalServerError
        }
    }
}

extension HTTPResponse.Status {
    static var insufficientStorage: HTTPResponse.Status { .init(code: 507, reasonPhrase: "Insufficient Storage") }
}

/// A refusal that is the protocol's and not the engine's: a wrong method, a missing precondition, too large a body.
struct RequestError: Error {
    var status: HTTPResponse.Status
    var message: String

    init(_ status: HTTPResponse.Status, _ message: String) {
        self.status = status
        self.message = message
    }
}
