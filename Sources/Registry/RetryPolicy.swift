/// How often and how long a failed request is tried again.
public struct RetryPolicy: Sendable {
    /// Attempts in all, the first among them.
    public var attempts: Int
    /// The first pause; each further one is twice as long, up to `longestPause`.
    public var firstPause: Duration
    public var longestPause: Duration
    /// What a server may ask for by Retry-After; a longer wait ends the work with an error that says so.
    public var longestRetryAfter: Duration

    public init(
        attempts: Int = 5, firstPause: Duration = .milliseconds(500), longestPause: Duration = .seconds(15),
        longestRetryAfter: Duration = .seconds(60)
    ) {
        self.attempts = attempts
        self.firstPause = firstPause
        self.longestPause = longestPause
        self.longestRetryAfter = longestRetryAfter
    }

    /// The pause before attempt number `attempt` (2 is the first repetition), without jitter.
    func pause(before attempt: Int) -> Duration {
        let doublings = min(max(attempt - 2, 0), 20)
        return min(firstPause * (1 << doublings), longestPause)
    }

    /// What to do after failed attempt number `attempt`.
    func decide(after attempt: Int, retryAfter: Duration?) -> Decision {
        guard attempt < attempts else { return .giveUp }
        guard let retryAfter else { return .again(pause(before: attempt + 1)) }
        return retryAfter > longestRetryAfter ? .giveUp : .again(max(retryAfter, .zero))
    }

    enum Decision: Equatable {
        case again(Duration)
        case giveUp
    }

    /// Sleeps for `pause`, shortened by a random part of up to a third so that many clients do not come back at once.
    static func sleep(_ pause: Duration) async throws {
        try await Task.sleep(for: pause * Double.random(in: 0.67...1))
    }

    /// Statuses that a later attempt may not get.
    static func isTransient(_ status: Int) -> Bool { [408, 425, 429, 500, 502, 503, 504].contains(status) }
}
