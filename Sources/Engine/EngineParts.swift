public import DriverKit
public import Logging
import Model
public import StateStore

/// What the composition root gives the engine: the state and one implementation of each protocol.
public struct EngineParts: Sendable {
    public var layout: HostLayout
    public var store: StateStore
    public var drivers: [any InstanceDriver]
    public var snapshotter: any Snapshotter
    /// The first is the one of the standard pool.
    public var storage: [any StorageDriver]
    public var disks: any DiskMaker
    public var network: any NetworkDriver
    public var source: any ImageSource
    public var folders: any FolderStore
    /// What this daemon can do with images beyond fetching and running them; what is nil it cannot.
    public var imaging: ImagingParts
    /// nil: no remote clients are taken.
    public var trust: (any TrustMaterial)?
    /// Fills new volumes from images; nil: they begin empty.
    public var filler: (any VolumeFiller)?
    public var events: EventBus
    public var logger: Logger
    /// Where the host ids of unprivileged instances begin, unless others are given: far from those that useradd(8)
    /// hands out.
    public static let standardFirstID: UInt32 = 0x7000_0000
    /// How many ranges of 65536 ids there are, unless another number is given.
    public static let standardIDSlots = 4000

    /// Bytes of memory of the host.
    public var hostMemory: Int64
    /// First host id and number of ranges of 65536 ids for unprivileged instances.
    public var firstID: UInt32
    public var idSlots: Int
    /// Further parts of the host to look at, for `isle doctor`.
    public var checks: [@Sendable () async -> [HostCheck]]

    public init(
        layout: HostLayout, store: StateStore, drivers: [any InstanceDriver], snapshotter: any Snapshotter,
        storage: [any StorageDriver], disks: any DiskMaker, network: any NetworkDriver, source: any ImageSource,
        folders: any FolderStore, filler: (any VolumeFiller)? = nil, imaging: ImagingParts = ImagingParts(),
        trust: (any TrustMaterial)? = nil,
        events: EventBus = EventBus(),
        logger: Logger,
        hostMemory: Int64, firstID: UInt32 = Self.standardFirstID, idSlots: Int = Self.standardIDSlots,
        checks: [@Sendable () async -> [HostCheck]] = []
    ) {
        self.layout = layout
        self.store = store
        self.drivers = drivers
        self.snapshotter = snapshotter
        self.storage = storage
        self.disks = disks
        self.network = network
        self.source = source
        self.folders = folders
        self.imaging = imaging
        self.trust = trust
        self.filler = filler
        self.events = events
        self.logger = logger
        self.hostMemory = hostMemory
        self.firstID = firstID
        self.idSlots = idSlots
        self.checks = checks
    }

    /// A part that is needed, or `unsupported`.
    func imaging<Part>(_ path: KeyPath<ImagingParts, Part?>, for request: String) throws -> Part {
        guard let part = imaging[keyPath: path] else {
            throw EngineError(.unsupported, "this daemon cannot \(request)")
        }
        return part
    }

    func driver(for kind: InstanceKind) throws -> any InstanceDriver {
        guard let driver = drivers.first(where: { $0.kinds.contains(kind) }) else {
            throw EngineError(.unsupported, "this daemon has no driver for the kind \(kind.rawValue)")
        }
        return driver
    }
}

/// Facets of images.
public struct ImagingParts: Sendable {
    public var archiver: (any RootArchiver)?
    public var disks: (any DiskArchiver)?
    public var maker: (any ImageMaker)?
    public var bundles: (any BundleStore)?
    public var remotes: (any ImageRemotes)?
    public var builder: (any ImageBuilder)?
    public var registry: (any RegistryFacet)?
    public var backups: (any BackupArchiver)?

    public init(
        archiver: (any RootArchiver)? = nil, disks: (any DiskArchiver)? = nil, maker: (any ImageMaker)? = nil,
        bundles: (any BundleStore)? = nil, remotes: (any ImageRemotes)? = nil, builder: (any ImageBuilder)? = nil,
        registry: (any RegistryFacet)? = nil, backups: (any BackupArchiver)? = nil
    ) {
        self.archiver = archiver
        self.disks = disks
        self.maker = maker
        self.bundles = bundles
        self.remotes = remotes
        self.builder = builder
        self.registry = registry
        self.backups = backups
    }
}
