public import DriverKit
import Glibc
import GuestCore
public import LinuxHost
public import Model
import QMP
import ShimClient
import ShimCore

/// Runs machines: QEMU below a shim, as an unprivileged user in an empty root.
///
/// A machine comes up either with Isle's own kernel on a disk made from an image's root filesystem
/// (`DiskRoot.Boot.kernel`), with isle-init as the first program and an agent beside the guest's own init; or from
/// whatever a disk image holds, by BIOS or UEFI.
public struct MachineDriver: InstanceDriver {
    /// Where things are.
    public struct Paths: Sendable {
        /// The `isle-shim` and `isle-init` programs.
        public var shim: String
        public var initProgram: String
        public var qemu: String
        /// Folder of kernels (`KernelStore`).
        public var kernels: String
        /// Record of the KVM probe.
        public var probe: String
        /// Folder with `OVMF_CODE_4M.fd` and `OVMF_VARS_4M.fd`.
        public var firmware: String

        /// - Parameter stateDirectory: the daemon's, such as `/var/lib/isle`.
        public init(
            shim: String, initProgram: String, stateDirectory: String, qemu: String? = nil,
            firmware: String = "/usr/share/OVMF"
        ) {
            self.shim = shim
            self.initProgram = initProgram
            self.qemu = qemu ?? QEMUProgram.usualPath
            kernels = stateDirectory + "/kernels"
            probe = stateDirectory + "/kvm-probe.json"
            self.firmware = firmware
        }
    }

    /// The kernels that machines are booted with.
    public let kernels: KernelStore
    private let paths: Paths
    private let qemu: QEMUProgram
    private let probe: AccelerationProbe
    private let cgroups: CgroupHost?

    /// Default size of a machine, as LXD's.
    static let defaultMemory: Int64 = 1 << 30
    static let defaultProcessors = 1

    /// - Parameter cgroups: below which each machine gets its group; nil goes without, and without limits of time.
    public init(paths: Paths, cgroups: CgroupHost? = nil) {
        self.paths = paths
        self.cgroups = cgroups
        kernels = KernelStore(directory: paths.kernels)
        qemu = QEMUProgram(path: paths.qemu)
        probe = AccelerationProbe(qemu: paths.qemu, file: paths.probe)
        // Streams of clients that have gone are written to; the call's result is what counts.
        Glibc.signal(SIGPIPE, SIG_IGN)
    }

    public var kinds: Set<InstanceKind> { [.machine] }

    public func create(_ plan: LaunchPlan) async throws -> any InstanceHandle {
        guard case .disk(let disk) = plan.root else {
            throw EngineError(.invalidArgument, "machine \(plan.name) needs a disk as its root")
        }
        switch plan.network {
        case .host, .instance:
            throw EngineError(
                .unsupported, "machine \(plan.name) cannot use the network of the host or of another instance")
        case .none, .endpoints: break
        }
        _ = try await qemu.version()
        let (acceleration, notice) = try await acceleration(
            plan.config["machine.acceleration"], disk, of: plan.name)
        let run = try RootDirectory(path: plan.runDirectory, confinement: .beneath)
        do {
            let group = try cgroups?.create(plan.id.raw, limits: MachineLimits.group(plan.limits))
            let preparation = MachinePreparation(
                plan: plan, disk: disk, run: run, paths: paths, kernels: kernels,
                acceleration: acceleration,
                cgroups: group?.joinFolders ?? [], hasScreens: await qemu.hasScreens())
            let (spec, record) = try await preparation.make()
            try record.save(run)
            let shim = try await Shim.spawn(spec, executable: paths.shim)
            return MachineHandle(
                id: plan.id, record: record, shim: shim, run: run, cgroups: cgroups, savedState: plan.savedState,
                notices: notice.map { [$0] } ?? [])
        } catch {
            // What is thrown matters more than whether the rest could be removed; the engine removes the folder.
            try? await MachineHandle.removeFiles(run)
            if let cgroups { try? await Cgroup.removeAll(plan.id.raw, of: cgroups) }
            throw error
        }
    }

