public import Model

/// Changes of profiles with what they mean for the instances that use them.
public struct ProfileChanges: Sendable {
    let profiles: ProfileService
    let instances: InstanceService
    let projects: ProjectService
    let networks: NetworkService

    /// The instances that use the profile, in all projects that see it.
    public func users(of name: String, project: String) async -> [InstanceView] {
        let owner = await profiles.owner(project)
        var users: [InstanceView] = []
        for view in await instances.list(project: nil) where view.record.profiles.contains(name) {
            if await profiles.owner(view.record.project) == owner { users.append(view) }
        }
        return users
    }

    /// Replaces the profile. What may change while an instance runs takes effect at once, the rest at its next start.
    /// When one of the instances would not be allowed, or cannot take the change, nothing is changed.
    public func update(_ wanted: ProfileRecord) async throws {
        var new = wanted
        new.project = try await profiles.changeable(wanted.project)
        let old = try await profiles.get(new.name, project: new.project)
        guard old != new else { return }
        let added = new.devices.filter { old.devices[$0.key] != $0.value }
        for nic in try Devices(added).nics where nic.direct == nil { _ = try await networks.get(nic.network) }
        // Others' instances change too: a confined requestor sees none of them, so they are looked for without it.
        let users = await Requestor.$current.withValue(nil) { await self.users(of: new.name, project: new.project) }
        for view in users {
            var profiles = await profiles.find(view.record.profiles, project: view.record.project)
            for index in profiles.indices where profiles[index].name == new.name { profiles[index] = new }
            let merged = MergedConfig(view.record, profiles: profiles)
            _ = try Devices(merged.devices)
            try await Requestor.$current.withValue(nil) {
                try await self.instances.allow(view.record, profiles: profiles)
            }
        }
        try await profiles.update(new)
        let before = Dictionary(
            users.map { ($0.record.id, $0.expanded) }, uniquingKeysWith: { first, _ in first })
        do { try await instances.profilesChanged(before) } catch {
            let after = await Requestor.$current.withValue(nil) {
                await self.users(of: new.name, project: new.project)
            }
            try await profiles.update(old)
            try await instances.profilesChanged(
                Dictionary(after.map { ($0.record.id, $0.expanded) }, uniquingKeysWith: { first, _ in first }))
            throw error
        }
    }

    /// Instances that use it follow. `alreadyExists` if the name is taken.
    public func rename(_ name: String, to newName: String, project: String) async throws {
        let profile = try await profiles.get(name, project: project)
        guard name != "default" else {
            throw EngineError(.permissionDenied, "the profile 'default' cannot be renamed")
        }
        _ = try await profiles.changeable(project)
        let users = await Requestor.$current.withValue(nil) { await self.users(of: name, project: project) }
        try await profiles.copy(profile, as: newName)
        for view in users { try await instances.profileRenamed(name, to: newName, of: view.record.id) }
        try await profiles.forget(profile, renamedTo: newName)
    }
}
