import DriverKit
import Glibc
import LinuxHost
import Model
import PoolTrees

// Disks of machines: copied as a whole, but for the shared base below them and for holes, and without copying blocks
// where the filesystem can share them.
extension FolderPool {
    private static let disk = "disk.qcow2"
    private static let bases = ["base.raw", "base.qcow2"]

    func cloneDisk(_ source: RootName, _ own: RootDirectory, to copy: RootName) async throws {
        guard try own.exists(Self.disk) else { throw missing(source) }
        let roots = parent(of: copy)
        let name = copy.id.raw
        for taken in ["upper", Self.disk] where try roots.exists("\(name)/\(taken)") {
            throw EngineError(.alreadyExists, "\(copy) has files already: \(roots.path)/\(name)/\(taken)")
        }
        if case .snapshot = copy {
            // Aside, so that a snapshot is there whole or not at all.
            let staging = ".new-\(name)"
            try roots.removeTree(staging)
            guard try !roots.exists(name) else { throw EngineError(.alreadyExists, "\(copy) is there already") }
            do {
                try await fillDisk(from: own, to: staging, of: roots)
                try roots.rename(staging, to: name, replacing: false)
            } catch {
                try trash.take(staging, from: roots)
                throw error
            }
        } else {
            do { try await fillDisk(from: own, to: name, of: roots) } catch {
                for left in Self.ownNames { try trash.take("\(name)/\(left)", from: roots) }
                throw error
            }
        }
    }

    func restoreDisk(_ id: InstanceID, _ model: RootDirectory) async throws {
        let own = try instances.subdirectory(id.raw)
        for name in [Self.disk] + RootFiles.companionNames where try model.exists(name) {
            let staging = ".restore-\(name)"
            try own.removeTree(staging)
            try await TreeCopy.copy("\(model.path)/\(name)", to: "\(own.path)/\(staging)")
            // A folder is not replaced by another's name.
            if name != Self.disk { try own.removeTree(name) }
            try own.rename(staging, to: name)
        }
    }

    private func fillDisk(from own: RootDirectory, to name: String, of roots: RootDirectory) async throws {
        try roots.makeDirectories(name, mode: 0o711)
        let folder = "\(roots.path)/\(name)"
        for base in Self.bases where try own.exists(base) {
            try roots.removeTree("\(name)/\(base)")
            if link("\(own.path)/\(base)", "\(folder)/\(base)") != 0 {
                guard errno == EMLINK else { throw EngineError.system(errno, "link \(own.path)/\(base) to \(folder)") }
                try await TreeCopy.copy("\(own.path)/\(base)", to: "\(folder)/\(base)")
            }
        }
        for beside in RootFiles.companionNames where try own.exists(beside) {
            try roots.removeTree("\(name)/\(beside)")
            try await TreeCopy.copy("\(own.path)/\(beside)", to: "\(folder)/\(beside)")
        }
        // Last: with it the root is whole.
        let staging = "\(folder)/.\(Self.disk)"
        try roots.removeTree("\(name)/.\(Self.disk)")
        try await TreeCopy.copy("\(own.path)/\(Self.disk)", to: staging)
        if let base = try Self.bases.first(where: { try own.exists($0) }) {
            // A remark only, but qemu-img looks there when the disk becomes larger.
            let format = base.hasSuffix("raw") ? "raw" : "qcow2"
            try await ProcessRunner.check(
                "qemu-img", ["rebase", "-u", "-f", "qcow2", "-F", format, "-b", "\(folder)/\(base)", "file:" + staging])
        }
        guard rename(staging, "\(folder)/\(Self.disk)") == 0 else {
            throw EngineError.system(errno, "rename \(staging)")
        }
    }
}
