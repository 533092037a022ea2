public import Model

/// Changes of projects that concern what is in them.
public struct ProjectChanges: Sendable {
    let projects: ProjectService
    let instances: InstanceService
    let profiles: ProfileService
    let volumes: VolumeService
    let trust: TrustService
    let parts: EngineParts

    /// Paths of what is in the project, without its default profile.
    public func contents(of name: String) async -> [String] {
        let suffix = name == ProjectRecord.standard ? "" : "?project=\(name)"
        let instances = await instances.list(project: name).map { "/1.0/instances/\($0.record.name)\(suffix)" }
        let profiles = await profiles.list(project: name).filter { $0.name != "default" }
            .map { "/1.0/profiles/\($0.name)\(suffix)" }
        let volumes = await volumes.list(project: name)
            .map { "/1.0/storage-pools/\($0.pool)/volumes/custom/\($0.name)\(suffix)" }
        return instances + profiles + volumes
    }

    public func create(_ project: ProjectRecord) async throws {
        try await projects.create(project)
        guard try await projects.get(project.name).owner(of: .profiles) == project.name else { return }
        try await profiles.makeStandard(project: project.name)
    }

    /// `conflict` when a feature changes while something is in the project; `resourceExhausted` or `permissionDenied`
    /// when what is there would not be allowed.
    public func update(_ name: String, description: String, config: [String: String]) async throws {
        var project = try await projects.get(name)
        let config = config.filter { !$0.value.isEmpty }
        let changed = Set(config.keys).union(project.config.keys).filter { config[$0] != project.config[$0] }
        try ProjectOptions.check(config.filter { changed.contains($0.key) })
        let features = changed.filter { $0.hasPrefix("features.") }
        if !features.isEmpty {
            guard name != ProjectRecord.standard else {
                throw EngineError(.permissionDenied, "the features of the project 'default' cannot change")
            }
            let contents = await contents(of: name)
            guard contents.isEmpty else {
                throw EngineError(
                    .conflict, "the features of project \(Names.quoted(name)) can change only while it is empty",
                    hint: "it has \(contents.prefix(3).joined(separator: ", "))")
            }
        }
        let old = project
        (project.description, project.config) = (description, config)
        try await projects.withBounds(of: name) {
            let policy = ProjectPolicy(project: project, hostMemory: parts.hostMemory)
            let subjects = await instances.list(project: name).map { ProjectPolicy.Subject($0.record, $0.expanded) }
            for subject in subjects where policy.project.config != old.config {
                try policy.checkRestrictions(subject)
            }
            try policy.checkLimits(subjects, volumes: await volumes.sizes(project: name))
            try await projects.update(project)
        }
        let hasProfiles = project.owner(of: .profiles) == name
        if hasProfiles, old.owner(of: .profiles) != name { try await profiles.makeStandard(project: name) }
        if !hasProfiles, old.owner(of: .profiles) == name { try await profiles.removeStandard(project: name) }
    }

    public func rename(_ name: String, to newName: String) async throws {
        let project = try await projects.get(name)
        try await refuseContents(name, "renamed")
        try await projects.rename(name, to: newName)
        if project.owner(of: .profiles) == name {
            try await profiles.makeStandard(project: newName)
            try await profiles.removeStandard(project: name)
        }
        try await trust.projectRenamed(name, to: newName)
    }

    public func remove(_ name: String) async throws {
        _ = try await projects.get(name)
        if name != ProjectRecord.standard { try await refuseContents(name, "deleted") }
        try await projects.remove(name)
        try await profiles.removeStandard(project: name)
        try await trust.projectRenamed(name, to: nil)
    }

    private func refuseContents(_ name: String, _ what: String) async throws {
        let contents = await contents(of: name)
        guard contents.isEmpty else {
            throw EngineError(
                .conflict, "project \(Names.quoted(name)) is not empty and cannot be \(what)",
                hint: "it has \(contents.prefix(3).joined(separator: ", "))")
        }
    }

    /// What of the project's bounds is used: key without `limits.` → (bound or -1, in use).
    public func state(of name: String) async throws -> [String: (limit: Int64, usage: Int64)] {
        let project = try await projects.get(name)
        let views = await instances.list(project: name)
        let machines = Int64(views.filter { $0.record.kind == .machine }.count)
        func total(_ key: String, _ value: (String) -> Int64?) -> Int64 {
            views.reduce(0) { $0 + ($1.expanded.config[key].flatMap(value) ?? 0) }
        }
        let disks = views.reduce(Int64(0)) { sum, view in
            let root = view.expanded.devices.values.first { $0["type"] == "disk" && $0["path"] == "/" }
            return sum + (root?["size"].flatMap(Units.bytes) ?? 0)
        }
        let usage: [String: Int64] = [
            "instances": Int64(views.count), "virtual-machines": machines,
            "containers": Int64(views.count) - machines, "cpu": total("limits.cpu") { Int64($0) },
            "memory": total("limits.memory") { Units.bytes($0) },
            "processes": total("limits.processes") { Int64($0) },
            "disk": disks + (await volumes.sizes(project: name) ?? 0), "networks": 0,
        ]
        return usage.reduce(into: [:]) { state, entry in
            state[entry.key] = (project.config["limits." + entry.key].flatMap(Units.bytes) ?? -1, entry.value)
        }
    }
}
