/// How a tree is made out of an archive.
public struct UnpackOptions: Sendable {
    /// What a member named `.wh.x` means.
    public enum Whiteouts: Sendable {
        /// A name removed from lower layers (OCI image-spec, layer.md), kept in overlayfs's form: a character device
        /// 0:0, and the attribute `trusted.overlay.opaque` on a folder. Needs root.
        case overlay
        /// A file with a strange name.
        case ordinary
    }

    /// What becomes of device nodes. A node in an image would give its container the host's device.
    public enum Devices: Sendable { case skip, create }

    public var whiteouts: Whiteouts
    public var devices: Devices
    /// Give files their owners; needs root. Else all belong to the caller.
    public var keepOwners: Bool
    public var limits: ArchiveLimits

    public init(
        whiteouts: Whiteouts = .overlay, devices: Devices = .skip, keepOwners: Bool = true,
        limits: ArchiveLimits = ArchiveLimits()
    ) {
        self.whiteouts = whiteouts
        self.devices = devices
        self.keepOwners = keepOwners
        self.limits = limits
    }
}

/// What was made out of an archive, and what was left out.
public struct UnpackReport: Sendable, Hashable {
    /// Of the uncompressed stream with all that follows the last member: an OCI `diff_id`.
    public var digest = ""
    /// Bytes of the uncompressed stream.
    public var bytes: Int64 = 0
    public var entries = 0
    /// Device nodes that were not made: their number, and the first paths.
    public var skippedDevices = 0
    public var skippedDevicePaths: [String] = []
    /// Extended attributes that were not kept, by name.
    public var droppedAttributes: [String: Int] = [:]
}
