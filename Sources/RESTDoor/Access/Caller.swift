import DoorKit
import Model

/// Who sent a request, as far as it could be proved.
enum Caller: Sendable, Hashable {
    /// Somebody who may open the unix socket: as good as root.
    case local(user: UInt32)
    /// The holder of a certificate of the trust store.
    case trusted(CertificateRecord, address: String)
    /// Anybody else.
    case stranger(address: String)

    /// What the engine is told; nil for a stranger.
    var requestor: Requestor? {
        switch self {
        case .local(let user): Requestor(username: user == 0 ? "root" : String(user), protocol: "unix")
        case .trusted(let record, let address):
            Requestor(
                username: record.fingerprint, protocol: "tls", address: address,
                projects: record.restricted ? Set(record.projects) : nil)
        case .stranger: nil
        }
    }

    /// May do everything.
    var isAdministrator: Bool {
        switch self {
        case .local: true
        case .trusted(let record, _): record.purpose == .client && !record.restricted
        case .stranger: false
        }
    }

    /// May use the API, if only parts of it.
    var isClient: Bool {
        switch self {
        case .local: true
        case .trusted(let record, _): record.purpose == .client
        case .stranger: false
        }
    }

    var address: String {
        switch self {
        case .local: ""
        case .trusted(_, let address), .stranger(let address): address
        }
    }
}
