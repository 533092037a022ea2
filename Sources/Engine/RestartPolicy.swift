import Model

/// Whether and when an instance that ended by itself is started again; Docker's meanings.
public enum RestartPolicy: Sendable, Hashable {
    case no
    /// After a non-zero exit, at most `limit` times in a row (nil: without bound).
    case onFailure(limit: Int?)
    case always
    case unlessStopped

    /// Nil if `text` is none of `no`, `on-failure`, `on-failure:N`, `always`, `unless-stopped`.
    public init?(_ text: String) {
        switch text {
        case "no", "": self = .no
        case "always": self = .always
        case "unless-stopped": self = .unlessStopped
        case "on-failure": self = .onFailure(limit: nil)
        default:
            guard text.hasPrefix("on-failure:"), let limit = Int(text.dropFirst(11)), (0...1_000_000).contains(limit)
            else { return nil }
            self = .onFailure(limit: limit == 0 ? nil : limit)
        }
    }

    /// The pause before the next start, or nil to leave it stopped.
    ///
    /// - Parameters:
    ///   - attempt: restarts since it last ran for `settled`, 0 at first.
    func delay(after exit: ExitRecord, attempt: Int) -> Duration? {
        switch self {
        case .no: return nil
        case .onFailure(let limit):
            guard exit.code != 0, limit.map({ attempt < $0 }) ?? true else { return nil }
        case .always, .unlessStopped: break
        }
        // 100 ms doubling to one minute.
        return attempt >= 10 ? .seconds(60) : .milliseconds(min(60_000, 100 << attempt))
    }

    /// An instance that ran this long starts counting anew.
    static let settled: Duration = .seconds(10)
}
