import Logging
public import Model
import StateStore

/// Profiles; `default` always exists. A project without profiles of its own sees those of the default project.
public actor ProfileService {
    private let store: StateStore
    private let events: EventBus
    private let projects: ProjectService
    private let logger: Logger
    private var profiles: [String: ProfileRecord] = [:]
    private var unreadable = UnreadableRecords("profile")

    init(store: StateStore, events: EventBus, projects: ProjectService, logger: Logger) {
        self.store = store
        self.logger = logger
        self.events = events
        self.projects = projects
    }

    /// The project whose profiles `project` sees.
    func owner(_ project: String) async -> String { await projects.owner(of: .profiles, in: project) }

    /// Makes the `default` profile of a project that has profiles of its own; it has no devices.
    func makeStandard(project: String) async throws {
        guard profiles[key(project, "default")] == nil, !unreadable.names.contains(key(project, "default")) else {
            return
        }
        try await put(
            ProfileRecord(project: project, name: "default", description: "Default Isle profile for project \(project)")
        )
    }

    func removeStandard(project: String) async throws {
        guard project != ProjectRecord.standard, profiles[key(project, "default")] != nil else { return }
        try await store.deleteProfile(project: project, name: "default")
        profiles[key(project, "default")] = nil
    }

    /// Loads the profiles; makes `default` with a nic on `network` and a root disk if there is none.
    func load(network: String) async throws {
        let (records, broken) = try await store.profiles()
        unreadable.found(broken, logger)
        for profile in records { profiles[key(profile.project, profile.name)] = profile }
        if profiles[key("default", "default")] == nil, !broken.contains(key("default", "default")) {
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

    public func list(project: String = "default") async -> [ProfileRecord] {
        let owner = await owner(project)
        return profiles.values.filter { $0.project == owner }.sorted { $0.name < $1.name }
    }

    /// The profiles of every project that the requestor may use.
    public func all() -> [ProfileRecord] {
        profiles.values.filter { Requestor.mayUse($0.project) }.sorted { ($0.project, $0.name) < ($1.project, $1.name) }
    }

    /// `notFound` if there is none.
    public func get(_ name: String, project: String = "default") async throws -> ProfileRecord {
        try Requestor.check(project)
        let owner = await owner(project)
        guard let profile = profiles[key(owner, name)] else {
            try unreadable.refuse(key(owner, name), as: name)
            throw EngineError(.notFound, "profile \(Names.quoted(name)) does not exist", hint: "isle profile list")
        }
        return profile
    }

    /// The profiles of that names, in order; one that was deleted meanwhile is left out.
    func find(_ names: [String], project: String) async -> [ProfileRecord] {
        let owner = await owner(project)
        return names.compactMap { profiles[key(owner, $0)] }
    }

    /// Throws `unavailable` if one of the profiles is there and cannot be read: what it gives is not known.
    func requireReadable(_ names: [String], project: String) async throws {
        let owner = await owner(project)
        for name in names { try unreadable.refuse(key(owner, name), as: name) }
    }

    /// `alreadyExists` if the name is taken.
    public func create(_ wanted: ProfileRecord) async throws {
        try Names.checkResource(wanted.name, "profile")
        var profile = wanted
        profile.project = try await changeable(wanted.project)
        try unreadable.refuse(key(profile.project, profile.name), as: profile.name)
        guard profiles[key(profile.project, profile.name)] == nil else {
            throw EngineError(.alreadyExists, "profile \(Names.quoted(profile.name)) exists already")
        }
        try await put(profile)
        events.lifecycle("profile-created", "/1.0/profiles/\(profile.name)", project: profile.project)
    }

    /// Replaces the record alone; `ProfileChanges` looks after the instances.
    func update(_ profile: ProfileRecord) async throws {
        _ = try await changeable(profile.project)
        try await put(profile)
        events.lifecycle("profile-updated", "/1.0/profiles/\(profile.name)", project: profile.project)
    }

    /// - Parameter usedBy: names of the instances that use it; must be empty.
    public func delete(_ name: String, project wanted: String = "default", usedBy: [String]) async throws {
        _ = try await get(name, project: wanted)
        let project = try await changeable(wanted)
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

    /// The project that owns the profiles seen in `project`. A requestor that is confined to `project` may not change
    /// those of another one.
    func changeable(_ project: String) async throws -> String {
        let owner = await owner(project)
        try Requestor.check(owner)
        return owner
    }

    /// Makes the same profile under another name, for `forget` to take the old one away once nobody names it.
    func copy(_ profile: ProfileRecord, as name: String) async throws {
        try Names.checkResource(name, "profile")
        try unreadable.refuse(key(profile.project, name), as: name)
        guard profiles[key(profile.project, name)] == nil else {
            throw EngineError(.alreadyExists, "profile \(Names.quoted(name)) exists already")
        }
        var renamed = profile
        renamed.name = name
        try await put(renamed)
    }

    func forget(_ profile: ProfileRecord, renamedTo name: String) async throws {
        try await store.deleteProfile(project: profile.project, name: profile.name)
        profiles[key(profile.project, profile.name)] = nil
        events.lifecycle(
            "profile-renamed", "/1.0/profiles/\(name)", project: profile.project, ["old_name": .string(profile.name)])
    }

    private func put(_ profile: ProfileRecord) async throws {
        try OptionCatalog.check(profile.config, kind: nil)
        _ = try Devices(profile.devices)
        try await store.save(profile)
        profiles[key(profile.project, profile.name)] = profile
    }

    private func key(_ project: String, _ name: String) -> String { project + "/" + name }
}
