import Archive
import ContentStore
import Foundation
import Glibc
import ImageFormats
import LinuxHost
import Model
import OCI
import Testing

@Suite struct BundleTests {
    private static let yaml = """
        architecture: x86_64
        creation_date: 1700000000
        properties:
          os: Test
          release: "1.0"
        templates:
          /etc/hostname:
            when: [create, copy]
            template: hostname.tpl
        """

    private func tarball(_ fixture: Fixture, _ write: (TarWriter) throws -> Void) throws -> String {
        var bytes: [UInt8] = []
        let tar = TarWriter { bytes.append(contentsOf: $0) }
        try write(tar)
        try tar.finish()
        return try fixture.write("image.tar", bytes)
    }

    private func file(_ path: String, _ text: String) -> (TarEntry, [UInt8]) {
        (TarEntry(.file, path: HostPath(path)), Array(text.utf8))
    }

    private func read(_ fixture: Fixture, _ path: String, root: String? = nil) async throws -> BundleImporter.Imported {
        try await BundleImporter(store: fixture.store, temporary: fixture.path).importBundle(
            path, root: root, names: ["image.tar"], progress: nil)
    }

    private func unified(_ fixture: Fixture, yaml: String = Self.yaml, _ more: [(TarEntry, [UInt8])] = []) throws
        -> String
    {
        try tarball(fixture) { tar in
            for (entry, content) in [
                file("metadata.yaml", yaml), file("templates/hostname.tpl", "{{ container.name }}\n"),
                (TarEntry(.directory, path: "rootfs", permissions: 0o755), []), file("rootfs/etc/name", "x"),
            ] + more {
                try tar.add(entry, content: content)
            }
        }
    }

    @Test("a tarball becomes an image, and keeps bytes, metadata and templates")
    func unifiedImage() async throws {
        let fixture = Fixture()
        let path = try unified(
            fixture, [(TarEntry(.hardLink, path: "rootfs/etc/again", linkTarget: "./rootfs/etc/name"), [])])
        #expect(try BundleImporter.looksRight(path))
        let imported = try await read(fixture, path)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(imported.bundle.fingerprint == ContentDigest(of: Array(bytes)).hex)
        #expect(imported.bundle.templates == ["hostname.tpl"] && imported.bundle.files.count == 1)
        #expect(imported.document.properties == ["os": "Test", "release": "1.0"])
        #expect(imported.image.created == "2023-11-14T22:13:20Z")
        let importer = BundleImporter(store: fixture.store, temporary: fixture.path)
        let members = try await importer.members(of: imported.bundle)
        #expect(members.map(\.path) == ["metadata.yaml", "templates/hostname.tpl"])
        #expect(String(decoding: members[0].content, as: UTF8.self) == Self.yaml)
        // What keeps the image's files keeps both.
        let kept = try await fixture.store.reachable(from: [try ContentDigest(imported.bundle.manifest)])
        #expect(kept.contains(ContentDigest(of: Array(bytes))))
        let layer = try await fixture.store.open(imported.image.layers[0].digest)
        let reader = TarReader(try DecompressedSource(layer, name: "layer"), name: "layer")
        var names: [String] = []
        while let entry = try reader.next() { names.append(entry.path.text + "=" + entry.linkTarget.text) }
        #expect(names == ["./=", "etc/name=", "etc/again=etc/name"])
    }

    @Test("metadata and root filesystem in two files have the SHA-256 of both")
    func split() async throws {
        let fixture = Fixture()
        let metadata = try tarball(fixture) { tar in
            let (entry, content) = file("metadata.yaml", Self.yaml)
            try tar.add(entry, content: content)
        }
        let root = try fixture.rootTar("root.tar")
        let imported = try await read(fixture, metadata, root: try await fixture.compress(root.path, "xz", ".xz"))
        var all = try Data(contentsOf: URL(fileURLWithPath: metadata))
        all += try Data(contentsOf: URL(fileURLWithPath: root.path + ".xz"))
        #expect(imported.bundle.fingerprint == ContentDigest(of: Array(all)).hex)
        #expect(imported.image.layers.count == 1 && imported.bundle.files.count == 2)
    }

    @Test(
        "links, climbing names and wrong kinds are refused",
        arguments: [
            (TarEntry(.symbolicLink, path: "rootfs", linkTarget: "/"), "not a folder"),
            (TarEntry(.symbolicLink, path: "templates", linkTarget: "/etc"), "not a folder"),
            (TarEntry(.symbolicLink, path: "templates/x", linkTarget: "/etc/shadow"), "regular files"),
            (TarEntry(.file, path: "templates/a/b"), "regular files"),
            (TarEntry(.symbolicLink, path: "metadata.yaml", linkTarget: "/etc/passwd"), "regular file"),
            (TarEntry(.file, path: "rootfs/../../x"), "'..'"),
            (TarEntry(.hardLink, path: "rootfs/x", linkTarget: "/etc/shadow"), "outside"),
            (TarEntry(.hardLink, path: "rootfs/x", linkTarget: "rootfs/../metadata.yaml"), "outside"),
            (TarEntry(.directory, path: "rootfs.img"), "regular file"),
        ])
    func refused(_ entry: TarEntry, _ words: String) async throws {
        let fixture = Fixture()
        let path = try unified(fixture, [(entry, [])])
        await #expect {
            _ = try await read(fixture, path)
        } throws: { error in
            (error as? EngineError)?.code == .invalidArgument && "\(error)".contains(words)
        }
    }

    @Test(
        "metadata is data, and bounded",
        arguments: [
            "properties: {}", "architecture: x\ntemplates:\n  /../../etc/cron.d/x:\n    template: t",
            "architecture: x\ntemplates:\n  etc/x:\n    template: t",
            "architecture: x\ntemplates:\n  /x:\n    template: ../t", "- a", "{", "architecture: [",
            "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
                + "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\narchitecture: x86_64",
        ])
    func badMetadata(_ yaml: String) async throws {
        let fixture = Fixture()
        let path = try unified(fixture, yaml: yaml)
        await #expect {
            _ = try await read(fixture, path)
        } throws: { ($0 as? EngineError)?.code == .invalidArgument }
    }

    @Test("an image that was made here is packed from its layers, its metadata first")
    func made() async throws {
        let fixture = Fixture()
        let importer = BundleImporter(store: fixture.store, temporary: fixture.path)
        let metadata: Metadata = ["architecture": "x86_64", "creation_date": 5]
        let bundle = try await importer.make(metadata: metadata, templates: ["t": [65]], disk: nil)
        #expect(bundle.files.isEmpty && bundle.fingerprint.isEmpty)
        let members = try await importer.members(of: bundle)
        let read = try BundleDocument(parsing: members[0].content).metadata
        #expect(read == metadata)
        #expect(members[1].path == "templates/t" && members[1].content == [65])
    }
}
