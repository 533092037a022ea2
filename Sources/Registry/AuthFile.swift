import FoundationEssentials
import Model

/// One file of credentials: containers-auth.json(5), or Docker's config.json, which is the same for our purposes.
struct AuthFile: Sendable {
    var entries: [String: RegistryCredentials]
    /// Helper program by registry.
    var helpers: [String: String]
    /// Helper program for every registry without one of its own.
    var defaultHelper: String?

    private struct Document: Decodable {
        var auths: [String: Entry]?
        var credHelpers: [String: String]?
        var credsStore: String?
    }

    private struct Entry: Decodable {
        var auth: String?
        var username: String?
        var password: String?
        var identitytoken: String?
        var registrytoken: String?
    }

    /// Reads the file's bytes; `invalidArgument`, naming `path` and no content, if they are malformed.
    init(parsing bytes: [UInt8], path: String) throws {
        let document: Document
        do {
            document = try JSONDecoder().decode(Document.self, from: Data(bytes))
        } catch {
            // The decoder's own words could show a part of the file.
            throw EngineError(
                .invalidArgument, "the credentials file \(path) is not JSON of the expected form",
                hint: "repair it, or log in again with skopeo login or docker login")
        }
        entries = [:]
        for (key, entry) in document.auths ?? [:] {
            entries[Self.normalized(key)] = try Self.credentials(entry, key: key, path: path)
        }
        helpers = Dictionary(
            (document.credHelpers ?? [:]).map { (Self.normalized($0.key), $0.value) }, uniquingKeysWith: { $1 })
        defaultHelper = document.credsStore.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Keys under which the credentials of a repository may stand, the most special first: with the whole path, with
    /// fewer components, the host alone.
    static func keys(registry: String, repository: String) -> [String] {
        var keys: [String] = []
        var path = repository.split(separator: "/")
        while !path.isEmpty {
            keys.append(registry + "/" + path.joined(separator: "/"))
            path.removeLast()
        }
        keys.append(registry)
        if registry == "docker.io" { keys += ["index.docker.io", "registry-1.docker.io"] }
        return keys
    }

    /// The key without scheme, and without the `/v1/` that Docker writes.
    static func normalized(_ key: String) -> String {
        var text = key[...]
        var isURL = false
        for scheme in ["https://", "http://"] where text.hasPrefix(scheme) {
            text = text.dropFirst(scheme.count)
            isURL = true
        }
        if isURL, let slash = text.firstIndex(of: "/") { text = text[..<slash] }
        while text.last == "/" { text = text.dropLast() }
        return String(text)
    }

    private static func credentials(_ entry: Entry, key: String, path: String) throws -> RegistryCredentials? {
        var username = entry.username ?? ""
        var password = entry.password ?? ""
        if let auth = entry.auth, !auth.isEmpty {
            guard let data = Data(base64Encoded: auth), let colon = data.firstIndex(of: UInt8(ascii: ":")) else {
                throw EngineError(
                    .invalidArgument, "the entry \(Names.quoted(key)) of the credentials file \(path) is malformed")
            }
            username = String(decoding: data[..<colon], as: UTF8.self)
            password = String(decoding: data[data.index(after: colon)...], as: UTF8.self)
            // Docker for other systems pads the password with NUL.
            while password.utf8.last == 0 { password.removeLast() }
        }
        let token = entry.identitytoken.flatMap { $0.isEmpty ? nil : $0 }
        let ready = entry.registrytoken.flatMap { $0.isEmpty ? nil : $0 }
        if username.isEmpty, password.isEmpty, token == nil, ready == nil { return nil }
        return RegistryCredentials(
            username: username, password: password, identityToken: token, registryToken: ready)
    }
}
