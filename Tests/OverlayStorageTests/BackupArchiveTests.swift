import Archive
import DriverKit
import EngineTesting
import Glibc
import LinuxHost
import Model
import OverlayStorage
import Testing

@Suite(.enabled(if: isRoot, "needs root: owners, mounts"))
struct BackupArchiveTests {
    private let id = InstanceID.random()

    /// An archive of a root over a layer, a folder and a file; gives its path.
    private func archive(_ store: Store, compression: String = "gzip") async throws -> String {
        let layer = try await store.unpacked(files: ["etc/a": "a", "gone": "x"])
        _ = try await store.prepare(id, layers: [layer])
        let upper = try RootDirectory(path: "\(store.state)/instances/\(id.raw)/upper")
        try upper.writeFile("own", Array("own".utf8), durable: false)
        try upper.setOwner("own", user: 1000, group: 70_000)
        try upper.makeHardLink("same", to: "own")
        try upper.makeNode("gone", .characterDevice, permissions: 0)
        try store.root.makeDirectories("volume")
        try store.root.writeFile("volume/file", Array("v".utf8), durable: false)
        try store.root.writeFile("disk", [UInt8](repeating: 7, count: 3_000_000), durable: false)
        let path = "\(store.path)/backup-\(compression.filter { $0 != " " })"
        let content = BackupContent(
            index: ["name": "box", "snapshots": ["s"], "text": "a: 'b' \"c\"\nd"],
            files: [("backup/container/backup.yaml", .yaml(["container": ["name": "box"]]))],
            parts: [
                .init(
                    "backup/container/rootfs",
                    .root(try await store.pool.files(of: .instance(id)), try await store.storage.stack([layer]))),
                .init("backup/volume", .folder("\(store.path)/volume")),
                .init("backup/disk.img", .file("\(store.path)/disk")),
            ])
        try await store.storage.writeBackup(content, compression: compression, to: path)
        return path
    }

    @Test(arguments: ["none", "gzip", "bzip2 -1", "xz -1", "zstd -3"])
    func comesBackAsItWas(_ compression: String) async throws {
        try await Store.with { store in
            let path = try await archive(store, compression: compression)
            let index = try await store.storage.backupIndex(path)
            #expect(index["name"] == "box" && index["snapshots"] == ["s"])
            #expect(index["text"] == "a: 'b' \"c\"\nd")
            for folder in ["out", "out/root", "out/volume"] { try store.root.makeDirectory(folder, mode: 0o755) }
            try await store.storage.unpackBackup(
                path,
                into: [
                    "backup/container/rootfs": .folder("\(store.path)/out/root"),
                    "backup/volume": .folder("\(store.path)/out/volume"),
                    "backup/disk.img": .file("\(store.path)/out/disk"),
                ])
            let root = try store.root.subdirectory("out/root")
            let status = try #require(try root.status("own"))
            #expect(status.user == 1000 && status.group == 70_000 && status.links == 2)
            #expect(try root.readFile("same", limit: 10) == Array("own".utf8))
            #expect(try root.readFile("etc/a", limit: 10) == Array("a".utf8))
            #expect(try !root.exists("gone"), "what the instance removed")
            #expect(try store.root.readFile("out/volume/file", limit: 10) == Array("v".utf8))
            #expect(try store.root.status("out/disk")?.size == 3_000_000)
            #expect(try !store.root.exists("out/container"), "nothing but what was asked for")
        }
    }

    @Test func whatIsMissingOrNoBackupIsRefused() async throws {
        try await Store.with { store in
            let path = try await archive(store)
            try store.root.makeDirectory("out", mode: 0o755)
            await #expect(throws: EngineError.self) {
                try await store.storage.unpackBackup(path, into: ["backup/snapshots/s": .folder("\(store.path)/out")])
            }
            await #expect(throws: EngineError.self) {
                _ = try await store.storage.backupIndex("\(store.path)/disk")
            }
            await #expect(throws: EngineError.self) {
                try await store.storage.unpackBackup(path, into: ["backup/volume": .file("\(store.path)/out/x")])
            }
        }
    }

    @Test(arguments: ["", "gz", "gzip -0", "zstd -20", "gzip; rm", "none -1", "xz --help", "gzip -1 -2"])
    func unknownCompressions(_ text: String) async throws {
        try await Store.with { store in
            #expect(throws: EngineError.self) { try store.storage.checkCompression(text) }
        }
    }

    @Test func membersThatLeadElsewhere() async throws {
        let hostile: [(TarWriter) throws -> Void] = [
            { try $0.add(TarEntry(.file, path: "backup/volume/../../victim"), content: [1]) },
            { try $0.add(TarEntry(.file, path: "backup/other/../../victim"), content: [1]) },
            { tar in
                var link = TarEntry(.symbolicLink, path: "backup/volume")
                link.linkTarget = "/tmp"
                try tar.add(link)
            },
            { tar in
                try tar.add(TarEntry(.file, path: "backup/x"), content: [1])
                var link = TarEntry(.hardLink, path: "backup/volume/x")
                link.linkTarget = "backup/x"
                try tar.add(link)
            },
        ]
        for write in hostile {
            try await Store.with { store in
                let layer = try store.layer { tar in
                    try tar.add(TarEntry(.directory, path: "backup/volume", permissions: 0o755))
                    try write(tar)
                }
                try store.root.makeDirectories("out/in", mode: 0o755)
                let error = await #expect(throws: EngineError.self) {
                    try await store.storage.unpackBackup(
                        layer.archive, into: ["backup/volume": .folder("\(store.path)/out/in")])
                }
                #expect(error?.code == .invalidArgument)
                #expect(try store.names("out") == ["in"] && store.names("out/in").isEmpty)
            }
        }
    }
}
