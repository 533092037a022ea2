/// What a registry is shown to prove who asks. Never printed: its description names the user alone.
public struct RegistryCredentials: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    public var username: String
    public var password: String
    /// A refresh token of the OAuth 2 flow of token servers; used instead of the password.
    public var identityToken: String?
    /// A ready bearer token for the registry; used as it is.
    public var registryToken: String?

    public init(
        username: String, password: String, identityToken: String? = nil, registryToken: String? = nil
    ) {
        self.username = username
        self.password = password
        self.identityToken = identityToken
        self.registryToken = registryToken
    }

    public var description: String { "credentials of '\(username)'" }
    public var customMirror: Mirror { Mirror(self, children: ["username": username]) }
}
