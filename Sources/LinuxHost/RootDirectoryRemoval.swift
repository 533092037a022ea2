import CHost
import Glibc
import Model

extension RootDirectory {
    /// Removes the file or folder at `path` with all below it; no error if it is not there.
    ///
    /// Goes by descriptors and follows no link. Does not descend into another filesystem mounted there: `busy`. Uses a
    /// bounded number of descriptors however deep the tree is.
    public func removeTree(_ path: some HostPathConvertible) throws {
        let path = path.hostPath
        let location: Location
        do {
            location = try locate(path, "remove")
        } catch let error as EngineError where error.code == .notFound {
            return
        }
        let result = location.with { isle_unlinkat($0, $1, 0) }
        switch result {
        case 0, -ENOENT: return
        case -EISDIR, -EPERM: break
        default: throw failure(-result, "remove", path)
        }
        let folder = location.with { openFolder($0, $1) }
        guard folder >= 0 else { throw removalFailure(-folder, path) }
        let owned = OwnedDescriptor(folder)
        try TreeRemoval(top: owned.raw, failure: { self.removalFailure($0, path.appending($1)) }).run()
        let removed = location.with { isle_unlinkat($0, $1, 1) }
        guard removed == 0 || removed == -ENOENT else { throw removalFailure(-removed, path) }
    }

    /// Removes all that the folder holds, not the folder itself.
    public func removeContents() throws {
        for entry in try list() { try removeTree(entry.name) }
    }

    private func removalFailure(_ number: Int32, _ path: HostPath) -> EngineError {
        if number == EXDEV || number == EBUSY {
            return EngineError(.busy, "cannot remove \(name(of: path)): something is mounted there")
        }
        return failure(number, "remove", path)
    }
}

/// Opens a folder of the same mount for reading; the descriptor or the negated errno.
private func openFolder(_ parent: Int32, _ name: UnsafePointer<CChar>) -> Int32 {
    isle_openat2(
        parent, name, UInt64(O_RDONLY | O_DIRECTORY | O_NOFOLLOW), 0,
        UInt64(ISLE_RESOLVE_BENEATH | ISLE_RESOLVE_NO_SYMLINKS | ISLE_RESOLVE_NO_XDEV))
}

/// The removal of all below one folder. A folder deeper than `maximumDepth` is moved up to the top and removed from
/// there, so that neither descriptors nor stack grow with the depth of the tree.
private struct TreeRemoval {
    let top: Int32
    let failure: (Int32, HostPath) -> EngineError
    private let maximumDepth = 48

    func run() throws {
        // Moved folders show up at the top, hence again until nothing is left.
        while try removeChildren(of: top, path: "", depth: 0) {}
    }

    /// True if a folder was moved to the top.
    private func removeChildren(of folder: Int32, path: HostPath, depth: Int) throws -> Bool {
        // fdopendir takes its descriptor over, hence another one of the same folder.
        let reading = isle_openat(folder, ".", O_RDONLY | O_DIRECTORY, 0)
        guard reading >= 0 else { throw failure(-reading, path) }
        var moved = false
        for entry in try DirectoryEntry.read(reading, failure: { failure($0, path) }) {
            let path = path.appending(entry.name)
            if entry.kind != .directory {
                let result = entry.name.withCString { isle_unlinkat(folder, $0, 0) }
                if result == 0 || result == -ENOENT { continue }
                guard result == -EISDIR else { throw failure(-result, path) }
            }
            if try removeFolder(entry.name, in: folder, path: path, depth: depth) { moved = true }
        }
        return moved
    }

    private func removeFolder(_ name: HostPath, in folder: Int32, path: HostPath, depth: Int) throws -> Bool {
        // Most folders of the last level are empty or small; try the cheap call first only where it can succeed.
        let child = name.withCString { openFolder(folder, $0) }
        if child == -ENOENT { return false }
        guard child >= 0 else { throw failure(-child, path) }
        defer { Glibc.close(child) }
        if depth >= maximumDepth {
            let target = HostPath(".deep-\(String(UInt64.random(in: .min ... .max), radix: 36))")
            let result = name.withCString { old in target.withCString { isle_renameat2(folder, old, top, $0, 0) } }
            guard result == 0 else { throw failure(-result, path) }
            return true
        }
        let moved = try removeChildren(of: child, path: path, depth: depth + 1)
        let result = name.withCString { isle_unlinkat(folder, $0, 1) }
        guard result == 0 || result == -ENOENT else { throw failure(-result, path) }
        return moved
    }
}
