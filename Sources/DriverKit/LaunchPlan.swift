public import Model

/// Everything a driver needs to start one instance, worked out by the engine from the merged configuration.
/// A plan has no technology in it: the same plan, with another `kind`, starts the same image another way.
public struct LaunchPlan: Sendable {
    public var id: InstanceID
    public var name: String
    public var kind: InstanceKind
    public var hostname: String
    public var root: RootSource
    public var process: ProcessSpec
    /// Host ids that stand for the instance's own; nil is privileged: the host's ids, no user namespace.
    public var identity: IDRange?
    public var mounts: [MountSpec]
    public var network: NetworkMode
    public var limits: Limits
    public var security: SecurityOptions
    public var stdio: StdioOptions
    public var log: LogOptions
    /// A folder of this instance's own on a tmpfs, gone after a reboot: sockets, bundle, pid and exit files.
    public var runDirectory: String
    /// A folder of this instance's own that lasts: disks, logs, what a driver must keep.
    public var stateDirectory: String
    /// The merged configuration, for keys only one driver knows (`raw.*`, `oci.runtime`, `module.fuel`).
    public var config: [String: String]
    /// The merged devices, likewise.
    public var devices: [String: [String: String]]
    /// For machines: names of the tap interfaces by `NetworkEndpoint.device`, made by `NetworkDriver.tap` with the
    /// owner `hypervisorUser` before `create`.
    public var taps: [String: String]
    /// For containers: what goes beyond what every kind has.
    public var options = ContainerOptions()
    /// For machines: disks besides the root.
    public var disks: [MachineDisk]
    /// For machines: names of the devices that are a TPM; their state is kept beside the disk, and goes with it.
    public var tpms: [String] = []
    /// A file that `StateFacet.save` wrote: the first process goes on from there. Nil boots.
    public var savedState: String?

    public init(
        id: InstanceID, name: String, kind: InstanceKind, hostname: String, root: RootSource, process: ProcessSpec,
        identity: IDRange?, mounts: [MountSpec], network: NetworkMode, limits: Limits, security: SecurityOptions,
        stdio: StdioOptions, log: LogOptions, runDirectory: String, stateDirectory: String,
        config: [String: String] = [:], devices: [String: [String: String]] = [:], taps: [String: String] = [:],
        disks: [MachineDisk] = [], savedState: String? = nil
    ) {
        self.disks = disks
        self.savedState = savedState
        self.id = id
        self.name = name
        self.kind = kind
        self.hostname = hostname
        self.root = root
        self.process = process
        self.identity = identity
        self.mounts = mounts
        self.network = network
        self.limits = limits
        self.security = security
        self.stdio = stdio
        self.log = log
        self.runDirectory = runDirectory
        self.stateDirectory = stateDirectory
        self.config = config
        self.devices = devices
        self.taps = taps
    }

    /// User and group id on the host under which a machine's hypervisor runs: the first of the instance's own ids;
    /// without a range, one made from the instance's id between 0x70000000 and 0x70ffffff.
    public var hypervisorUser: UInt32 { Self.hypervisorUser(id, identity) }

    /// The same of a plan with that id and those ids of its own.
    public static func hypervisorUser(_ id: InstanceID, _ identity: IDRange?) -> UInt32 {
        if let identity { return identity.base }
        return 0x7000_0000 + (UInt32(id.raw.suffix(6), radix: 16) ?? 0)
    }
}

/// What an instance's files are.
public enum RootSource: Sendable {
    /// Read-only layers with a writable folder on top.
    case overlay(OverlayRoot)
    /// A bootable disk of the machine's own.
    case disk(DiskRoot)
    /// A WASM module; `path` is the file in the store, `digest` its content (`sha256:…`).
    case module(path: String, digest: String)
}

/// Folders of an overlay. Owner ids on disk are always the image's own (0 to 65535); a driver maps them at mount
/// time (mount_setattr(2), MOUNT_ATTR_IDMAP), the upper folder's too.
public struct OverlayRoot: Sendable, Hashable {
    /// The folder that holds every layer, absolute: one idmapped mount of it serves them all.
    public var layersDirectory: String
    /// Paths below `layersDirectory`, topmost layer first; at least one.
    public var lower: [String]
    /// What the instance wrote until it was snapshot or copied lies above those layers: the folder that holds such
    /// frozen parts, absolute, and paths below it, topmost first. One idmapped mount of it serves them all.
    public var frozenDirectory: String?
    public var frozen: [String]
    /// The folder that holds `upper` and `work`, absolute, of this instance alone.
    public var instanceDirectory: String
    /// Names below `instanceDirectory`.
    public var upper: String
    public var work: String

    public init(
        layersDirectory: String, lower: [String], frozenDirectory: String? = nil, frozen: [String] = [],
        instanceDirectory: String, upper: String = "upper", work: String = "work"
    ) {
        self.layersDirectory = layersDirectory
        self.lower = lower
        self.frozenDirectory = frozenDirectory
        self.frozen = frozen
        self.instanceDirectory = instanceDirectory
        self.upper = upper
        self.work = work
    }
}

/// A disk in a stated format; nothing is ever probed.
public struct DiskRoot: Sendable, Hashable {
    public enum Format: String, Sendable, Codable { case raw, qcow2 }
    /// Of this instance alone.
    public var path: String
    public var format: Format
    public var boot: Boot
    /// What a qcow2 disk is a copy-on-write layer over, shared and read-only; nil: it stands alone. The name that
    /// the disk itself holds is never followed.
    public var backing: DiskBacking?

