import Archive
import DiskImages
import DriverKit
import EngineTesting
import Glibc
import LinuxHost
import Model
import OverlayStorage
import Testing

private func isThere(_ program: String) -> Bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].contains { access("\($0)/\(program)", X_OK) == 0 }
}

@Suite(
    .enabled(if: isRoot, "needs root: mounts"),
    .enabled(if: isThere("mke2fs") && isThere("debugfs") && isThere("qemu-img"), "needs e2fsprogs and qemu-utils"))
struct OverlayDisksTests {
    /// What debugfs(8) says to a command about a disk.
    private func debugfs(_ disk: String, _ command: String) async throws -> String {
        try await ProcessRunner.check("debugfs", ["-R", command, disk]).outputText
    }

    @Test func theBaseHoldsTheMergedTree() async throws {
        try await Store.with { store in
            let capability: [UInt8] = [1, 0, 0, 2, 0, 0x20, 0, 0] + [UInt8](repeating: 0, count: 12)
            let lower = try store.layer { tar in
                try tar.add(
                    TarEntry(.file, path: "bin/su", permissions: 0o4755, user: 3, group: 70_000),
                    content: Array("su".utf8))
                try tar.add(TarEntry(.hardLink, path: "bin/second", linkTarget: "bin/su"))
                try tar.add(TarEntry(.symbolicLink, path: "sbin", linkTarget: "bin"))
                try tar.add(
                    TarEntry(.file, path: "ping", attributes: ["security.capability": capability]), content: [1])
                try tar.add(TarEntry(.file, path: "gone"), content: [1])
                try tar.add(TarEntry(.file, path: "hidden/x"), content: [1])
            }
            let upper = try store.layer(files: [".wh.gone": "", "hidden/.wh..wh..opq": "", "hidden/y": "new"])
            for layer in [lower, upper] {
                try await store.storage.unpack(layer: layer.digest, archive: layer.archive)
            }
            let disks = try OverlayDisks(stateDirectory: store.state, storage: store.storage)
            try store.root.makeDirectory("machine")
            let disk = try await disks.prepareDisk(
                .random(), layers: [lower.digest, upper.digest], directory: "\(store.path)/machine", size: nil)
            #expect(disk.format == .qcow2)
            #expect(disk.boot == .kernel)
            let base = try #require(disk.backing)
            #expect(base.format == .raw)

            let su = try await debugfs(base.path, "stat /bin/su")
            #expect(su.contains("Mode:  04755"))
            #expect(su.contains("User:     3") && su.contains("Group: 70000"))
            #expect(su.contains("Links: 2"))
            #expect(try await debugfs(base.path, "stat /sbin").contains("\"bin\""))
            #expect(try await debugfs(base.path, "ea_list /ping").contains("security.capability (20)"))
            let names = try await debugfs(base.path, "ls -p /")
            #expect(!names.contains("/gone/"))
            let hidden = try await debugfs(base.path, "ls -p /hidden")
            #expect(hidden.contains("/y/") && !hidden.contains("/x/"))
            #expect(!(try await debugfs(base.path, "ea_list /hidden")).contains("trusted.overlay"))
            let super_ = try await ProcessRunner.check("dumpe2fs", ["-h", base.path]).outputText
            #expect(super_.contains("isle-root"))
            let check = try await ProcessRunner.run("e2fsck", ["-f", "-n", base.path])
            #expect(check.status.isSuccess, "\(check.outputText)")

            let files = try RootDirectory(path: "\(store.path)/machine")
            let status = try #require(try files.status("base.raw"))
            #expect(status.size == 10 << 30)
            #expect(status.allocated < 32 << 20)
            #expect(status.links == 2)
            #expect(try Qcow2Header(path: disk.path).virtualSize == 10 << 30)
        }
    }

