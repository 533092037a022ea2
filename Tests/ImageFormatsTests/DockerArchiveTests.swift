import ContentStore
import Foundation
import ImageFormats
import LinuxHost
import Model
import OCI
import Testing

@Suite struct DockerArchiveTests {
    let fixture = Fixture()

    @Test func anExportedArchiveIsImportedWithEqualConfigurationAndLayers() async throws {
        let image = try await fixture.makeImage()
        let path = fixture.path + "/out.tar"
        try await fixture.exporter.export(
            [(image.manifest, [ImageReference(parsing: "app:1"), ImageReference(parsing: "localhost:5000/app:2")])],
            format: .dockerArchive, to: path)
        let imported = try await ImageImporter(store: fixture.otherStore()).importFile(path)
        #expect(imported.count == 1)
        #expect(imported[0].names == ["app:1", "localhost:5000/app:2"])
        #expect(imported[0].image.config == image.config)
        #expect(imported[0].image.layers.map(\.diffID) == image.layers.map(\.diffID))
        // The layers are uncompressed there.
        #expect(imported[0].image.layers.allSatisfy { $0.digest == $0.diffID })
    }

    @Test(.enabled(if: Fixture.hasSkopeo, "skopeo is not installed"))
    func skopeoReadsOurArchiveAndWeReadSkopeos() async throws {
        let image = try await fixture.makeImage()
        let ours = fixture.path + "/ours.tar"
        try await fixture.exporter.export(
            [(image.manifest, [ImageReference(parsing: "app:1")])], format: .dockerArchive, to: ours)
        let theirs = fixture.path + "/theirs.tar"
        try await ProcessRunner.check(
            "skopeo", ["copy", "docker-archive:\(ours):app:1", "docker-archive:\(theirs):docker.io/library/other:2"])
        let imported = try await ImageImporter(store: fixture.otherStore()).importFile(theirs)
        #expect(imported.map(\.names) == [["docker.io/library/other:2"]])
        #expect(imported[0].image.layers.map(\.diffID) == image.layers.map(\.diffID))
        #expect(imported[0].image.imageConfig.cmd == ["/bin/marker"])
        // The whole compressed, as people keep it.
        let packed = try await fixture.compress(theirs, "gzip", ".gz")
        #expect(try await ImageImporter(store: fixture.otherStore()).importFile(packed) == imported)
    }

