import Model

/// What the generator of a runtime configuration must know beside the plan: paths and what was found out.
struct SpecFacts: Sendable {
    /// Where the shim mounts the root filesystem.
    var rootfs: String
    /// Paths of the namespaces that the shim holds; nil is none (user) and the host's (network).
    var userNamespace: String?
    var networkNamespace: String?
    var user: ResolvedUser
    /// In the kernel's order.
    var capabilities: [String]
    var seccomp: SeccompChoice
    /// Files of the host to show at paths inside, before the user's own mounts.
    var files: [(source: String, target: String)]
    /// Where each of the plan's mounts can be reached by the runtime, in the plan's order.
    var mountSources: [String]
    /// Whether the host has a unified control group tree, alone or beside v1.
    var hasUnifiedTree: Bool
    /// Whether that tree is the only one.
    var isUnified: Bool
    /// The path of the control group, for a runtime that makes it itself; nil: the shim does.
    var cgroupsPath: String?
    /// Device files of the host that a system container is shown (`/dev/fuse`, `/dev/net/tun`).
    var devices: [String]
    /// The highest number of open files that this daemon may allow.
    var maximumOpenFiles: UInt64

    /// Paths of namespaces of other instances, by the name that OCI has for the kind (`pid`, `ipc`, `uts`).
    var joined: [String: String] = [:]
    /// Device files that the shim made, and where they go.
    var deviceNodes: [(source: String, target: String)] = []
    /// Whether the host shows its message queues (mq_overview(7)).
    var hasHostQueues = true
    /// Where the shared memory of an instance whose IPC namespace is joined is to be found.
    var sharedMemory = ""
    /// The program that is process 1 of an instance with an init; nil for none.
    var initProgram: String?

    enum SeccompChoice: Sendable, Hashable {
        case unconfined
        /// Ready for the kernel, for a runtime that takes it.
        case filter([UInt8])
        /// For a runtime that compiles it.
        case profile(SeccompProfile)
    }
}
