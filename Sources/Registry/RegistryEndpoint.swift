import Model
import OCI

/// One place where a repository is asked for.
package struct RegistryEndpoint: Hashable, Sendable {
    /// Host and port of the API: `registry-1.docker.io`, `localhost:5000`.
    var authority: String
    /// Name under which the registry's credentials and certificates are kept: `docker.io`.
    var registry: String
    /// Repository at this place.
    var repository: String
    /// TLS need not be verified, and plain HTTP is taken where there is no TLS.
    var insecure: Bool

    /// - Parameter name: `host[:port]/path`.
    package init(name: String, insecure: Bool) throws {
        guard let slash = name.firstIndex(of: "/") else {
            throw EngineError(.invalidArgument, "\(Names.quoted(name)) is not a registry with a path")
        }
        let reference = try ImageReference(
            registry: String(name[..<slash]), repository: String(name[name.index(after: slash)...]))
        self.init(registry: reference.registry, repository: reference.repository, insecure: insecure)
    }

    init(registry: String, repository: String, insecure: Bool) {
        self.registry = registry
        self.repository = repository
        authority = registry == "docker.io" ? "registry-1.docker.io" : registry
        self.insecure = insecure || Self.isLoopback(registry)
    }

    /// `localhost`, 127.0.0.0/8 and ::1, which Docker treats as insecure, too: no network lies between.
    static func isLoopback(_ authority: String) -> Bool {
        let host = HostName.host(of: authority)
        return host == "localhost" || HostName.isLoopbackAddress(host)
    }
}

/// Looks at host names and addresses as text.
enum HostName {
    /// The host of `host[:port]` without brackets, in lower case.
    static func host(of authority: String) -> String {
        if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
            return authority[authority.index(after: authority.startIndex)..<end].lowercased()
        }
        return (authority.split(separator: ":", maxSplits: 1).first.map(String.init) ?? authority).lowercased()
    }

    static func isLoopbackAddress(_ host: String) -> Bool {
        host == "::1" || (octets(host).map { $0[0] == 127 } ?? false)
    }

    /// An address that only means something on this machine or link, where metadata services of clouds live.
    static func isLocalOnly(_ host: String) -> Bool {
        if host == "localhost" || isLoopbackAddress(host) || host.hasSuffix(".localhost") { return true }
        if let octets = octets(host) { return (octets[0] == 169 && octets[1] == 254) || octets[0] == 0 }
        return host.hasPrefix("fe8") || host.hasPrefix("fe9") || host.hasPrefix("fea") || host.hasPrefix("feb")
            || host == "::" || host.hasPrefix("::ffff:")
    }

    private static func octets(_ host: String) -> [UInt8]? {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false).compactMap { UInt8($0) }
        return parts.count == 4 && host.utf8.filter { $0 == UInt8(ascii: ".") }.count == 3 ? parts : nil
    }
}
