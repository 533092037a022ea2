public import DriverKit
import LinuxHost
import Model
import PoolTrees
import Synchronization

extension FolderPool {
    public func files(of root: RootName) async throws -> RootFiles {
        guard try parent(of: root).exists(root.id.raw) else { throw missing(root) }
        let own = try parent(of: root).subdirectory(root.id.raw)
        let stack = try FrozenStack(of: own)
        let isDisk = try !own.exists("upper")
        let written = isDisk ? "disk.qcow2" : "upper"
        let base = try ["base.raw", "base.qcow2"].first { try own.exists($0) }
        var files = RootFiles(
            frozen: stack.parts.map { "\(frozen.path)/\($0)" },
            written: try own.exists(written) ? "\(own.path)/\(written)" : nil, base: base.map { "\(own.path)/\($0)" },
            isDisk: isDisk)
        if isDisk {
            files.companions = try RootFiles.companionNames.filter { try own.exists($0) }.map { "\(own.path)/\($0)" }
        }
        return files
    }

    public func adopt(_ roots: [(source: RootName, copy: RootName)], from other: any StoragePool) async throws {
        // A part that several of them lie over is copied once.
        var copies: [String: String] = [:]
        var done: [RootName] = []
        do {
            for (source, copy) in roots {
                let files = try await other.files(of: source)
                var parts: [String] = []
                for part in files.frozen {
                    if let known = copies[part] {
                        parts.append(known)
                    } else {
                        let name = try await copyPart("\(part)/fs")
                        copies[part] = name
                        parts.append(name)
                    }
                }
                try await take(copy, files, parts)
                done.append(copy)
            }
        } catch {
            for root in done { try await discard(root) }
            try sweep(Array(copies.values))
            throw error
        }
    }

    private func take(_ root: RootName, _ files: RootFiles, _ parts: [String]) async throws {
        var stack = FrozenStack(parts)
        let roots = parent(of: root)
        let name = root.id.raw
        if case .snapshot = root, !files.isDisk, let written = files.written,
            try !RootDirectory(path: written).list().isEmpty
        {
            stack = try stack.pushing(try await copyPart(written))
        }
        stacks.withLock { $0[root] = stack }
        do {
            guard try !roots.exists("\(name)/upper"), try !roots.exists("\(name)/disk.qcow2") else {
                throw EngineError(.alreadyExists, "\(root) has files already in \(roots.path)/\(name)")
            }
            try roots.makeDirectories(name, mode: files.isDisk ? 0o711 : 0o700)
            let own = try roots.subdirectory(name)
            try stack.write(to: own)
            if let base = files.base { try await TreeCopy.copy(base, to: "\(own.path)/\(TreeCopy.name(of: base))") }
            for beside in files.companions {
                try await TreeCopy.copy(beside, to: "\(own.path)/\(TreeCopy.name(of: beside))")
            }
            if files.isDisk {
                if let written = files.written { try await TreeCopy.copy(written, to: "\(own.path)/disk.qcow2") }
                return
            }
            if case .instance = root, let written = files.written {
                try await TreeCopy.copy(written, to: "\(own.path)/\(WritableFolder.staging)")
            }
            if case .instance = root, files.written != nil {
                try own.makeDirectories("work", mode: 0o700)
                try own.rename(WritableFolder.staging, to: "upper", replacing: false)
            } else if let model = files.written {
                try WritableFolder(name: name, roots: roots).create(like: RootDirectory(path: model))
            }
        } catch {
            stacks.withLock { $0[root] = nil }
            for left in Self.ownNames + [WritableFolder.staging] { try trash.take("\(name)/\(left)", from: roots) }
            throw error
        }
    }

    /// Copies a tree into a frozen part of its own and gives the part's name.
    func copyPart(_ path: String) async throws -> String {
        let part = InstanceID.random().raw
        try frozen.makeDirectory(part, mode: 0o711)
        do {
            try await TreeCopy.copy(path, to: "\(frozen.path)/\(part)/fs")
        } catch {
            try trash.take(part, from: frozen)
            await trash.empty()
            throw error
        }
        return part
    }
}
