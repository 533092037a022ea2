/// What an image says about running it: the `config` object of an OCI image configuration (image-spec v1.1,
/// config.md), whatever format the image came in.
public struct ImageConfig: Sendable, Hashable, Codable {
    public var user: String?
    public var exposedPorts: [String]
    /// `NAME=value` in order.
    public var env: [String]
    public var entrypoint: [String]
    public var cmd: [String]
    public var volumes: [String]
    public var workingDirectory: String?
    public var labels: [String: String]
    public var stopSignal: String?
    public var healthCheck: HealthCheck?

    /// Docker's health check, kept as the image states it; durations in nanoseconds.
    public struct HealthCheck: Sendable, Hashable, Codable {
        public var test: [String]
        public var interval: Int64?
        public var timeout: Int64?
        public var startPeriod: Int64?
        public var retries: Int?
        public init(
            test: [String], interval: Int64? = nil, timeout: Int64? = nil, startPeriod: Int64? = nil,
            retries: Int? = nil
        ) {
            self.test = test
            self.interval = interval
            self.timeout = timeout
            self.startPeriod = startPeriod
            self.retries = retries
        }
    }

    public init(
        user: String? = nil, exposedPorts: [String] = [], env: [String] = [], entrypoint: [String] = [],
        cmd: [String] = [], volumes: [String] = [], workingDirectory: String? = nil, labels: [String: String] = [:],
        stopSignal: String? = nil, healthCheck: HealthCheck? = nil
    ) {
        self.user = user
        self.exposedPorts = exposedPorts
        self.env = env
        self.entrypoint = entrypoint
        self.cmd = cmd
        self.volumes = volumes
        self.workingDirectory = workingDirectory
        self.labels = labels
        self.stopSignal = stopSignal
        self.healthCheck = healthCheck
    }
}

/// What the content of an image is, which decides the kinds of instance that it can become.
public enum ImageContent: String, Sendable, Codable, CaseIterable {
    /// Layers of a root filesystem: application, system or machine.
    case rootFilesystem = "root-filesystem"
    /// A bootable disk: machine.
    case disk
    /// A WASM core module or component: module.
    case module
}
