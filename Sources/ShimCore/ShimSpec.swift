/// Everything a shim needs to make one instance's namespaces and mounts and to run its first process. Handed over
/// as bytes in a memory file that is the shim's standard input, never on a command line.
public struct ShimSpec: Sendable, Equatable {
    /// The instance's run directory, absolute: holds `shim.sock`, `shim.pid`, `pid`, `exit`, `ns/user`, `ns/net`.
    public var directory: String
    /// Absolute path of the log (CRI format); empty for none.
    public var logPath: String
    /// Bytes at which the log is rotated; at most 0 is never.
    public var logMaxSize: Int64
    /// Log files kept, the current one among them; at least 1.
    public var logFiles: Int
    /// One pseudo-terminal instead of three streams.
    public var terminal: Bool
    /// Keep standard input open for attach; else it is /dev/null.
    public var openStdin: Bool
    /// Close standard input when the first attached client that had it closes it.
    public var stdinOnce: Bool
    public var columns: UInt16
    public var rows: UInt16
    /// The user namespace's map; nil makes no user namespace.
    public var identity: Identity?
    /// A network namespace, owned by the user namespace if there is one, with its loopback up; else the host's.
    public var newNetwork: Bool
    /// Namespaces of others that the instance lives in: they are held as `ns/<name>` in the run directory. With `user`
    /// no user namespace is made and `identity` says how that one maps; with `net` none of its own is made.
    public var joins: [Join]
    /// Done in order in the shim's private mount namespace, which follows the host's (slave propagation).
    public var mounts: [ShimMount]
    /// Folders of control groups; the first process writes itself into `cgroup.procs` of each before it is executed.
    public var cgroups: [String]
    public var launch: Launch

    public struct Identity: Sendable, Equatable {
        /// The host's ids of the instance's root user and its group.
        public var user: UInt32
        public var group: UInt32
        /// What is written to uid_map and gid_map (user_namespaces(7)).
        public var users: String
        public var groups: String
        public init(user: UInt32, group: UInt32, users: String, groups: String) {
            self.user = user
            self.group = group
            self.users = users
            self.groups = groups
        }
    }

    /// One namespace of another process.
    public struct Join: Sendable, Equatable {
        /// As in /proc/<pid>/ns: `user`, `net`, `pid`, `ipc`, `uts`.
        public var name: String
        /// Absolute path of the namespace's file.
        public var path: String
        public init(name: String, path: String) {
            self.name = name
            self.path = path
        }
    }

    public enum Launch: Sendable, Equatable {
        /// Runs a program that starts the first process and exits with 0 once that runs, as `crun run --detach` does;
        /// the shim is its subreaper. The pid is read from `pidFile`. What the program writes to standard error
        /// when it fails is the error's text.
        ///
        /// Of the arguments the word `{console}` stands for the path of a socket that takes the terminal's master
        /// (OCI `--console-socket`), needed with `terminal`; `{shim}` for the shim's pid. The namespaces are at
        /// `<directory>/ns/user` and `<directory>/ns/net`.
        case runtime(arguments: [String], pidFile: String)
        /// The first process itself.
        case process(ShimProcess)
    }

    public init(
        directory: String, logPath: String = "", logMaxSize: Int64 = 16 << 20, logFiles: Int = 3,
        terminal: Bool = false, openStdin: Bool = false, stdinOnce: Bool = false, columns: UInt16 = 0,
        rows: UInt16 = 0, identity: Identity? = nil, newNetwork: Bool = false, joins: [Join] = [],
        mounts: [ShimMount] = [], cgroups: [String] = [], launch: Launch
    ) {
        self.directory = directory
        self.logPath = logPath
        self.logMaxSize = logMaxSize
        self.logFiles = logFiles
        self.terminal = terminal
        self.openStdin = openStdin
        self.stdinOnce = stdinOnce
        self.columns = columns
        self.rows = rows
        self.identity = identity
        self.newNetwork = newNetwork
        self.joins = joins
        self.mounts = mounts
        self.cgroups = cgroups
        self.launch = launch
    }
}

/// One mount in the shim's own mount namespace. All paths are absolute paths of the host.
public enum ShimMount: Sendable, Equatable {
    /// The folder `source` at the folder `target` (made if missing), owners shifted by the user namespace; without
    /// one an ordinary bind.
    case idmap(source: String, target: String)
    /// `source` with all below it at `target`, which exists. `shifted`: owners shifted by the user namespace, if there
    /// is one, and device files dead.
    case bind(source: String, target: String, readOnly: Bool, shifted: Bool = false)
    /// overlayfs at the folder `target` (made if missing). `lower` has the topmost layer first. Mounted as the first
    /// id of the user namespace, so that what it makes belongs there. `volatile` leaves out all syncing.
    case overlay(lower: [String], upper: String, work: String, target: String, volatile: Bool)
    /// An empty read-only file in place of the file `target`.
    case emptyFile(target: String)
    /// A tmpfs at the folder `target` (made if missing), nosuid and nodev; `options` as for mount(8) -o.
    case tmpfs(target: String, options: String)
    /// The mount at `source` as the process `process` sees it at the folder `target` (made if missing).
    case bindFrom(process: UInt32, source: String, target: String)
    /// A tmpfs at the folder `target` (made if missing) on which device files work.
    case deviceFolder(target: String)
    /// A device file. `uid` and `gid` are ids of the host; `mode` has the permission bits only.
    case device(target: String, isBlock: Bool, major: UInt32, minor: UInt32, mode: UInt32, uid: UInt32, gid: UInt32)
}

