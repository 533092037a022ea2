import DriverKit
import Logging
import Model

// What projects and profiles mean for instances.
extension InstanceService {
    /// Throws unless the project allows an instance that is as `record` says, in place of what it is now.
    /// - Parameter profiles: what its profiles are to be; nil: as they are.
    func allow(_ record: InstanceRecord, profiles: [ProfileRecord]? = nil) async throws {
        let policy = try await services.projects.policy(of: record.project)
        guard !policy.isEmpty else { return }
        let used: [ProfileRecord]
        if let profiles {
            used = profiles
        } else {
            used = await services.profiles.find(record.profiles, project: record.project)
        }
        let others = await list(project: record.project).filter { $0.record.id != record.id }
        try policy.check(
            ProjectPolicy.Subject(record, MergedConfig(record, profiles: used)),
            among: others.map { ProjectPolicy.Subject($0.record, $0.expanded) },
            volumes: await services.volumes.sizes(project: record.project))
    }

    /// Calls each running instance whose merged configuration was another one before.
    func profilesChanged(_ before: [InstanceID: MergedConfig]) async throws {
        for (id, merged) in before { try await applyProfiles(id, before: merged) }
    }

    func autostartFailed(_ actor: InstanceActor, _ error: any Error) async {
        let record = await actor.record
        await services.warnings.raise(
            "Instance autostart failure", .low, project: record.project, entity: "/1.0/instances/\(record.name)",
            "\(error)")
    }
}

extension VolumeService {
    /// Bytes that the custom volumes of a project may hold together; nil if one has no size.
    func sizes(project: String) -> Int64? {
        var total: Int64 = 0
        for volume in list(project: project) {
            guard let size = volume.config["size"].flatMap(Units.bytes) else { return nil }
            total += size
        }
        return total
    }
}

extension InstanceActor {
    /// Takes live over what changed in its profiles.
    func profilesChanged(from before: MergedConfig) async throws {
        guard case .running(let run) = lifecycle else { return }
        try await applyLive(run, from: before, to: await merged())
    }

    /// Follows the new name of a profile.
    func profileRenamed(_ name: String, to newName: String) async throws {
        let old = record.profiles
        record.profiles = old.map { $0 == name ? newName : $0 }
        do { try await save() } catch {
            record.profiles = old
            throw error
        }
    }
}
