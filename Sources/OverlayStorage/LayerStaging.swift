import Archive
import Glibc
import LinuxHost
import Model

/// A layer on its way into the store: unpacked aside, written out, then given its name.
struct LayerStaging {
    static let prefix = ".staging-"

    let name: LayerName
    let layers: RootDirectory
    let trash: Trash
    let limits: ArchiveLimits

    /// Unpacks `archive`; on an error nothing stays.
    func unpack(_ archive: String) async throws {
        let staging = Self.prefix + String(UInt64.random(in: .min ... .max), radix: 16)
        do {
            let tree = try await runBlocking { [layers] in
                try layers.makeDirectory(staging, mode: 0o700)
                try layers.makeDirectory("\(staging)/fs", mode: 0o755)
                // The daemon's umask must not show in the layer.
                try layers.setPermissions("\(staging)/fs", 0o755)
                return try layers.subdirectory("\(staging)/fs")
            }
            let file = try await runBlocking { try open(archive) }
            _ = try await TreeUnpacker.unpack(
                file, named: archive, into: tree, options: UnpackOptions(limits: limits), expecting: name.digest)
            try await runBlocking { try publish(staging, tree) }
        } catch {
            try? await runBlocking { [layers, trash] in try trash.take(staging, from: layers) }
            await trash.empty()
            throw error
        }
    }

    private func open(_ archive: String) throws -> OwnedDescriptor {
        let file = Glibc.open(archive, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw EngineError.system(errno, "open layer archive \(archive)") }
        return OwnedDescriptor(file)
    }

    /// One sync of the filesystem is cheaper than one of each file, and after it the rename cannot come too early.
    private func publish(_ staging: String, _ tree: RootDirectory) throws {
        let size = try layers.diskUsage(staging)
        try layers.writeFile("\(staging)/size", Array(String(size).utf8), durable: false)
        try tree.syncFilesystem()
        try layers.rename(staging, to: name.digits, replacing: false)
        try layers.syncNames()
        _ = try LayerLink(name).make(in: layers)
    }
}
