/// The part of an OCI runtime configuration (runtime-spec 1.0.2, config.md) that Isle writes into a bundle.
public struct RuntimeSpec: Codable, Sendable, Hashable {
    public var ociVersion = "1.0.2"
    public var process: Process
    public var root: Root
    /// Nil in the host's UTS namespace, which the runtime must not name.
    public var hostname: String?
    /// Of OCI 1.1, which crun knows; likewise.
    public var domainname: String?
    public var mounts: [Mount]
    public var linux: Linux
    public var annotations: [String: String]?

    public struct Root: Codable, Sendable, Hashable {
        public var path: String
        public var readonly: Bool
    }

    /// Also the whole of a `process.json` for `exec --process`.
    public struct Process: Codable, Sendable, Hashable {
        public var terminal: Bool
        /// Set by the runtime as soon as the terminal exists.
        public var consoleSize: ConsoleSize?
        public var user: User
        public var args: [String]
        public var env: [String]
        public var cwd: String
        public var capabilities: Capabilities
        public var rlimits: [Rlimit]
        public var noNewPrivileges: Bool
        public var oomScoreAdj: Int?
    }

    public struct ConsoleSize: Codable, Sendable, Hashable {
        public var height: UInt16
        public var width: UInt16
    }

    public struct User: Codable, Sendable, Hashable {
        public var uid: UInt32
        public var gid: UInt32
        public var umask: UInt32?
        public var additionalGids: [UInt32]
    }

    /// Inheritable and ambient sets stay empty: a program gains nothing by executing another one.
    public struct Capabilities: Codable, Sendable, Hashable {
        public var bounding: [String]
        public var effective: [String]
        public var permitted: [String]
    }

    public struct Rlimit: Codable, Sendable, Hashable {
        public var type: String
        public var hard: UInt64
        public var soft: UInt64
    }

    public struct Mount: Codable, Sendable, Hashable {
        public var destination: String
        public var type: String
        public var source: String
        public var options: [String]

        init(_ type: String, _ source: String, at destination: String, _ options: [String]) {
            self.type = type
            self.source = source
            self.destination = destination
            self.options = options
        }
    }

    public struct Linux: Codable, Sendable, Hashable {
        public var namespaces: [Namespace]
        public var uidMappings: [IDMapping]?
        public var gidMappings: [IDMapping]?
        public var sysctl: [String: String]?
        public var cgroupsPath: String?
        public var resources: Resources?
        public var seccomp: Seccomp?
        public var maskedPaths: [String]?
        public var readonlyPaths: [String]?
        public var rootfsPropagation: String?
    }

    public struct Namespace: Codable, Sendable, Hashable {
        public var type: String
        public var path: String?

        init(_ type: String, path: String? = nil) {
            self.type = type
            self.path = path
        }
    }

    public struct IDMapping: Codable, Sendable, Hashable {
        public var containerID: UInt32
        public var hostID: UInt32
        public var size: UInt32
    }

    /// Written only for runtimes that make control groups themselves.
    public struct Resources: Codable, Sendable, Hashable {
        public var devices: [Device]
        public var memory: Memory?
        public var cpu: CPU?
        public var pids: PIDs?

        public struct Device: Codable, Sendable, Hashable {
            public var allow: Bool
            public var type: String?
            public var major: Int64?
            public var minor: Int64?
            public var access: String
        }
        public struct Memory: Codable, Sendable, Hashable {
            public var limit: Int64
            public var swap: Int64
        }
        public struct CPU: Codable, Sendable, Hashable {
            public var shares: UInt64?
            public var quota: Int64?
            public var period: UInt64?
            public var cpus: String?
        }
        public struct PIDs: Codable, Sendable, Hashable {
            public var limit: Int64
        }
    }

    /// Written only for runtimes that do not take a ready filter.
    public struct Seccomp: Codable, Sendable, Hashable {
        public var defaultAction: String
        public var defaultErrnoRet: UInt32?
        public var architectures: [String]
        public var syscalls: [Syscall]

        public struct Syscall: Codable, Sendable, Hashable {
            public var names: [String]
            public var action: String
            public var errnoRet: UInt32?
            public var args: [Argument]?
        }
        public struct Argument: Codable, Sendable, Hashable {
            public var index: UInt32
            public var value: UInt64
            public var valueTwo: UInt64
            public var op: String
        }
    }
}
