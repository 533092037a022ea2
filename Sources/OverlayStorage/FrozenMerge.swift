import LinuxHost
import Model

/// Makes one tree of several that overlayfs would show one over the other, with its marks, since the tree lies over
/// others in turn. Files are further names of the same inodes (link(2)), so that nothing is copied: frozen parts never
/// change.
///
/// What the kernel's documentation (overlayfs.rst) calls whiteouts and opaque directories is kept; trees with redirected
/// or metadata-only entries refer to what is below them by path, and are refused.
struct FrozenMerge {
    /// Holds all the trees.
    let root: RootDirectory

    /// - Parameters:
    ///   - trees: paths in `root`, topmost first.
    ///   - target: a path in `root` where nothing is.
    /// - Throws: `unsupported` for trees that cannot be merged; what was made is left to the caller.
    func merge(_ trees: [String], into target: String) throws {
        try mergeFolders(trees.map { HostPath($0) }, into: HostPath(target), isOpaque: false)
    }

    /// What the trees have under one name, down to what hides the rest.
    private struct Found {
        var folders: [HostPath] = []
        /// A file, link, node or whiteout, if that is what is topmost.
        var other: HostPath?
        /// What lies below all the trees does not show through the folders.
        var isOpaque = false
    }

    private func mergeFolders(_ folders: [HostPath], into target: HostPath, isOpaque: Bool) throws {
        try root.makeDirectory(target, mode: 0o700)
        var seen: Set<HostPath> = []
        for folder in folders {
            for entry in try root.list(folder) where seen.insert(entry.name).inserted {
                let found = try find(entry.name, in: folders)
                let path = target.appending(entry.name)
                if let other = found.other {
                    try root.makeHardLink(path, to: other)
                } else {
                    try mergeFolders(found.folders, into: path, isOpaque: found.isOpaque)
                }
            }
        }
        try copyAttributes(of: folders[0], to: target)
        if isOpaque { try root.setAttribute(target, Self.opaque, Array("y".utf8)) }
    }

    private func find(_ name: HostPath, in folders: [HostPath]) throws -> Found {
        var found = Found()
        for folder in folders {
            let path = folder.appending(name)
            guard let status = try root.status(path) else { continue }
            guard status.kind == .directory else {
                if status.kind == .regular { try refuseReferences(path) }
                // Below a folder, a file or whiteout ends what shows through it.
                if found.folders.isEmpty { found.other = path } else { found.isOpaque = true }
                return found
            }
            try refuseReferences(path)
            found.folders.append(path)
            if try root.attribute(path, Self.opaque) == Array("y".utf8) {
                found.isOpaque = true
                return found
            }
        }
        return found
    }

    private func refuseReferences(_ path: HostPath) throws {
        for attribute in try root.attributeNames(path)
        where ["trusted.overlay.redirect", "trusted.overlay.metacopy"].contains(attribute) {
            throw EngineError(
                .unsupported, "\(root.path)/\(path.text) cannot be merged: its content is in a lower layer",
                hint: "mount overlays with redirect_dir=off and metacopy=off")
        }
    }

    private func copyAttributes(of folder: HostPath, to target: HostPath) throws {
        guard let status = try root.status(folder) else {
            throw EngineError(.internal, "the frozen folder \(root.path)/\(folder.text) is gone")
        }
        try root.setOwner(target, user: status.user, group: status.group)
        try root.setPermissions(target, status.permissions)
        for attribute in try root.attributeNames(folder) {
            guard let value = try root.attribute(folder, attribute) else { continue }
            try root.setAttribute(target, attribute, value)
        }
        // Last: entries that are made change it.
        try root.setModified(target, status.modified)
    }

    private static let opaque = "trusted.overlay.opaque"
}
