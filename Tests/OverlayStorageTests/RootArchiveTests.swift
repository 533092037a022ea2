import Archive
import DriverKit
import EngineTesting
import Glibc
import LinuxHost
import Model
import OverlayStorage
import Testing

@Suite(.enabled(if: isRoot, "needs root: owners, trusted attributes, mounts"))
struct RootArchiveTests {
    private static let id = InstanceID.random()
    private static let placeholders = ["/proc", "/etc/hosts"]

    /// An instance over two files whose writable folder was written to as overlayfs does.
    private func instance(_ store: Store) async throws -> [String] {
        let layer = try await store.unpacked(files: [
            "etc/a": "a", "etc/b": "b", "old/x": "x", "old/y": "y", "keep": "k",
        ])
        _ = try await store.prepare(Self.id, layers: [layer])
        let upper = try RootDirectory(path: "\(store.state)/instances/\(Self.id.raw)/upper")
        try upper.makeDirectories("etc")
        try upper.writeFile("etc/a", Array("changed".utf8), durable: false)
        try upper.makeNode("etc/b", .characterDevice, permissions: 0)
        try upper.makeDirectory("old")
        try upper.setAttribute("old", "trusted.overlay.opaque", Array("y".utf8))
        try upper.writeFile("old/z", Array("z".utf8), durable: false)
        try upper.setOwner("old/z", user: 1000, group: 7)
        try upper.makeHardLink("old/same", to: "old/z")
        try upper.makeDirectory("proc")
        try upper.writeFile("etc/hosts", [], durable: false)
        return [layer]
    }

    private func files(_ store: Store) async throws -> RootFiles { try await store.pool.files(of: .instance(Self.id)) }

    @Test("changes are told as added, modified and deleted")
    func changes() async throws {
        try await Store.with { store in
            let layers = try await instance(store)
            let changes = try await store.storage.changes(
                try await files(store), over: try await store.storage.stack(layers), placeholders: Self.placeholders)
            let text = changes.map { "\($0.kind.rawValue.prefix(1)) \($0.path)" }
            #expect(
                text == [
                    "m /etc", "m /etc/a", "d /etc/b", "m /old", "a /old/same", "d /old/x", "d /old/y", "a /old/z",
                ])
        }
    }

    @Test("changes are packed as a layer that gives the same tree again, with the same bytes each time")
    func packedChanges() async throws {
        try await Store.with { store in
            let layers = try await instance(store)
            let first = try await store.storage.packChanges(
                try await files(store), over: try await store.storage.stack(layers), placeholders: Self.placeholders,
                to: "\(store.path)/one.tar")
            let second = try await store.storage.packChanges(
                try await files(store), over: try await store.storage.stack(layers), placeholders: Self.placeholders,
                to: "\(store.path)/two.tar")
            #expect(first == second)
            let file = OwnedDescriptor(open("\(store.path)/one.tar", O_RDONLY))
            let reader = TarReader(FileSource(file, name: "one"), name: "one")
            var names: [String] = []
            while let entry = try reader.next() {
                names.append(entry.path.text + (entry.kind == .hardLink ? "=" + entry.linkTarget.text : ""))
                if entry.path == "old/same" { #expect(entry.user == 1000 && entry.group == 7) }
            }
            #expect(
                names == ["etc/", "etc/a", "etc/.wh.b", "old/", "old/same", "old/.wh.x", "old/.wh.y", "old/z=old/same"])
            try await store.storage.unpack(layer: first.plainDigest, archive: "\(store.path)/one.tar")
            let whole = try await store.storage.packRoot(
                try await files(store), over: try await store.storage.stack(layers), form: .init(), to: nil)
            let again = try await store.storage.packRoot(
                nil, over: try await store.storage.stack(layers + [first.plainDigest]), form: .init(),
                to: "\(store.path)/again.tar")
            let listing = try await ProcessRunner.check("tar", ["tf", "\(store.path)/again.tar"]).outputText
            #expect(listing == "etc/\netc/a\nkeep\nold/\nold/same\nold/z\n")
            // The instance itself also has what a runtime made to mount over.
            #expect(whole.plainDigest != again.plainDigest)
        }
    }

    @Test("a whole tree is put below a folder, behind other files")
    func prefixed() async throws {
        try await Store.with { store in
            let layer = try await store.unpacked(files: ["etc/a": "a"])
            let form = RootArchiveForm(
                folder: "rootfs", leading: [("metadata.yaml", Array("{}".utf8)), ("templates/t", [65])], leadingTime: 9)
            let path = "\(store.path)/image.tar"
            let packed = try await store.storage.packRoot(
                nil, over: try await store.storage.stack([layer]), form: form, to: path)
            let measured = try await store.storage.packRoot(
                nil, over: try await store.storage.stack([layer]), form: form, to: nil)
            #expect(packed == measured)
            let listing = try await ProcessRunner.check("tar", ["tf", path]).outputText
            #expect(listing == "metadata.yaml\ntemplates/\ntemplates/t\nrootfs/\nrootfs/etc/\nrootfs/etc/a\n")
            let source = HashingSource(FileSource(OwnedDescriptor(open(path, O_RDONLY)), name: path))
            let digest = try source.digest()
            #expect(digest == packed.digest)
        }
    }
}
