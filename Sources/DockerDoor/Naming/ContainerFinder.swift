import Engine
import Model

/// Finds instances by what Docker clients call them: full id, name, or the beginning of an id.
struct ContainerFinder: Sendable {
    let instances: InstanceService

    /// - Throws: `notFound`, or `invalidArgument` when several ids begin so.
    func find(_ reference: String, withUsage: Bool = false) async throws -> InstanceView {
        let name = reference.hasPrefix("/") ? String(reference.dropFirst()) : reference
        if ContainerID.isHexadecimal(name), name.utf8.count == 64, let id = InstanceID(String(name.prefix(16))),
            ContainerID.full(id) == name, let view = await instances.find(id: id, withUsage: withUsage)
        {
            return view
        }
        do {
            return try await instances.get(name, withUsage: withUsage)
        } catch let error as EngineError where error.code == .notFound {
            guard let view = try await byPrefix(name, withUsage: withUsage) else { throw Self.missing(reference) }
            return view
        }
    }

    /// The engine's name of the instance.
    func name(_ reference: String) async throws -> String { try await find(reference).record.name }

    private func byPrefix(_ prefix: String, withUsage: Bool) async throws -> InstanceView? {
        guard ContainerID.isHexadecimal(prefix) else { return nil }
        let ids = await instances.ids(prefix: String(prefix.prefix(16))).filter {
            ContainerID.full($0).hasPrefix(prefix)
        }
        guard ids.count < 2 else {
            throw EngineError(.invalidArgument, "multiple IDs found with provided prefix: \(prefix)")
        }
        guard let id = ids.first else { return nil }
        return await instances.find(id: id, withUsage: withUsage)
    }

    static func missing(_ reference: String) -> EngineError {
        EngineError(.notFound, "No such container: \(reference)")
    }
}
