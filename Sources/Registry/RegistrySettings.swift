/// Where the registry client looks and how patient it is. The default is what the other tools on a Linux machine use.
public struct RegistrySettings: Sendable {
    /// containers-registries.conf(5); a missing file is no error.
    public var registriesFile: String
    /// Folder of files that override it.
    public var registriesFolder: String
    /// Folders with a folder per registry: `*.crt` are trusted, `*.cert` with `*.key` are shown
    /// (containers-certs.d(5), Docker's certs.d).
    public var certificateFolders: [String]
    /// Files with credentials in the order in which they are asked.
    public var authFiles: [String]
    public var helperTimeout: Duration
    public var retries: RetryPolicy
    /// Bound on making a connection, TLS included.
    public var connectTimeout: Duration
    /// Bound on the silence of a peer that is to answer or in the middle of an answer. Some registries need more than a
    /// minute to put a large upload in its place.
    public var idleTimeout: Duration
    /// Blobs of one image that are transferred at the same time.
    public var parallelBlobs: Int
    /// Bytes that are sent to a registry in one request; larger blobs go in several.
    public var uploadChunk: Int64
    /// Proxies on the way to registries.
    public var proxies: ProxySettings

    public init(
        registriesFile: String = "/etc/containers/registries.conf",
        registriesFolder: String = "/etc/containers/registries.conf.d",
        certificateFolders: [String] = ["/etc/containers/certs.d", "/etc/docker/certs.d"], authFiles: [String] = [],
        helperTimeout: Duration = .seconds(30), retries: RetryPolicy = RetryPolicy(),
        connectTimeout: Duration = .seconds(15), idleTimeout: Duration = .seconds(120), parallelBlobs: Int = 3,
        uploadChunk: Int64 = 64 << 20, proxies: ProxySettings = ProxySettings()
    ) {
        self.registriesFile = registriesFile
        self.registriesFolder = registriesFolder
        self.certificateFolders = certificateFolders
        self.authFiles = authFiles
        self.helperTimeout = helperTimeout
        self.retries = retries
        self.connectTimeout = connectTimeout
        self.idleTimeout = idleTimeout
        self.parallelBlobs = parallelBlobs
        self.uploadChunk = uploadChunk
        self.proxies = proxies
    }

    /// The machine's settings, with the credentials files of the user that `environment` describes:
    /// `REGISTRY_AUTH_FILE`, then those of podman and skopeo, then Docker's; and its proxies (`HTTPS_PROXY`, `HTTP_PROXY`,
    /// `NO_PROXY`).
    public static func system(environment: [String: String]) -> RegistrySettings {
        let home = environment["HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? "/root"
        var files: [String] = []
        if let named = environment["REGISTRY_AUTH_FILE"], !named.isEmpty { files.append(named) }
        if let run = environment["XDG_RUNTIME_DIR"], !run.isEmpty { files.append(run + "/containers/auth.json") }
        files += ["/run/containers/0/auth.json", home + "/.config/containers/auth.json"]
        files.append(
            (environment["DOCKER_CONFIG"].flatMap { $0.isEmpty ? nil : $0 } ?? home + "/.docker") + "/config.json")
        return RegistrySettings(authFiles: files, proxies: ProxySettings(environment: environment))
    }
}
