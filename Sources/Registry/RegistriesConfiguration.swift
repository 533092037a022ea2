import LinuxHost
import Model
package import OCI
import Synchronization

/// What the machine's administrator says about registries: where short names are looked for, mirrors, which registries
/// may be reached without verified TLS, which not at all (containers-registries.conf(5)).
package struct RegistriesConfiguration: Sendable {
    /// Where short names are looked for, in order. Docker Hub if the files name none.
    package var searchRegistries: [String] = ["docker.io"]
    /// Full name by short name.
    var aliases: [String: String] = [:]
    var entries: [Entry] = []

    struct Entry: Sendable {
        /// `host[:port][/path…]`, or `*.domain`.
        var prefix: String
        /// What stands in place of the prefix when the registry is asked.
        var location: String
        var insecure: Bool
        var blocked: Bool
        var mirrors: [Mirror]
    }

    struct Mirror: Sendable {
        var location: String
        var insecure: Bool
        var forTags: Bool
        var forDigests: Bool
    }

    package init() {}

    /// Reads the main file and, in the order of their names, the files `*.conf` of the folder. Later files replace
    /// entries with the same prefix, aliases with the same name and the list for short names.
    package static func load(file: String, folder: String) throws -> RegistriesConfiguration {
        var sources: [Source] = []
        for path in [file]
            + FolderListing.names(folder).filter({ $0.hasSuffix(".conf") }).sorted().map({ folder + "/" + $0 })
        {
            do {
                sources.append(Source(path: path, text: String(decoding: try readSmallFile(path), as: UTF8.self)))
            } catch let error as EngineError where error.code == .notFound {
                continue
            }
        }
        if let parsed = lastParsed.withLock({ $0 }), parsed.sources == sources { return parsed.configuration }
        var configuration = RegistriesConfiguration()
        for source in sources {
            try configuration.merge(RegistriesFile(parsing: source.text, path: source.path), path: source.path)
        }
        let parsed = (sources, configuration)
        lastParsed.withLock { $0 = parsed }
        return configuration
    }

    /// A file as it was read.
    private struct Source: Sendable, Equatable {
        var path: String
        var text: String
    }

    /// The files change seldom, every lookup of an image needs them, and TOMLKit frees nothing of what it has parsed.
    private static let lastParsed = Mutex<(sources: [Source], configuration: RegistriesConfiguration)?>(nil)

    mutating func merge(_ file: RegistriesFile, path: String) throws {
        if let search = file.searchRegistries { searchRegistries = search.isEmpty ? ["docker.io"] : search }
        for (short, full) in file.aliases ?? [:] { aliases[short] = full.isEmpty ? nil : full }
        for raw in file.registries ?? [] {
            guard let prefix = raw.prefix ?? raw.location, !prefix.isEmpty else {
                throw EngineError(.invalidArgument, "\(path): a [[registry]] has neither prefix nor location")
            }
            let location = raw.location ?? (prefix.hasPrefix("*.") ? "" : prefix)
            let entry = Entry(
                prefix: prefix, location: location, insecure: raw.insecure ?? false, blocked: raw.blocked ?? false,
                mirrors: (raw.mirrors ?? []).map { mirror in
                    let only = raw.mirrorByDigestOnly == true ? "digest-only" : mirror.pullFrom ?? "all"
                    return Mirror(
                        location: mirror.location, insecure: mirror.insecure ?? false, forTags: only != "digest-only",
                        forDigests: only != "tag-only")
                })
            entries.removeAll { $0.prefix == prefix }
            entries.append(entry)
        }
    }

    /// The references that a name can mean, in the order in which they are tried.
    package func candidates(for text: String) throws -> [ImageReference] {
        let name = try UnresolvedReference(parsing: text)
        if name.registry != nil { return [try ImageReference(name, registry: nil)] }
        if let alias = aliases[name.path] {
            var full = try UnresolvedReference(parsing: alias)
            full.tag = name.tag ?? full.tag
            full.digest = name.digest ?? full.digest
            return [try ImageReference(full, registry: nil)]
        }
        return try searchRegistries.map { try ImageReference(name, registry: $0) }
    }

    /// Where the repository of `reference` is asked for: mirrors in order, then the registry itself.
    /// - Throws: `permissionDenied` if the registry is blocked.
    package func endpoints(for reference: ImageReference, mirrors: Bool) throws -> [RegistryEndpoint] {
        let matching = entries.filter { Self.matches(reference.name, $0.prefix) }
        guard let entry = matching.max(by: { $0.prefix.utf8.count < $1.prefix.utf8.count }) else {
            return [try RegistryEndpoint(name: reference.name, insecure: false)]
        }
        if entry.blocked {
            throw EngineError(
                .permissionDenied, "registry \(reference.registry) is blocked on this machine",
                hint: "it is blocked in registries.conf under the prefix \(entry.prefix)")
        }
        var endpoints: [RegistryEndpoint] = []
        if mirrors {
            for mirror in entry.mirrors where reference.digest != nil ? mirror.forDigests : mirror.forTags {
                let name = Self.rewritten(reference.name, entry.prefix, mirror.location)
                endpoints.append(try RegistryEndpoint(name: name, insecure: mirror.insecure))
            }
        }
        let name = Self.rewritten(reference.name, entry.prefix, entry.location)
        endpoints.append(try RegistryEndpoint(name: name, insecure: entry.insecure))
        return endpoints
    }

    /// A prefix covers whole components: `a.io/b` covers `a.io/b/c` but not `a.io/bc`.
    static func matches(_ name: String, _ prefix: String) -> Bool {
        if prefix.hasPrefix("*.") {
            let host = name.prefix { $0 != "/" && $0 != ":" }
            return host.hasSuffix(prefix.dropFirst(1))
        }
        guard name.hasPrefix(prefix) else { return false }
        let rest = name.dropFirst(prefix.count)
        return rest.isEmpty || rest.first == "/" || (rest.first == ":" && !prefix.contains("/"))
    }

    static func rewritten(_ name: String, _ prefix: String, _ location: String) -> String {
        if location.isEmpty || prefix.hasPrefix("*.") && location.isEmpty { return name }
        if prefix.hasPrefix("*.") {
            let path = name.drop { $0 != "/" }
            return location + path
        }
        return location + name.dropFirst(prefix.count)
    }
}
