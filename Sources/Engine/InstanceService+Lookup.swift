import Glibc
public import Model

// Instances by id, for doors whose clients know them so; and what runs in them.
extension InstanceService {
    /// Ids that begin with `prefix`, in no order.
    public func ids(prefix: String) -> [InstanceID] { actors.keys.filter { $0.raw.hasPrefix(prefix) } }

    /// nil if there is none.
    public func find(id: InstanceID, withUsage: Bool = false) async -> InstanceView? {
        guard let actor = actors[id] else { return nil }
        return await actor.view(withUsage: withUsage)
    }

    /// Process ids on the host of everything that runs in the instance: what shares its first process's pid namespace
    /// (pid_namespaces(7)). `conflict` if it does not run.
    public func processes(_ name: String, project: String = "default") async throws -> [Int32] {
        let view = try await get(name, project: project)
        guard let first = view.pid else {
            throw EngineError(
                .conflict, "instance \(Names.quoted(name)) is not running", hint: "isle start \(name)",
                resource: "instance \(name)")
        }
        guard let space = Self.pidNamespace(first) else { return [] }
        guard space != Self.pidNamespace(getpid()) else { return [first] }
        var found: [Int32] = []
        guard let folder = opendir("/proc") else { return [first] }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let pid = Int32(name), Self.pidNamespace(pid) == space { found.append(pid) }
        }
        return found.sorted()
    }

    private static func pidNamespace(_ pid: Int32) -> String? {
        var buffer = [CChar](repeating: 0, count: 64)
        let count = readlink("/proc/\(pid)/ns/pid", &buffer, buffer.count)
        guard count > 0 else { return nil }
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
