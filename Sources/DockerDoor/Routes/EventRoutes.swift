import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model

/// The stream of what happens.
struct EventRoutes: Sendable {
    let door: DockerParts

    func add(to table: inout PathTable) { table.add(.get, "/events") { try await events($0) } }

    private func events(_ call: DockerCall) async throws -> Response {
        let now = Clock.now
        let since = try call.value("since").map { try Filters.time($0, now: now) }
        let until = try call.value("until").map { try Filters.time($0, now: now) }
        let filters = try call.filters
        let (past, future) = door.events.subscribe()
        return DockerReply.stream(call, DockerReply.json) { writer in
            if let since {
                for event in past where event.time >= since && until.map({ event.time <= $0 }) ?? true {
                    if Self.fits(event, filters) { try await writer.write(event.json) }
                }
            }
            if let until, until <= now { return }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await event in future where Self.fits(event, filters) { try await writer.write(event.json) }
                }
                if let until {
                    group.addTask { try await Task.sleep(for: .seconds(min(until - Clock.now, 1e9))) }
                }
                try await group.next()
                group.cancelAll()
            }
        }
    }

    static func fits(_ event: EventLog.Event, _ filters: Filters) -> Bool {
        func names(_ type: String, _ wanted: String) -> Bool {
            event.type == type
                && (event.id == wanted || (wanted.utf8.count >= 4 && event.id.hasPrefix(wanted))
                    || event.attributes["name"] == wanted
                    || (type == "image" && ImageNames.split(event.attributes["name"] ?? "").name == wanted))
        }
        return filters.fits("type") { $0 == event.type } && filters.fits("scope") { $0 == "local" }
            && filters.fits("event") { event.action == $0 || event.action.hasPrefix($0 + ":") }
            && filters.fits("container") { names("container", $0) || event.attributes["container"] == $0 }
            && filters.fits("image") { name in
                names("image", name)
                    || event.attributes["image"].map { $0 == name || ImageNames.split($0).name == name } ?? false
            }
            && filters.fits("volume") { names("volume", $0) } && filters.fits("network") { names("network", $0) }
            && filters.fits(labels: event.attributes)
    }
}
