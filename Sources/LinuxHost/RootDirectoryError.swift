import Glibc
public import Model

/// An error number of the system, as the cause of an `EngineError`.
public struct SystemError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The value of errno, positive.
    public let number: Int32

    public init(_ number: Int32) { self.number = number }

    /// The system's own words, as `No such file or directory`.
    public var description: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard strerror_r(number, &buffer, buffer.count) == 0 else { return "error \(number)" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The engine's code for this number.
    public var code: EngineError.Code {
        switch number {
        case ENOENT: .notFound
        case EEXIST: .alreadyExists
        case EACCES, EPERM, EROFS: .permissionDenied
        case ENOSPC, EDQUOT, ENOMEM, EMFILE, ENFILE, EMLINK, EFBIG: .resourceExhausted
        case EBUSY, EAGAIN, ETXTBSY: .busy
        case EINVAL, ENAMETOOLONG, ELOOP, ENOTDIR, EISDIR, EXDEV: .invalidArgument
        case ENOTEMPTY: .conflict
        case EOPNOTSUPP, ENOSYS: .unsupported
        default: .internal
        }
    }
}

extension EngineError {
    /// The failure of a system call: `action` names what was tried and on what, as `create folder /var/lib/isle/x`.
    public static func system(_ number: Int32, _ action: String, hint: String? = nil) -> EngineError {
        let cause = SystemError(number)
        return EngineError(cause.code, "cannot \(action)", hint: hint, cause: cause)
    }

    /// The error number of the system call that failed, where this error comes from one.
    public var systemErrorNumber: Int32? { (cause as? SystemError)?.number }
}
