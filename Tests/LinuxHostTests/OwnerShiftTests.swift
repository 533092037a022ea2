import Glibc
import LinuxHost
import Model
import Testing

@Suite(.enabled(if: geteuid() == 0, "only root may make idmapped mounts")) struct OwnerShiftTests {
    @Test func devicesStayAsTheyAre() async throws {
        #expect(try await OwnerShift.obstacle("/dev/null") == "it is a device")
    }

    @Test func whatTheKernelsOwnTreesCannotDo() async throws {
        let reason = try #require(try await OwnerShift.obstacle("/proc/sys"))
        #expect(reason.contains("file system"))
    }

    @Test func aFolderOfTheRootFileSystem() async throws {
        var template = Array("/var/tmp/isle-shift-XXXXXX".utf8CString)
        #expect(mkdtemp(&template) != nil)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { rmdir(path) }
        // ext4, xfs and btrfs can since Linux 5.15; an overlay below a test container cannot.
        let type = try await ProcessRunner.check("stat", ["-f", "-c", "%T", path]).outputText
        guard ["ext2/ext3\n", "xfs\n", "btrfs\n"].contains(type) else { return }
        #expect(try await OwnerShift.obstacle(path) == nil)
        #expect(try await OwnerShift.obstacle(path) == nil)
    }

    @Test func whatIsNotThereIsNamed() async throws {
        let error = await #expect(throws: EngineError.self) { try await OwnerShift.obstacle("/nonexistent/folder") }
        #expect(error?.code == .notFound && error?.message.contains("/nonexistent/folder") == true)
    }
}
