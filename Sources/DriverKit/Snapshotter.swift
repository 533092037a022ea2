public import Model

/// Keeps unpacked layers of images.
///
/// A **layer** is named by the digest of its uncompressed tar (OCI `diff_id`, `sha256:…`), is unpacked once,
/// never changes and is shared by all instances. Owner ids on disk are the image's own. Unpacking is atomic: a layer is there whole or not at all,
/// whatever happens in between; what a crash left is removed by `recover`.
public protocol Snapshotter: Sendable {
    func contains(layer: String) async throws -> Bool
    /// Unpacks the layer from a tar file at `archive`, compressed or not; verifies that the uncompressed bytes have
    /// the digest `layer` (`invalidArgument` if not). Parallel calls for the same layer do the work once.
    func unpack(layer: String, archive: String) async throws
    /// Removes a layer; the caller knows that no root uses it. No error if it is not there.
    func remove(layer: String) async throws
    /// Whether the layer itself has something at `path` (absolute inside), symbolic links not followed.
    func has(path: String, layer: String) async throws -> Bool
    /// Every layer with the bytes it occupies on disk.
    func layers() async throws -> [String: Int64]
    /// Where the layers (lowest first) lie, for mounting. `notFound` if one is not unpacked.
    func stack(_ layers: [String]) async throws -> LayerStack
    /// Removes what interrupted work left; called once at start, before anything else.
    func recover() async throws
}

/// Makes disks for machines.
public protocol DiskMaker: Sendable {
    /// A disk of the instance's own whose content is the root filesystem made of `layers`, at least `size` bytes
    /// (nil: the default). The base is made once per list of layers and shared by copy-on-write.
    func prepareDisk(_ id: InstanceID, layers: [String], directory: String, size: Int64?) async throws -> DiskRoot
    /// A disk of the instance's own over the imported disk image at `image`.
    func prepareDisk(_ id: InstanceID, image: String, format: DiskRoot.Format, directory: String, size: Int64?)
        async throws -> DiskRoot
    /// An empty disk of the instance's own, of `size` bytes (nil: the default).
    func prepareDisk(_ id: InstanceID, directory: String, size: Int64?) async throws -> DiskRoot
    /// Removes bases that none of `layersInUse` needs.
    func prune(keeping layersInUse: [[String]]) async throws
}
