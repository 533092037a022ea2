import ContentStore
import Foundation
import Glibc
import ImageFormats
import LinuxHost
import Model
import OCI
import Testing

@Suite struct LayoutTests {
    let fixture = Fixture()

    @Test func anExportedLayoutIsImportedWithEqualDigests() async throws {
        let image = try await fixture.makeImage()
        let name = try ImageReference(parsing: "localhost/app:1")
        let path = fixture.path + "/out.tar"
        try await fixture.exporter.export([(image.manifest, [name])], format: .layout, to: path)
        let other = try fixture.otherStore()
        let imported = try await ImageImporter(store: other).importFile(path)
        #expect(imported == [ImportedImage(image: image, names: ["localhost/app:1"])])
        #expect(try await other.list().count == 4)
        // As a folder.
        let folder = fixture.path + "/layout"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try await ProcessRunner.check("tar", ["-C", folder, "-xf", path])
        let third = try fixture.otherStore()
        #expect(try await ImageImporter(store: third).importFile(folder) == imported)
    }

    @Test(.enabled(if: Fixture.hasSkopeo && Fixture.hasUmoci, "skopeo or umoci is not installed"))
    func skopeoAndUmociReadWhatIsExported() async throws {
        let image = try await fixture.makeImage()
        let path = fixture.path + "/out.tar"
        try await fixture.exporter.export(
            [(image.manifest, [ImageReference(parsing: "localhost/app:1")])], format: .layout, to: path)
        let layout = fixture.path + "/copy"
        try await ProcessRunner.check(
            "skopeo", ["copy", "--preserve-digests", "oci-archive:\(path)", "oci:\(layout):app"])
        let index = try String(contentsOfFile: layout + "/index.json", encoding: .utf8)
        #expect(index.contains(image.manifest.hex))
        try await ProcessRunner.check("umoci", ["unpack", "--image", layout + ":app", fixture.path + "/bundle"])
        let marker = try String(contentsOfFile: fixture.path + "/bundle/rootfs/bin/marker", encoding: .utf8)
        #expect(marker == "two")
        // And back: a layout by skopeo.
        let other = try fixture.otherStore()
        let imported = try await ImageImporter(store: other).importFile(layout)
        #expect(imported.map(\.image.manifest) == [image.manifest])
        #expect(imported[0].names.isEmpty)
    }

