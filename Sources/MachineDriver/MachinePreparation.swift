import DriverKit
import Glibc
import GuestCore
import LinuxHost
import Model
import ShimCore

/// Makes the files of one machine's run and the specification of its shim.
struct MachinePreparation {
    let plan: LaunchPlan
    let disk: DiskRoot
    let run: RootDirectory
    let paths: MachineDriver.Paths
    let kernels: KernelStore
    let acceleration: Acceleration
    /// Control groups that QEMU joins.
    let cgroups: [String]
    /// The host's QEMU has a server for screens.
    let hasScreens: Bool

    /// Devices that can be added while a machine runs.
    static let slots = 4
    /// Numbers of QEMU's open files: interfaces first, then disks.
    private static let firstDescriptor: Int32 = 200

    private var user: UInt32 { plan.hypervisorUser }

    func make() async throws -> (ShimSpec, MachineRecord) {
        let folder = MachineFiles.folder
        try run.removeTree(folder)
        try run.makeDirectory(folder, mode: 0o700)
        try run.setOwner(folder, user: user, group: user)

        let isDirect = disk.boot == .kernel
        guard isDirect || plan.mounts.isEmpty else {
            throw EngineError(
                .unsupported, "machine \(plan.name) boots a disk image, which cannot have folders of the host mounted",
                hint: "remove the disk device for \(plan.mounts[0].target)")
        }
        let (shares, readOnly) = try SharedFolder.make(plan.mounts, machine: plan.name, run: run)
        var config = GuestSetup.config(plan)
        config.shares = shares.map { .init(tag: $0.tag, target: $0.target, readOnly: $0.readOnly) }
        let isApplication = isDirect && config.boot == .application
        var record = MachineRecord(
            agent: isDirect ? .isle : .qemu, isApplication: isApplication,
            memory: plan.limits.memory ?? MachineDriver.defaultMemory,
            processors: try processors(), processorSet: plan.limits.cpuSet, terminal: plan.stdio.terminal, user: user,
            shares: shares, acceleration: acceleration, hasScreen: !isDirect && hasScreens)

        record.tpm = try TPM.prepare(plan, disk: disk, user: user)
        var binds = readOnly
        if let tpm = record.tpm {
            try run.makeDirectories(TPM.shown)
            binds.append(.bind(source: tpm.state, target: "\(run.path)/\(TPM.shown)", readOnly: false))
        }
        var files = try ownDisk()
        var command = QEMUCommand(
            folder: MachineFiles.inside, name: plan.name, uuid: uuid, acceleration: acceleration,
            memory: record.memory, processors: record.processors,
            maximumProcessors: maximumProcessors(record, isApplication),
            boot: .bios, disk: insideDisk, agentPort: record.agent.port, endsOnReset: isApplication,
            slots: isApplication ? 0 : Self.slots, hasScreen: record.hasScreen == true,
            isIncoming: plan.savedState != nil)
        command.hasTPM = record.tpm != nil
        if flag("limits.memory.hugepages") {
            try HugePages.check(bytes: record.memory, machine: plan.name)
            command.hasHugePages = true
        }
        command.further = plan.config["raw.qemu"].flatMap { CommandWords.split($0) } ?? []
        switch disk.boot {
        case .kernel:
            let kernel = try await kernels.kernel(plan.config["machine.kernel"])
            let initrd = GuestSetup.initialFileSystem(
                modules: try await read(kernel.modulesPath), program: try await read(paths.initProgram), config: config)
            try give("\(folder)/\(MachineFiles.initrd)", initrd, mode: 0o400)
            files.append(.init(source: kernel.imagePath, target: "/boot/kernel", readOnly: true))
            command.boot = .kernel(
                image: "/boot/kernel", initrd: "\(MachineFiles.inside)/\(MachineFiles.initrd)",
                commandLine: GuestSetup.commandLine(plan, acceleration: acceleration, isApplication: isApplication))
            if !isApplication, let modules = kernel.modulesDisk {
                files.append(.init(source: modules, target: "/boot/modules", readOnly: true))
                command.disks.append(.init(path: "/boot/modules", serial: ModulesDisk.serial, readOnly: true))
            }
            if isApplication {
                try give(
                    "\(folder)/\(MachineFiles.report)", [UInt8](repeating: 0, count: MachineFiles.reportSize),
                    mode: 0o600)
                command.disks.append(
                    .init(
                        path: "\(MachineFiles.inside)/\(MachineFiles.report)", serial: "isle-report", readOnly: false))
            }
        case .bios: break
        case .uefi: command.boot = try await firmware(&files)
        }
        if let seed = try CloudInit.seed(plan) {
            try give("\(folder)/seed", seed, mode: 0o400)
            command.disks.append(.init(path: "\(MachineFiles.inside)/seed", serial: "isle-seed", readOnly: true))
        }
        command.shares = shares.map(\.tag)
        var descriptors: [ShimProcess.Descriptor] = []
        command.interfaces = try interfaces(&descriptors)
        command.userDisks = try userDisks(&descriptors)
        try MachineSandbox.check(acceleration, hasTap: !command.interfaces.isEmpty)
        let process = ShimProcess(
            arguments: [paths.qemu] + command.arguments,
            environment: ["PATH=/usr/bin:/bin", "LC_ALL=C", "TMPDIR=\(MachineFiles.inside)"], workingDirectory: "/",
            uid: user, gid: user,
            sandbox: Sandbox(
                hostname: "qemu", binds: MachineSandbox.binds(files, run: run.path),
                limits: [.init(resource: 4, value: 0)], devices: MachineSandbox.devices(acceleration)),
            descriptors: descriptors)
        let spec = ShimSpec(
            directory: run.path, logPath: plan.log.path, logMaxSize: plan.log.maxSize, logFiles: plan.log.files,
            terminal: false, openStdin: true, stdinOnce: false, mounts: binds, cgroups: cgroups,
            launch: .process(process))
        return (spec, record)
    }

