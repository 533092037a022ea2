import Archive
import DiskImages
import Glibc
import LinuxHost
import Model
import Testing

let canImport = geteuid() == 0 && access("/usr/bin/qemu-img", X_OK) == 0 && access("/usr/bin/setpriv", X_OK) == 0

/// A folder for one test with a disk of known content in it, removed at the end.
struct ImportFolder: Sendable {
    let root: RootDirectory
    var path: String { root.path }

    static func with(_ body: (ImportFolder) async throws -> Void) async throws {
        let path = "/tmp/isle-disk-test-\(UInt64.random(in: .min ... .max))"
        let folder = ImportFolder(root: try RootDirectory(path: path, create: true))
        var failure: (any Error)?
        do { try await body(folder) } catch { failure = error }
        try RootDirectory(path: "/tmp").removeTree(String(path.dropFirst(5)))
        if let failure { throw failure }
    }

    /// A raw disk of 8 MiB with a partition table and bytes that can be told again.
    func rawDisk(_ name: String = "disk.raw") throws -> String {
        var bytes = [UInt8](repeating: 0, count: 8 << 20)
        bytes[0] = 0xeb
        bytes[446 + 4] = 0x83
        bytes[510] = 0x55
        bytes[511] = 0xaa
        for index in 0..<100_000 { bytes[(1 << 20) + index] = UInt8(truncatingIfNeeded: index &* 7) }
        try root.writeFile(name, bytes, durable: false)
        return "\(path)/\(name)"
    }

    @discardableResult
    func qemuImg(_ arguments: String...) async throws -> String {
        try await ProcessRunner.check("qemu-img", arguments).outputText
    }

    /// Imports, and says whether the result has the content of `original` (raw).
    func imports(_ name: String, as original: String, format: DiskFileFormat? = nil) async throws -> ImportedDisk {
        let disk = try await DiskImport().convert("\(path)/\(name)", to: "\(path)/result.qcow2", format: format)
        let compared = try await ProcessRunner.run(
            "qemu-img", ["compare", "-f", "qcow2", "-F", "raw", disk.path, original])
        #expect(compared.status.isSuccess, "\(compared.outputText)")
        #expect(try root.list().allSatisfy { !$0.name.text.hasPrefix(".import-") })
        return disk
    }

    /// The error of an import that must fail; then nothing is left of it.
    func refusal(_ name: String, format: DiskFileFormat? = nil) async throws -> EngineError? {
        let before = try Set(root.list().map(\.name))
        do {
            _ = try await DiskImport().convert("\(path)/\(name)", to: "\(path)/result.qcow2", format: format)
            Issue.record("the import of \(name) succeeded")
            return nil
        } catch let error as EngineError {
            #expect(try Set(root.list().map(\.name)) == before)
            return error
        }
    }

    func patch(_ name: String, at offset: Int, _ bytes: [UInt8]) throws {
        let file = try root.open(name, O_WRONLY)
        #expect(pwrite(file.raw, bytes, bytes.count, off_t(offset)) == bytes.count)
    }

    func tar(_ name: String, _ members: [(String, [UInt8])]) throws {
        var bytes: [UInt8] = []
        let tar = TarWriter { bytes.append(contentsOf: $0) }
        for (name, content) in members { try tar.add(TarEntry(.file, path: HostPath(name)), content: content) }
        try tar.finish()
        try root.writeFile(name, bytes, durable: false)
    }
}
