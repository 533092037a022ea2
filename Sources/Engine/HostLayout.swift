public import Model

/// Where the daemon keeps things. `state` lasts, `run` is gone after a reboot.
public struct HostLayout: Sendable, Hashable {
    public let state: String
    public let run: String

    /// Both absolute, without a slash at the end.
    public init(state: String, run: String) {
        self.state = state
        self.run = run
    }

    public var database: String { state + "/isle.db" }
    public var images: String { state + "/images" }
    public var layers: String { state + "/layers" }
    public var disks: String { state + "/disks" }
    public var kernels: String { state + "/kernels" }
    public var modules: String { state + "/modules" }
    public var volumes: String { state + "/volumes" }
    /// Folders of storage pools that name no other.
    public var pools: String { state + "/pools" }
    /// Archives of instances and volumes.
    public var backups: String { state + "/backups" }
    public var temporary: String { state + "/tmp" }
    public var instances: String { state + "/instances" }
    public var socket: String { run + "/isle.socket" }

    public func state(of id: InstanceID) -> String { "\(instances)/\(id.raw)" }
    public func run(of id: InstanceID) -> String { "\(run)/instances/\(id.raw)" }
    public func log(of id: InstanceID) -> String { "\(state(of: id))/logs/console.log" }
    public func volume(_ name: String, project: String) -> String { "\(volumes)/\(project)_\(name)" }
}