    /// How a machine comes up from the disk.
    public enum Boot: String, Sendable, Codable {
        /// Isle's own kernel with `isle-init`; the disk is one ext4 filesystem without partitions, labelled
        /// `isle-root`.
        case kernel
        /// The disk's boot loader, by SeaBIOS or by OVMF.
        case bios, uefi
    }

    public init(path: String, format: Format, boot: Boot, backing: DiskBacking? = nil) {
        self.path = path
        self.format = format
        self.boot = boot
        self.backing = backing
    }
}

/// The read-only disk below a qcow2 layer; it stands alone itself.
public struct DiskBacking: Sendable, Hashable {
    public var path: String
    public var format: DiskRoot.Format

    public init(path: String, format: DiskRoot.Format) {
        self.path = path
        self.format = format
    }
}

/// The first process of an instance, or a further one (exec).
public struct ProcessSpec: Sendable, Hashable {
    /// Program and arguments; empty for a machine that boots a disk.
    public var arguments: [String]
    /// `NAME=value` in order; later ones win.
    public var environment: [String]
    /// Absolute path inside the instance; nil is the image's, else `/`.
    public var workingDirectory: String?
    /// `user[:group]`, names or numbers, looked up inside the instance; nil is root.
    public var user: String?

    public init(
        arguments: [String], environment: [String] = [], workingDirectory: String? = nil, user: String? = nil
    ) {
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.user = user
    }
}

/// A file or folder of the host shown inside an instance.
public struct MountSpec: Sendable, Hashable {
    /// Absolute path on the host.
    public var source: String
    /// Absolute path inside; resolved below the instance's root, never outside.
    public var target: String
    public var readOnly: Bool
    /// Show the instance's own ids on disk (idmapped mount): true for Isle's volumes, false for paths of the host
    /// that the user named, whose owners stay as they are unless `shift=true` was asked for.
    public var idMapped: Bool
    /// Where the host cannot do that, show the owners as they are, and say so in the handle's `notices`; else it is an
    /// error.
    public var isMappingOptional: Bool
    /// Show what is mounted below the source too.
    public var recursive: Bool
    /// How mounts that are made later pass between host and instance: `rprivate` (not at all), `rslave` (inwards), …
    /// (mount(2), shared subtrees); nil is `rprivate`.
    public var propagation: String?

    public init(
        source: String, target: String, readOnly: Bool = false, idMapped: Bool = false, recursive: Bool = true,
        propagation: String? = nil, isMappingOptional: Bool = false
    ) {
        self.source = source
        self.target = target
        self.readOnly = readOnly
        self.idMapped = idMapped
        self.recursive = recursive
        self.propagation = propagation
        self.isMappingOptional = isMappingOptional
    }
}

/// How an instance reaches the network.
public enum NetworkMode: Sendable {
    /// Loopback only.
    case none
    /// The host's own network namespace (containers only).
    case host
    /// One interface per endpoint.
    case endpoints([NetworkEndpoint])
    /// The network namespace of another instance that runs (containers only).
    case instance(JoinedInstance)
}

/// Restrictions, as merged from `security.*`; the defaults are those of an unprivileged container.
public struct SecurityOptions: Sendable, Hashable {
    public var privileged: Bool
    public var nesting: Bool
    public var readOnlyRoot: Bool
    public var noNewPrivileges: Bool
    /// Capabilities added to and dropped from the default set, `CAP_…` upper case.
    public var addCapabilities: [String]
    public var dropCapabilities: [String]
    /// `default`, `unconfined`, or a profile in Docker's JSON format.
    public var seccomp: String

    public init(
        privileged: Bool = false, nesting: Bool = false, readOnlyRoot: Bool = false, noNewPrivileges: Bool = true,
        addCapabilities: [String] = [], dropCapabilities: [String] = [], seccomp: String = "default"
    ) {
        self.privileged = privileged
        self.nesting = nesting
        self.readOnlyRoot = readOnlyRoot
        self.noNewPrivileges = noNewPrivileges
        self.addCapabilities = addCapabilities
        self.dropCapabilities = dropCapabilities
        self.seccomp = seccomp
    }
}

/// The standard streams of the first process.
public struct StdioOptions: Sendable, Hashable {
    /// One pseudo-terminal instead of three streams.
    public var terminal: Bool
    /// Keep standard input open for attach; else it is /dev/null.
    public var openStdin: Bool
    /// Close standard input when the first attached client that had it goes (docker run -i).
    public var stdinOnce: Bool
    public var size: TerminalSize?

    public init(terminal: Bool = false, openStdin: Bool = false, stdinOnce: Bool = false, size: TerminalSize? = nil) {
        self.terminal = terminal
        self.openStdin = openStdin
        self.stdinOnce = stdinOnce
        self.size = size
    }
}

/// Columns and rows of a terminal.
public struct TerminalSize: Sendable, Hashable {
    public var columns: UInt16
    public var rows: UInt16
    public init(columns: UInt16, rows: UInt16) {
        self.columns = columns
        self.rows = rows
    }
}

/// Where output is logged, in the CRI log format, and how much of it is kept.
public struct LogOptions: Sendable, Hashable {
    /// Absolute; empty: output goes to attached clients only. Rotated files are `path.1` (newest) up to `path.<files - 1>`.
    public var path: String
    /// Bytes at which a file is rotated.
    public var maxSize: Int64
    /// Files kept, the current one among them; at least 1.
    public var files: Int

    public init(path: String, maxSize: Int64 = 16 << 20, files: Int = 3) {
        self.path = path
        self.maxSize = maxSize
        self.files = files
    }
}
