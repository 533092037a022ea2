import Archive
import ContentStore
import Foundation
import Glibc
import ImageFormats
import LinuxHost
import Model
import OCI

/// A folder and a store that go with the test, and ways to make archives.
final class Fixture: Sendable {
    let path: String
    let store: DiskContentStore
    static let hasSkopeo = FileManager.default.isExecutableFile(atPath: "/usr/bin/skopeo")
    static let hasUmoci = FileManager.default.isExecutableFile(atPath: "/usr/bin/umoci")

    init() {
        path = NSTemporaryDirectory() + "isle-formats-" + UUID().uuidString
        _ = mkdir(path, 0o700)
        do { store = try DiskContentStore(root: path + "/store") } catch { preconditionFailure("\(error)") }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var importer: ImageImporter { ImageImporter(store: store) }
    var exporter: ImageExporter { ImageExporter(store: store) }

    /// A second, empty store.
    func otherStore() throws -> DiskContentStore { try DiskContentStore(root: path + "/store-" + UUID().uuidString) }

    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let target = URL(fileURLWithPath: path + "/" + name)
        try FileManager.default.createDirectory(
            at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: target)
        return target.path
    }

    /// A tar with these members.
    func tar(_ name: String, _ members: [(String, [UInt8])], links: [(String, String)] = []) throws -> String {
        var bytes: [UInt8] = []
        let writer = TarWriter { bytes.append(contentsOf: $0) }
        for (link, target) in links {
            try writer.add(TarEntry(.symbolicLink, path: HostPath(link), linkTarget: HostPath(target)))
        }
        for (member, content) in members { try writer.add(TarEntry(.file, path: HostPath(member)), content: content) }
        try writer.finish()
        return try write(name, bytes)
    }

    /// A tar of a small root filesystem, and its bytes.
    func rootTar(_ name: String, marker: String = "x") throws -> (path: String, bytes: [UInt8]) {
        let path = try tar(name, [("etc/os-release", Array("ID=test\n".utf8)), ("bin/marker", Array(marker.utf8))])
        return (path, Array(try Data(contentsOf: URL(fileURLWithPath: path))))
    }

    func compress(_ path: String, _ program: String, _ suffix: String) async throws -> String {
        try await ProcessRunner.check(program, ["-k", "-f", path])
        return path + suffix
    }

    /// An image of two layers in the store, the upper one compressed.
    func makeImage() async throws -> StoredImage {
        let lower = try rootTar("lower.tar", marker: "one")
        let upper = try rootTar("upper.tar", marker: "two")
        let packed = try await compress(upper.path, "gzip", ".gz")
        let first = try await store.add(lower.bytes, mediaType: MediaType.layer)
        let second = try await store.add(file: packed, mediaType: MediaType.layerGzip)
        let configuration = ImageConfiguration(
            platform: .host, config: ImageConfiguration.Execution(.init(env: ["A=1"], cmd: ["/bin/marker"])),
            diffIDs: [first.digest, ContentDigest(of: upper.bytes)])
        let config = try await store.add(CanonicalJSON.bytes(configuration), mediaType: MediaType.config)
        let manifest = try await store.add(
            CanonicalJSON.bytes(ImageManifest(config: config, layers: [first, second])), mediaType: MediaType.manifest)
        return try await store.image(manifest.digest)
    }
}
