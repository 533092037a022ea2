import LinuxHost
import Model

/// OCI whiteouts (image-spec, layer.md, "Whiteouts") in overlayfs's form (kernel documentation, overlayfs.rst,
/// "whiteouts and opaque directories").
extension TreeWriter {
    private static let prefix = Array(".wh.".utf8)
    private static let metadataPrefix = Array(".wh..wh.".utf8)

    /// True if the member is a whiteout or other metadata of a layer, and has been dealt with.
    func addWhiteout(_ entry: TarEntry, _ names: [HostPath]) throws -> Bool {
        for (index, name) in names.enumerated() where name.bytes.starts(with: Self.prefix) {
            let isLast = index == names.count - 1
            if name == ".wh..wh..opq" && isLast {
                try setOpaque(Array(names.dropLast()))
                return true
            }
            // What aufs left in old images: hard links and other folders of its own.
            if name.bytes.starts(with: Self.metadataPrefix) { return true }
            guard isLast else { throw refused(entry, "a folder has the name of a whiteout") }
            let removed = HostPath(bytes: name.bytes.dropFirst(Self.prefix.count))
            guard !removed.isEmpty, removed != ".", removed != ".." else {
                throw refused(entry, "it is a whiteout without a name")
            }
            try addWhiteout(of: removed, in: Array(names.dropLast()))
            return true
        }
        return false
    }

    private func addWhiteout(of name: HostPath, in names: [HostPath]) throws {
        let parent = try folder(names)
        do {
            try parent.makeNode(name, .characterDevice, permissions: 0)
        } catch let error as EngineError where error.code == .alreadyExists {
            // A whiteout is about lower layers only: what this layer itself has there stays, a folder without what
            // lower ones hold.
            if try parent.status(name)?.kind == .directory { try setOpaque(names + [name]) }
        }
    }

    /// Hides what lower layers hold in the folder.
    func setOpaque(_ names: [HostPath]) throws {
        _ = try folder(names)
        try root.setAttribute(Self.joined(names), "trusted.overlay.opaque", Array("y".utf8))
    }

    func isWhiteout(_ status: FileStatus) -> Bool {
        status.kind == .characterDevice && status.major == 0 && status.minor == 0
    }
}
