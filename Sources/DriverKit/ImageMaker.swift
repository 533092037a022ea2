public import Model

/// Makes new images out of what instances and builders made.
public protocol ImageMaker: Sendable {
    /// Stores an image of the layers of `base` (manifest digest; nil: none) and, on top, the tar at `archive`, which
    /// becomes part of the store. `archive` nil adds no layer.
    func makeImage(over base: String?, layer: PackedArchive?, at archive: String?, _ change: ImageChange) async throws
        -> IncomingImage
    /// Stores an image of a configuration blob and layers, lowest first: such as are stored, and uncompressed tars.
    func assemble(config: [UInt8], layers: [AssembledLayer]) async throws -> IncomingImage
    /// Stores the qcow2 file at `path`, which stands alone, as a disk image.
    func makeDiskImage(_ path: String, boot: DiskRoot.Boot, _ change: ImageChange) async throws -> IncomingImage
}

/// A layer of an image that is put together.
public enum AssembledLayer: Sendable {
    case stored(ImageRecord.Layer)
    /// Path and the digest that the file must have.
    case tar(path: String, digest: String)
}

/// What a new image says about itself.
public struct ImageChange: Sendable, Hashable {
    /// How to run it, in place of what the base says.
    public var config: ImageConfig
    /// As uname(2) says it.
    public var architecture: String
    public var author: String?
    public var comment: String?
    /// The command that the new layer came from, for the image's history.
    public var createdBy: String
    /// Seconds since 1970.
    public var createdAt: Double

    public init(
        config: ImageConfig, architecture: String, author: String? = nil, comment: String? = nil,
        createdBy: String = "", createdAt: Double
    ) {
        self.config = config
        self.architecture = architecture
        self.author = author
        self.comment = comment
        self.createdBy = createdBy
        self.createdAt = createdAt
    }
}
