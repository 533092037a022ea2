/// The media types of images, of the OCI and of Docker (image-spec v1.1 media-types.md; Docker image manifest
/// version 2, schema 2), and Isle's own.
public enum MediaType {
    public static let index = "application/vnd.oci.image.index.v1+json"
    public static let manifest = "application/vnd.oci.image.manifest.v1+json"
    public static let config = "application/vnd.oci.image.config.v1+json"
    public static let emptyConfig = "application/vnd.oci.empty.v1+json"
    public static let layer = "application/vnd.oci.image.layer.v1.tar"
    public static let layerGzip = "application/vnd.oci.image.layer.v1.tar+gzip"
    public static let layerZstd = "application/vnd.oci.image.layer.v1.tar+zstd"

    public static let dockerList = "application/vnd.docker.distribution.manifest.list.v2+json"
    public static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    public static let dockerConfig = "application/vnd.docker.container.image.v1+json"
    public static let dockerLayer = "application/vnd.docker.image.rootfs.diff.tar"
    public static let dockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    public static let dockerLayerZstd = "application/vnd.docker.image.rootfs.diff.tar.zstd"
    public static let dockerSchema1 = "application/vnd.docker.distribution.manifest.v1+json"
    public static let dockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"

    /// CNCF TAG Runtime, "WASM OCI artifact layout".
    public static let wasmConfig = "application/vnd.wasm.config.v0+json"
    public static let wasm = "application/wasm"

    /// A bootable disk as one blob; the format is stated here and never probed.
    public static let diskConfig = "application/vnd.isle.disk.config.v1+json"
    public static let diskQcow2 = "application/vnd.isle.disk.v1+qcow2"
    public static let diskRaw = "application/vnd.isle.disk.v1+raw"

    /// What is asked for when a reference is resolved.
    public static let manifests = [index, manifest, dockerList, dockerManifest]

    public static func isIndex(_ type: String) -> Bool { type == index || type == dockerList }
    public static func isManifest(_ type: String) -> Bool { type == manifest || type == dockerManifest }

    /// A layer of a root filesystem: a tar, plain or compressed.
    public static func isFilesystemLayer(_ type: String) -> Bool {
        [layer, layerGzip, layerZstd, dockerLayer, dockerLayerGzip, dockerLayerZstd].contains(type)
    }

    /// A layer whose content lies at a URL of a third party instead of in the registry.
    public static func isForeignLayer(_ type: String) -> Bool {
        type.hasPrefix("application/vnd.oci.image.layer.nondistributable.")
            || type.hasPrefix("application/vnd.docker.image.rootfs.foreign.")
    }

    /// A WASM module or component as one blob, by the names that tools in use give it.
    public static func isModuleLayer(_ type: String) -> Bool {
        [
            wasm, "application/vnd.wasm.content.layer.v1+wasm", "application/vnd.module.wasm.content.layer.v1+wasm",
            "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
            "application/vnd.bytecodealliance.component.layer.v0+wasm",
        ].contains(type)
    }

    public static func isDiskLayer(_ type: String) -> Bool { type == diskQcow2 || type == diskRaw }

    /// The media type without parameters, in lower case.
    static func bare(_ headerValue: String) -> String {
        var text = headerValue[...]
        if let semicolon = text.firstIndex(of: ";") { text = text[..<semicolon] }
        while text.last == " " { text = text.dropLast() }
        while text.first == " " { text = text.dropFirst() }
        return text.lowercased()
    }
}
