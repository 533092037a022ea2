public import Model

/// Writes what an instance is doing to a file, so that a later start goes on from there.
///
///     try await handle.state.save(to: path)      // suspended from now on
///     try await handle.pause.resume()            // a stateful snapshot: goes on
///     try await handle.signal(9)                 // a stateful stop: ends
///
/// A start whose plan has `LaunchPlan.savedState` goes on from the file. Disks must be as they were at `save`, and
/// number of processors, memory, disks and interfaces the same.
public protocol StateFacet: Sendable {
    /// Suspends the instance and writes memory and devices to a new file at `path` (absolute, mode 0600, root's). The
    /// disks are consistent and untouched from then until `PauseFacet.resume` or the end.
    /// - Throws: `alreadyExists`, `resourceExhausted`, or `unsupported` with what cannot be saved (folders shared with the
    ///   host, devices that were added while it ran); the instance then goes on as before, and no file is left.
    func save(to path: String) async throws
}

/// Adds and removes devices of a running instance. What is added is not there after a stop: the next plan names it.
public protocol HotplugFacet: Sendable {
    /// Shows a further disk. `alreadyExists` for a name in use, `resourceExhausted` when all slots are taken.
    func add(_ disk: MachineDisk) async throws
    /// Takes a disk away, of the plan or added later. Returns when the guest has let go of it; `timeout` if it does
    /// not, then it is still there. `notFound` if there is none of that name.
    func removeDisk(_ name: String) async throws
    /// Connects a further interface to `tap`, made by `NetworkDriver.tap` for `LaunchPlan.hypervisorUser`.
    func add(_ endpoint: NetworkEndpoint, tap: String) async throws
    /// Takes the interface of the device `device` away, as `removeDisk`.
    func removeInterface(_ device: String) async throws
}

/// The screen, keyboard and mouse of an instance.
public protocol ScreenFacet: Sendable {
    /// A new connection of a client in the SPICE protocol (spice-space.org, "Spice protocol"). A client makes one for each
    /// of its channels.
    func connect() async throws -> OwnedDescriptor
    /// What it shows now, as a PNG file.
    func picture() async throws -> [UInt8]
}

/// A disk that a machine is shown besides its root.
public struct MachineDisk: Sendable, Hashable, Codable {
    public enum Kind: String, Sendable, Codable {
        case disk
        /// A read-only disc in a drive (ISO 9660 images).
        case optical
    }
    /// Name of the device. The guest sees its first 15 bytes behind `isle_` as the disk's serial number
    /// (`/dev/disk/by-id/virtio-isle_NAME`).
    public var name: String
    /// A regular file or block device of the host. It stays as it is: owner and mode do not change.
    public var path: String
    public var format: DiskRoot.Format
    public var readOnly: Bool
    public var kind: Kind
    /// Lower ones are tried first when a disk image boots, the root disk being 0; nil is not tried.
    public var bootOrder: Int?

    public init(
        name: String, path: String, format: DiskRoot.Format = .raw, readOnly: Bool = false, kind: Kind = .disk,
        bootOrder: Int? = nil
    ) {
        self.name = name
        self.path = path
        self.format = format
        self.readOnly = readOnly
        self.kind = kind
        self.bootOrder = bootOrder
    }
}
