/// What the health tests of an instance have shown in its present run.
public struct HealthState: Sendable, Codable, Hashable {
    public enum Status: String, Sendable, Codable {
        /// No test has told yet.
        case starting
        case healthy
        case unhealthy
    }

    public var status: Status
    /// Failures in a row, of those that count.
    public var failingStreak: Int
    /// The last results, oldest first; at most `kept`.
    public var log: [HealthResult]

    /// Results that are kept.
    public static let kept = 5

    public init(status: Status = .starting, failingStreak: Int = 0, log: [HealthResult] = []) {
        self.status = status
        self.failingStreak = failingStreak
        self.log = log
    }

    /// Takes in a result. A failure counts unless `isInStartPeriod`, and `retries` of them in a row make the instance
    /// unhealthy; a success makes it healthy at once. True if the status is another than before.
    public mutating func record(_ result: HealthResult, retries: Int, isInStartPeriod: Bool) -> Bool {
        log.append(result)
        if log.count > Self.kept { log.removeFirst(log.count - Self.kept) }
        let before = status
        if result.exitCode == 0 {
            failingStreak = 0
            status = .healthy
        } else if !isInStartPeriod || status != .starting {
            failingStreak += 1
            if failingStreak >= retries { status = .unhealthy }
        }
        return status != before
    }
}

/// One health test.
public struct HealthResult: Sendable, Codable, Hashable {
    /// Seconds since 1970.
    public var startedAt: Double
    public var endedAt: Double
    /// 0 is well, 1 is not; -1: it took too long or could not be run.
    public var exitCode: Int32
    /// The beginning of what it wrote, at most 4096 bytes.
    public var output: String

    public init(startedAt: Double, endedAt: Double, exitCode: Int32, output: String) {
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.exitCode = exitCode
        self.output = output
    }
}
