import Glibc
import Model

extension Cgroup {
    /// Suspends every process of the group; returns when all are.
    /// - Throws: `timeout` (the group is thawed again), `unsupported` without a freezer.
    public func freeze(timeout: Duration = .seconds(10)) async throws {
        try setFrozen(true)
        let clock = ContinuousClock()
        let deadline = clock.now + timeout
        var pause = Duration.microseconds(100)
        while !isFrozen {
            guard clock.now < deadline else {
                try setFrozen(false)
                throw EngineError(.timeout, "the processes of control group \(name) did not freeze within \(timeout)")
            }
            do {
                try await Task.sleep(for: pause)
            } catch {
                try setFrozen(false)
                throw error
            }
            pause = min(pause * 2, .milliseconds(10))
        }
    }

    /// Lets the processes go on.
    public func thaw() throws { try setFrozen(false) }

    /// Whether all processes are suspended.
    public var isFrozen: Bool {
        if let unified { return field("frozen", in: "\(unified)/cgroup.events") == 1 }
        return path(of: "freezer").map { host.words("\($0)/freezer.state").first == "FROZEN" } ?? false
    }

    private func setFrozen(_ frozen: Bool) throws {
        let file: String
        let value: String
        if let unified {
            (file, value) = ("\(unified)/cgroup.freeze", frozen ? "1" : "0")
        } else if let freezer = path(of: "freezer") {
            (file, value) = ("\(freezer)/freezer.state", frozen ? "FROZEN" : "THAWED")
        } else {
            throw EngineError(.unsupported, "this host has no freezer for control groups")
        }
        let result = files.write(value, to: file)
        guard result == 0 else { throw EngineError.cgroup(-result, "write '\(value)' to \(file)") }
    }
}