    @Test func basesAreSharedAndPruned() async throws {
        try await Store.with { store in
            let layer = try await store.unpacked(files: ["etc/os-release": "ID=test"])
            let other = try await store.unpacked(files: ["other": "1"])
            let disks = try OverlayDisks(stateDirectory: store.state, storage: store.storage)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<3 {
                    try store.root.makeDirectory("m\(index)")
                    group.addTask {
                        _ = try await disks.prepareDisk(
                            .random(), layers: [layer], directory: "\(store.path)/m\(index)", size: nil)
                    }
                }
                try await group.waitForAll()
            }
            #expect(try store.names("state/disks").count == 1)
            let inodes = try (0..<3).map { try store.root.status("m\($0)/base.raw")?.inode }
            #expect(Set(inodes).count == 1)
            try store.root.makeDirectory("m3")
            _ = try await disks.prepareDisk(
                .random(), layers: [layer, other], directory: "\(store.path)/m3", size: nil)
            #expect(try store.names("state/disks").count == 2)
            try await disks.prune(keeping: [[layer, other]])
            #expect(try store.names("state/disks").count == 1)
            // A machine keeps its base, and gets it again at its next start.
            let again = try await disks.prepareDisk(
                .random(), layers: [layer], directory: "\(store.path)/m0", size: nil)
            #expect(again.backing?.path == "\(store.path)/m0/base.raw")
            #expect(try store.names("state/disks").count == 1)
        }
    }

    @Test func aDiskGrowsAndNeverShrinks() async throws {
        try await Store.with { store in
            let layer = try await store.unpacked(files: ["a": "1"])
            let disks = try OverlayDisks(stateDirectory: store.state, storage: store.storage)
            try store.root.makeDirectory("m")
            for (size, seen) in [(nil, 10 << 30), (20 << 30, 20 << 30), (1 << 30, 20 << 30)] as [(Int64?, UInt64)] {
                let disk = try await disks.prepareDisk(
                    .random(), layers: [layer], directory: "\(store.path)/m", size: size)
                #expect(try Qcow2Header(path: disk.path).virtualSize == seen)
            }
            await #expect(throws: EngineError.self) {
                _ = try await disks.prepareDisk(.random(), layers: [layer], directory: "\(store.path)/m", size: -5)
            }
            await #expect(throws: EngineError.self) {
                _ = try await disks.prepareDisk(.random(), layers: [layer], directory: "\(store.path)/m", size: .max)
            }
        }
    }

    @Test func overAnImportedImage() async throws {
        try await Store.with { store in
            let disks = try OverlayDisks(stateDirectory: store.state, storage: store.storage)
            try store.root.makeDirectory("m")
            let image = "\(store.path)/image.qcow2"
            try await ProcessRunner.check("qemu-img", ["create", "-q", "-f", "qcow2", image, "3G"])
            let disk = try await disks.prepareDisk(
                .random(), image: image, format: .qcow2, directory: "\(store.path)/m", size: 4 << 30)
            #expect(disk.backing?.format == .qcow2)
            #expect(disk.boot == .bios)
            #expect(try Qcow2Header(path: disk.path).virtualSize == 4 << 30)
            // An image that names a file of the host is refused and leaves nothing.
            let evil = "\(store.path)/evil.qcow2"
            try await ProcessRunner.check(
                "qemu-img", ["create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", evil, "1G"])
            try store.root.makeDirectory("n")
            let error = await #expect(throws: EngineError.self) {
                _ = try await disks.prepareDisk(
                    .random(), image: evil, format: .qcow2, directory: "\(store.path)/n", size: nil)
            }
            #expect(error?.message.contains("/etc/shadow") == true)
            #expect(try store.names("n").isEmpty)
        }
    }

    @Test func nothingStaysOfABaseThatFails() async throws {
        try await Store.with { store in
            let disks = try OverlayDisks(stateDirectory: store.state, storage: store.storage)
            try store.root.makeDirectory("m")
            let missing = "sha256:" + String(repeating: "4", count: 64)
            await #expect(throws: EngineError.self) {
                _ = try await disks.prepareDisk(
                    .random(), layers: [missing], directory: "\(store.path)/m", size: nil)
            }
            #expect(try store.names("state/disks").isEmpty)
            #expect(try store.names("m").isEmpty)
        }
    }
}
