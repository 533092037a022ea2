import FoundationEssentials
import LinuxHost
import Model

/// What a driver must know again about a machine after the daemon was replaced; the file `machine.json` of its run
/// directory.
struct MachineRecord: Sendable, Codable, Hashable {
    /// What answers in the guest.
    enum Agent: String, Sendable, Codable {
        /// Isle's own, in machines booted with Isle's kernel.
        case isle
        /// qemu-guest-agent, if the guest has it.
        case qemu

        /// Name of the virtio-serial port.
        var port: String {
            switch self {
            case .isle: "org.isle.agent.0"
            case .qemu: "org.qemu.guest_agent.0"
            }
        }
    }

    var agent: Agent
    /// The machine ends with one program, whose exit code is the machine's.
    var isApplication: Bool
    /// Bytes.
    var memory: Int64
    var processors: Int
    /// Processors of the host that it is bound to, as a list.
    var processorSet: String?
    var terminal: Bool
    /// Ids under which QEMU runs.
    var user: UInt32
    var shares: [SharedFolder] = []
    /// What runs its processors.
    var acceleration: Acceleration?
    /// Its TPM.
    var tpm: TPM?
    /// There is a graphics card with a server for it.
    var hasScreen: Bool?

    private static let file = "machine.json"

    func save(_ run: RootDirectory) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try run.writeFile(MachineRecord.file, [UInt8](try encoder.encode(self)), durable: false)
    }

    /// `notFound` if there is none.
    static func load(_ run: RootDirectory) throws -> MachineRecord {
        let bytes = try run.readFile(file, limit: 65536)
        do {
            return try JSONDecoder().decode(MachineRecord.self, from: Data(bytes))
        } catch {
            throw EngineError(.internal, "\(run.path)/\(file) cannot be read", cause: error)
        }
    }
}

/// Names in a machine's run directory.
enum MachineFiles {
    /// Folder that belongs to the hypervisor's user: what it may write besides its disks.
    static let folder = "m"
    /// The same folder as the hypervisor sees it.
    static let inside = "/m"
    static let report = "report"
    static let initrd = "initrd"
    static let reportSize = 4096
}
