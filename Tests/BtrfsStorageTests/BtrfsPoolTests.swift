import BtrfsStorage
import DriverKit
import EngineTesting
import Glibc
import LinuxHost
import Model
import OverlayStorage
import Testing

private func hasBtrfs() -> Bool {
    guard geteuid() == 0, access("/usr/sbin/mkfs.btrfs", X_OK) == 0 || access("/sbin/mkfs.btrfs", X_OK) == 0,
        access("/dev/loop-control", W_OK) == 0, let text = try? readSmallFile("/proc/filesystems")
    else { return false }
    return String(decoding: text, as: UTF8.self).contains("\tbtrfs")
}

/// A btrfs filesystem in a file, mounted for one test.
private struct Loop {
    let folder: String
    let driver: BtrfsDriver
    let config: [String: String]

    static func with(_ body: (Loop, any StoragePool) async throws -> Void) async throws {
        let folder = "/tmp/isle-btrfs-test-\(UInt64.random(in: .min ... .max))"
        for path in [folder, "\(folder)/images"] { mkdir(path, 0o711) }
        let driver = BtrfsDriver(images: "\(folder)/images", mounts: "\(folder)/mounts")
        let config = try await driver.create("test", config: ["size": "1GiB"])
        let loop = Loop(folder: folder, driver: driver, config: config)
        var failure: (any Error)?
        do { try await body(loop, try await driver.open("test", config: config)) } catch { failure = error }
        try await driver.remove("test", config: config)
        try RootDirectory(path: "/tmp").removeTree(String(folder.dropFirst(5)))
        if let failure { throw failure }
    }

    /// One layer with one file.
    func layers() throws -> LayerStack {
        let root = try RootDirectory(path: folder)
        try root.makeDirectories("layers/a")
        try root.writeFile("layers/a/below", [1], durable: false)
        return LayerStack(directory: "\(folder)/layers", paths: ["a"])
    }
}

@Suite(.enabled(if: hasBtrfs(), "needs root, btrfs-progs, btrfs and loop devices"), .serialized)
struct BtrfsPoolTests {
    @Test(arguments: StoragePoolConformance.cases + [StoragePoolConformance.disks])
    func keepsThePromises(_ promise: StoragePoolConformance.Case) async throws {
        try await Loop.with { loop, pool in
            mkdir("\(loop.folder)/mounts/test/other", 0o711)
            let fixture = StoragePoolConformance.Fixture(
                pool: pool, other: try BtrfsPool(path: "\(loop.folder)/mounts/test/other"), layers: try loop.layers()
            ) { try await loop.driver.open("test", config: loop.config) }
            try await promise.check(fixture)
        }
    }

    @Test func rootsGoFromOneKindOfPoolToTheOtherAndBack() async throws {
        try await Loop.with { loop, pool in
            let layers = try loop.layers()
            let folders = try FolderPool(path: "\(loop.folder)/folders")
            for (from, to) in [(folders as any StoragePool, pool), (pool, folders)] {
                let fixture = StoragePoolConformance.Fixture(pool: from, other: to, layers: layers) { from }
                let promise = StoragePoolConformance.cases.first { $0.description.hasPrefix("another pool takes over") }
                try await promise?.check(fixture)
            }
            await folders.drain()
        }
    }

