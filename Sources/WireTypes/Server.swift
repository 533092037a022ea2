extension API {
    /// `GET /1.0`.
    public struct Server: Codable, Sendable, Hashable {
        /// Names of what was added to the API since 1.0, LXD's and ours (`isle_…`).
        @Zero public var apiExtensions: [String] = []
        /// `stable`.
        @Zero public var apiStatus = "stable"
        @Zero public var apiVersion = "1.0"
        /// `trusted` or `untrusted`.
        @Zero public var auth = "trusted"
        @Zero public var authMethods: [String] = ["tls"]
        @Zero public var isPublic = false
        @Zero public var config: [String: String] = [:]
        public var environment: ServerEnvironment?

        enum CodingKeys: String, CodingKey {
            case auth, config, environment
            case isPublic = "public"
            case apiExtensions = "api_extensions"
            case apiStatus = "api_status"
            case apiVersion = "api_version"
            case authMethods = "auth_methods"
        }

        public init() {}
    }

    /// `PUT` and `PATCH /1.0`.
    public struct ServerPut: Codable, Sendable, Hashable {
        @Zero public var config: [String: String] = [:]
        public init() {}
    }

    /// What the server runs on.
    public struct ServerEnvironment: Codable, Sendable, Hashable {
        /// Addresses it listens on over TLS.
        @Zero public var addresses: [String] = []
        @Zero public var architectures: [String] = []
        @Zero public var certificate = ""
        @Zero public var certificateFingerprint = ""
        /// Technologies it runs instances with, separated by ` | `.
        @Zero public var driver = ""
        @Zero public var driverVersion = ""
        @Zero public var firewall = ""
        @Zero public var kernel = ""
        @Zero public var kernelArchitecture = ""
        @Zero public var kernelFeatures: [String: String] = [:]
        @Zero public var kernelVersion = ""
        @Zero public var lxcFeatures: [String: String] = [:]
        @Zero public var osName = ""
        @Zero public var osVersion = ""
        @Zero public var project = "default"
        /// `isle`.
        @Zero public var server = ""
        @Zero public var serverClustered = false
        @Zero public var serverEventMode = "full-mesh"
        @Zero public var serverName = ""
        @Zero public var serverPID = 0
        @Zero public var serverVersion = ""
        @Zero public var storage = ""
        @Zero public var storageVersion = ""
        @Zero public var storageSupportedDrivers: [StorageDriver] = []
        /// Isle's: the folder that holds state.
        public var stateDirectory: String?
        /// Isle's: the kinds of instance that this host can run.
        public var instanceKinds: [String]?

        enum CodingKeys: String, CodingKey {
            case addresses, architectures, certificate, driver, firewall, kernel, project, server, storage
            case certificateFingerprint = "certificate_fingerprint"
            case driverVersion = "driver_version"
            case kernelArchitecture = "kernel_architecture"
            case kernelFeatures = "kernel_features"
            case kernelVersion = "kernel_version"
            case lxcFeatures = "lxc_features"
            case osName = "os_name"
            case osVersion = "os_version"
            case serverClustered = "server_clustered"
            case serverEventMode = "server_event_mode"
            case serverName = "server_name"
            case serverPID = "server_pid"
            case serverVersion = "server_version"
            case storageVersion = "storage_version"
            case storageSupportedDrivers = "storage_supported_drivers"
            case stateDirectory = "state_directory"
            case instanceKinds = "instance_kinds"
        }

        public init() {}
    }

    /// A storage driver that the server has.
    public struct StorageDriver: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var version = ""
        @Zero public var remote = false

        enum CodingKeys: String, CodingKey {
            case name = "Name"
            case version = "Version"
            case remote = "Remote"
        }

        public init() {}
    }

    /// `GET /1.0/doctor` (Isle's): what works on this host, what does not, what to do.
    public struct DoctorReport: Codable, Sendable, Hashable {
        @Zero public var checks: [DoctorCheck] = []
        public init() {}
    }

    /// One part of the host.
    public struct DoctorCheck: Codable, Sendable, Hashable {
        @Zero public var name = ""
        /// `ok`, `warning` or `error`.
        @Zero public var level = ""
        @Zero public var finding = ""
        public var advice: String?
        public init() {}
    }

    /// `GET /1.0/kernels` (Isle's): a kernel for machines made from root filesystems.
    public struct Kernel: Codable, Sendable, Hashable {
        /// As `uname -r` says it in the guest.
        @Zero public var version = ""
        @Zero public var architecture = ""
        /// Where it came from: a package with its version, or a path.
        @Zero public var source = ""
        @Zero public var path = ""
        /// Bytes of kernel, initramfs and modules on disk.
        @Zero public var size: Int64 = 0
        /// The one that new machines get.
        @Zero public var isDefault = false

        enum CodingKeys: String, CodingKey {
            case version, architecture, source, path, size
            case isDefault = "default"
        }

        public init() {}
    }
}