/// A process that the shim starts itself.
public struct ShimProcess: Sendable, Equatable {
    /// Program, an absolute path, and arguments.
    public var arguments: [String]
    /// `NAME=value`: the whole environment.
    public var environment: [String]
    public var workingDirectory: String
    /// Ids inside the user namespace if the process is sandboxed and there is one, else of the host.
    public var uid: UInt32
    public var gid: UInt32
    public var groups: [UInt32]
    /// Nil runs it in the shim's namespaces, all capabilities dropped unless `uid` is 0.
    public var sandbox: Sandbox?
    /// Opened by the shim with its own rights and passed on, so that the process needs none to what they lead to.
    public var descriptors: [Descriptor]

    /// An open file that the process finds under a number.
    public struct Descriptor: Sendable, Equatable {
        public enum Kind: UInt8, Sendable {
            /// A tap interface, attached with its own frames and virtio headers (kernel, networking/tuntap.rst).
            case tap
            /// A regular file or block device.
            case readable, writable
        }
        /// Not in use by anything else; 200 and more are free in a shim.
        public var number: Int32
        public var kind: Kind
        /// Name of the interface in the shim's network namespace, or an absolute path of the host.
        public var name: String
        public init(number: Int32, kind: Kind, name: String) {
            self.number = number
            self.kind = kind
            self.name = name
        }
    }

    public init(
        arguments: [String], environment: [String] = [], workingDirectory: String = "/", uid: UInt32 = 0,
        gid: UInt32 = 0, groups: [UInt32] = [], sandbox: Sandbox? = nil, descriptors: [Descriptor] = []
    ) {
        self.descriptors = descriptors
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.sandbox = sandbox
    }
}

/// The walls around a process: new pid, IPC, UTS and mount namespaces, the shim's user and network namespaces, an
/// empty root with only the listed binds, no capabilities, no new privileges.
///
/// The process is number 1 of its pid namespace: signals that it does not handle are ignored, SIGKILL excepted.
public struct Sandbox: Sendable, Equatable {
    public var hostname: String
    public var binds: [Bind]
    public var limits: [Limit]
    /// A file of `struct sock_filter` entries (seccomp(2)), loaded last; empty for none.
    public var seccompFile: String
    /// Size of the root's tmpfs in KiB.
    public var rootKiB: UInt32
    /// Device files of the host, directly in /dev, of which the process gets ones of its own: for its user alone,
    /// whatever the mode of the host's, which stays as it is. Not with a user namespace.
    public var devices: [String]

    /// A file or folder of the host shown in the sandbox.
    public struct Bind: Sendable, Equatable {
        public var source: String
        /// Absolute path in the sandbox; folders on the way are made, symbolic links on it are refused.
        public var target: String
        public var readOnly: Bool
        /// Owners shifted by the user namespace.
        public var idMapped: Bool
        /// Programs on it can be executed.
        public var executable: Bool
        public init(
            source: String, target: String, readOnly: Bool = true, idMapped: Bool = false, executable: Bool = false
        ) {
            self.source = source
            self.target = target
            self.readOnly = readOnly
            self.idMapped = idMapped
            self.executable = executable
        }
    }

    /// A limit for setrlimit(2), soft and hard alike.
    public struct Limit: Sendable, Equatable {
        /// `RLIMIT_…` as the kernel numbers it: 0 CPU seconds, 4 core, 6 processes, 7 open files, 9 address space.
        public var resource: Int32
        public var value: UInt64
        public init(resource: Int32, value: UInt64) {
            self.resource = resource
            self.value = value
        }
    }

    public init(
        hostname: String = "isle", binds: [Bind] = [], limits: [Limit] = [], seccompFile: String = "",
        rootKiB: UInt32 = 1024, devices: [String] = []
    ) {
        self.devices = devices
        self.hostname = hostname
        self.binds = binds
        self.limits = limits
        self.seccompFile = seccompFile
        self.rootKiB = rootKiB
    }
}

/// A further process, started by the shim in its mount namespace.
public struct ShimExec: Sendable, Equatable {
    /// Program and arguments. The word `{console}` stands for a socket that takes a terminal's master, `{pidfile}` for
    /// the path of a file that takes the process's pid, `{shim}` for the shim's pid.
    ///
    /// With `{pidfile}` the program is a runtime told to detach (`crun exec --detach --pid-file {pidfile} …`): it exits
    /// with 0 once the process runs, and the session is that process's. Without, the program is the process.
    public var arguments: [String]
    /// `NAME=value`; empty passes on the shim's own.
    public var environment: [String]
    /// A terminal, which needs `{console}` in the arguments.
    public var terminal: Bool
    /// Standard input is a pipe; else /dev/null.
    public var openStdin: Bool
    public var columns: UInt16
    public var rows: UInt16
    /// Control groups that it joins before it is executed.
    public var cgroups: [String]

    public init(
        arguments: [String], environment: [String] = [], terminal: Bool = false, openStdin: Bool = false,
        columns: UInt16 = 0, rows: UInt16 = 0, cgroups: [String] = []
    ) {
        self.arguments = arguments
        self.environment = environment
        self.terminal = terminal
        self.openStdin = openStdin
        self.columns = columns
        self.rows = rows
        self.cgroups = cgroups
    }
}