    private func flag(_ key: String) -> Bool {
        ["true", "1", "yes", "on"].contains(plan.config[key]?.lowercased() ?? "")
    }

    // MARK: Disks

    private var insideDisk: DiskRoot {
        DiskRoot(
            path: "/disk/root", format: disk.format, boot: disk.boot,
            backing: disk.backing.map { DiskBacking(path: "/disk/base", format: $0.format) })
    }

    /// Gives the machine's own disk to the hypervisor's user and lets it read the shared one below.
    private func ownDisk() throws -> [MachineSandbox.File] {
        let (folder, name) = split(disk.path)
        let root = try RootDirectory(path: folder, confinement: .beneath)
        guard try root.status(name)?.kind == .regular else {
            throw EngineError(.notFound, "the disk \(disk.path) of machine \(plan.name) is not there")
        }
        try root.setOwner(name, user: user, group: user)
        try root.setPermissions(name, 0o600)
        var files = [MachineSandbox.File(source: disk.path, target: "/disk/root", readOnly: false)]
        if let backing = disk.backing {
            let (folder, name) = split(backing.path)
            let root = try RootDirectory(path: folder, confinement: .beneath)
            guard let status = try root.status(name), status.kind == .regular else {
                throw EngineError(.notFound, "the disk \(backing.path) below machine \(plan.name) is not there")
            }
            // Readable by every machine's user; the folder above it decides who else gets there.
            if status.permissions & 0o444 != 0o444 { try root.setPermissions(name, 0o444) }
            files.append(.init(source: backing.path, target: "/disk/base", readOnly: true))
        }
        return files
    }

