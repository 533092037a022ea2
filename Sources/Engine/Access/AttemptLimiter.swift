/// Bounds how often somebody may be wrong: after `limit` failures within `window` seconds, nothing is tried any more
/// until the oldest is that old. Per address, and for all together ten times as often.
struct AttemptLimiter: Sendable {
    let limit: Int
    let window: Double
    private var failures: [String: [Double]] = [:]

    init(limit: Int = 10, window: Double = 60) {
        self.limit = limit
        self.window = window
    }

    /// Whether another attempt may be made now.
    mutating func mayTry(_ address: String, now: Double) -> Bool {
        forget(now)
        let all = failures.values.reduce(0) { $0 + $1.count }
        return (failures[address]?.count ?? 0) < limit && all < limit * 10
    }

    mutating func failed(_ address: String, now: Double) { failures[address, default: []].append(now) }

    private mutating func forget(_ now: Double) {
        failures = failures.mapValues { $0.filter { now - $0 < window } }.filter { !$0.value.isEmpty }
    }
}
