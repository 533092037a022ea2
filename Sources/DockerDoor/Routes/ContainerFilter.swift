import Engine
import Model

/// The filters of `GET /containers/json`.
struct ContainerFilter {
    private let filters: Filters
    private let before: Double?
    private let since: Double?

    private static let names: Set<String> = [
        "ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "label!", "name",
        "network", "publish", "since", "status", "volume",
    ]
    private static let states: Set<String> = [
        "created", "restarting", "running", "removing", "paused", "exited", "dead",
    ]

    init(_ filters: Filters, all: [ContainerFacts]) throws {
        try filters.allow(Self.names)
        self.filters = filters
        for state in filters["status"] where !Self.states.contains(state) {
            throw EngineError(.invalidArgument, "invalid filter 'status=\(state)'")
        }
        for code in filters["exited"] where Int32(code) == nil {
            throw EngineError(.invalidArgument, "invalid filter 'exited=\(code)'")
        }
        func time(_ filter: String) throws -> Double? {
            guard let wanted = filters[filter].first else { return nil }
            let found = all.first { $0.record.name == wanted || $0.id.hasPrefix(wanted) }
            guard let found else { throw ContainerFinder.missing(wanted) }
            return found.record.createdAt
        }
        before = try time("before")
        since = try time("since")
    }

    func fits(_ facts: ContainerFacts) throws -> Bool {
        let record = facts.record
        return filters.fits(labels: facts.labels)
            && filters.fits("status") { $0 == facts.state }
            && filters.fits("exited") { facts.state == "exited" && Int32($0) == record.lastExit?.code ?? 0 }
            && filters.fits("id") { facts.id.hasPrefix($0) }
            && filters.fits("name") { Self.matches($0, "/" + record.name) }
            && filters.fits("ancestor") { Self.isAncestor($0, facts) }
            && filters.fits("network") { wanted in
                facts.networks.members.contains {
                    $0.key == wanted || $0.value["NetworkID"].string?.hasPrefix(wanted) == true
                }
            }
            && filters.fits("volume") { wanted in
                facts.view.expanded.devices.values.contains { $0["source"] == wanted || $0["path"] == wanted }
            }
            && filters.fits("publish") { Self.isPort($0, facts.publishedPorts.map(\.guest)) }
            && filters.fits("expose") { Self.isPort($0, facts.exposedPorts) }
            && filters.fits("health") { $0 == facts.health }
            && filters.fits("is-task") { $0 == "false" || $0 == "0" }
            && (before.map { record.createdAt < $0 } ?? true) && (since.map { record.createdAt > $0 } ?? true)
    }

    /// As a regular expression, as dockerd matches names, with and without the slash.
    private static func matches(_ pattern: String, _ name: String) -> Bool {
        guard let expression = try? Regex(pattern) else { return name.contains(pattern) }
        return name.contains(expression) || String(name.dropFirst()).contains(expression)
    }

    private static func isAncestor(_ wanted: String, _ facts: ContainerFacts) -> Bool {
        guard let digest = facts.record.image else { return false }
        if digest == wanted || digest.dropFirst(7).hasPrefix(wanted) { return true }
        return facts.imageName == wanted || ImageNames.full(facts.imageName) == ImageNames.full(wanted)
    }

    /// `80`, `80/tcp` or `80-90/tcp`.
    private static func isPort(_ wanted: String, _ ports: [String]) -> Bool {
        let parts = wanted.split(separator: "/").map(String.init)
        let transport = parts.count > 1 ? parts[1] : "tcp"
        let ends = (parts.first ?? "").split(separator: "-").compactMap { Int($0) }
        guard let first = ends.first, let last = ends.last else { return false }
        return ports.contains { port in
            let own = port.split(separator: "/").map(String.init)
            guard own.count == 2, let number = Int(own[0]) else { return false }
            return own[1] == transport && number >= first && number <= last
        }
    }
}
