import Glibc
import LinuxHost
import Model
import Testing

@testable import MachineDriver

struct KernelPartsTests {
    @Test(.enabled(if: access("/usr/bin/cpio", X_OK) == 0, "cpio is not installed"))
    func archiveIsWhatCPIOReads() async throws {
        var archive = CPIOArchive()
        archive.addFolder("dev")
        archive.addFile("init", Array("#!/bin/sh\n".utf8), mode: 0o755)
        archive.addFile("empty", [])
        let bytes = archive.finished()
        #expect(bytes.count % 512 == 0)
        let result = try await ProcessRunner.check("/usr/bin/cpio", ["-itv", "--quiet"], input: bytes)
        let lines = result.outputText.split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines[0].hasPrefix("drwxr-xr-x") && lines[0].hasSuffix("dev"))
        #expect(lines[1].hasPrefix("-rwxr-xr-x") && lines[1].contains(" 10 "))
        #expect(lines[2].hasPrefix("-rw-r--r--") && lines[2].hasSuffix("empty"))
    }

    @Test func archivesFollowOneAnother() {
        var first = CPIOArchive()
        first.addFile("a", [1])
        #expect(String(decoding: first.finished().prefix(6), as: UTF8.self) == "070701")
        #expect(first.finished() == first.finished())
    }

    @Test(.enabled(if: access("/usr/bin/lz4", X_OK) == 0, "lz4 is not installed"))
    func unpacksWhatLZ4Packs() async throws {
        var plain: [UInt8] = []
        for index in 0..<40_000 {
            plain += index % 7 == 0 ? Array("repeated text ".utf8) : [UInt8(index * index & 0xff)]
        }
        plain += [UInt8](repeating: 0, count: 8_400_000)
        let packed = try await ProcessRunner.check(
            "/usr/bin/lz4", ["-l", "-c", "-"], input: plain, limit: 64 << 20
        ).output
        #expect(packed.starts(with: LZ4.legacyMagic))
        #expect(try LZ4.decodeLegacy(packed, limit: 64 << 20) == plain)
        // The kernel's build appends the size.
        #expect(try LZ4.decodeLegacy(packed + [0x40, 0x42, 0x0f, 0x7f], limit: 64 << 20) == plain)
        #expect(throws: EngineError.self) { try LZ4.decodeLegacy(packed, limit: 1 << 20) }
    }

    @Test func refusesDamagedLZ4() {
        // Block of 4 bytes: token 0xf0 with an endless literal length; a copy from before the beginning; cut-off offset.
        for block: [UInt8] in [
            [0xf0, 0xff, 0xff, 0xff], [0x10, 0x41, 0x05, 0x00], [0x10, 0x41, 0x01], [0x40, 0x41],
        ] {
            let input = LZ4.legacyMagic + [UInt8(block.count), 0, 0, 0] + block
            #expect(throws: EngineError.self) { try LZ4.decodeLegacy(input, limit: 1 << 20) }
        }
        #expect(throws: EngineError.self) { try LZ4.decodeLegacy([1, 2, 3, 4], limit: 1 << 20) }
    }

    @Test func refusesWhatIsNoKernel() async {
        for bytes in [[], [UInt8](repeating: 0, count: 4096)] as [[UInt8]] {
            await #expect(throws: EngineError.self) { try await KernelImage.extractELF(bytes) }
        }
        var lying = [UInt8](repeating: 0, count: 4096)
        lying.replaceSubrange(0x202..<0x206, with: Array("HdrS".utf8))
        lying[0x24e] = 0x7f
        await #expect(throws: EngineError.self) { try await KernelImage.extractELF(lying) }
    }

    @Test func readsWhatAModuleNeeds() {
        let module = Array("ELF\0\0license=GPL\0depends=virtio,virtio-ring\0name=x\0".utf8)
        #expect(KernelModules.dependencies(module) == ["virtio", "virtio_ring"])
        #expect(KernelModules.dependencies(Array("\0depends=\0".utf8)) == [])
        #expect(KernelModules.dependencies([]) == [])
        #expect(KernelModules.dependencies(Array("\0depends=abc".utf8)) == ["abc"])
        #expect(KernelModules.name("kernel/drivers/char/hw_random/virtio-rng.ko.xz") == "virtio_rng")
    }

    @Test func ordersModulesAfterThoseTheyNeed() async throws {
        let folder = try TemporaryFolder()
        try folder.root.makeDirectories("kernel/drivers")
        func module(_ name: String, _ needs: String) throws {
            try folder.root.writeFile(
                "kernel/drivers/\(name).ko", Array("\0depends=\(needs)\0".utf8), durable: false)
        }
        try module("virtio-blk", "virtio,virtio_ring")
        try module("virtio", "")
        try module("virtio_ring", "virtio")
        try module("loop-a", "loop-b")
        try module("loop-b", "loop-a")
        try folder.root.writeFile("modules.builtin", Array("kernel/fs/ext4/ext4.ko\n".utf8), durable: false)
        let modules = try KernelModules(folder.root)
        let loaded = try await modules.load(["ext4", "virtio_blk", "missing", "loop_a"]).map(\.name)
        #expect(loaded == ["virtio", "virtio_ring", "virtio_blk", "loop_b", "loop_a"])
        #expect(
            try await modules.load(["virtio_blk"], before: ["virtio"]).map(\.name) == ["virtio_ring", "virtio_blk"])
    }

    @Test func readsAptsAnswers() {
        let text = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n"
        #expect(
            KernelPackage.dependency(in: text, prefix: "linux-image-") == "linux-image-6.1.0-56-cloud-amd64")
        #expect(KernelPackage.dependency(in: text, prefix: "linux-modules-") == nil)
        #expect(KernelPackage.dependency(in: " |Depends: <linux-image>\n", prefix: "") == nil)
    }

    @Test func comparesVersions() {
        #expect(KernelStore.isNewer("6.1.0-10-cloud-amd64", "6.1.0-9-cloud-amd64"))
        #expect(KernelStore.isNewer("6.12.1", "6.9.9"))
        #expect(!KernelStore.isNewer("6.1.0", "6.1.0"))
    }

    @Test(.enabled(if: MachineFixture.isReady, "\(MachineFixture.needs)"))
    func storesOfOneFolderFetchOneAfterTheOther() async throws {
        let folder = try TemporaryFolder()
        let stores = (0..<3).map { _ in KernelStore(directory: folder.path + "/kernels") }
        let found = try await withThrowingTaskGroup(of: Kernel.self) { group in
            for store in stores { group.addTask { try await store.kernel() } }
            return try await group.reduce(into: Set<Kernel>()) { $0.insert($1) }
        }
        #expect(found.count == 1)
        #expect(found.allSatisfy { access($0.imagePath, R_OK) == 0 && $0.modulesDisk != nil })
    }

    @Test func aDamagedStoreIsPassedOver() async throws {
        let folder = try TemporaryFolder()
        let store = KernelStore(directory: folder.path + "/kernels")
        #expect(try await store.list().isEmpty)
        try folder.root.makeDirectories("kernels/6.1")
        try folder.root.writeFile("kernels/6.1/kernel.json", Array("{".utf8), durable: false)
        #expect(try await store.list().isEmpty)
        let error = await #expect(throws: EngineError.self) { try await store.remove("../x") }
        #expect(error?.code == .notFound)
    }
}

/// A folder of the test's own, removed with it.
final class TemporaryFolder: Sendable {
    let path: String
    let root: RootDirectory

    init() throws {
        var template = Array("/tmp/isle-machine-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw EngineError(.internal, "mkdtemp: \(errno)") }
        path = String(cString: made)
        root = try RootDirectory(path: path)
    }

    deinit {
        try? root.removeContents()
        rmdir(path)
    }
}
