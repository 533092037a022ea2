public import Model

internal import FoundationEssentials

/// The configuration blob of an image (image-spec v1.1, config.md; Docker's is the same with more fields).
public struct ImageConfiguration: Hashable, Sendable, Codable {
    /// RFC 3339.
    public var created: String?
    public var author: String?
    public var architecture: String
    public var os: String
    public var variant: String?
    public var osVersion: String?
    public var config: Execution?
    public var rootfs: RootFilesystem
    public var history: [History]?

    enum CodingKeys: String, CodingKey {
        case created, author, architecture, os, variant, config, rootfs, history
        case osVersion = "os.version"
    }

    /// The uncompressed tars of the layers, lowest first.
    public struct RootFilesystem: Hashable, Sendable, Codable {
        public var type: String
        public var diffIDs: [ContentDigest]
        enum CodingKeys: String, CodingKey {
            case type
            case diffIDs = "diff_ids"
        }
        public init(diffIDs: [ContentDigest]) {
            type = "layers"
            self.diffIDs = diffIDs
        }
        /// Builders leave the list of an image without layers out, or null, though image-spec's config.md wants it.
        public init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: CodingKeys.self)
            type = try fields.decode(String.self, forKey: .type)
            diffIDs = try fields.decodeIfPresent([ContentDigest].self, forKey: .diffIDs) ?? []
        }
    }

    /// How one layer, or a change without a layer, came to be.
    public struct History: Hashable, Sendable, Codable {
        public var created: String?
        public var createdBy: String?
        public var author: String?
        public var comment: String?
        public var emptyLayer: Bool?
        enum CodingKeys: String, CodingKey {
            case created, author, comment
            case createdBy = "created_by"
            case emptyLayer = "empty_layer"
        }
        public init(created: String? = nil, createdBy: String? = nil, comment: String? = nil, emptyLayer: Bool? = nil) {
            self.created = created
            self.createdBy = createdBy
            self.comment = comment
            self.emptyLayer = emptyLayer
        }
    }

    /// The `config` object: how to run the image.
    public struct Execution: Hashable, Sendable, Codable {
        public var user: String?
        public var exposedPorts: [String: Presence]?
        public var env: [String]?
        public var entrypoint: [String]?
        public var cmd: [String]?
        public var volumes: [String: Presence]?
        public var workingDirectory: String?
        public var labels: [String: String]?
        public var stopSignal: String?
        public var healthCheck: Check?
        enum CodingKeys: String, CodingKey {
            case user = "User"
            case exposedPorts = "ExposedPorts"
            case env = "Env"
            case entrypoint = "Entrypoint"
            case cmd = "Cmd"
            case volumes = "Volumes"
            case workingDirectory = "WorkingDir"
            case labels = "Labels"
            case stopSignal = "StopSignal"
            case healthCheck = "Healthcheck"
        }
    }

    /// An empty JSON object: the format's way to write a set.
    public struct Presence: Hashable, Sendable, Codable {
        public init() {}
        public init(from decoder: any Decoder) throws {}
        public func encode(to encoder: any Encoder) throws { _ = encoder.container(keyedBy: NoKeys.self) }
        private enum NoKeys: CodingKey {}
    }

    /// Docker's health check; durations in nanoseconds.
    public struct Check: Hashable, Sendable, Codable {
        public var test: [String]?
        public var interval: Int64?
        public var timeout: Int64?
        public var startPeriod: Int64?
        public var retries: Int?
        enum CodingKeys: String, CodingKey {
            case test = "Test"
            case interval = "Interval"
            case timeout = "Timeout"
            case startPeriod = "StartPeriod"
            case retries = "Retries"
        }
    }

    public init(
        platform: Platform, created: String? = nil, config: Execution? = nil, diffIDs: [ContentDigest],
        history: [History]? = nil
    ) {
        self.created = created
        architecture = platform.architecture
        os = platform.os
        variant = platform.variant
        self.config = config
        rootfs = RootFilesystem(diffIDs: diffIDs)
        self.history = history
    }

    /// Reads a configuration blob; `invalidArgument` if it is malformed or beyond the bounds.
    public init(parsing bytes: [UInt8]) throws {
        let what = "image configuration"
        try JSONGuard.check(bytes, what: what, maxBytes: ManifestDocument.Bounds.configBytes)
        do {
            self = try JSONDecoder().decode(ImageConfiguration.self, from: Data(bytes))
        } catch let error as DecodingError {
            throw EngineError(.invalidArgument, "\(what) cannot be read: \(error.explanation)")
        }
        guard rootfs.diffIDs.count <= ManifestDocument.Bounds.layers else {
            throw EngineError(.invalidArgument, "\(what) lists \(rootfs.diffIDs.count) layers")
        }
    }

    /// The platform that the image is for.
    public var platform: Platform {
        Platform(os: os, architecture: architecture, variant: variant, osVersion: osVersion)
    }
}

extension ImageConfig {
    /// What the configuration blob says about running the image.
    public init(_ configuration: ImageConfiguration) {
        let run = configuration.config
        self.init(
            user: run?.user.flatMap { $0.isEmpty ? nil : $0 },
            exposedPorts: run?.exposedPorts?.keys.sorted() ?? [], env: run?.env ?? [],
            entrypoint: run?.entrypoint ?? [], cmd: run?.cmd ?? [], volumes: run?.volumes?.keys.sorted() ?? [],
            workingDirectory: run?.workingDirectory.flatMap { $0.isEmpty ? nil : $0 }, labels: run?.labels ?? [:],
            stopSignal: run?.stopSignal.flatMap { $0.isEmpty ? nil : $0 },
            healthCheck: run?.healthCheck.flatMap { check in
                check.test.flatMap { test in
                    test.isEmpty
                        ? nil
                        : HealthCheck(
                            test: test, interval: check.interval, timeout: check.timeout,
                            startPeriod: check.startPeriod, retries: check.retries)
                }
            })
    }
}

extension ImageConfiguration.Execution {
    /// The `config` object that says the same as `config`.
    public init(_ config: ImageConfig) {
        let set = { (names: [String]) -> [String: ImageConfiguration.Presence]? in
            names.isEmpty
                ? nil
                : Dictionary(
                    names.map { ($0, ImageConfiguration.Presence()) }, uniquingKeysWith: { first, _ in first })
        }
        user = config.user
        exposedPorts = set(config.exposedPorts)
        env = config.env.isEmpty ? nil : config.env
        entrypoint = config.entrypoint.isEmpty ? nil : config.entrypoint
        cmd = config.cmd.isEmpty ? nil : config.cmd
        volumes = set(config.volumes)
        workingDirectory = config.workingDirectory
        labels = config.labels.isEmpty ? nil : config.labels
        stopSignal = config.stopSignal
        healthCheck = config.healthCheck.map {
            ImageConfiguration.Check(
                test: $0.test, interval: $0.interval, timeout: $0.timeout, startPeriod: $0.startPeriod,
                retries: $0.retries)
        }
    }
}