    @Test func anArchiveThatIsBothIsReadAsTheLayoutInIt() async throws {
        // What `docker save` writes since version 25.
        let image = try await fixture.makeImage()
        var members: [(String, [UInt8])] = []
        for digest in [image.manifest, image.config] + image.layers.map(\.digest) {
            members.append(("blobs/sha256/" + digest.hex, try await fixture.store.read(digest)))
        }
        let entry = Descriptor(
            mediaType: MediaType.manifest, digest: image.manifest, size: Int64(members[0].1.count),
            annotations: [
                "io.containerd.image.name": "docker.io/library/app:1", "org.opencontainers.image.ref.name": "1",
            ])
        let layers = image.layers.map { "\"blobs/sha256/\($0.digest.hex)\"" }.joined(separator: ",")
        let table = #"[{"Config":"blobs/sha256/\#(image.config.hex)","RepoTags":["app:1"],"Layers":[\#(layers)]}]"#
        members.append(("index.json", try CanonicalJSON.bytes(ImageIndex(manifests: [entry]))))
        members.append(("manifest.json", Array(table.utf8)))
        let marker = ("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
        let both = try await ImageImporter(store: fixture.otherStore()).importFile(
            fixture.tar("both.tar", members + [marker]))
        #expect(both == [ImportedImage(image: image, names: ["docker.io/library/app:1"])])
        // Without the layout's marker the table is read; its paths lead into the blobs.
        let table2 = try await ImageImporter(store: fixture.otherStore()).importFile(fixture.tar("table.tar", members))
        #expect(table2.map(\.image.config) == [image.config] && table2[0].names == ["app:1"])
        #expect(table2[0].image.layers.map(\.digest) == image.layers.map(\.digest))
    }

    private func archive(
        _ name: String, layers: [String], members: [(String, [UInt8])], links: [(String, String)] = [],
        diffIDs: [ContentDigest], tags: String = "null"
    ) throws -> String {
        let config = try CanonicalJSON.bytes(ImageConfiguration(platform: .host, diffIDs: diffIDs))
        let list = layers.map { "\"\($0)\"" }.joined(separator: ",")
        let table = #"[{"Config":"config.json","RepoTags":\#(tags),"Layers":[\#(list)]}]"#
        return try fixture.tar(
            name, [("manifest.json", Array(table.utf8)), ("config.json", config)] + members, links: links)
    }

    @Test func linksBetweenLayersAreFollowedInsideTheArchive() async throws {
        let layer = try fixture.rootTar("l.tar").bytes
        let digest = ContentDigest(of: layer)
        let path = try archive(
            "legacy.tar", layers: ["a/layer.tar", "b/layer.tar"], members: [("a/layer.tar", layer)],
            links: [("b/layer.tar", "../a/layer.tar")], diffIDs: [digest, digest], tags: #"["x:1","../bad","-o"]"#)
        let imported = try await fixture.importer.importFile(path)
        #expect(imported[0].image.layers.map(\.digest) == [digest, digest])
        #expect(imported[0].names == ["x:1"])
    }

    @Test(arguments: ["/etc/passwd", "../../../../etc/passwd", "b/layer.tar", "nowhere"])
    func linksOutOfTheArchiveLeadNowhere(target: String) async throws {
        let digest = ContentDigest(of: Array("x".utf8))
        let path = try archive(
            "evil.tar", layers: ["b/layer.tar"], members: [], links: [("b/layer.tar", target)], diffIDs: [digest])
        let error = await #expect(throws: EngineError.self) { try await fixture.importer.importFile(path) }
        #expect(error?.message.contains("does not hold") == true)
        #expect(try await fixture.store.list().isEmpty)
    }

    @Test func aLayerThatIsNotTheOneInTheConfigurationIsRefused() async throws {
        let layer = try fixture.rootTar("l.tar").bytes
        let path = try archive(
            "wrong.tar", layers: ["l.tar"], members: [("l.tar", layer)], diffIDs: [ContentDigest(of: [1])])
        let error = await #expect(throws: EngineError.self) { try await fixture.importer.importFile(path) }
        #expect(error?.code == .invalidArgument)
    }

    @Test(arguments: [
        "[]", "{}", "[{}]", #"[{"Config":"../../etc/passwd","Layers":[]}]"#,
        #"[{"Config":"/etc/passwd","Layers":["x"]}]"#,
    ])
    func malformedTablesAreRefused(table: String) async throws {
        let path = try fixture.tar("bad.tar", [("manifest.json", Array(table.utf8))])
        await #expect(throws: EngineError.self) { try await fixture.importer.importFile(path) }
    }

    @Test func aModuleCannotBeADockerArchive() async throws {
        let module = try #require(
            try await fixture.importer.importFile(fixture.write("m.wasm", [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])).first?
                .image)
        let error = await #expect(throws: EngineError.self) {
            try await fixture.exporter.export(
                [(module.manifest, [])], format: .dockerArchive, to: fixture.path + "/x.tar")
        }
        #expect(error?.code == .unsupported)
    }

    @Test func aFailedExportLeavesTheOldFile() async throws {
        let image = try await fixture.makeImage()
        let path = try fixture.write("out.tar", [1, 2, 3])
        try await fixture.store.remove(image.layers[1].digest)
        await #expect(throws: EngineError.self) {
            try await fixture.exporter.export([(image.manifest, [])], format: .layout, to: path)
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data([1, 2, 3]))
        #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.path).allSatisfy { !$0.contains(".part-") })
    }
}
