public import DriverKit
import Glibc
import LinuxHost
public import Model
import Synchronization

extension FolderPool {
    public func clone(_ source: RootName, to copy: RootName, isBusy: Bool) async throws {
        guard try parent(of: source).exists(source.id.raw) else { throw missing(source) }
        let own = try parent(of: source).subdirectory(source.id.raw)
        guard try own.exists("upper") else { return try await cloneDisk(source, own, to: copy) }
        var copied: String?
        if isBusy { copied = try await copyPart("\(own.path)/upper") }
        do {
            try await changing.withLock("") {
                let stack: FrozenStack
                if let copied {
                    stack = try (stacks.withLock { $0[source] } ?? FrozenStack()).pushing(copied)
                } else {
                    stack = try await freeze(source, own)
                }
                // Known before it is there: a removal that follows leaves its parts alone.
                stacks.withLock { $0[copy] = stack }
                do {
                    try await runBlocking { [self] in try make(copy, like: own, stack) }
                } catch {
                    stacks.withLock { $0[copy] = nil }
                    throw error
                }
            }
        } catch {
            if let copied { try trash.take(copied, from: frozen) }
            throw error
        }
    }

    public func restore(_ id: InstanceID, from snapshot: InstanceID) async throws {
        guard try snapshots.exists(snapshot.raw) else { throw missing(.snapshot(snapshot)) }
        let model = try snapshots.subdirectory(snapshot.raw)
        let stack = try FrozenStack(of: model)
        guard try model.exists("upper") else { return try await restoreDisk(id, model) }
        try await changing.withLock("") {
            let old = stacks.withLock { stacks in
                defer { stacks[.instance(id)] = stack }
                return stacks[.instance(id)]
            }
            try await runBlocking { [self] in
                let own = try instances.subdirectory(id.raw)
                try stack.write(to: own)
                for name in ["upper", "work"] { try trash.take(name, from: own) }
                try WritableFolder(name: id.raw, roots: instances).create(like: model.subdirectory("upper"))
                try sweep(old?.parts ?? [])
            }
        }
        await trash.empty()
    }

    // MARK: -

    /// Makes what the root wrote a frozen part, and gives the stack that it lies over then. To be called under the lock.
    private func freeze(_ root: RootName, _ own: RootDirectory) async throws -> FrozenStack {
        if try own.list("upper").isEmpty { return stacks.withLock { $0[root] } ?? FrozenStack() }
        // Without it the root can do as long as there is room for another part.
        var failure: (any Error)?
        if stacks.withLock({ $0[root]?.parts.count ?? 0 }) >= Self.condensedAt {
            do { try await condense(root) } catch { failure = error }
        }
        let stack = stacks.withLock { $0[root] } ?? FrozenStack()
        let part = InstanceID.random().raw
        let next: FrozenStack
        do { next = try stack.pushing(part) } catch let refusal as EngineError {
            throw EngineError(refusal.code, refusal.message, hint: refusal.hint, cause: failure)
        }
        try await runBlocking { [frozen, instances] in
            try next.write(to: own, name: FrozenStack.next)
            try frozen.makeDirectory(part, mode: 0o711)
            try own.rename("upper", to: "\(part)/fs", in: frozen)
            try WritableFolder(name: root.id.raw, roots: instances).create(like: frozen.subdirectory("\(part)/fs"))
            try own.rename(FrozenStack.next, to: FrozenStack.name)
        }
        stacks.withLock { $0[root] = next }
        return next
    }

    /// Makes a root over `stack` in which nothing is written.
    private func make(_ root: RootName, like model: RootDirectory, _ stack: FrozenStack) throws {
        let roots = parent(of: root)
        let name = root.id.raw
        if case .snapshot = root {
            // Aside, so that a snapshot is there whole or not at all.
            let staging = ".new-\(name)"
            try roots.removeTree(staging)
            guard try !roots.exists(name) else { throw EngineError(.alreadyExists, "\(root) is there already") }
            try roots.makeDirectory(staging, mode: 0o700)
            try fill(staging, of: roots, like: model, stack)
            try roots.rename(staging, to: name, replacing: false)
        } else {
            for taken in ["upper", "disk.qcow2", FrozenStack.name] where try roots.exists("\(name)/\(taken)") {
                throw EngineError(.alreadyExists, "\(root) has files already: \(roots.path)/\(name)/\(taken)")
            }
            try roots.makeDirectories(name, mode: 0o700)
            try fill(name, of: roots, like: model, stack)
        }
    }

    private func fill(_ name: String, of roots: RootDirectory, like model: RootDirectory, _ stack: FrozenStack) throws {
        try stack.write(to: roots.subdirectory(name))
        try WritableFolder(name: name, roots: roots).create(like: model.subdirectory("upper"))
    }
}
