public import WireTypes

extension Stack {
    /// How the image of a service is made (compose-spec, build.md).
    public struct Build: Sendable {
        /// Absolute path of the folder that is sent.
        public var context: String
        /// What the builder is told; the context is not part of it.
        public var request: API.BuildPost
        /// Ids of secrets with the file, or else the content, that they stand for.
        public var secrets: [String: File] = [:]
    }
}

/// Reads `build` of a service.
struct BuildReader {
    let service: String
    let directory: String
    let secrets: [String: Stack.File]
    let access: StackFile.Access

    func read(_ value: JSONValue, image: String) throws(StackError) -> Stack.Build {
        let what = "service '\(service)', build"
        var fields = try Fields(what, value.stringValue.map { ["context": .string($0)] } ?? value)
        let context = try fields.text("context") ?? "."
        guard !context.contains("://"), !context.hasPrefix("git@") else {
            throw StackError(
                "\(what): the context '\(context)' is no folder", hint: "fetch it first, and name the folder")
        }
        var request = API.BuildPost()
        request.dockerfile = try fields.text("dockerfile") ?? "Dockerfile"
        guard !request.dockerfile.hasPrefix("/"), !request.dockerfile.split(separator: "/").contains("..") else {
            throw StackError(
                "\(what): the Dockerfile '\(request.dockerfile)' is not below the context",
                hint: "name it by a path that begins at the context")
        }
        request.tags = [image] + (try fields.list("tags"))
        request.arguments = try pairs(&fields, "args", environment: true)
        request.labels = try pairs(&fields, "labels", environment: false)
        request.target = try fields.text("target")
        request.noCache = try fields.flag("no_cache")
        request.pull = try fields.flag("pull")
        request.cacheFrom = try fields.list("cache_from")
        if let network = try fields.text("network") {
            guard ["default", "none", "host"].contains(network) else {
                throw StackError("\(what): the network '\(network)' is not offered", hint: "default or none")
            }
            request.network = network == "none" ? network : nil
        }
        for (host, address) in try pairs(&fields, "extra_hosts", environment: false).sorted(by: { $0.key < $1.key }) {
            request.extraHosts.append("\(host):\(address)")
        }
        if let size = try fields.text("shm_size") {
            guard let bytes = Self.bytes(size) else {
                throw StackError("\(what): the shm_size '\(size)' is no size", hint: "write it as 64m or 1g")
            }
            request.shmSize = bytes
        }
        var build = Stack.Build(context: Stack.absolute(context, directory), request: request)
        for entry in fields.take("secrets")?.arrayValue ?? [] {
            guard let name = entry.stringValue ?? entry["source"]?.stringValue, let file = secrets[name] else {
                throw StackError("\(what): a secret is not among the file's 'secrets'")
            }
            build.secrets[entry["target"]?.stringValue ?? name] = file
        }
        // They tell where results go to and which platforms are meant; here it is this host's store and platform.
        for key in ["platforms", "cache_to", "isolation", "provenance", "sbom", "entitlements"] { _ = fields.take(key) }
        try fields.finish()
        return build
    }

    /// Bytes of a size as Docker writes it: `64m`.
    private static func bytes(_ text: String) -> Int64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let shifts = ["": 0, "b": 0, "k": 10, "kb": 10, "m": 20, "mb": 20, "g": 30, "gb": 30]
        guard let number = Int64(digits), number > 0, number < 1 << 30,
            let shift = shifts[text.dropFirst(digits.count).lowercased()]
        else { return nil }
        return number << shift
    }

    /// A map, or a list of `NAME=VALUE` (`NAME:VALUE` for hosts); where asked for, a name alone takes the variable's value.
    private func pairs(_ fields: inout Fields, _ key: String, environment: Bool) throws(StackError) -> [String: String]
    {
        var values: [String: String] = [:]
        guard let value = fields.take(key) else { return values }
        var entries: [(key: String, value: String?)] = []
        if let items = value.arrayValue {
            for item in items {
                guard let text = Fields.text(item) else {
                    throw StackError("\(fields.what): an entry of '\(key)' is no text")
                }
                let parts = text.split(maxSplits: 1, omittingEmptySubsequences: false) {
                    $0 == "=" || (key == "extra_hosts" && $0 == ":")
                }
                entries.append((String(parts[0]), parts.count > 1 ? String(parts[1]) : nil))
            }
        } else {
            var one = try Fields(fields.what, [key: value])
            entries = try one.map(key)
        }
        for (name, value) in entries {
            if let value = value ?? (environment ? access.environment(name) : "") { values[name] = value }
        }
        return values
    }
}