    /// UEFI code from the host, variables of the machine's own, which last beside its disk. With `security.secureboot` the firmware runs only
    /// what is signed by Microsoft's keys, with which it comes.
    private func firmware(_ files: inout [MachineSandbox.File]) async throws -> QEMUCommand.Boot {
        let isSecure = flag("security.secureboot")
        let code = "\(paths.firmware)/OVMF_CODE_4M\(isSecure ? ".secboot" : "").fd"
        let source = "\(paths.firmware)/OVMF_VARS_4M\(isSecure ? ".ms" : "").fd"
        for file in [code, source] where access(file, R_OK) != 0 {
            throw EngineError(
                .unsupported, "machine \(plan.name) boots by UEFI, and \(file) is not there",
                hint: "apt-get install ovmf")
        }
        // Kept apart: what was enrolled or switched off with one must not hold for the other.
        let variables = isSecure ? "uefi-vars-secure.fd" : "uefi-vars.fd"
        let folder = split(disk.path).folder
        let state = try RootDirectory(path: folder, confinement: .beneath)
        let former = "\(plan.stateDirectory)/\(variables)"
        if folder != plan.stateDirectory, try !state.exists(variables), access(former, F_OK) == 0 {
            // Where a machine in another pool than the first once had them.
            try state.writeFile(variables, try await read(former), mode: 0o600)
        }
        if try !state.exists(variables) { try state.writeFile(variables, try await read(source), mode: 0o600) }
        try state.setOwner(variables, user: user, group: user)
        files.append(.init(source: code, target: "/boot/code", readOnly: true))
        files.append(.init(source: "\(folder)/\(variables)", target: "/boot/vars", readOnly: false))
        return .uefi(code: "/boot/code", variables: "/boot/vars", isSecure: isSecure)
    }

    // MARK: Parts

    private func interfaces(_ descriptors: inout [ShimProcess.Descriptor]) throws -> [QEMUCommand.Interface] {
        guard case .endpoints(let endpoints) = plan.network else { return [] }
        return try endpoints.map { endpoint in
            guard let tap = plan.taps[endpoint.device] else {
                throw EngineError(.internal, "interface \(endpoint.device) of machine \(plan.name) has no tap")
            }
            let number = Self.firstDescriptor + Int32(descriptors.count)
            descriptors.append(.init(number: number, kind: tap.hasPrefix("/") ? .writable : .tap, name: tap))
            return QEMUCommand.Interface(device: endpoint.device, descriptor: number, mac: endpoint.mac)
        }
    }

    private func userDisks(_ descriptors: inout [ShimProcess.Descriptor]) throws -> [QEMUCommand.UserDisk] {
        try plan.disks.map { disk in
            let disk = try HotplugDisk(disk)
            let number = Self.firstDescriptor + Int32(descriptors.count)
            descriptors.append(
                .init(number: number, kind: disk.isReadOnly ? .readable : .writable, name: disk.disk.path))
            return QEMUCommand.UserDisk(disk: disk, descriptor: number)
        }
    }

    /// As many as the host has, so that they can be added while it runs. A machine of one program has what it has.
    private func maximumProcessors(_ record: MachineRecord, _ isApplication: Bool) -> Int {
        isApplication ? record.processors : max(record.processors, min(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 64))
    }

    /// As many processors as the limit says, or as the host's that the machine is bound to.
    private func processors() throws -> Int {
        if let count = plan.limits.cpuCount { return count }
        return try plan.limits.cpuSet.map { Set(try Affinity.parse($0)).count } ?? MachineDriver.defaultProcessors
    }

    /// The instance's id in the form of a UUID, so that the guest sees the same one at every start.
    private var uuid: String {
        let id = plan.id.raw
        let rest = id.dropFirst(8)
        return "\(id.prefix(8))-\(rest.prefix(4))-4\(rest.dropFirst(5).prefix(3))-8000-0000\(id.prefix(8))"
    }

    private func give(_ path: String, _ content: [UInt8], mode: UInt32) throws {
        try run.writeFile(path, content, mode: mode, durable: false)
        try run.setOwner(path, user: user, group: user)
    }

    private func read(_ path: String) async throws -> [UInt8] {
        try await runBlocking { try readSmallFile(path, limit: 256 << 20) }
    }
}
