import ContentStore
import Foundation
import ImageFormats
import Model
import OCI
import Testing

@Suite struct RootFilesystemTests {
    let fixture = Fixture()

    @Test func aPlainTarBecomesAnImageOfOneLayer() async throws {
        let tar = try fixture.rootTar("root.tar")
        let imported = try await fixture.importer.importFile(tar.path)
        let image = try #require(imported.first?.image)
        #expect(image.content == .rootFilesystem)
        #expect(image.platform.architecture == Platform.host.architecture)
        #expect(image.imageConfig.entrypoint.isEmpty && image.imageConfig.cmd.isEmpty)
        #expect(image.layers.count == 1)
        #expect(image.layers[0].digest == ContentDigest(of: tar.bytes))
        #expect(image.layers[0].diffID == image.layers[0].digest)
        #expect(try await fixture.store.image(image.manifest) == image)
    }

    @Test(arguments: [("gzip", ".gz", MediaType.layerGzip), ("zstd", ".zst", MediaType.layerZstd)])
    func compressionThatImagesKnowIsKept(program: String, suffix: String, type: String) async throws {
        let tar = try fixture.rootTar("root.tar")
        let packed = try await fixture.compress(tar.path, program, suffix)
        let image = try #require(try await fixture.importer.importFile(packed).first?.image)
        #expect(image.layers[0].mediaType == type)
        #expect(image.layers[0].diffID == ContentDigest(of: tar.bytes))
        #expect(
            try await fixture.store.read(image.layers[0].digest)
                == Array(Data(contentsOf: URL(fileURLWithPath: packed))))
    }

    @Test(arguments: [("xz", ".xz"), ("bzip2", ".bz2")])
    func otherCompressionIsUndone(program: String, suffix: String) async throws {
        guard
            FileManager.default.isExecutableFile(atPath: "/usr/bin/" + program)
                || FileManager.default.isExecutableFile(atPath: "/bin/" + program)
        else { return }
        let tar = try fixture.rootTar("root.tar")
        let packed = try await fixture.compress(tar.path, program, suffix)
        let image = try #require(try await fixture.importer.importFile(packed).first?.image)
        #expect(image.layers[0].mediaType == MediaType.layer)
        #expect(image.layers[0].digest == ContentDigest(of: tar.bytes))
    }

    @Test func aConfigurationCanBeGiven() async throws {
        let tar = try fixture.rootTar("root.tar")
        let config = ImageConfig(env: ["A=1"], cmd: ["/sbin/init"], stopSignal: "SIGRTMIN+3")
        let image = try await fixture.importer.importRootFilesystem(tar.path, config: config)
        #expect(image.imageConfig == config)
    }

    @Test func damagedAndForeignFilesAreNamed() async throws {
        let tar = try fixture.rootTar("root.tar")
        let packed = try await fixture.compress(tar.path, "gzip", ".gz")
        let whole = Array(try Data(contentsOf: URL(fileURLWithPath: packed)))
        let cut = try fixture.write("cut.tar.gz", Array(whole.dropLast(20)))
        let text = try fixture.write("notes.txt", Array("some words".utf8))
        let empty = try fixture.write("empty", [])
        for path in [cut, text, empty, fixture.path + "/missing", "/dev/null"] {
            let error = await #expect(throws: EngineError.self) { try await fixture.importer.importFile(path) }
            #expect(error?.description.contains(path) == true, "\(String(describing: error))")
        }
        #expect(try await fixture.store.list().isEmpty)
    }
}