    @Test func rootsGoOutAsStreamsAndComeBack() async throws {
        try await Loop.with { loop, pool in
            let layers = try loop.layers()
            mkdir("\(loop.folder)/mounts/test/other", 0o711)
            let other = try BtrfsPool(path: "\(loop.folder)/mounts/test/other")
            let (id, snapshot) = (InstanceID.random(), InstanceID.random())
            let root = try await pool.prepare(id, over: layers)
            let folder = try RootDirectory(path: "\(root.instanceDirectory)/upper")
            try folder.writeFile("file", Array("then".utf8))
            try await pool.clone(.instance(id), to: .snapshot(snapshot), isBusy: false)
            try folder.writeFile("file", Array("now".utf8))
            let files = ["one", "two"].map { "\(loop.folder)/\($0).bin" }
            let streams = [RootStream(.snapshot(snapshot), files[0]), RootStream(.instance(id), files[1])]
            let sender: any StreamingPool = try #require(pool as? any StreamingPool)
            try await sender.send(streams)
            try await other.receive(streams)
            func text() throws -> String {
                let path = "\(loop.folder)/mounts/test/other/instances/\(id.raw)/upper/file"
                return String(decoding: try readSmallFile(path), as: UTF8.self)
            }
            #expect(try text() == "now")
            try await other.restore(id, from: snapshot)
            #expect(try text() == "then")
            await #expect(throws: EngineError.self) { try await other.receive(streams) }
            // One that would lead the instance out of its root, and one that is none.
            let evil = InstanceID.random()
            let made = try await pool.prepare(evil, over: layers)
            try RootDirectory(path: made.instanceDirectory).removeTree("upper")
            #expect(symlink("/etc", "\(made.instanceDirectory)/upper") == 0)
            let stream = RootStream(.instance(evil), "\(loop.folder)/evil.bin")
            try await sender.send([stream])
            let refused = await #expect(throws: EngineError.self) { try await other.receive([stream]) }
            #expect(refused?.code == .invalidArgument && refused?.message.contains("upper") == true)
            try RootDirectory(path: loop.folder).writeFile("none.bin", [1, 2, 3])
            await #expect(throws: EngineError.self) {
                try await other.receive([RootStream(.instance(.random()), "\(loop.folder)/none.bin")])
            }
            let left = try RootDirectory(path: "\(loop.folder)/mounts/test/other/instances").list().map(\.name.text)
            #expect(left == [id.raw])
        }
    }

    /// Whatever a stream says, nothing outside what it brings is read, written, renamed or removed (CVE-2026-85526).
    @Test func forgedStreamsStayInside() async throws {
        try await Loop.with { loop, pool in
            let receiver: any StreamingPool = try #require(pool as? any StreamingPool)
            let host = try RootDirectory(path: loop.folder)
            let mount = "\(loop.folder)/mounts/test"
            try host.writeFile("victim", Array("mine".utf8))
            try RootDirectory(path: mount).writeFile("victim", Array("mine".utf8))
            func receive(_ name: String, _ fill: (inout ForgedStream) -> Void) async throws -> InstanceID {
                var stream = ForgedStream()
                stream.subvolume(name)
                stream.folder("upper")
                stream.file("upper/good", "good")
                fill(&stream)
                stream.end()
                try host.writeFile("stream.bin", stream.bytes)
                let id = InstanceID.random()
                try await receiver.receive([RootStream(.instance(id), "\(loop.folder)/stream.bin")])
                return id
            }
            func instances() throws -> [String] {
                try RootDirectory(path: mount + "/instances").list().map(\.name.text)
            }
            let id = try await receive("plain") { _ in }
            #expect(try readSmallFile("\(mount)/instances/\(id.raw)/upper/good") == Array("good".utf8))
            let paths = [
                "victim", "../victim", "../../victim", "../../../victim", "\(loop.folder)/victim", "\(mount)/victim",
            ]
            var attempts: [(String, (inout ForgedStream) -> Void)] = []
            for path in [
                "../plain", "../../escape", "a/../../escape", "/escape", "\(mount)/instances/escape", "..", ".",
            ] {
                attempts.append((path, { _ in }))
            }
            for path in paths {
                attempts.append(("plain", { $0.write(path, "EVIL") }))
                attempts.append(("plain", { $0.file(path, "EVIL") }))
                attempts.append(("plain", { $0.remove(path) }))
                attempts.append(("plain", { $0.rename(path, to: "upper/stolen") }))
                attempts.append(("plain", { $0.rename("upper/good", to: path) }))
                attempts.append(("plain", { $0.hardLink("upper/stolen", to: path) }))
                attempts.append(("plain", { $0.setPermissions(path, 0o4777) }))
                attempts.append(
                    (
                        "plain",
                        {
                            $0.symbolicLink("upper/link", to: path)
                            $0.write("upper/link", "EVIL")
                        }
                    ))
            }
            attempts.append(("plain", { $0.subvolume("second") }))
            for (name, fill) in attempts {
                // It may be refused, or have done no more than fill the root that it brings.
                if let made = try? await receive(name, fill) { try await pool.discard(.instance(made)) }
                #expect(try instances() == [id.raw], "\(name)")
                for path in [loop.folder, mount] {
                    #expect(try readSmallFile(path + "/victim") == Array("mine".utf8), "\(name)")
                    #expect(try RootDirectory(path: path).status("victim")?.permissions == 0o644)
                    #expect(access(path + "/escape", F_OK) != 0)
                }
            }
            #expect(access("/escape", F_OK) != 0 && access("/victim", F_OK) != 0)
        }
    }

    @Test func aSizeIsEnforced() async throws {
        try await Loop.with { loop, pool in
            let id = InstanceID.random()
            let root = try await pool.prepare(id, over: try loop.layers())
            try await pool.limit(id, bytes: 20 << 20)
            func fill() throws {
                try RootDirectory(path: root.instanceDirectory).writeFile(
                    "upper/big", [UInt8](repeating: 1, count: 40 << 20), durable: true)
            }
            #expect(throws: EngineError.self) { try fill() }
            try await pool.limit(id, bytes: nil)
            try fill()
        }
    }

    @Test func aPoolGrowsAndIsFoundAgainAndNothingStaysOfIt() async throws {
        let folder = "/tmp/isle-btrfs-test-\(UInt64.random(in: .min ... .max))"
        for path in [folder, "\(folder)/images"] { mkdir(path, 0o711) }
        let driver = BtrfsDriver(images: "\(folder)/images", mounts: "\(folder)/mounts")
        var config = try await driver.create("test", config: ["size": "512MiB"])
        try await ProcessRunner.check("umount", ["\(folder)/mounts/test"])
        // As after a reboot.
        let pool = try await driver.open("test", config: config)
        let before = try await pool.space().total
        var larger = config
        larger["size"] = "1GiB"
        try await driver.update("test", from: config, to: larger)
        config = larger
        #expect(try await pool.space().total > before)
        await #expect(throws: EngineError.self) {
            try await driver.update("test", from: config, to: config.merging(["size": "600MiB"]) { $1 })
        }
        try await driver.remove("test", config: config)
        #expect(try RootDirectory(path: "\(folder)/images").list().isEmpty)
        #expect(try RootDirectory(path: "\(folder)/mounts").list().isEmpty)
        try RootDirectory(path: "/tmp").removeTree(String(folder.dropFirst(5)))
    }

    /// An option must not become one of mkfs or mount, and what is there is not overwritten.
    @Test(arguments: [
        ["source": "relative"], ["source": "/etc"], ["source": "/nonexistent/x"], ["size": "1"], ["size": "-5GiB"],
        ["mkfs.options": "--force"], ["btrfs.mount_options": "exec,suid"], ["source": "/tmp/../etc"],
    ])
    func wrongConfigurationIsRefused(_ config: [String: String]) async throws {
        let folder = "/tmp/isle-btrfs-test-\(UInt64.random(in: .min ... .max))"
        mkdir(folder, 0o711)
        let driver = BtrfsDriver(images: folder, mounts: "\(folder)/mounts")
        await #expect(throws: EngineError.self) { _ = try await driver.create("--force", config: config) }
        #expect(try RootDirectory(path: folder).list().isEmpty)
        rmdir(folder)
    }
}
