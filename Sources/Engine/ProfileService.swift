public import Model
import StateStore

/// Profiles; `default` always exists.
public actor ProfileService {
    private let store: StateStore
    private let events: EventBus
    private var profiles: [String: ProfileRecord] = [:]

    init(store: StateStore, events: EventBus) {
        self.store = store
        self.events = events
    }

    /// Loads the profiles; makes `default` with a nic on `network` and a root disk if there is none.
    func load(network: String) async throws {
        for profile in try await store.profiles() { profiles[key(profile.project, profile.name)] = profile }
        if profiles[key("default", "default")] == nil {
            let profile = ProfileRecord(
                name: "default", description: "Default Isle profile",
                devices: [
                    "eth0": ["type": "nic", "network": network, "name": "eth0"],
                    "root": ["type": "disk", "path": "/", "pool": "default"],
                ])
            try await store.save(profile)
            profiles[key("default", "default")] = profile
        }
    }

    public func list(project: String = "default") -> [ProfileRecord] {
        profiles.values.filter { $0.project == project }.sorted { $0.name < $1.name }
    }

    /// `notFound` if there is none.
    public func get(_ name: String, project: String = "default") throws -> ProfileRecord {
        guard let profile = profiles[key(project, name)] else {
            throw EngineError(.notFound, "profile \(Names.quoted(name)) does not exist", hint: "isle profile list")
        }
        return profile
    }

    /// The profiles of that names, in order; one that was deleted meanwhile is left out.
    func find(_ names: [String], project: String) -> [ProfileRecord] {
        names.compactMap { profiles[key(project, $0)] }
    }

    /// `alreadyExists` if the name is taken.
    public func create(_ profile: ProfileRecord) async throws {
        try Names.checkResource(profile.name, "profile")
        guard profiles[key(profile.project, profile.name)] == nil else {
            throw EngineError(.alreadyExists, "profile \(Names.quoted(profile.name)) exists already")
        }
        try await put(profile)
        events.lifecycle("profile-created", "/1.0/profiles/\(profile.name)", project: profile.project)
    }

    /// Replaces a profile; running instances take live keys over at their next change or start.
    public func update(_ profile: ProfileRecord) async throws {
        _ = try get(profile.name, project: profile.project)
        try await put(profile)
        events.lifecycle("profile-updated", "/1.0/profiles/\(profile.name)", project: profile.project)
    }

    /// - Parameter usedBy: names of the instances that use it; must be empty.
    public func delete(_ name: String, project: String = "default", usedBy: [String]) async throws {
        _ = try get(name, project: project)
        guard name != "default" else {
            throw EngineError(.permissionDenied, "the profile 'default' cannot be deleted")
        }
        guard usedBy.isEmpty else {
            throw EngineError(
                .conflict, "profile \(Names.quoted(name)) is used by \(usedBy.joined(separator: ", "))",
                hint: "take it from those instances first")
        }
        try await store.deleteProfile(project: project, name: name)
        profiles[key(project, name)] = nil
        events.lifecycle("profile-deleted", "/1.0/profiles/\(name)", project: project)
    }

    private func put(_ profile: ProfileRecord) async throws {
        try OptionCatalog.check(profile.config, kind: nil)
        _ = try Devices(profile.devices)
        try await store.save(profile)
        profiles[key(profile.project, profile.name)] = profile
    }

    private func key(_ project: String, _ name: String) -> String { project + "/" + name }
}
