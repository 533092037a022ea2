import DriverKit
import LinuxHost
import Model
import PoolTrees
import Synchronization

extension FolderPool {
    public func recover() async throws {
        try await runBlocking { [self] in
            for entry in try instances.list() where entry.kind == .directory {
                let own = try instances.subdirectory(entry.name)
                try trash.take(WritableFolder.staging, from: own)
                try finishFreezing(own)
            }
            for entry in try snapshots.list() where entry.name.text.hasPrefix(".new-") {
                try trash.take(entry.name.text, from: snapshots)
            }
            try loadStacks()
            try sweep(frozen.list().map(\.name.text))
        }
        await trash.empty()
        try await trees.recover()
    }

    /// Ends a move of what an instance wrote into a frozen part that was cut short, or takes back what was prepared for
    /// it.
    private func finishFreezing(_ own: RootDirectory) throws {
        let next = try FrozenStack(of: own, name: FrozenStack.next)
        guard let part = next.parts.first else { return }
        if try frozen.exists("\(part)/fs") {
            if try !own.exists("upper") {
                try WritableFolder(name: own.name, roots: instances).create(like: frozen.subdirectory("\(part)/fs"))
            }
            try own.rename(FrozenStack.next, to: FrozenStack.name)
        } else {
            try own.removeFile(FrozenStack.next)
        }
    }

    /// Reads the stack of every root. A root whose stack cannot be read keeps every part from being removed.
    func loadStacks() throws {
        var all: [RootName: FrozenStack] = [:]
        for (roots, isSnapshot) in [(instances, false), (snapshots, true)] {
            for entry in try roots.list() where entry.kind == .directory {
                guard let id = InstanceID(entry.name.text) else { continue }
                let stack = try FrozenStack(of: roots.subdirectory(entry.name))
                all[isSnapshot ? .snapshot(id) : .instance(id)] = stack
            }
        }
        stacks.withLock { $0 = all }
    }
}

extension RootDirectory {
    /// The last name of the folder's path.
    var name: String { path.split(separator: "/").last.map(String.init) ?? "/" }
}
