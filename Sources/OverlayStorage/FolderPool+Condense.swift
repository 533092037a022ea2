import DriverKit
import LinuxHost
import Model
import Synchronization

/// Frozen parts that no stack names any more, and may still be read by what began before.
struct RetiredPart: Sendable {
    let name: String
    let since: ContinuousClock.Instant
}

// Each clone of an instance that does not run adds a frozen part to its stack; those of clones that are gone are put
// together again.
extension FolderPool {
    /// A stack of as many parts is condensed when its root is frozen once more.
    static let condensedAt = 32
    /// How long a part that was put together with others stays for those who read it.
    static let retirement: Duration = .seconds(3600)

    /// Replaces each run of frozen parts that the same roots lie over by one part with the same content. A run that
    /// another instance lies over stays, since that may run. To be called under the lock, while `root` is not mounted.
    ///
    /// Stacks are replaced one by one: whichever a crash leaves as they were still name parts that are there, and parts
    /// that no stack names are removed at the next start.
    func condense(_ root: RootName) async throws {
        try sweepRetired()
        for run in runs(of: root) {
            let part = InstanceID.random().raw
            do {
                try await runBlocking { [frozen] in
                    try frozen.makeDirectory(part, mode: 0o711)
                    try FrozenMerge(root: frozen).merge(run.map { "\($0)/fs" }, into: "\(part)/fs")
                    try frozen.syncFilesystem()
                }
            } catch {
                try trash.take(part, from: frozen)
                throw error
            }
            for (user, stack) in stacks.withLock({ $0 }) where stack.parts.contains(run[0]) {
                var parts = stack.parts.filter { !run.dropFirst().contains($0) }
                parts = parts.map { $0 == run[0] ? part : $0 }
                let next = FrozenStack(parts)
                try next.write(to: parent(of: user).subdirectory(user.id.raw))
                stacks.withLock { $0[user] = next }
            }
            let now = ContinuousClock.now
            retired.withLock { $0 += run.map { RetiredPart(name: $0, since: now) } }
        }
    }

    /// Runs of two and more neighbours in the root's stack that exactly the same roots lie over, no other instance
    /// among them.
    private func runs(of root: RootName) -> [[String]] {
        let all = stacks.withLock { $0 }
        var users: [String: Set<RootName>] = [:]
        for (user, stack) in all {
            for part in stack.parts { users[part, default: []].insert(user) }
        }
        var runs: [[String]] = []
        var known: Set<RootName>?
        for part in all[root]?.parts ?? [] {
            let now = users[part] ?? []
            let isFree = now.allSatisfy { user in
                if case .instance = user { user == root } else { true }
            }
            if isFree, now == known {
                runs[runs.count - 1].append(part)
            } else if isFree {
                runs.append([part])
            }
            known = isFree ? now : nil
        }
        return runs.filter { $0.count > 1 }
    }

    /// Puts parts that were retired long enough ago into the trash.
    func sweepRetired(_ now: ContinuousClock.Instant = .now) throws {
        let due = retired.withLock { retired in
            defer { retired.removeAll { now - $0.since >= Self.retirement } }
            return retired.filter { now - $0.since >= Self.retirement }.map(\.name)
        }
        try sweep(due)
    }
}
