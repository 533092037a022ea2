import DriverKit
import Glibc
import LinuxHost
import Model
import ShimClient
import ShimCore

/// A TPM 2.0 of a machine by swtpm(8), run by the machine's shim as the hypervisor's user, so that it outlives the daemon;
/// it ends with QEMU. What it keeps lies beside the machine's disk.
struct TPM: Sendable, Codable, Hashable {
    var device: String
    /// Folder with its state, absolute.
    var state: String
    /// Where the shim shows that folder to the hypervisor's user, for whom there is no way through the daemon's own.
    static let shown = "tpm"

    static let program = "/usr/bin/swtpm"
    /// Name of its socket in the machine's folder.
    static let socket = "tpm"

    /// Makes the state's folder, or gives a copied one to `user`. Nil if the plan has no TPM.
    static func prepare(_ plan: LaunchPlan, disk: DiskRoot, user: UInt32) throws -> TPM? {
        guard let device = plan.tpms.first else { return nil }
        guard disk.boot != .kernel else {
            // QEMU puts a kernel's initial filesystem 160 KiB below the end of the memory, and leaves the rest for the
            // firmware's tables. With a TPM's log these are larger, and are written over.
            throw EngineError(
                .unsupported,
                "machine \(plan.name) boots Isle's kernel, with which the tpm device \(Names.quoted(device)) does not work",
                hint: "machines made of disk images, which boot by themselves, can have one")
        }
        guard access(program, X_OK) == 0 else {
            throw EngineError(
                .unsupported,
                "machine \(plan.name) has the tpm device \(Names.quoted(device)), and swtpm is not installed",
                hint: "apt-get install swtpm")
        }
        let folder = split(disk.path).folder
        let place = "tpm/\(device)"
        let root = try RootDirectory(path: folder, confinement: .beneath)
        try root.makeDirectories("tpm", mode: 0o711)
        if try !root.exists(place) { try root.makeDirectory(place, mode: 0o700) }
        try root.setOwner(place, user: user, group: user)
        for entry in try root.list(place) { try root.setOwner("\(place)/\(entry.name.text)", user: user, group: user) }
        return TPM(device: device, state: "\(folder)/\(place)")
    }

    /// QEMU's options for it, with the machine's folder as QEMU sees it.
    static func options(folder: String) -> [String] {
        [
            "-chardev", "socket,id=tpm,path=\(folder)/\(socket)", "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device",
            "tpm-crb,tpmdev=tpm0",
        ]
    }

    /// Starts swtpm and returns when QEMU can connect to it.
    func serve(_ shim: ShimConnection, run: RootDirectory, user: UInt32) async throws {
        let socket = "\(MachineFiles.folder)/\(Self.socket)"
        let session = try await shim.exec(
            ShimExec(
                arguments: [
                    "/usr/bin/env", "--ignore-signal=PIPE", "setpriv", "--reuid=\(user)", "--regid=\(user)",
                    "--clear-groups", "--no-new-privs", "--bounding-set=-all", "--", Self.program, "socket", "--tpm2",
                    "--tpmstate", "dir=\(run.path)/\(Self.shown),mode=0600", "--ctrl",
                    "type=unixio,path=\(run.path)/\(socket),mode=0600",
                    "--terminate",
                ], environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"]))
        for _ in 0..<500 {
            if try run.exists(socket) { return }
            if kill(session.pid, 0) != 0 { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw EngineError(
            .internal, "swtpm does not serve \(state)", hint: "\(Self.program) --version shows whether it runs at all")
    }

    static var check: HostCheck {
        access(program, X_OK) == 0
            ? HostCheck("TPM emulator", .ok, program)
            : HostCheck(
                "TPM emulator", .warning, "swtpm is not installed",
                advice: "apt-get install swtpm; machines without a tpm device work without")
    }
}
