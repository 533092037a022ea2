public import DriverKit
import Glibc
import LinuxHost
import Model

extension OverlayDisks: DiskArchiver {
    public func flatten(_ disk: RootFiles, to path: String) async throws {
        guard access(path, F_OK) != 0 else { throw EngineError(.alreadyExists, "\(path) exists already") }
        var chain = (disk.written.map { [$0] } ?? []) + disk.frozen.map { $0 + "/disk.qcow2" }
        chain += disk.base.map { [$0] } ?? []
        guard disk.isDisk, !chain.isEmpty else { throw EngineError(.internal, "there is no disk to copy to \(path)") }
        // Every file and its format is stated here: what a disk itself says it lies over is not followed.
        var source: [String] = []
        for (level, file) in chain.enumerated() {
            let prefix = String(repeating: "backing.", count: level)
            source += [
                "\(prefix)driver=\(file.hasSuffix(".raw") ? "raw" : "qcow2")", "\(prefix)file.driver=file",
                "\(prefix)file.filename=\(Self.escaped(file))",
            ]
        }
        do {
            try await ProcessRunner.check(
                "qemu-img", ["convert", "--image-opts", source.joined(separator: ","), "-O", "qcow2", path],
                timeout: .seconds(4 * 3600))
        } catch {
            unlink(path)
            throw error
        }
    }

    /// A comma ends a value in QEMU's options unless it is doubled.
    private static func escaped(_ path: String) -> String {
        path.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }
}
