/// The configuration blob of a disk image (`MediaType.diskConfig`): how the disk in the image's one layer boots.
public struct DiskConfiguration: Hashable, Sendable, Codable {
    /// RFC 3339.
    public var created: String?
    public var architecture: String
    public var os: String
    /// `bios` or `uefi`.
    public var firmware: String
    /// Bytes that the guest sees.
    public var virtualSize: Int64
    /// Format of the file that was imported: `vmdk`, `vdi`, …
    public var importedFrom: String?

    public init(
        created: String? = nil, platform: Platform, firmware: String, virtualSize: Int64, importedFrom: String? = nil
    ) {
        self.created = created
        architecture = platform.architecture
        os = platform.os
        self.firmware = firmware
        self.virtualSize = virtualSize
        self.importedFrom = importedFrom
    }
}

/// The configuration blob of a WASM image (CNCF TAG Runtime, "WASM OCI artifact layout").
public struct ModuleConfiguration: Hashable, Sendable, Codable {
    public var created: String?
    public var architecture: String
    /// `wasip1` for a core module, `wasip2` for a component.
    public var os: String
    public var layerDigests: [ContentDigest]
    /// Worlds of a component that it was built for.
    public var component: Component?

    public struct Component: Hashable, Sendable, Codable {
        public var exports: [String]?
        public var imports: [String]?
        public var target: String?
    }

    public init(created: String? = nil, os: String, layer: ContentDigest) {
        self.created = created
        architecture = "wasm"
        self.os = os
        layerDigests = [layer]
    }
}