    @Test func severalImagesAndNamesShareOneArchive() async throws {
        let image = try await fixture.makeImage()
        let module = try #require(
            try await fixture.importer.importFile(fixture.write("m.wasm", [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])).first?
                .image)
        let names = try ["localhost/a:1", "localhost/a:2"].map { try ImageReference(parsing: $0) }
        let path = fixture.path + "/out.tar"
        try await fixture.exporter.export([(image.manifest, names), (module.manifest, [])], format: .layout, to: path)
        let imported = try await ImageImporter(store: fixture.otherStore()).importFile(path)
        #expect(imported.map(\.image.manifest) == [image.manifest, module.manifest])
        #expect(imported.map(\.names) == [["localhost/a:1", "localhost/a:2"], []])
    }

    @Test func ofAnIndexTheHostsImageIsTaken() async throws {
        let image = try await fixture.makeImage()
        let entry = Descriptor(
            mediaType: MediaType.manifest, digest: image.manifest, size: try await fixture.store.size(image.manifest),
            platform: .host)
        let absent = Descriptor(
            mediaType: MediaType.manifest, digest: ContentDigest(of: [9]), size: 9,
            platform: Platform(architecture: "mips"))
        let index = try await fixture.store.add(
            CanonicalJSON.bytes(ImageIndex(manifests: [absent, entry])), mediaType: MediaType.index)
        let path = fixture.path + "/out.tar"
        try await fixture.exporter.export([(index.digest, [])], format: .layout, to: path)
        let imported = try await ImageImporter(store: fixture.otherStore()).importFile(path)
        #expect(imported.map(\.image.manifest) == [image.manifest])
        #expect(imported[0].image.target == index.digest)
    }

    /// The members of a layout with one image of one layer.
    private func members(_ image: StoredImage) async throws -> [(String, [UInt8])] {
        var members: [(String, [UInt8])] = []
        for digest in [image.manifest, image.config] + image.layers.map(\.digest) {
            members.append(("blobs/sha256/" + digest.hex, try await fixture.store.read(digest)))
        }
        let entry = Descriptor(
            mediaType: MediaType.manifest, digest: image.manifest, size: Int64(members[0].1.count))
        members.append(("index.json", try CanonicalJSON.bytes(ImageIndex(manifests: [entry]))))
        members.append(("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8)))
        return members
    }

    @Test func aChangedOrMissingBlobIsRefusedAndNotStored() async throws {
        let image = try await fixture.makeImage()
        let members = try await members(image)
        for index in 0..<4 {
            var changed = members
            changed[index].1[0] ^= 1
            var missing = members
            missing.remove(at: index)
            var cut = members
            cut[index].1.removeLast()
            for (name, list) in [("changed", changed), ("missing", missing), ("cut", cut)] {
                let other = try fixture.otherStore()
                let path = try fixture.tar("\(name)-\(index).tar", list)
                await #expect(throws: EngineError.self, "\(name) \(index)") {
                    try await ImageImporter(store: other).importFile(path)
                }
                #expect(try await other.list().keys.allSatisfy { $0.hex.utf8.count == 64 })
                let digest = try ContentDigest(hex: String(members[index].0.suffix(64)))
                #expect(try await !other.has(digest))
            }
        }
    }

    @Test func linksInALayoutFolderAreNotFollowed() async throws {
        let image = try await fixture.makeImage()
        for victim in 0..<6 {
            let folder = fixture.path + "/evil-\(victim)"
            var secret = ""
            for (index, member) in try await members(image).enumerated() {
                let path = try fixture.write("evil-\(victim)/" + member.0, member.1)
                guard index == victim else { continue }
                // The same bytes, elsewhere on the host.
                secret = try fixture.write("secret-\(victim)", member.1)
                try FileManager.default.removeItem(atPath: path)
                #expect(symlink(secret, path) == 0)
            }
            let other = try fixture.otherStore()
            await #expect(throws: EngineError.self) { try await ImageImporter(store: other).importFile(folder) }
            #expect(try await other.list().count < 4)
        }
        // A folder on the way is a link.
        let folder = fixture.path + "/evil-blobs"
        for member in try await members(image) { _ = try fixture.write("evil-blobs/" + member.0, member.1) }
        try FileManager.default.moveItem(atPath: folder + "/blobs", toPath: fixture.path + "/moved")
        #expect(symlink(fixture.path + "/moved", folder + "/blobs") == 0)
        let other = try fixture.otherStore()
        await #expect(throws: EngineError.self) { try await ImageImporter(store: other).importFile(folder) }
    }

    @Test func namesAndDigestsInTheIndexAreChecked() async throws {
        let image = try await fixture.makeImage()
        let good = try await members(image)
        let digest = image.manifest.description
        for replacement in ["sha256:../../../../etc/passwd", "sha256:" + String(repeating: "0", count: 64)] {
            var list = good
            let index = String(decoding: list[4].1, as: UTF8.self)
            list[4].1 = Array(index.replacing(digest, with: replacement).utf8)
            let path = try fixture.tar("evil.tar", list)
            await #expect(throws: EngineError.self) {
                try await ImageImporter(store: fixture.otherStore()).importFile(path)
            }
        }
        // A size that is not the blob's.
        var list = good
        list[4].1 = Array(String(decoding: list[4].1, as: UTF8.self).replacing(#""size":"#, with: #""size":1"#).utf8)
        let path = try fixture.tar("size.tar", list)
        await #expect(throws: EngineError.self) {
            try await ImageImporter(store: fixture.otherStore()).importFile(path)
        }
    }

    @Test func anIndexThatHoldsItselfOrIsTooDeepEnds() async throws {
        // Indexes within indexes; a true cycle would need a SHA-256 collision.
        var inner = try await fixture.makeImage().manifest
        var mediaType = MediaType.manifest
        var blobs: [(String, [UInt8])] = []
        let reachable = try await fixture.store.reachable(from: [inner])
        for digest in reachable {
            blobs.append(("blobs/sha256/" + digest.hex, try await fixture.store.read(digest)))
        }
        var entry = Descriptor(mediaType: mediaType, digest: inner, size: try await fixture.store.size(inner))
        for _ in 0..<6 {
            let bytes = try CanonicalJSON.bytes(ImageIndex(manifests: [entry]))
            mediaType = MediaType.index
            inner = ContentDigest(of: bytes)
            blobs.append(("blobs/sha256/" + inner.hex, bytes))
            entry = Descriptor(mediaType: mediaType, digest: inner, size: Int64(bytes.count))
        }
        blobs.append(("index.json", try CanonicalJSON.bytes(ImageIndex(manifests: [entry]))))
        blobs.append(("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8)))
        let path = try fixture.tar("deep.tar", blobs)
        let error = await #expect(throws: EngineError.self) {
            try await ImageImporter(store: fixture.otherStore()).importFile(path)
        }
        #expect(error?.message.contains("deep") == true)
    }
}
