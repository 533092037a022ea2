public import OCI

/// An image that an archive held.
public struct ImportedImage: Sendable, Hashable {
    public var image: StoredImage
    /// Names that the archive gives it, as they are written there; each is a reference.
    public var names: [String]

    public init(image: StoredImage, names: [String]) {
        self.image = image
        self.names = names
    }
}

/// Is told the bytes of the archive that were read; is called on a thread that may block, at most some times a second.
public typealias ImportProgress = @Sendable (Int64) -> Void
