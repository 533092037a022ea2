public import CLIKit
import WireTypes

/// A Compose project, read: what is to exist.
public struct Stack: Sendable {
    public struct Network: Sendable {
        /// Its name for Isle.
        public var name: String
        public var isExternal: Bool
        public var config: [String: String]
    }

    public struct Volume: Sendable {
        public var name: String
        public var isExternal: Bool
        public var labels: [String: String]
    }

    /// A file that services are shown: a config or a secret.
    public struct File: Sendable {
        /// Absolute path on the host; nil: `content` is to be written to one.
        public var path: String?
        public var content: String?
    }

    /// When a service that depends on another one may start.
    public enum Condition: String, Sendable {
        case started = "service_started"
        case healthy = "service_healthy"
        case completed = "service_completed_successfully"
    }

    public struct Dependency: Sendable {
        public var service: String
        public var condition: Condition
        public var isRequired: Bool
    }

    /// How instances of a service are replaced by newer ones.
    public struct Update: Sendable, Hashable {
        public var startsFirst = false
        public var parallelism = 1
        /// Seconds between two.
        public var delay = 0.0
    }

    public struct Service: Sendable {
        public var name: String
        public var replicas: Int
        public var containerName: String?
        public var dependencies: [Dependency]
        public var update: Update
        /// As `isle launch` would make it, without name and labels of the project.
        public var options: InstanceOptions
        /// The interfaces, by name.
        public var nics: [String: [String: String]]
        /// Published ports, mounts of configs and secrets, and further devices.
        public var devices: [String: [String: String]]
        public var labels: [String: String]
        /// A service of the stack whose network this one shares.
        public var sharedNetwork: String?
        /// How its image is made; nil: it is there or in a registry.
        public var build: Build?
        /// Whether `up` makes the image anew even if it is there.
        public var buildsAlways: Bool
        /// Changes whenever anything of the service does.
        public var hash: String
    }

    public var name: String
    public var directory: String
    public var files: [String]
    public var services: [Service]
    public var networks: [String: Network]
    public var volumes: [String: Volume]
    /// What is written for configs and secrets without a file of their own, by name of the file.
    public var written: [String: String]

    /// The services that a start of `wanted` (all, if empty) needs, each after those that it depends on.
    public func ordered(_ wanted: [String] = []) throws(StackError) -> [Service] {
        var byName: [String: Service] = [:]
        for service in services { byName[service.name] = service }
        var done: [Service] = []
        var state: [String: Bool] = [:]
        func visit(_ name: String, from other: String?) throws(StackError) {
            guard let service = byName[name] else {
                throw StackError(
                    other.map { "service '\($0)' depends on '\(name)', which is not there" }
                        ?? "there is no service '\(name)'")
            }
            if state[name] == true { return }
            guard state[name] == nil else { throw StackError("service '\(name)' depends on itself by way of others") }
            state[name] = false
            for dependency in service.dependencies where dependency.isRequired || byName[dependency.service] != nil {
                try visit(dependency.service, from: name)
            }
            state[name] = true
            done.append(service)
        }
        for name in wanted.isEmpty ? services.map(\.name).sorted() : wanted { try visit(name, from: nil) }
        return done
    }

    /// The name of an instance. Compose's is `project-service-1`; what an instance's name may not have becomes a dash.
    public func instanceName(_ service: Service, _ number: Int) -> String {
        if let name = service.containerName { return Self.instanceName(name) }
        return Self.instanceName("\(name)-\(service.name)-\(number)")
    }

    static func instanceName(_ text: String) -> String {
        var name = text.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
        while name.first.map({ !$0.isLetter }) ?? false { name.removeFirst() }
        while name.last == "-" { name.removeLast() }
        // The end tells one from the other.
        return name.count > 63 ? String(name.prefix(40)) + String(name.suffix(23)) : String(name)
    }
}
