import LinuxHost
import Model
import Synchronization

/// A folder for what is to be removed: putting something there is quick, removing it is done in the background by one
/// worker, and after a crash by the next start.
final class Trash: Sendable {
    private struct State {
        var worker: Task<Void, Never>?
        /// Something was put in since the worker last looked.
        var isDirty = false
    }

    private let root: RootDirectory
    private let state = Mutex(State())

    init(_ root: RootDirectory) { self.root = root }

    deinit { state.withLock { $0.worker?.cancel() } }

    /// Moves `path` of `folder` here; no error if it is not there. On another filesystem it is removed at once.
    func take(_ path: String, from folder: RootDirectory) throws {
        do {
            try folder.rename(path, to: String(UInt64.random(in: .min ... .max), radix: 16), in: root)
        } catch let error as EngineError where error.code == .notFound {
            return
        } catch let error as EngineError where error.systemErrorNumber == 18 /* EXDEV */ {
            try folder.removeTree(path)
        }
    }

    /// Begins to remove what is here.
    func empty() async {
        state.withLock { state in
            state.isDirty = true
            guard state.worker == nil else { return }
            state.worker = Task { [weak self] in
                while let self, await self.removeOnce() {}
            }
        }
    }

    /// Returns when nothing is left to remove.
    func drain() async {
        while let worker = state.withLock({ $0.worker }) { await worker.value }
    }

    /// False when there is nothing more to do.
    private func removeOnce() async -> Bool {
        let goesOn = state.withLock { state in
            guard state.isDirty, !Task.isCancelled else {
                state.worker = nil
                return false
            }
            state.isDirty = false
            return true
        }
        guard goesOn else { return false }
        await runBlocking { [root] in
            // What cannot be removed now is tried again at the next start, and keeps nothing else from being removed.
            guard let entries = try? root.list() else { return }
            for entry in entries { try? root.removeTree(entry.name) }
        }
        return true
    }
}
