import DriverKit
import Glibc
import LinuxHost
import Model

/// Compares what a root shows with the layers below it, as `docker diff` does: a folder has changed when something in it
/// has, or its own mode, owner or time. Only names in the root's own trees are looked at, and what those hide.
struct ChangeWalk {
    /// The root's own trees, topmost first, with overlayfs's marks.
    let trees: [RootDirectory]
    /// All of them over the layers.
    let shown: RootDirectory
    /// The layers alone.
    let lower: RootDirectory
    /// Paths whose empty files and folders exist only to be mounted over.
    let ignored: Set<HostPath>

    func run() throws -> [PathChange] {
        var found: [PathChange] = []
        _ = try walk(HostPath(""), into: &found)
        return found.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
    }

    /// What was found in a folder: whether anything is reported, and whether something was passed over.
    private struct Outcome {
        var hasChanges = false
        var hasIgnored = false
    }

    private func walk(_ folder: HostPath, into found: inout [PathChange]) throws -> Outcome {
        var outcome = Outcome()
        for name in try names(in: folder) {
            let path = folder.appending(name)
            let below = try lower.status(path)
            guard let status = try shown.status(path) else {
                // A name may have been made and removed again where nothing was.
                if below != nil { found.append(change(path, .deleted)) }
                outcome.hasChanges = outcome.hasChanges || below != nil
                continue
            }
            if status.kind == .directory {
                let inner = try walk(path, into: &found)
                let isKnown = below?.kind == .directory
                if !isKnown, ignored.contains(path), !inner.hasChanges {
                    outcome.hasIgnored = true
                    continue
                }
                let touched = !isSame(status, below, timeCounts: !inner.hasIgnored)
                if isKnown, !inner.hasChanges, !touched {
                    outcome.hasIgnored = outcome.hasIgnored || inner.hasIgnored
                    continue
                }
                found.append(change(path, isKnown ? .modified : .added))
                outcome.hasChanges = true
                continue
            }
            if ignored.contains(path), below == nil, status.kind == .regular, status.size == 0 {
                outcome.hasIgnored = true
                continue
            }
            found.append(change(path, below == nil ? .added : .modified))
            outcome.hasChanges = true
        }
        return outcome
    }

    /// Names of a folder that may differ: those in the trees, and those of the layers if a tree hides them.
    private func names(in folder: HostPath) throws -> Set<HostPath> {
        var names: Set<HostPath> = []
        let path = folder.isEmpty ? HostPath(".") : folder
        for tree in trees {
            guard try tree.status(path)?.kind == .directory else { continue }
            for entry in try tree.list(path) { names.insert(entry.name) }
            guard !folder.isEmpty, try tree.attribute(folder, "trusted.overlay.opaque") == Array("y".utf8),
                try lower.status(folder)?.kind == .directory
            else { continue }
            for entry in try lower.list(folder) { names.insert(entry.name) }
        }
        return names
    }

    private func isSame(_ status: FileStatus, _ below: FileStatus?, timeCounts: Bool) -> Bool {
        guard let below, below.kind == status.kind else { return false }
        return status.permissions == below.permissions && status.user == below.user && status.group == below.group
            && (!timeCounts || status.modified == below.modified)
    }

    private func change(_ path: HostPath, _ kind: PathChange.Kind) -> PathChange {
        PathChange(path: "/" + path.text, kind: kind)
    }
}
