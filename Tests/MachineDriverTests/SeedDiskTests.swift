import Glibc
import LinuxHost
import Model
import Testing

@testable import MachineDriver

struct SeedDiskTests {
    private let files: [(name: String, content: [UInt8])] = [
        ("meta-data", Array("instance-id: x\n".utf8)), ("user-data", Array("#cloud-config\n{}\n".utf8)),
        ("network-config", (0..<10_000).map { UInt8(truncatingIfNeeded: $0 * 7) }), ("empty", []),
    ]

    private static let canMount =
        getuid() == 0
        && String(decoding: (try? readSmallFile("/proc/filesystems")) ?? [], as: UTF8.self).contains("\tvfat")

    /// The kernel's own FAT driver is the judge.
    @Test(.enabled(if: canMount, "root and a kernel with vfat are needed"))
    func theKernelReadsIt() async throws {
        let folder = try TemporaryFolder()
        try folder.root.writeFile("seed", try SeedDisk.image(files), durable: false)
        try folder.root.makeDirectory("mnt")
        let script = """
            mount -o loop,ro,noatime -t vfat seed mnt || exit 1
            cat mnt/meta-data mnt/user-data; cksum < mnt/network-config; ls mnt; blkid -p -s LABEL -o value seed
            """
        let result = try await ProcessRunner.check(
            "/usr/bin/unshare", ["-m", "sh", "-c", script], workingDirectory: folder.path)
        let sum = try await ProcessRunner.check("/usr/bin/cksum", [], input: files[2].content).outputText
        #expect(
            result.outputText == "instance-id: x\n#cloud-config\n{}\n" + sum
                + "empty\nmeta-data\nnetwork-config\nuser-data\nCIDATA\n")
    }

    @Test(.enabled(if: access("/usr/sbin/blkid", X_OK) == 0, "blkid is not installed"))
    func itsLabelIsFound() async throws {
        let folder = try TemporaryFolder()
        try folder.root.writeFile("seed", try SeedDisk.image(files), durable: false)
        let result = try await ProcessRunner.check("/usr/sbin/blkid", ["-p", folder.path + "/seed"])
        #expect(result.outputText.contains(#"LABEL="CIDATA""#) && result.outputText.contains(#"TYPE="vfat""#))
    }

    @Test func tooMuchIsRefused() {
        let error = #expect(throws: EngineError.self) {
            try SeedDisk.image([("user-data", [UInt8](repeating: 0, count: 9 << 20))])
        }
        #expect(error?.code == .invalidArgument)
    }
}
