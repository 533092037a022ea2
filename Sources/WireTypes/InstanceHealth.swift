extension API {
    /// What health tests have shown (Isle's).
    public struct InstanceHealth: Codable, Sendable, Hashable {
        /// `starting`, `healthy` or `unhealthy`.
        @Zero public var status = ""
        @Zero public var failingStreak = 0
        /// The last results, oldest first.
        @Zero public var log: [HealthResult] = []

        enum CodingKeys: String, CodingKey {
            case status, log
            case failingStreak = "failing_streak"
        }

        public init() {}
    }

    /// One health test (Isle's).
    public struct HealthResult: Codable, Sendable, Hashable {
        @Zero public var startedAt = ""
        @Zero public var endedAt = ""
        /// 0 is well; -1: it took too long or could not be run.
        @Zero public var exitCode: Int32 = 0
        @Zero public var output = ""

        enum CodingKeys: String, CodingKey {
            case output
            case startedAt = "started_at"
            case endedAt = "ended_at"
            case exitCode = "exit_code"
        }

        public init() {}
    }
}
