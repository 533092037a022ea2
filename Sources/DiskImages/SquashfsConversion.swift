import Archive
import Glibc
import LinuxHost
import Model

/// Turns a squashfs file into a tar, by sqfs2tar(1) in a `ToolSandbox`: nothing is unpacked, so that no name in it can
/// lead anywhere, and the kernel's driver does not see it.
public enum SquashfsConversion {
    /// `hsqs`, as squashfs 4 begins on disk.
    private static let magic: [UInt8] = [0x68, 0x73, 0x71, 0x73]

    /// Whether the file begins like a squashfs.
    public static func isSquashfs(_ path: String) throws -> Bool {
        let raw = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
        guard raw >= 0 else { throw EngineError.system(errno, "open \(Names.quoted(path))") }
        return try FilePrefix.read(OwnedDescriptor(raw), count: 4) == magic
    }

    /// Writes the tree in `path` as an uncompressed tar to a new file at `output`.
    /// - Parameter limit: bytes that the tar may have.
    /// - Throws: `unsupported` without sqfs2tar, `invalidArgument` for a damaged file, `resourceExhausted`.
    public static func convert(_ path: String, toTar output: String, limit: Int64 = 1 << 40) async throws {
        guard access("/usr/bin/sqfs2tar", X_OK) == 0 else {
            throw EngineError(
                .unsupported, "sqfs2tar is not installed, so squashfs images cannot be read",
                hint: "apt-get install squashfs-tools-ng")
        }
        let raw = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
        guard raw >= 0 else { throw EngineError.system(errno, "open \(Names.quoted(path))") }
        let staging = try ImportStaging(beside: output)
        do {
            let file = DiskInput(format: .raw, files: [ToolSandbox.Input(name: "root", file: OwnedDescriptor(raw))])
            let input = try await staging.readable(file)
            let result = try staging.createOutput("tar")
            // A fixed command: the tool writes to its standard output only.
            _ = try await staging.sandbox(input, output: result, limit: UInt64(limit)).run(
                "sh", ["-c", "exec sqfs2tar --root-becomes . /in/root >/out"], timeout: .seconds(3600))
            try staging.publish("tar", as: output)
            try staging.remove()
        } catch {
            // The error that is being thrown matters more.
            try? staging.remove()
            throw error
        }
    }
}
