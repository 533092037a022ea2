public import Model

/// What a container can be given beyond what every kind has; the words are those of OCI and Docker. The defaults are
/// an instance that shares nothing and is limited by nothing of this.
public struct ContainerOptions: Sendable, Hashable {
    /// Resource limits of setrlimit(2) by the kernel's name in lower case (`nofile`); `UInt64.max` is unlimited.
    public var limits: [String: KernelLimit] = [:]
    /// Kernel settings of the instance's own namespaces, `net.core.somaxconn`.
    public var sysctls: [String: String] = [:]
    public var tmpfs: [TmpfsMount] = []
    /// Bytes of `/dev/shm`; nil is the driver's default.
    public var sharedMemory: Int64?
    public var devices: [DeviceNode] = []
    /// Further lines of /etc/hosts; addresses are literal.
    public var hosts: [HostEntry] = []
    /// What replaces the network's own resolver settings; empty lists leave them.
    public var nameServers: [String] = []
    public var searchDomains: [String] = []
    public var resolverOptions: [String] = []
    public var domainName: String?
    /// A small init is process 1 and the program its child.
    public var hasInit = false
    /// Names or numbers of further groups of the first process.
    public var groups: [String] = []
    /// Ids inside are the host's without being privileged.
    public var sharesUsers = false
    public var processes = NamespaceSource.own
    public var ipc = NamespaceSource.own
    public var hostName = NamespaceSource.own
    /// -1000 to 1000 (proc_pid_oom_score_adj(5)); nil is the host's choice.
    public var outOfMemoryScore: Int?

    public init() {}

    /// Whether the instance lives in namespaces of another one, whose users it then shares too.
    public var joined: JoinedInstance? {
        for source in [processes, ipc, hostName] { if case .instance(let other) = source { return other } }
        return nil
    }
}

/// One resource limit.
public struct KernelLimit: Sendable, Hashable {
    public var soft: UInt64
    public var hard: UInt64
    public init(soft: UInt64, hard: UInt64) {
        self.soft = soft
        self.hard = hard
    }
}

/// A line of /etc/hosts.
public struct HostEntry: Sendable, Hashable {
    public var name: String
    public var address: String
    public init(name: String, address: String) {
        self.name = name
        self.address = address
    }
}

/// Where a namespace of an instance comes from.
public enum NamespaceSource: Sendable, Hashable {
    case own
    case host
    case instance(JoinedInstance)
}

/// A running instance whose namespaces another one lives in.
public struct JoinedInstance: Sendable, Hashable {
    public var id: InstanceID
    public var name: String
    /// Process id on the host of its first process.
    public var pid: Int32
    /// Its user namespace; nil is the host's.
    public var identity: IDRange?
    public init(id: InstanceID, name: String, pid: Int32, identity: IDRange?) {
        self.id = id
        self.name = name
        self.pid = pid
        self.identity = identity
    }
}

/// An empty filesystem in memory.
public struct TmpfsMount: Sendable, Hashable {
    /// Absolute path inside.
    public var target: String
    /// Options of mount(8) -t tmpfs, each checked.
    public var options: [String]
    public init(target: String, options: [String]) {
        self.target = target
        self.options = options
    }
}

/// A device file of the host that an instance may use.
public struct DeviceNode: Sendable, Hashable {
    /// Path of the device on the host.
    public var source: String
    /// Absolute path inside.
    public var target: String
    public var isBlock: Bool
    public var major: UInt32
    public var minor: UInt32
    /// Mode, owner and group inside.
    public var mode: UInt32
    public var uid: UInt32
    public var gid: UInt32
    /// `r`, `w`, `m`: what the control group allows.
    public var access: String

    public init(
        source: String, target: String, isBlock: Bool, major: UInt32, minor: UInt32, mode: UInt32 = 0o660,
        uid: UInt32 = 0, gid: UInt32 = 0, access: String = "rwm"
    ) {
        self.source = source
        self.target = target
        self.isBlock = isBlock
        self.major = major
        self.minor = minor
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.access = access
    }
}
