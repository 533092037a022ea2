import ContentStore
import Foundation
import ImageFormats
import LinuxHost
import Model
import OCI
import Testing

@Suite struct ImportStreamTests {
    let fixture = Fixture()

    /// Imports the file's bytes as they come out of a pipe, up to `count` of them.
    private func arriving(_ path: String, count: Int = .max) async throws -> [ImportedImage] {
        let bytes = try Data(contentsOf: URL(filePath: path)).prefix(count)
        let (read, write) = try Spawn.pipe()
        let sender = Thread {
            bytes.withUnsafeBytes { raw in
                var done = 0
                while done < raw.count {
                    // Small pieces, so that members are cut anywhere.
                    let sent = Glibc.write(write.raw, raw.baseAddress! + done, min(1000, raw.count - done))
                    if sent <= 0 { break }
                    done += sent
                }
            }
            write.close()
        }
        signal(SIGPIPE, SIG_IGN)
        sender.start()
        defer { read.close() }
        return try await ImageImporter(store: fixture.otherStore()).importStream(read, name: "from a test")
    }

    private func exported(_ format: ImageExporter.Format, _ name: String) async throws -> (StoredImage, String) {
        let image = try await fixture.makeImage()
        let path = fixture.path + "/" + name
        try await fixture.exporter.export(
            [(image.manifest, [ImageReference(parsing: "app:1")])], format: format, to: path)
        return (image, path)
    }

    @Test func whatArrivesIsWhatAFileWouldBe() async throws {
        for (format, name) in [(ImageExporter.Format.dockerArchive, "docker.tar"), (.layout, "oci.tar")] {
            let (_, path) = try await exported(format, name)
            let file = try await ImageImporter(store: fixture.otherStore()).importFile(path)
            #expect(try await arriving(path) == file)
            #expect(try await arriving(try await fixture.compress(path, "gzip", ".gz")) == file)
        }
    }

    @Test func namesAndLinksMayStandAnywhere() async throws {
        let layer = try Data(contentsOf: URL(filePath: fixture.tar("layer", [("etc/motd", Array("hello".utf8))])))
        let diff = ContentDigest(of: Array(layer))
        let config = try CanonicalJSON.bytes(ImageConfiguration(platform: .host, diffIDs: [diff, diff]))
        let table = #"[{"Config":"c.json","RepoTags":["app:1"],"Layers":["a/layer.tar","b/layer.tar"]}]"#
        let path = try fixture.tar(
            "old.tar",
            [
                ("manifest.json", Array(table.utf8)), ("a/VERSION", Array("1.0".utf8)), ("a/layer.tar", Array(layer)),
                ("c.json", config),
            ], links: [("b/layer.tar", "../a/layer.tar")])
        let images = try await arriving(path)
        #expect(images.map(\.names) == [["app:1"]])
        #expect(images[0].image.layers.map(\.diffID) == [diff, diff])
    }

    @Test func whatIsNoImageArchiveIsRefused() async throws {
        let root = try fixture.tar("root.tar", [("etc/passwd", [1])])
        let other = try fixture.tar("other.tar", [("hello", [1])])
        for (path, text) in [(root, "etc/passwd"), (other, "neither manifest.json")] {
            let error = await #expect(throws: EngineError.self) { try await arriving(path) }
            #expect(
                error?.code == .invalidArgument && error?.message.contains(text) == true, "\(String(describing: error))"
            )
        }
        try Data("This is no tar".utf8).write(to: URL(filePath: fixture.path + "/text"))
        await #expect(throws: EngineError.self) { try await arriving(fixture.path + "/text") }
    }

    @Test func whatEndsEarlyIsRefused() async throws {
        let (_, path) = try await exported(.dockerArchive, "cut.tar")
        let size = try Data(contentsOf: URL(filePath: path)).count
        for count in [0, 100, 512, size / 3, size / 2] {
            let error = await #expect(throws: EngineError.self) { try await arriving(path, count: count) }
            #expect(error?.code == .invalidArgument, "\(count): \(String(describing: error))")
        }
    }
}
