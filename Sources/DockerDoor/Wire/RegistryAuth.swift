import DriverKit
import FoundationEssentials
import Model

/// `X-Registry-Auth`: base64url of a JSON object with the credentials for one registry.
enum RegistryAuth {
    /// nil if there are none.
    static func credentials(_ header: String?) throws -> RegistryCredentials? {
        guard let header, !header.isEmpty else { return nil }
        var text = header.replacing("-", with: "+").replacing("_", with: "/")
        while text.utf8.count % 4 != 0 { text += "=" }
        guard let data = Data(base64Encoded: text), let json = try? JSONParser.parse(data) else {
            throw EngineError(.invalidArgument, "invalid X-Registry-Auth header")
        }
        let fields = try Fields(json)
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
}
