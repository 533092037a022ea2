import CLIKit
import Client
import Glibc
import Model
import WireTypes

/// The screen of a machine, as far as a terminal can have it.
struct Screen {
    let client: IsleClient
    let name: String

    /// A viewer of the SPICE protocol is needed, which LXD's client starts.
    var advice: ClientError {
        ClientError(
            .local, "a screen needs a viewer, which isle has not",
            hint: "lxc console --type=vga \(name) starts one (remote-viewer of the package virt-viewer);"
                + " isle console --screenshot FILE \(name) takes a picture")
    }

    func save(to path: String) throws {
        var bytes: [UInt8] = []
        try client.stream(Endpoint(["instances", name, "console"], query: [("type", "vga")])) { bytes += $0 }
        let file = OwnedDescriptor(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644))
        guard file.raw >= 0 else {
            throw ClientError(
                .local, "\(Quantity.quoted(path)) cannot be made: \(String(cString: strerror(errno)))")
        }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(file.raw, $0.baseAddress, $0.count) }
            guard count > 0 else {
                throw ClientError(
                    .local, "\(Quantity.quoted(path)) cannot be written: \(String(cString: strerror(errno)))")
            }
            rest = rest.dropFirst(count)
        }
    }
}
