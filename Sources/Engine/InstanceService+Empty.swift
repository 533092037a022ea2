import DriverKit
import Model

extension InstanceService {
    /// Makes an instance without an image: a container with an empty root, or a machine with an empty disk, which boots
    /// what else it is given, such as the disc of an installer.
    func createEmpty(_ request: CreateRequest) async throws -> InstanceView {
        let kind = request.kind ?? .system
        guard kind != .module else {
            throw EngineError(
                .unsupported, "a module cannot be made without an image", hint: "name an image to make it from")
        }
        try OptionCatalog.check(request.config, kind: kind)
        var record = InstanceRecord(
            id: .random(), project: request.project, name: request.name ?? freeName(request.project), kind: kind,
            architecture: Host.architecture, description: request.description, config: request.config,
            devices: request.devices, profiles: request.profiles, ephemeral: request.ephemeral, createdAt: Clock.now)
        try await checkPlan(record, nil)
        record.pool = try await choosePool(record)
        return try await insert(record) { actor in
            try await self.services.images.makeRoot(
                for: await actor.record, image: nil, merged: await actor.merged())
        }
    }
}
