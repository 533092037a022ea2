import DriverKit
import FoundationEssentials
import Model

/// `X-Registry-Auth`: base64url of a JSON object with the credentials for one registry.
enum RegistryAuth {
    /// nil if there are none.
    static func credentials(_ header: String?) throws -> RegistryCredentials? {
        guard let header, !header.isEmpty else { return nil }
        let fields = try Fields(decode(header))
        guard let username = try fields.text("username") else {
            guard try fields.text("identitytoken") == nil, try fields.text("registrytoken") == nil else {
                throw EngineError(
                    .unsupported, "tokens in place of a user name are not offered", hint: "docker login with a password"
                )
            }
            return nil
        }
        return RegistryCredentials(username: username, password: try fields.string("password") ?? "")
    }

    /// `X-Registry-Config`: the same for several registries, by name.
    static func all(_ header: String?) throws -> [String: RegistryCredentials] {
        guard let header, !header.isEmpty else { return [:] }
        var found: [String: RegistryCredentials] = [:]
        for (name, fields) in try Fields(["all": try decode(header)]).map("all") {
            guard let username = try fields.text("username") else { continue }
            found[registry(name)] = RegistryCredentials(
                username: username, password: try fields.string("password") ?? "")
        }
        return found
    }

    /// The registry of a client's address: `https://index.docker.io/v1/` is Docker's; others may have a scheme and a
    /// path.
    static func registry(_ address: String) -> String {
        guard !address.contains("index.docker.io") else { return "docker.io" }
        let bare = address.split(separator: "//", maxSplits: 1).last.map(String.init) ?? address
        return String(bare.prefix { $0 != "/" })
    }

    private static func decode(_ header: String) throws -> JSON {
        var text = header.replacing("-", with: "+").replacing("_", with: "/")
        while text.utf8.count % 4 != 0 { text += "=" }
        guard let data = Data(base64Encoded: text), let json = try? JSONParser.parse(data) else {
            throw EngineError(.invalidArgument, "the registry credentials of the request are malformed")
        }
        return json
    }
}
