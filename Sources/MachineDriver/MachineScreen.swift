import CHost
import DriverKit
import LinuxHost
import Model
import QMP

/// The graphics card's picture, by the SPICE server in QEMU.
struct MachineScreen: ScreenFacet {
    let machine: MachineHandle

    /// Bytes of a picture at most: an uncompressed one of 8192 by 4096 points.
    private static let limit = 128 << 20

    func connect() async throws -> OwnedDescriptor {
        let raw = isle_cli_connect("\(machine.run.path)/\(MachineFiles.folder)/spice")
        guard raw >= 0 else {
            throw EngineError(.unavailable, "the machine's screen cannot be connected: \(String(errno: -raw))")
        }
        return OwnedDescriptor(raw)
    }

    func picture() async throws -> [UInt8] {
        // A name of its own, since two may ask at a time.
        let name = "screen-\(InstanceID.random().raw)"
        let path = "\(MachineFiles.folder)/\(name)"
        let run = machine.run
        do {
            try await machine.qmp().execute(
                "screendump",
                ["filename": .string("\(MachineFiles.inside)/\(name)"), "format": .string("png")])
            let bytes = try await runBlocking { try run.readFile(path, limit: Self.limit) }
            try run.removeTree(path)
            return bytes
        } catch {
            // The first failure is the one to tell; the folder goes with the run.
            try? run.removeTree(path)
            throw error
        }
    }
}
