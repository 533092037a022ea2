import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model

/// The endpoints of clusters, which answer as an engine outside of one does.
struct SwarmRoutes: Sendable {
    static let noSwarm = Refusal(
        .serviceUnavailable,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again."
    )

    func add(to table: inout PathTable) {
        for path in ["/nodes", "/services", "/tasks", "/secrets", "/configs", "/swarm", "/swarm/unlockkey"] {
            table.add(.get, path) { _ in throw Self.noSwarm }
        }
        for path in ["/nodes/:id", "/services/:id", "/tasks/:id", "/secrets/:id", "/configs/:id"] {
            table.add(.get, path) { _ in throw Self.noSwarm }
            table.add(.delete, path) { _ in throw Self.noSwarm }
        }
        for path in [
            "/services/create", "/secrets/create", "/configs/create", "/nodes/:id/update", "/services/:id/update",
            "/secrets/:id/update", "/configs/:id/update", "/swarm/update", "/swarm/unlock",
        ] {
            table.add(.post, path) { _ in throw Self.noSwarm }
        }
        for path in ["/services/:id/logs", "/tasks/:id/logs"] { table.add(.get, path) { _ in throw Self.noSwarm } }
        table.add(.post, "/swarm/leave") { _ in throw Refusal(.serviceUnavailable, "This node is not part of a swarm") }
        for path in ["/swarm/init", "/swarm/join"] {
            table.add(.post, path) { _ in
                throw Refusal(.notImplemented, "this engine is one host: swarms are not offered")
            }
        }
        for path in ["/plugins/:name/json", "/plugins/privileges"] {
            table.add(.get, path) { _ in throw Refusal(.notFound, "plugin not found: this engine has no plugins") }
        }
        for path in ["/plugins/pull", "/plugins/create", "/plugins/:name/enable", "/plugins/:name/disable"] {
            table.add(.post, path) { _ in throw Refusal(.notImplemented, "plugins are not offered by this engine") }
        }
        table.add(.delete, "/plugins/:name") { _ in
            throw Refusal(.notFound, "plugin not found: this engine has no plugins")
        }
    }
}
