public import WireTypes

/// Loads Compose files (compose-spec): one over the other, variables put in, `extends` and profiles resolved.
public struct StackFile: Sendable {
    /// The merged document.
    public var document: JSONValue
    /// The folder that relative paths begin at.
    public var directory: String
    public var files: [String]

    /// What the loader needs of the machine.
    public struct Access: Sendable {
        /// The text of a file at an absolute path.
        public var read: @Sendable (String) throws(StackError) -> String
        public var environment: @Sendable (String) -> String?
        public init(
            read: @escaping @Sendable (String) throws(StackError) -> String,
            environment: @escaping @Sendable (String) -> String?
        ) {
            self.read = read
            self.environment = environment
        }
    }

    /// - Parameter paths: absolute; later files go over earlier ones, and relative paths begin at the first's folder.
    public init(paths: [String], access: Access) throws(StackError) {
        guard let first = paths.first else { throw StackError("no file was named") }
        files = paths
        directory = Self.folder(of: first)
        var merged: JSONValue = [:]
        for path in paths {
            let document = try Self.load(path, access)
            merged = Merging.merge(merged, document)
        }
        document = merged
    }

    private static func load(_ path: String, _ access: Access, chain: [String] = []) throws(StackError) -> JSONValue {
        let name = String(path.split(separator: "/").last ?? "")
        let parsed = try YAMLDocument.parse(try access.read(path), name: name)
        guard case .object(let raw) = parsed else { throw StackError("\(name) is no map") }
        guard case .object(var object) = try Interpolation(access.environment).apply(.object(raw)) else {
            return .object(raw)
        }
        let known = ["version", "name", "services", "networks", "volumes", "configs", "secrets"]
        if let unknown = object.keys.sorted().first(where: { !known.contains($0) && !$0.hasPrefix("x-") }) {
            throw StackError(
                "\(name) has an unknown part '\(unknown)'", hint: "known: \(known.joined(separator: ", ")), x-…")
        }
        var services: [String: JSONValue] = [:]
        for (service, value) in object["services"]?.objectValue ?? [:] {
            guard case .object(let fields) = value else { throw StackError("service '\(service)' is no map") }
            services[service] = .object(try Merging.normal(fields, service: service))
        }
        for service in services.keys.sorted() {
            services[service] = try extended(service, in: services, path, access, chain: chain)
        }
        object["services"] = .object(services)
        return .object(object)
    }

    /// The service with what it extends below it.
    private static func extended(
        _ name: String, in services: [String: JSONValue], _ path: String, _ access: Access, chain: [String]
    ) throws(StackError) -> JSONValue {
        guard case .object(var fields)? = services[name] else {
            throw StackError("there is no service '\(name)' in \(path)")
        }
        guard let source = fields.removeValue(forKey: "extends") else { return .object(fields) }
        let link = "\(path)#\(name)"
        guard !chain.contains(link) else { throw StackError("service '\(name)' extends itself") }
        let base: JSONValue
        let parent = source.stringValue ?? source["service"]?.stringValue ?? name
        if let file = source["file"]?.stringValue {
            let other = file.hasPrefix("/") ? file : folder(of: path) + "/" + file
            let loaded = try load(other, access, chain: chain + [link])
            guard let found = loaded["services"]?[parent] else {
                throw StackError("there is no service '\(parent)' in \(other)")
            }
            base = found
        } else {
            base = try extended(parent, in: services, path, access, chain: chain + [link])
        }
        return Merging.mergeService(base, .object(fields))
    }

    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return "/" }
        return String(path[..<slash])
    }
}

/// How one Compose document goes over another (compose-spec, 13-merge.md).
enum Merging {
    /// Fields whose list and map forms are the same thing.
    private static let maps = ["environment", "labels", "annotations", "sysctls", "networks", "depends_on"]
    /// Lists that are replaced instead of continued.
    private static let replaced: Set<String> = ["command", "entrypoint"]

    static func merge(_ base: JSONValue, _ over: JSONValue) -> JSONValue {
        guard case .object(var result) = base, case .object(let other) = over else { return over }
        for (key, value) in other {
            guard key == "services", let old = result[key]?.objectValue, let new = value.objectValue else {
                result[key] = result[key].map { merge($0, value) } ?? value
                continue
            }
            result[key] = .object(old.merging(new) { mergeService($0, $1) })
        }
        return .object(result)
    }

    static func mergeService(_ base: JSONValue, _ over: JSONValue) -> JSONValue {
        guard case .object(var result) = base, case .object(let other) = over else { return over }
        for (key, value) in other {
            guard let old = result[key], !replaced.contains(key) else {
                result[key] = value
                continue
            }
            switch (old, value) {
            case (.array(let first), .array(let second)):
                result[key] = .array(first + second.filter { !first.contains($0) })
            case (.object, .object): result[key] = mergeService(old, value)
            default: result[key] = value
            }
        }
        return .object(result)
    }

    /// The fields with lists as maps where both are allowed.
    static func normal(_ fields: [String: JSONValue], service: String) throws(StackError) -> [String: JSONValue] {
        var fields = fields
        for key in maps {
            guard let items = fields[key]?.arrayValue else { continue }
            var map: [String: JSONValue] = [:]
            for item in items {
                guard let text = item.stringValue else {
                    throw StackError("service '\(service)': an entry of '\(key)' is no text")
                }
                if key == "networks" {
                    map[text] = .null
                } else if key == "depends_on" {
                    map[text] = ["condition": "service_started"]
                } else {
                    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    map[String(parts[0])] = parts.count == 2 ? .string(String(parts[1])) : .null
                }
            }
            fields[key] = .object(map)
        }
        return fields
    }
}
