import CHost
import DriverKit
import LinuxHost
import Model

/// The graphics card's picture, by the SPICE server in QEMU.
struct MachineScreen: ScreenFacet {
    /// Absolute path of the server's socket.
    let path: String

    func connect() async throws -> OwnedDescriptor {
        let raw = isle_cli_connect(path)
        guard raw >= 0 else {
            throw EngineError(.unavailable, "the machine's screen cannot be connected: \(String(errno: -raw))")
        }
        return OwnedDescriptor(raw)
    }
}
