import Glibc
import LinuxHost
import Model

/// A read-only ext4 disk with every module of a kernel, which a machine with an init of its own has at
/// `/lib/modules/<version>`: an image's root filesystem has none for a kernel that is not its own.
enum ModulesDisk {
    static let name = "modules.img"
    /// By which the guest finds it.
    static let serial = "isle-modules"

    /// Makes the disk in `target` from `base`/lib/modules/`version`, with the indexes that modprobe(8) reads. Makes none
    /// where depmod or mke2fs is not installed: machines run without, but load only what they are started with.
    static func make(base: String, version: String, target: RootDirectory) async throws {
        let tools = ["/usr/sbin/depmod", "/usr/sbin/mke2fs"]
        guard tools.allSatisfy({ access($0, X_OK) == 0 }) else { return }
        let source = "\(base)/lib/modules/\(version)"
        try await ProcessRunner.check(tools[0], ["-b", base, version], timeout: .seconds(300))
        let usage = try await ProcessRunner.check("/usr/bin/du", ["-sk", "--", source]).outputText
        let used = usage.split(separator: "\t").first.flatMap { Int($0) } ?? 0
        try await ProcessRunner.check(
            tools[1],
            [
                "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-L", serial, "-d", source,
                "\(target.path)/\(name)", "\(used + used / 8 + 8192)k",
            ], timeout: .seconds(300))
        try target.setPermissions(name, 0o444)
    }
}
