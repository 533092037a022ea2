import DriverKit
import Engine
import Model

/// The files of an instance for a session that goes on over starts and stops: a tree that has ended is replaced by that
/// of the instance as it is now.
actor SessionFiles {
    private let instances: InstanceService
    private let name: String
    private let project: String
    private var lease: FileLease?

    init(_ instances: InstanceService, _ name: String, _ project: String) {
        self.instances = instances
        self.name = name
        self.project = project
    }

    /// Runs a call on the files; once more, when it fails because the tree has ended.
    func run<Result: Sendable>(_ body: @Sendable (any FileTree) async throws -> Result) async throws -> Result {
        let tree = try await tree()
        do {
            return try await body(tree)
        } catch  where tree.isClosed {
            await drop(tree)
            return try await body(try await self.tree())
        }
    }

    func end() async {
        guard let lease else { return }
        self.lease = nil
        await instances.returnFiles(lease, name, project: project)
    }

    private func tree() async throws -> any FileTree {
        if let lease { return lease.tree }
        let new = try await instances.leaseFiles(name, project: project)
        lease = new
        return new.tree
    }

    private func drop(_ tree: any FileTree) async {
        guard let old = lease, old.tree === tree else { return }
        lease = nil
        await instances.returnFiles(old, name, project: project)
    }
}
