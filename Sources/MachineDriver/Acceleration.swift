import FoundationEssentials
import Glibc
import LinuxHost
import Model

/// What runs a machine's processor.
enum Acceleration: String, Sendable, Codable {
    /// The host's processor (KVM).
    case kvm
    /// QEMU's translator: works everywhere, several times slower.
    case tcg
}

/// Finds out once per kernel and QEMU whether a guest really runs under KVM: that /dev/kvm can be opened says little
/// where the host is a virtual machine itself. The answer is kept in a file.
actor AccelerationProbe {
    struct Finding: Sendable, Codable, Hashable {
        /// Kernel release and QEMU version that it holds for.
        var host: String
        var acceleration: Acceleration
        var reason: String
    }

    private let file: String
    private let qemu: String
    private var known: Finding?
    private var running: Task<Finding, any Error>?

    /// - Parameter file: absolute path of the record.
    init(qemu: String, file: String) {
        self.qemu = qemu
        self.file = file
    }

    /// The finding for this host. `kernel` and `initrd` are a guest that says `marker` on its console.
    func finding(kernel: String, initrd: [UInt8], version: String) async throws -> Finding {
        let host = "\(AccelerationProbe.release()) qemu \(version)"
        if let known, known.host == host { return known }
        if let bytes = try? readSmallFile(file),
            let stored = try? JSONDecoder().decode(Finding.self, from: Data(bytes)), stored.host == host
        {
            known = stored
            return stored
        }
        if let running { return try await running.value }
        let task = Task { [qemu] in
            let (acceleration, reason) = try await AccelerationProbe.tryKVM(qemu, kernel: kernel, initrd: initrd)
            return Finding(host: host, acceleration: acceleration, reason: reason)
        }
        running = task
        defer { running = nil }
        let finding = try await task.value
        known = finding
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let (folder, name) = split(file)
        try RootDirectory(path: folder, create: true).writeFile(name, [UInt8](try encoder.encode(finding)))
        return finding
    }

    /// What the probe's guest writes when it has come up (`isle.conf` with this hostname and nothing to boot).
    static let marker = "isle-init:"

    private static func tryKVM(_ qemu: String, kernel: String, initrd: [UInt8]) async throws -> (Acceleration, String) {
        guard access("/dev/kvm", R_OK | W_OK) == 0 else {
            return (.tcg, "/dev/kvm cannot be opened: \(String(errno: errno))")
        }
        var template = Array("/tmp/isle-kvm-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { return (.tcg, "no temporary folder") }
        let folder = String(cString: made)
        let root = try RootDirectory(path: folder)
        defer {
            try? root.removeContents()
            rmdir(folder)
        }
        try root.writeFile("initrd", initrd, durable: false)
        let arguments =
            QEMUCommand.base(acceleration: .kvm, memory: 256, processors: "1") + [
                "-no-reboot", "-kernel", kernel, "-initrd", "\(folder)/initrd", "-append",
                "console=ttyS0 quiet panic=-1 reboot=t", "-chardev", "file,id=console,path=\(folder)/console",
                "-serial", "chardev:console",
            ]
        do {
            // The guest finds no root disk at once and powers off; one that hangs or dies early does not get there.
            let result = try await ProcessRunner.run(qemu, arguments, timeout: .seconds(15))
            let console = String(decoding: try root.readFile("console"), as: UTF8.self)
            if console.contains(marker) { return (.kvm, "a guest runs under KVM") }
            let words = result.lastWords
            return (.tcg, "a guest ended early under KVM" + (words.isEmpty ? "" : ": \(words)"))
        } catch let error as EngineError where error.code == .timeout {
            let console = (try? root.readFile("console")).map { String(decoding: $0, as: UTF8.self) } ?? ""
            if console.contains(marker) { return (.kvm, "a guest runs under KVM") }
            return (.tcg, "a guest does not come up under KVM within 15 seconds")
        }
    }

    private static func release() -> String {
        (try? readSmallFile("/proc/sys/kernel/osrelease")).map {
            String(decoding: $0.dropLast(), as: UTF8.self)
        } ?? ""
    }
}

/// Folder and last name of an absolute path.
func split(_ path: String) -> (folder: String, name: String) {
    guard let slash = path.lastIndex(of: "/") else { return (".", path) }
    return (String(path[..<slash]), String(path[path.index(after: slash)...]))
}
