import LinuxHost
import Logging
import Model
import Netlink
import Synchronization

/// Deletes links that nobody needs any more, behind everybody's back: the kernel takes 16 to 36 ms for one, and a
/// veth vanishes by itself when the namespace of its other end goes.
final class LinkSweeper: Sendable {
    private struct State {
        var links: [HostLink: ContinuousClock.Instant] = [:]
        var task: Task<Void, Never>?
    }

    private let state = Mutex(State())
    private let namespace: OwnedDescriptor?
    private let log: Logger

    init(namespace: OwnedDescriptor?, log: Logger) {
        self.namespace = namespace
        self.log = log
    }

    /// Sees to it that `link` goes: a tap at once, a veth when it has not gone by itself after `patience`.
    func retire(_ link: HostLink, patience: Duration = .seconds(1)) {
        state.withLock { state in
            state.links[link] = .now + (link.isTap ? .zero : patience)
            guard state.task == nil else { return }
            state.task = Task { await self.sweep() }
        }
    }

    /// Deletes what is retired without further patience: somebody waits for the name.
    func hurry() {
        state.withLock { state in
            for link in state.links.keys { state.links[link] = .now }
        }
    }

    /// Suspends until every retired link is gone.
    func drain() async {
        while let task = state.withLock({ $0.task }) { await task.value }
    }

    private func sweep() async {
        while true {
            let due = state.withLock { state -> [HostLink]? in
                guard !state.links.isEmpty else {
                    state.task = nil
                    return nil
                }
                let now = ContinuousClock.now
                return state.links.filter { $0.value <= now }.map(\.key)
            }
            guard let due else { return }
            for link in due {
                let isGone = await runBlocking { self.delete(link) }
                state.withLock { state in
                    state.links[link] = isGone ? nil : .now + .seconds(30)
                }
            }
            if due.isEmpty { try? await Task.sleep(for: .milliseconds(100)) }
        }
    }

    private func delete(_ link: HostLink) -> Bool {
        do {
            let socket = try namespace.map { try NetworkNamespace.run(in: $0) { try NetlinkSocket() } }
            let session = NetlinkSession(try socket ?? NetlinkSocket())
            // The index may belong to another link by now, and a name that a user chose too; both never do.
            guard let found = try session.link(named: link.name), link.index == 0 || found.index == link.index else {
                return true
            }
            try session.perform([.deleteLink(.name(link.name))])
            return true
        } catch let error as NetlinkError where error.isGone {
            return true
        } catch {
            log.warning("link \(link.name) cannot be removed yet: \(error)")
            return false
        }
    }
}