    public func reattach(
        _ id: InstanceID, kind: InstanceKind, runDirectory: String, stateDirectory: String
    ) async throws -> Reattached {
        let run: RootDirectory
        let record: MachineRecord
        do {
            run = try RootDirectory(path: runDirectory, confinement: .beneath)
            record = try MachineRecord.load(run)
        } catch let error as EngineError where error.code == .notFound {
            return .gone
        }
        if let shim = try await Shim.connect(directory: runDirectory) {
            let handle = MachineHandle(id: id, record: record, shim: shim, run: run, cgroups: cgroups)
            if await shim.pid != nil {
                try await handle.connectControl(timeout: .seconds(10))
                return .running(handle)
            }
            if try Shim.exitRecord(directory: runDirectory) == nil {
                // Made but never started: what the daemon was about to do is lost.
                try await handle.delete()
                return .gone
            }
        }
        let exit = try Shim.exitRecord(directory: runDirectory)
        killLeftover(runDirectory)
        let outcome = exit.map { ExitReport.outcome(of: $0, record: record, run: run) }
        if let cgroups { try await Cgroup.removeAll(id.raw, of: cgroups) }
        try await MachineHandle.removeFiles(run)
        return outcome.map { .exited($0) } ?? .gone
    }

    /// QEMU of a shim that was killed; recognised by its start time, so that no other process is hit.
    private func killLeftover(_ directory: String) {
        guard let (pid, start) = Shim.recordedProcess("pid", directory: directory), let process = try? Pidfd(pid),
            Pidfd.startTime(of: pid) == start
        else { return }
        _ = try? process.signal(SIGKILL)
    }

    /// - Parameter wanted: `kvm` or `tcg` overrides the probe's finding, and needs no notice.
    private func acceleration(_ wanted: String?, _ disk: DiskRoot, of machine: String) async throws
        -> (Acceleration, notice: String?)
    {
        if let wanted = wanted.flatMap({ Acceleration(rawValue: $0) }) { return (wanted, nil) }
        var reason = "/dev/kvm does not exist"
        if access("/dev/kvm", F_OK) == 0 {
            do {
                let finding = try await self.finding()
                if finding.acceleration == .kvm { return (.kvm, nil) }
                reason = finding.reason
            } catch {
                // The probe's guest needs a kernel, which a machine with one of its own does not: without the mirror it
                // runs slowly rather than not at all.
                guard disk.boot != .kernel else { throw error }
                reason = "it could not be tried: \(error)"
            }
        }
        return (
            .tcg,
            "machine \(machine) runs without KVM, several times slower: \(reason)"
                + " (isle config set \(machine) machine.acceleration=tcg accepts that)"
        )
    }

    /// Probes KVM if that was not done yet for this kernel and QEMU.
    private func finding() async throws -> AccelerationProbe.Finding {
        let kernel = try await kernels.kernel()
        var config = GuestConfig()
        config.hostname = "probe"
        let initrd = GuestSetup.initialFileSystem(
            modules: [], program: try readSmallFile(paths.initProgram, limit: 16 << 20), config: config)
        return try await probe.finding(
            kernel: kernel.imagePath, initrd: initrd, version: try await qemu.version())
    }

    public func check() async -> [HostCheck] {
        var checks: [HostCheck] = []
        do {
            checks.append(HostCheck("QEMU", .ok, "version \(try await qemu.version())"))
        } catch {
            let advice = "apt-get install qemu-system-x86; everything but machines works without"
            return [HostCheck("QEMU", .error, "\(paths.qemu) does not run", advice: advice)]
        }
        do {
            if let newest = try await kernels.list().first {
                checks.append(HostCheck("machine kernel", .ok, newest.version))
            } else {
                checks.append(
                    HostCheck(
                        "machine kernel", .warning, "none fetched yet",
                        advice: "it is fetched with the first machine, or by: isle kernel fetch"))
            }
        } catch {
            checks.append(HostCheck("machine kernel", .error, "\(error)"))
        }
        checks.append(await checkKVM())
        checks.append(TPM.check)
        let code = paths.firmware + "/OVMF_CODE_4M.fd"
        checks.append(
            access(code, R_OK) == 0
                ? HostCheck("UEFI firmware", .ok, code)
                : HostCheck(
                    "UEFI firmware", .warning, "\(code) is not there",
                    advice: "apt-get install ovmf; disk images that boot by BIOS work without"))
        return checks
    }

    private func checkKVM() async -> HostCheck {
        let advice = "machines run without it, several times slower"
        guard access("/dev/kvm", F_OK) == 0 else {
            return HostCheck("KVM", .warning, "/dev/kvm does not exist", advice: advice)
        }
        do {
            // Without a kernel there is no guest to try; fetching one is more than a check should do.
            guard try await !kernels.list().isEmpty else {
                return HostCheck(
                    "KVM", .warning, "not tried yet", advice: "it is tried with the first machine")
            }
            let finding = try await self.finding()
            return HostCheck(
                "KVM", finding.acceleration == .kvm ? .ok : .warning, finding.reason,
                advice: finding.acceleration == .kvm ? nil : advice)
        } catch {
            return HostCheck("KVM", .warning, "the trial failed: \(error)", advice: advice)
        }
    }
}
